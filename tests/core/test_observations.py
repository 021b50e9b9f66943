"""What observations know of the cameras' own clocks."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.observations import Observations


def _of_frames(frame: np.ndarray) -> Observations:
    """Observations of three keypoints by cameras in one place, at master frames [camera frame]."""
    n, nothing = len(frame), np.zeros((*frame.shape, 3))
    return Observations(
        np.zeros((*nothing.shape, 2)), nothing, nothing, frame, np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3))
    )


def test_each_camera_has_the_rate_of_its_own_frames() -> None:
    frame = np.full((4, 9), np.nan)
    frame[0] = np.arange(9.0) - 0.3
    frame[1] = np.arange(9.0) / 2
    frame[2, 2:7] = 1.2 * np.arange(5.0)
    frame[2, 5:7] += 12.0
    frame[3, 4] = 2.0
    assert _of_frames(frame).own_fps(60.0) == pytest.approx([60.0, 120.0, 50.0, 60.0])


def test_a_camera_faster_than_the_timeline_is_one_view() -> None:
    frame = np.full((3, 8), np.nan)
    frame[0, :4] = np.arange(4.0)
    frame[1] = np.arange(8.0) / 2 + 0.01
    frame[2] = np.arange(8.0) - 2
    seen = np.ones((3, 8, 3), bool)
    seen[0, 1, 0] = False
    seen[1, 1:3, 1] = False  # both that are nearest to master frame 1
    seen[2, :, 2] = False
    views = _of_frames(frame).n_views(seen, 4)
    assert views.tolist() == [[3, 3, 2], [2, 2, 2], [3, 3, 2], [3, 3, 2]]
