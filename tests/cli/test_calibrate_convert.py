"""`mocap calibrate convert`, as a user runs it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from calibration.failed import failed_mark, reasons_in
from calibration.files import read_rig, read_rig_file, write_rig
from calibration.rig_export import FORMATS, rig_difference
from mocap.cli.calibrate_convert import NAMES
from mocap.cli.main import main
from mocap.core.camera import CameraRig, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.synth.rig import ring_rig


def made(model: LensModel = LensModel.BROWN) -> CameraRig:
    return ring_rig(3, np.random.default_rng(5), model=model)


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    write_rig(tmp_path / "rig.toml", made())
    return tmp_path / "rig.toml"


def test_the_verb_offers_every_format() -> None:
    assert list(FORMATS) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_rig_goes_to_every_format_and_back(
    name: str, rig_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["calibrate", "convert", str(rig_file), "--to", name, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["from"], said["to"]) == ("aniposelib", name)
    assert all(Path(f).is_file() for f in said["files"])
    again = tmp_path / "again.toml"
    assert main(["calibrate", "convert", str(out), "--to", "aniposelib", "--out", str(again)]) == 0
    # ring_rig calls its cameras cam1, cam2, ...: Caliscope keeps the numbers only.
    numbered = name == "caliscope"
    back = read_rig(again)
    assert back.names == (("cam_1", "cam_2", "cam_3") if numbered else made().names)
    if not numbered:
        assert rig_difference(made(), back) < 1e-9


def test_what_was_known_of_the_calibration_goes_on_with_our_own_format(tmp_path: Path) -> None:
    known = Diagnostic("rig-camera-ignored", Severity.INFO, "camera 4 is left out", {"cameras": ["4"]})
    write_rig(tmp_path / "a.toml", made(), [known])
    assert (
        main(["calibrate", "convert", str(tmp_path / "a.toml"), "--to", "aniposelib", "--out", str(tmp_path / "b")])
        == 0
    )
    assert tomllib.loads((tmp_path / "b").read_text("utf-8"))["metadata"]["findings"][0]["code"] == known.code


def test_a_refused_conversion_leaves_the_old_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rig(tmp_path / "rig.toml", made(LensModel.FISHEYE))
    out = tmp_path / "Calib.toml"
    out.touch()
    assert main(["calibrate", "convert", str(tmp_path / "rig.toml"), "--to", "pose2sim", "--out", str(out)]) == 1
    assert "rig-format-cannot" in capsys.readouterr().err
    assert out.read_bytes() == b""
    assert sorted(f.name for f in tmp_path.iterdir()) == ["Calib.toml", "rig.toml"]


def test_the_rig_itself_is_never_overwritten(rig_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rig_file.read_bytes()
    assert main(["calibrate", "convert", str(rig_file), "--to", "blender", "--out", str(rig_file)]) == 2
    assert "output-is-input" in capsys.readouterr().err
    assert rig_file.read_bytes() == before


def test_an_unknown_format_is_a_usage_error(rig_file: Path, tmp_path: Path) -> None:
    assert main(["calibrate", "convert", str(rig_file), "--to", "vicon", "--out", str(tmp_path / "x")]) == 2


def test_a_mark_that_a_format_cannot_hold_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rig(tmp_path / "rig.toml", made(), failed_mark(["board-scale-wrong"]))
    said = {}
    for name in ("opencv", "aniposelib"):
        out = str(tmp_path / f"{name}.out")
        assert main(["calibrate", "convert", str(tmp_path / "rig.toml"), "--to", name, "--out", out, "--json"]) == 0
        said[name] = {d["code"]: d for d in json.loads(capsys.readouterr().out)["diagnostics"]}
    assert "rig-mark-lost" not in said["aniposelib"]
    assert reasons_in(read_rig_file(tmp_path / "aniposelib.out").diagnostics) == ["board-scale-wrong"]
    assert said["opencv"]["rig-mark-lost"]["severity"] == "warning"
    assert "board-scale-wrong" in said["opencv"]["rig-mark-lost"]["message"]
