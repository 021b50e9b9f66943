"""`mocap status`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.cli.main import main
from mocap.media.encode import write_video


def test_one_of_a_thing_is_not_told_in_the_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = tmp_path / "shoot"
    assert main(["init", str(session)]) == 0
    for c in (1, 2):
        pictures = (np.full((48, 64, 3), 9 * k + c, np.uint8) for k in range(5))
        write_video(tmp_path / f"cam{c}.mp4", pictures, Fraction(30), (64, 48))
    assert main(["import", str(session), "walk", str(tmp_path / "cam1.mp4"), str(tmp_path / "cam2.mp4")]) == 0
    capsys.readouterr()
    assert main(["status", str(session)]) == 0
    said = capsys.readouterr().out
    assert ": 1 take, " in said
