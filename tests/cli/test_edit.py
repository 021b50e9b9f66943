"""Corrections by hand through the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.files import write_rig
from mocap.cli.main import main
from mocap.synth.rig import ring_rig
from sessions.edits import read_edits
from sessions.folder import open_session

Edit = Callable[..., tuple[int, Any]]


@pytest.fixture
def edit(write_clip: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Edit:
    """Return a function that runs `mocap edit` on a take of three cameras with 7 frames each."""
    write_rig(tmp_path / "rig.toml", ring_rig(3, np.random.default_rng(1), size_px=(64, 48)))
    videos = [write_clip(tmp_path / f"cam{c}.mp4", [30 * c + k for k in range(7)], Fraction(30)) for c in (1, 2, 3)]
    session = tmp_path / "shoot"
    assert main(["init", str(session)]) == 0
    assert main(["import", str(session), "--rig", str(tmp_path / "rig.toml")]) == 0
    assert main(["import", str(session), "walk", *map(str, videos)]) == 0
    capfd.readouterr()

    def run(*arguments: object) -> tuple[int, Any]:
        status = main(["edit", f"{session}/walk", *map(str, arguments), "--json"])
        return status, json.loads(capfd.readouterr().out)

    return run


def in_force(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(e.op, dict(e.args)) for e in read_edits(open_session(folder / "shoot").take("walk").edits_file)]


@pytest.mark.parametrize(
    ("arguments", "op", "values"),
    [
        (("trim", 0.5, 2), "trim", {"start_s": 0.5, "end_s": 2.0}),
        (("offset", "cam2", "--by", -0.012), "nudge_clock", {"camera": "cam2", "by_s": -0.012}),
        (("offset", "cam2", "--to", 0.5), "set_clock", {"camera": "cam2", "offset_s": 0.5}),
        (
            ("mask", "cam3", 2, 7, "LWrist", "Nose"),
            "mask",
            {"camera": "cam3", "start_frame": 2, "end_frame": 7, "keypoints": ["LWrist", "Nose"]},
        ),
        (("swap-sides", "cam1", 0, 3), "swap_sides", {"camera": "cam1", "start_frame": 0, "end_frame": 3}),
        (
            ("move", "cam1", 6, "LWrist", "12.5,3"),
            "move_point",
            {"camera": "cam1", "frame": 6, "keypoint": "LWrist", "xy_px": [12.5, 3.0]},
        ),
    ],
    ids=["trim", "nudge", "set", "mask", "swap", "move"],
)
def test_each_operation_is_appended(
    arguments: tuple[object, ...], op: str, values: dict[str, Any], edit: Edit, tmp_path: Path
) -> None:
    status, data = edit(*arguments)
    assert status == 0, data
    assert in_force(tmp_path) == [(op, values)]
    assert data["edit"].items() >= {"id": 1, "op": op, **values}.items()


def test_an_edit_says_when_it_was_made(edit: Edit) -> None:
    _, data = edit("trim", 0, 1)
    assert data["edit"]["at"].startswith("20")
    assert data["edits"][0]["is_in_force"]


def test_undo_takes_back_the_last_one_in_force_and_can_be_undone(edit: Edit, tmp_path: Path) -> None:
    edit("trim", 0, 1)
    edit("swap-sides", "cam1", 0, 3)
    _, first = edit("undo")
    assert first["edit"]["edit"] == 2
    assert [op for op, _ in in_force(tmp_path)] == ["trim"]
    _, second = edit("undo")
    assert second["edit"]["edit"] == 1
    assert edit("undo", 3)[0] == 0
    assert [op for op, _ in in_force(tmp_path)] == ["swap_sides"]
    _, listing = edit("list")
    assert [e["is_in_force"] for e in listing["edits"]] == [False, True, False, True, True]
    assert listing["edit"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("mask", "cam9", 0, 3), "edit-invalid", "cam1, cam2, cam3"),
        (("mask", "cam1", 0, 8), "edit-invalid", "END <= 7"),
        (("mask", "cam1", 3, 3), "edit-invalid", "START < END"),
        (("mask", "cam1", 0, 3, "Tail"), "edit-invalid", "Tail"),
        (("move", "cam1", 7, "LWrist", "1,2"), "edit-invalid", "from 0 to 6"),
        (("move", "cam1", 6, "LWrist", "9000,2"), "edit-invalid", "64x48"),
        (("offset", "cam9", "--by", 1), "edit-invalid", "cam9"),
        (("offset", "cam1", "--by", "nan"), "edit-invalid", "finite"),
        (("trim", 2, 1), "edit-invalid", "in order"),
        (("undo",), "edit-missing", "none"),
        (("undo", 4), "edit-missing", "correction 4"),
    ],
)
def test_what_the_take_does_not_have_is_refused_and_nothing_is_written(
    arguments: tuple[object, ...], code: str, named: str, edit: Edit, tmp_path: Path
) -> None:
    status, data = edit(*arguments)
    assert status == 1
    assert data["error"]["code"] == code
    assert named in data["error"]["message"]
    assert in_force(tmp_path) == []
    assert not (tmp_path / "shoot" / "takes" / "walk" / "edits.jsonl").exists()


def test_an_offset_needs_one_way_of_saying_it(edit: Edit) -> None:
    for arguments in (("offset", "cam1"), ("offset", "cam1", "--by", 1, "--to", 1), ("paint",), ()):
        status, data = edit(*arguments)
        assert status == 2
        assert data["error"]["code"] == "usage"


def test_edits_are_shown_to_people(edit: Edit, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edit("trim", 0.5, 2)
    assert main(["edit", str(tmp_path / "shoot" / "walk"), "list"]) == 0
    assert "1: trim start_s=0.5 end_s=2.0" in capfd.readouterr().out
