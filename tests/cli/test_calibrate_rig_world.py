"""`mocap calibrate rig --world board:`: how floor clips are matched, and a floor board that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.board import parse_board
from mocap.cli.main import main
from tests.calibration.board_clips import arc_rig, film

SPEC = "charuco:5x7:square=0.1:marker=0.075:dict=4X4_50"


def test_an_unseen_floor_board_names_the_floor_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board, rig = parse_board(SPEC), arc_rig(2)
    videos = [str(film(tmp_path / f"{c.name}.mp4", board, c)) for c in rig.cameras]
    floor = film(tmp_path / "floor" / "cam1.mp4", board, rig[0], lambda f, p: np.full_like(p[f], 128), 6)
    out = str(tmp_path / "rig.toml")
    assert (
        main(["calibrate", "rig", "--board", SPEC, *videos, "--out", out, "--world", f"board:{floor}", "--json"]) == 1
    )
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "world-board-not-seen"
    assert str(floor) in error["message"]


def test_floor_clips_matched_in_order_are_reported(tmp_path: Path) -> None:
    from argparse import Namespace

    from mocap.cli.calibrate_rig import _floor_footage

    board, rig = parse_board(SPEC), arc_rig(2)
    floor = [film(tmp_path / f"{n}.mp4", board, rig[0], None, 2) for n in ("left", "right")]
    args = Namespace(world=[f"board:{floor[0]}", str(floor[1])], fps=None, feet_times=None)
    clips, found = _floor_footage(args, ["cam1", "cam2"])
    assert clips == {"cam1": floor[0], "cam2": floor[1]}
    assert [d.code for d in found] == ["cameras-matched-in-order"]
