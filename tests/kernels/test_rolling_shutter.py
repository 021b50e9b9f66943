"""Rows that are read one after the other, taken back to one instant."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.kernels.rolling_shutter import CHUNK, REACH_S, at_middle_row, row_share, velocities
from mocap.kernels.triangulation import triangulate_dlt
from mocap.synth.detections import project_points
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

SIZE_PX = (640, 480)
READOUT_S = 0.016
FPS = 60.0


def seen(
    place: np.ndarray, velocity: np.ndarray, rotation_deg: int, n: int = 20, fps: float = FPS
) -> tuple[np.ndarray, np.ndarray]:
    """Return [frame 1 2] of a point of constant velocity through a rolling shutter, and at the middle row."""
    time_s = np.arange(n) / fps
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
    fixed, trust = at_middle_row(rolling, np.arange(20) / FPS, SIZE_PX, READOUT_S, rotation_deg)
    assert np.abs(fixed - exact).max() < 0.4
    assert trust.min() == 1


def swing(n: int, fps: float, phase_s: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, and [frame 1 2] of a limb that swings across low in the picture, as seen and at the middle row."""
    time_s = phase_s + np.arange(n) / fps
    late_s = READOUT_S * row_share(np.array([0.0, 460.0]), SIZE_PX)

    def at(when_s: np.ndarray) -> np.ndarray:
        x = 320 + 200 * np.sin(2 * np.pi * 0.8 * when_s)
        return np.stack([x, np.full_like(x, 460.0)], -1)[:, None]

    return time_s, at(time_s + late_s), at(time_s)


@pytest.mark.parametrize("fps", [10.0, 15.0, 24.0, 30.0, 60.0])
def test_a_swing_comes_back_at_any_usual_rate_ends_included(fps: float) -> None:
    time_s, rolling, exact = swing(round(3 * fps), fps)
    fixed, _ = at_middle_row(rolling, time_s, SIZE_PX, READOUT_S)
    before, after = (np.abs(xy - exact)[..., 0].max(-1) for xy in (rolling, fixed))
    assert np.sqrt(np.mean(after**2)) < (0.3 if fps > 10 else 0.4) * np.sqrt(np.mean(before**2))
    for end in (slice(0, 2), slice(-2, None)):
        assert after[end].max() < max(0.6 * before[end].max(), 0.3 * before.max())


def test_frames_that_were_not_looked_at_between_those_that_were_do_not_stop_the_correction() -> None:
    time_s, rolling, exact = swing(180, 60.0)
    rolling[np.arange(180) % 4 != 0] = np.nan
    fixed, trust = at_middle_row(rolling, time_s, SIZE_PX, READOUT_S)
    assert np.nanmin(trust) == 1
    assert np.nanmax(np.abs(fixed - exact)) < 0.4 * np.nanmax(np.abs(rolling - exact))
    np.testing.assert_array_equal(np.isnan(fixed), np.isnan(rolling))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_takes_of_a_few_frames_are_corrected(n: int) -> None:
    rolling, exact = seen(np.array([100.0, 60.0]), np.array([900.0, 1100.0]), 0, n)
    fixed, _ = at_middle_row(rolling, np.arange(n) / FPS, SIZE_PX, READOUT_S)
    assert np.abs(fixed - exact).max() < 0.4


def test_frames_beside_a_gap_are_corrected() -> None:
    rolling, exact = seen(np.array([100.0, 60.0]), np.array([600.0, 500.0]), 0, 50)
    rolling[10:40] = np.nan
    fixed, trust = at_middle_row(rolling, np.arange(50) / FPS, SIZE_PX, READOUT_S)
    assert np.nanmax(np.abs(fixed - exact)) < 0.2
    assert np.nanmin(trust) == 1


