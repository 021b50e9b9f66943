"""`--performer`: the first take writes the profile, the next ones read it."""

from __future__ import annotations

import errno
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.cli import main as cli
from mocap.core.performer import read_performer
from mocap.synth.detections import Faults, detect
from mocap.synth.files import write_take
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(71)
    rig, performer = ring_rig(5, rng), Performer.random(rng)
    seen = detect([performer], rig, Fraction(60), 47, rng, faults=Faults(noise_px=1.0)).keypoints
    return write_take(tmp_path_factory.mktemp("take") / "take", rig, seen)


def _run(folder: Path, out: Path, profile: Path) -> int:
    given = ["--rig", folder / "rig.toml", "--keypoints", folder / "keypoints", "--fps", "60", "--to", "trc"]
    return cli.main([*map(str, ["reconstruct", *given, "--out", out, "--performer", profile, "--json"])])


def test_the_first_take_writes_the_profile_and_the_next_leaves_it(folder: Path, tmp_path: Path) -> None:
    profile = tmp_path / "anna.json"
    assert _run(folder, tmp_path / "one", profile) in (0, 3)
    written = profile.read_text()
    assert 0.3 < read_performer(profile).segment_m["LeftLeg"] < 0.55
    assert _run(folder, tmp_path / "two", profile) in (0, 3)
    assert profile.read_text() == written


def test_a_place_where_no_profile_can_be_written_is_refused_before_any_work(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert _run(folder, tmp_path / "out", tmp_path / "file" / "anna.json") == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "output-not-writable"
    assert "file" in error["message"]
    assert not (tmp_path / "out").exists()


def test_the_result_is_there_although_the_profile_cannot_be_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "performers" / "anna.json"

    def full(path: Path, _value: object) -> None:
        raise OSError(errno.ENOSPC, "No space left", str(path))

    monkeypatch.setattr("mocap.core.performer.write_json", full)
    assert _run(folder, tmp_path / "out", profile) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "output-full"
    assert (tmp_path / "out/subject_0.trc").exists()
    assert not profile.exists()


def test_the_text_says_whether_the_profile_was_written_or_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rig", folder / "rig.toml", "--keypoints", folder / "keypoints", "--fps", "60", "--to", "trc"]
    for did in ("anna.json written", "anna.json read"):
        more = ["--out", tmp_path / "out", "--performer", tmp_path / "anna.json"]
        assert cli.main([*map(str, ["reconstruct", *given, *more])]) in (0, 3)
        assert did in capsys.readouterr().out


def test_a_broken_profile_is_the_users_error(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "anna.json"
    profile.write_text("{}")
    assert _run(folder, tmp_path / "out", profile) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "performer-invalid"
