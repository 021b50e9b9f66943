"""Posterior standard deviations against dense inverses and against synthetic truth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.observations import Observations, common_timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.solve.uncertainty import chain_variance, residual_correlation
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig


@pytest.mark.parametrize("curvature", [1e-4, 1e-2, 1.0, 100.0])
def test_the_chains_variance_is_that_of_the_middle_of_a_long_chain(curvature: float) -> None:
    second = np.diff(np.eye(401), 2, axis=0)
    dense = np.linalg.inv(second.T @ second + curvature * np.eye(401))
    assert chain_variance(np.array(curvature)) == pytest.approx(dense[200, 200], rel=1e-2)


def _observations(noise: np.ndarray) -> tuple[np.ndarray, Observations]:
    """Return points and observations [camera frame landmark] of five cameras whose residuals are `noise` in pixels."""
    cameras, frames, landmarks = noise.shape[:3]
    points = np.zeros((frames, landmarks, 3))
    t = np.tile([0.0, 0.0, 5.0], (cameras, 1))
    return points, Observations(
        xy=-noise / 1000.0,
        px_per_unit=np.full(noise.shape[:3], 1000.0),
        score=np.ones(noise.shape[:3]),
        frame=np.tile(np.arange(frames, dtype=float), (cameras, 1)),
        R_cam_from_world=np.tile(np.eye(3), (cameras, 1, 1)),
        t_cam_from_world_m=t,
    )


def test_independent_errors_inflate_nothing() -> None:
    noise = np.random.default_rng(20).normal(size=(5, 400, 11, 2))
    points, observations = _observations(noise)
    assert residual_correlation(points, observations, np.ones(noise.shape[:3]), 15) == pytest.approx(1.0, abs=0.1)


def test_errors_in_runs_inflate_as_their_correlation_says() -> None:
    rng = np.random.default_rng(21)
    noise = np.zeros((5, 900, 11, 2))
    noise[:, 0] = rng.normal(size=(5, 11, 2))
    for f in range(1, 900):
        noise[:, f] = 0.5 * noise[:, f - 1] + np.sqrt(0.75) * rng.normal(size=(5, 11, 2))
    points, observations = _observations(noise)
    expected = 1 + 2 * sum(0.5**h * (1 - h / 16) for h in range(1, 16))
    inflation = residual_correlation(points, observations, np.ones(noise.shape[:3]), 15)
    # errors beyond the robust cut are left out, and with them the ends of long runs
    assert inflation == pytest.approx(expected, rel=0.15)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    performer = Performer.random(np.random.default_rng(22))
    rig = ring_rig(5, np.random.default_rng(23))
    faults = Faults(noise_px=3.0, outlier_share=0.05, dropout_share=0.1)
    seen = detect([performer], rig, Fraction(60), 199, np.random.default_rng(24), faults=faults).keypoints
    timeline = common_timeline(seen.time_s, Fraction(60))
    keypoints = solve_take(rig, reconstruct_points(seen, rig, timeline)).keypoints
    z = np.abs(keypoints.xyz_m - performer.points(timeline.time_s)) / keypoints.sigma_m[..., None]
    assert 0.5 < (z < 1.0).mean() < 0.9
    assert (z < 1.96).mean() > 0.85
