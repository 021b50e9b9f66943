"""Which detections of hidden landmarks count."""

from __future__ import annotations

import numpy as np

from mocap.core.observations import Observations
from mocap.solve.lone import with_evidence_only

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
