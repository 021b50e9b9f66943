"""Which detections of hidden landmarks count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mocap.core.observations import Observations
from mocap.solve.lone import _watched, with_evidence_only

FPS, N_FRAMES = 60.0, 200
NAMES = ("LWrist", "RWrist")
HIDDEN = slice(80, 140)


def _observations(points_m: np.ndarray) -> Observations:
    """Return what three cameras 5 m away see of points [frame landmark 3] at z = 0; they look along z."""
    seen = np.zeros((3, N_FRAMES, 2), bool)
    seen[:, :, 0] = True
    seen[:, :, 1] = True
    seen[:, HIDDEN, 1] = False
    return Observations(
        xy=np.tile(points_m[None, ..., :2] / 5.0, (3, 1, 1, 1)),
        px_per_unit=np.where(seen, 900.0, 0.0),
        score=np.ones((3, N_FRAMES, 2)),
        frame=np.tile(np.arange(float(N_FRAMES)), (3, 1)),
        R_cam_from_world=np.tile(np.eye(3), (3, 1, 1)),
        t_cam_from_world_m=np.tile([0.0, 0.0, 5.0], (3, 1)),
    )


def _points() -> np.ndarray:
    points = np.zeros((N_FRAMES, 2, 3))
    points[:, 0, 0], points[:, 1, 0] = 0.5, -0.5
    return points


def _kept(observations: Observations) -> np.ndarray:
    points = _points()
    points[HIDDEN, 1] = np.nan
    return with_evidence_only(observations, NAMES, points, np.full((3, N_FRAMES, 2), 3.0), FPS).seen


def test_detections_now_and_then_of_a_hidden_landmark_are_left_out() -> None:
    observations = _observations(_points())
    observations.px_per_unit[1, 110, 1] = 900.0
    seen = _kept(observations)
    assert not seen[1, 110, 1]
    seen[1, 110, 1] = True
    assert (seen == observations.seen).all()


def test_one_camera_that_looks_on_is_enough() -> None:
    observations = _observations(_points())
    observations.px_per_unit[1, HIDDEN, 1] = 900.0
    assert (_kept(observations) == observations.seen).all()


def test_a_hidden_landmark_drawn_where_only_the_other_side_is_does_not_count() -> None:
    observations = _observations(_points())
    exchanged = slice(100, 120)
    observations.px_per_unit[1, exchanged, 0] = 0.0
    observations.px_per_unit[1, exchanged, 1] = 900.0
    observations.xy[1, exchanged, 1] = observations.xy[1, exchanged, 0]
    seen = _kept(observations)
    assert not seen[1, exchanged, 1].any()
    assert seen[:, :, 0].sum() == observations.seen[:, :, 0].sum()


@pytest.mark.parametrize(("fps", "stride"), [(60.0, 4), (120.0, 8), (60.0, 8)])
def test_frames_that_nobody_looked_at_do_not_make_a_landmark_unseen(fps: float, stride: int) -> None:
    observations = _observations(_points())
    observations.px_per_unit[:, np.arange(N_FRAMES) % stride != 1] = 0.0
    seen = with_evidence_only(observations, NAMES, _points(), np.full((3, N_FRAMES, 2), 3.0), fps).seen
    assert (seen == observations.seen).all()


def test_footage_most_of_whose_frames_are_empty_at_random_keeps_its_detections() -> None:
    observations = _observations(_points())
    empty = np.random.default_rng(5).random((3, N_FRAMES)) > 1 / 8
    observations.px_per_unit[empty] = 0.0
    seen = with_evidence_only(observations, NAMES, _points(), np.full((3, N_FRAMES, 2), 3.0), FPS).seen
    assert seen.sum() > 0.9 * observations.seen.sum()


def test_a_landmark_that_no_camera_ever_sees_steadily_stays() -> None:
    observations = _observations(_points())
    observations.px_per_unit[:, np.arange(N_FRAMES) % 10 != 5, 1] = 0.0
    seen = with_evidence_only(observations, NAMES, _points(), np.full((3, N_FRAMES, 2), 3.0), FPS).seen
    assert (seen == observations.seen).all()


def test_a_camera_of_twice_the_rate_is_watched_in_every_frame_of_the_timeline() -> None:
    """Two frames fall on one of the timeline; the second one's stretch has ended where the first one's has not."""
    observations = _observations(_points())
    observations.px_per_unit[:, :, 1] = 0.0
    observations.px_per_unit[1, 41:61, 1] = 900.0
    fast = replace(observations, frame=np.tile(np.arange(N_FRAMES) / 2 + 0.1, (3, 1)))
    expected = np.zeros(N_FRAMES // 2, bool)
    # 24 frames of 120 Hz are 0.2 s: 0.3 of them are reached from frame 37 to frame 65
    expected[19:34] = True
    watched = _watched(fast, N_FRAMES // 2, FPS)[:, 1]
    assert np.array_equal(watched, expected)
