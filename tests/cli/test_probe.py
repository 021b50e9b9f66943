"""`mocap probe`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.cli.main import main
from mocap.media.encode import write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    pictures = (np.full((48, 64, 3), 9 * k, np.uint8) for k in range(7))
    return write_video(tmp_path / "cam1.mp4", pictures, Fraction(60000, 1001), (64, 48))


def test_a_table_says_what_the_files_are(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(video)]) == 0
    head, row = capsys.readouterr().out.strip().splitlines()
    assert head.split() == ["file", "codec", "size", "turn", "frames", "fps", "seconds", "audio", "timecode", "camera"]
    assert row.split()[1:] == ["h264", "64x48", "0", "7", "59.940", "(60000/1001)", "0.12", "no", "-", "-"]


def test_json_has_the_exact_rate(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(video), "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["files"]
    assert (facts["fps_exact"], facts["n_frames"], facts["is_variable_rate"]) == ("60000/1001", 7, False)


def test_a_cut_file_is_described_with_a_note(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = video.read_bytes()
    video.write_bytes(data[:-20])
    assert main(["probe", str(video)]) == 0
    assert "note: cam1.mp4: the file is cut short: " in capsys.readouterr().out


def test_a_file_that_is_not_a_video_is_the_users_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("notes\n" * 50)
    assert main(["probe", str(bad)]) == 1
    said = capsys.readouterr().err
    assert "not-a-video" in said
    assert "Traceback" not in said


def test_one_bad_file_does_not_hide_the_good_ones(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("no video")
    other = shutil.copy(video, tmp_path / "cam2.mp4")
    assert main(["probe", str(video), str(bad), str(other), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [Path(f["path"]).name for f in data["files"]] == ["cam1.mp4", "cam2.mp4"]
    assert [Path(f["file"]).name for f in data["failed"]] == ["notes.mp4"]
    assert main(["probe", str(video), str(bad), str(other)]) == 1
    said = capsys.readouterr().out
    assert "cam2.mp4" in said
    assert "failed [" in said


def test_no_file_is_a_usage_error() -> None:
    assert main(["probe"]) == 2


def test_a_gopro_says_what_it_is(shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = shared("data/gopro") / "gpmf-parser/hero7.mp4"
    assert main(["probe", str(path)]) == 0
    out = capsys.readouterr().out
    assert "11:12:47:22  HERO7 Black" in out
    assert "firmware HD7.01.01.70.00, serial C3281324500963, lens Wide, stabilisation HS EIS" in out
    assert "GYRO 2175 at 199.2 Hz" in out


def test_sensors_are_listed_when_asked(shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = shared("data/gopro") / "gpmf-parser/karma.mp4"
    assert main(["probe", str(path), "--sensors"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["GYRO", "4795", "397.33"] in [r[:3] for r in rows]
    assert main(["probe", str(path), "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["files"]
    assert {s["key"]: s["n_samples"] for s in facts["gopro"]["sensors"]}["ACCL"] == 2397
    assert facts["timecode"] == "19:26:48:04"
    assert len(facts["fingerprint"]) == 32


def test_chapters_are_one_row(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in (1, 2):
        shutil.copy(video, video.with_name(f"GX0{k}0042.MP4"))
    first, second = (str(video.with_name(f"GX0{k}0042.MP4")) for k in (1, 2))
    assert main(["probe", second, first]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[1].split()[:2] == [first, "+1"]
    assert lines[2] == "GX010042.MP4: chapters GX010042.MP4 (7 frames), GX020042.MP4 (7 frames)"


def test_a_missing_chapter_is_the_users_error(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in (1, 3):
        shutil.copy(video, video.with_name(f"GX0{k}0042.MP4"))
    assert main(["probe", str(video.with_name("GX010042.MP4"))]) == 1
    assert "chapter-missing" in capsys.readouterr().err
