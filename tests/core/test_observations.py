"""What observations know of the cameras' own clocks."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.observations import Observations


def test_each_camera_has_the_rate_of_its_own_frames() -> None:
    frame = np.full((4, 9), np.nan)
    frame[0] = np.arange(9.0) - 0.3
    frame[1] = np.arange(9.0) / 2
    frame[2, 2:7] = 1.2 * np.arange(5.0)
    frame[2, 5:7] += 12.0
    frame[3, 4] = 2.0
    nothing = np.zeros((4, 9, 3))
    o = Observations(np.zeros((4, 9, 3, 2)), nothing, nothing, frame, np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 3)))
    assert o.own_fps(60.0) == pytest.approx([60.0, 120.0, 50.0, 60.0])
