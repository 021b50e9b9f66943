"""`mocap probe`."""

from __future__ import annotations

import json
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
    assert head.split() == ["file", "codec", "size", "turn", "frames", "fps", "seconds", "audio"]
    assert row.split()[1:] == ["h264", "64x48", "0", "7", "59.940", "(60000/1001)", "0.12", "no"]


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


def test_no_file_is_a_usage_error() -> None:
    assert main(["probe"]) == 2
