"""Rows that are read one after the other, taken back to one instant."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.kernels.rolling_shutter import at_middle_row, row_share, velocities
from mocap.kernels.triangulation import triangulate_dlt
from mocap.synth.detections import project_points
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

SIZE_PX = (640, 480)
READOUT_S = 0.016
FPS = 60.0


def seen(place: np.ndarray, velocity: np.ndarray, rotation_deg: int, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return [frame 1 2] of a point of constant velocity through a rolling shutter, and at the middle row."""
    time_s = np.arange(n) / FPS
    exact = (place + velocity * time_s[:, None])[:, None]
    rolling = exact.copy()
    for _ in range(20):
        rolling = exact + velocity * READOUT_S * row_share(rolling, SIZE_PX, rotation_deg)[..., None]
    return rolling, exact


@pytest.mark.parametrize(
    ("rotation_deg", "first_row_px"), [(0, (320, 0)), (90, (639, 240)), (180, (320, 479)), (270, (0, 240))]
)
def test_the_first_row_of_the_sensor_comes_first_however_the_picture_was_turned(
    rotation_deg: int, first_row_px: tuple[float, float]
) -> None:
    assert row_share(np.array(first_row_px, float), SIZE_PX, rotation_deg) == pytest.approx(-0.5, abs=0.002)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_steady_motion_comes_back_to_the_middle_row(rotation_deg: int) -> None:
    rolling, exact = seen(np.array([100.0, 60.0]), np.array([900.0, 1100.0]), rotation_deg)
    assert np.abs(rolling - exact).max() > 3
    fixed = at_middle_row(rolling, np.arange(20) / FPS, SIZE_PX, READOUT_S, rotation_deg)
    assert np.abs(fixed - exact)[2:-2].max() < 0.4


def test_a_detection_that_jumps_does_not_move_its_neighbours() -> None:
    rolling, _ = seen(np.array([100.0, 60.0]), np.array([900.0, 1100.0]), 0)
    jumped = rolling.copy()
    jumped[10] += 300.0
    time_s = np.arange(20) / FPS
    others = np.arange(20) != 10
    moved = at_middle_row(jumped, time_s, SIZE_PX, READOUT_S) - at_middle_row(rolling, time_s, SIZE_PX, READOUT_S)
    assert np.abs(moved[others]).max() < 1.0


def test_a_velocity_that_is_not_known_moves_nothing_and_missing_stays_missing() -> None:
    xy = np.full((9, 1, 2), np.nan)
    xy[4] = 50.0
    assert np.isnan(velocities(xy, np.arange(9) / FPS)).all()
    fixed = at_middle_row(xy, np.arange(9) / FPS, SIZE_PX, READOUT_S)
    np.testing.assert_array_equal(fixed, xy)


def test_points_in_space_are_better_where_the_read_out_is_known() -> None:
    """Four cameras, two of them upside down, so that what is late in one is early in another."""
    rig = ring_rig(4, np.random.default_rng(3), distortion_scale=0.0)
    performer = Performer.random(np.random.default_rng(5))
    time_s = np.arange(90) / FPS
    turned = (0, 180, 0, 180)
    truth = performer.points(time_s)
    views = [_rolling(rig, c, performer, time_s, turned[c]) for c in range(4)]
    views = [v + np.random.default_rng(c).normal(0.0, 0.5, v.shape) for c, v in enumerate(views)]
    fixed = [at_middle_row(v, time_s, rig[c].intrinsics.size_px, READOUT_S, turned[c]) for c, v in enumerate(views)]
    before, after = (_error_m(rig, v, truth) for v in (views, fixed))
    assert after < 0.7 * before, (before, after)


def _rolling(rig: CameraRig, c: int, performer: Performer, time_s: np.ndarray, rotation_deg: int) -> np.ndarray:
    xy = project_points(rig[c], performer.points(time_s))
    for _ in range(3):
        own_s = time_s[:, None] + READOUT_S * row_share(xy, rig[c].intrinsics.size_px, rotation_deg)
        for k in range(xy.shape[1]):
            xy[:, k] = project_points(rig[c], performer.points(own_s[:, k]))[:, k]
    return xy


def _error_m(rig: CameraRig, views: list[np.ndarray], truth: np.ndarray) -> float:
    lenses = [c.intrinsics for c in rig.cameras]
    xy = np.stack([(v - i.center_px) / i.focal_px for v, i in zip(views, lenses, strict=True)])
    R = np.stack([c.R_cam_from_world for c in rig.cameras])
    t = np.stack([c.t_cam_from_world_m for c in rig.cameras])
    points = triangulate_dlt(xy, np.full(xy.shape[:-1], 1000.0), R, t)
    return float(np.median(np.linalg.norm(points - truth, axis=-1)))
