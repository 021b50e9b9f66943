"""`mocap doctor` names what is missing and the command that mends it."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mocap.cli import doctor
from mocap.cli import main as cli
from mocap.core.installation import install_command
from mocap.media.packages import WheelSource


@pytest.fixture(autouse=True)
def _whole_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has: everything is there until a test takes it away."""
    monkeypatch.setattr(WheelSource, "is_here", True)
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: name)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/blender")


def checks(capfd: pytest.CaptureFixture[str], out: Path, status: int) -> dict[str, dict]:
    assert cli.main(["doctor", "--out", str(out), "--json"]) == status
    return {c["name"]: c for c in json.loads(capfd.readouterr().out)["checks"]}


def test_an_installed_program_is_found_whole(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = checks(capfd, tmp_path / "not" / "there", 0)
    assert found["numpy"]["found"] == metadata.version("numpy")
    assert found["output folder"]["is_ok"]
    assert not (tmp_path / "not").exists()


def test_only_a_whole_machine_is_said_to_have_everything(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["doctor", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out.endswith("Everything is here.\n")


def test_a_missing_package_is_named_with_its_command(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "ezc3d":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "tomlkit" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = checks(capfd, tmp_path, 3)
    assert "-m pip install" in found["ezc3d"]["mend"]
    assert "ezc3d>=" in found["ezc3d"]["mend"]
    assert "0.1, 0.13 or newer is needed" in found["tomlkit"]["found"]


def test_a_missing_blender_is_named_with_its_command_and_task(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda n, *a: None if n == "bpy" else real(n, *a))
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    blender = checks(capfd, tmp_path, 3)["Blender"]
    assert not blender["is_ok"]
    command = install_command("blender")
    assert blender["task"] == "fbx export"
    assert blender["mend"] == command if sys.version_info[:2] == (3, 11) else "Blender" in blender["mend"]


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="bpy is not installed")
def test_missing_system_libraries_are_named_by_their_package(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not doctor.sys.platform.startswith("linux"):
        pytest.skip("the libraries are looked for on Linux alone: not on Windows, not on macOS")
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: None if name == "SM" else "lib")
    assert checks(capfd, tmp_path, 3)["system libraries of Blender"]["mend"] == "sudo apt-get install libsm6"


def test_an_empty_cache_says_what_is_missing_for_which_task(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(WheelSource, "is_here", False)
    found = checks(capfd, tmp_path, 3)
    assert "fetched on first use" in found["demo footage"]["found"]
    assert found["2D keypoint model"]["mend"] == "mocap models pull blazepose"
    assert cli.main(["doctor", "--out", str(tmp_path)]) == 3
    out = capfd.readouterr().out
    assert "Everything" not in out
    assert "  mocap demo: no demo footage: mocap models pull demo-footage\n" in out
    assert "  2D keypoints from video (detect, run, demo): no 2D keypoint model: mocap models pull blazepose\n" in out


def test_a_folder_that_cannot_be_written_to_is_named(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = checks(capfd, tmp_path / "file" / "out", 3)["output folder"]
    assert not folder["is_ok"]
    assert folder["mend"]
