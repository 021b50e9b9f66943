"""`mocap calibrate` never writes over footage, inputs or files that are not its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.files import write_rig
from mocap.cli.main import main
from mocap.synth.rig import ring_rig

SPEC = "charuco:5x7:square=0.1:marker=0.075:dict=4X4_50"
VERBS = {
    "board": ["--board", SPEC],
    "lens": ["--board", SPEC, "cam1.mp4"],
    "rig": ["--board", SPEC, "cam1.mp4", "cam2.mp4"],
    "convert": ["rig.toml", "--to", "aniposelib"],
    "check": ["rig.toml", "--keypoints", "pose"],
    "refine": ["rig.toml", "--keypoints", "pose", "--fps", "30"],
    "people": ["--lens", "rig.toml", "--keypoints", "pose", "--fps", "30", "--height", "1.8"],
}
TARGETS = ("cam1.mp4", "other.png", "rig.toml", "notes.toml", "keypoints.json", "thesis.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_rig(tmp_path / "rig.toml", ring_rig(3, np.random.default_rng(5)))
    for name in ("cam1.mp4", "cam2.mp4", "other.png", "thesis.txt"):
        (tmp_path / name).write_bytes(b"the only copy")
    (tmp_path / "notes.toml").write_text("[tool]\nname = 'mine'\n")
    (tmp_path / "keypoints.json").write_text('{"people": []}')
    (tmp_path / "pose").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


CALIBRATED_AGAIN = [(verb, "rig.toml") for verb in ("rig", "lens")]
"""Here a calibration stands in the way of a calibration: it may be replaced."""


@pytest.mark.parametrize(("verb", "target"), [(v, t) for v in VERBS for t in TARGETS if (v, t) not in CALIBRATED_AGAIN])
def test_what_exists_is_never_lost(verb: str, target: str, folder: Path) -> None:
    before = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    assert main(["calibrate", verb, *VERBS[verb], "--out", target]) == 2
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == before


def test_a_report_beside_the_result_is_not_written_over_keypoints(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "new.refine.json").write_text('{"people": []}')
    assert main(["calibrate", "refine", *VERBS["refine"], "--out", "new.toml"]) == 2
    assert "output-not-replaced" in capsys.readouterr().err


def test_a_height_in_centimetres_is_told_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*VERBS["people"][:-1], "178", "--out", str(folder / "new.toml")]
    assert main(["calibrate", "people", *arguments]) == 2
    assert "give metres: 1.78?" in capsys.readouterr().err