@pytest.mark.parametrize("fps", [1 / (REACH_S / k) for k in (1 + 1e-9, 2, 3)] + [4.5, 15.0])
def test_rounding_of_times_moves_nothing(fps: float) -> None:
    """The correction of a steady motion does not flicker where neighbours are just within reach."""
    n = 40
    time_s = np.cumsum(np.full(n, 1 / fps)) + np.random.default_rng(2).uniform(-1e-9, 1e-9, n)
    xy = np.stack([100 + 900 * time_s, np.full(n, 460.0)], -1)[:, None]
    fixed, _ = at_middle_row(xy, time_s, SIZE_PX, READOUT_S)
    moved = (xy - fixed)[4:-4, 0, 0]
    assert np.ptp(moved) < 1e-3


def test_a_velocity_is_believed_less_the_farther_its_neighbours_are_until_it_is_unknown() -> None:
    trust: dict[float, float] = {}
    for fps in (3.9, 4.2, 5.0, 6.0):
        xy = np.full((20, 1, 2), 50.0)
        trust[fps] = velocities(xy, np.arange(20) / fps)[1][10, 0]
    assert trust[3.9] == 0
    assert 0 < trust[4.2] < 0.1
    assert 0.3 < trust[5.0] < 0.7
    assert trust[6.0] == 1


def test_a_detection_that_jumps_does_not_move_its_neighbours() -> None:
    rolling, _ = seen(np.array([100.0, 60.0]), np.array([900.0, 1100.0]), 0)
    time_s = np.arange(20) / FPS
    for k in (1, 10, 18):
        jumped = rolling.copy()
        jumped[k] += 300.0
        others = np.arange(20) != k
        moved = (
            at_middle_row(jumped, time_s, SIZE_PX, READOUT_S)[0] - at_middle_row(rolling, time_s, SIZE_PX, READOUT_S)[0]
        )
        assert np.abs(moved[others]).max() < 1.0


def test_noise_of_detections_hardly_grows() -> None:
    """Slopes over several frames: the median of fewer would make the picture tremble."""
    rng = np.random.default_rng(6)
    xy = np.array([320.0, 479.0]) + rng.normal(0, 2.0, (600, 4, 2))
    fixed, _ = at_middle_row(xy, np.arange(600) / FPS, SIZE_PX, READOUT_S)
    assert (fixed - [320.0, 479.0]).std() < 1.04 * 2.0


def test_a_velocity_that_is_not_known_moves_nothing_and_missing_stays_missing() -> None:
    xy = np.full((9, 1, 2), np.nan)
    xy[4] = 50.0
    velocity, trust = velocities(xy, np.arange(9) / FPS)
    assert np.isnan(velocity).all()
    assert trust[4, 0] == 0
    assert np.isnan(np.delete(trust, 4)).all()
    fixed, _ = at_middle_row(xy, np.arange(9) / FPS, SIZE_PX, READOUT_S)
    np.testing.assert_array_equal(fixed, xy)


def test_long_takes_are_worked_through_in_parts_without_a_seam() -> None:
    time_s, rolling, _ = swing(3 * CHUNK, FPS)
    whole, _ = velocities(rolling, time_s)
    part, _ = velocities(rolling[CHUNK // 2 : 2 * CHUNK], time_s[CHUNK // 2 : 2 * CHUNK])
    np.testing.assert_allclose(part[20:-20], whole[CHUNK // 2 + 20 : 2 * CHUNK - 20], atol=1e-9)


def test_points_in_space_are_better_where_the_read_out_is_known() -> None:
    """Four cameras, two of them upside down, so that what is late in one is early in another."""
    rig = ring_rig(4, np.random.default_rng(3), distortion_scale=0.0)
    performer = Performer.random(np.random.default_rng(5))
    time_s = np.arange(90) / FPS
    turned = (0, 180, 0, 180)
    truth = performer.points(time_s)
    views = [_rolling(rig, c, performer, time_s, turned[c]) for c in range(4)]
    views = [v + np.random.default_rng(c).normal(0.0, 0.5, v.shape) for c, v in enumerate(views)]
    fixed = [at_middle_row(v, time_s, rig[c].intrinsics.size_px, READOUT_S, turned[c])[0] for c, v in enumerate(views)]
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
