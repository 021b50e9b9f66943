"""Smoothing against dense solves, gaps, sampling between frames, and the posterior variance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from mocap.kernels.trajectories import (
    chain_posterior,
    fill_gaps_linearly,
    mean_around,
    sample_cubic,
    smooth_step,
    trajectory_variance,
)

N_FRAMES, N_KEYPOINTS = 13, 3


def _dense(information: np.ndarray, weight: np.ndarray, velocity_weight: float) -> np.ndarray:
    """Return the normal matrix [3F 3F] of one keypoint, built without any band."""
    n = len(information)
    matrix = 1e-6 * np.eye(3 * n)
    first, second = np.diff(np.eye(n), 1, axis=0), np.diff(np.eye(n), 2, axis=0)
    smooth = second.T @ (weight[:, None] * second) + velocity_weight * first.T @ first
    matrix += np.kron(smooth, np.eye(3))
    for f, (xx, xy, xz, yy, yz, zz) in enumerate(information):
        matrix[3 * f : 3 * f + 3, 3 * f : 3 * f + 3] += [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    return matrix


def _information(rng: np.random.Generator) -> np.ndarray:
    root = rng.normal(size=(N_FRAMES, N_KEYPOINTS, 3, 3))
    full = root @ root.swapaxes(-1, -2)
    return full[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]


def test_a_step_equals_a_dense_solve() -> None:
    rng = np.random.default_rng(10)
    information, points = _information(rng), rng.normal(size=(N_FRAMES, N_KEYPOINTS, 3))
    gradient, weight = rng.normal(size=points.shape), rng.uniform(0.5, 5.0, (N_FRAMES - 2, N_KEYPOINTS))
    out = smooth_step(points, information, gradient, weight, 0.3)
    for k in range(N_KEYPOINTS):
        smooth_only = _dense(np.zeros((N_FRAMES, 6)), weight[:, k], 0.3) - 1e-6 * np.eye(3 * N_FRAMES)
        slope = gradient[:, k].ravel() + smooth_only @ points[:, k].ravel()
        expected = points[:, k].ravel() - np.linalg.solve(_dense(information[:, k], weight[:, k], 0.3), slope)
        assert out[:, k].ravel() == pytest.approx(expected)


def test_the_variance_is_the_diagonal_of_the_inverse_for_isotropic_information() -> None:
    rng = np.random.default_rng(11)
    level = rng.uniform(0.1, 4.0, (N_FRAMES, N_KEYPOINTS))
    level[4:8, 1] = 0.0  # a gap
    information = np.zeros((N_FRAMES, N_KEYPOINTS, 6))
    information[..., [0, 3, 5]] = level[..., None]
    weight = rng.uniform(0.5, 5.0, (N_FRAMES - 2, N_KEYPOINTS))
    variance = trajectory_variance(information, weight)
    for k in range(N_KEYPOINTS):
        expected = np.diag(np.linalg.inv(_dense(information[:, k], weight[:, k], 0.0)))[::3]
        assert variance[:, k] == pytest.approx(expected, rel=1e-6)


def test_a_chain_with_first_differences_has_the_diagonal_of_the_inverse() -> None:
    rng = np.random.default_rng(12)
    data, rate = rng.uniform(0.1, 4.0, (N_FRAMES, N_KEYPOINTS)), np.array([0.0, 0.3, 2.0])
    data[4:8, 1] = 0.0  # a gap
    weight = rng.uniform(0.5, 5.0, (N_FRAMES - 2, N_KEYPOINTS))
    variance = chain_posterior(data, weight, rate)
    for k in range(N_KEYPOINTS):
        information = data[:, k, None] * np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
        expected = np.diag(np.linalg.inv(_dense(information, weight[:, k], rate[k])))[::3]
        assert variance[:, k] == pytest.approx(expected, rel=1e-6)


def test_cubic_sampling_is_exact_on_quadratic_motion_and_at_frames() -> None:
    t = np.arange(N_FRAMES, dtype=float)
    values = np.stack([0.3 * t**2 - t, 2 * t], axis=1)
    at = np.array([0.0, 3.0, 4.25, 7.5])
    assert sample_cubic(values, at) == pytest.approx(np.stack([0.3 * at**2 - at, 2 * at], axis=1))


def test_sampling_outside_the_take_holds_the_ends() -> None:
    values = np.arange(5.0)[:, None]
    assert sample_cubic(values, np.array([-3.0, 9.0]))[:, 0].tolist() == [0.0, 4.0]


def test_gaps_are_bridged_linearly_and_unknown_keypoints_stay_unknown() -> None:
    points = np.full((5, 2, 3), np.nan)
    points[1, 0], points[3, 0] = 1.0, 3.0
    filled = fill_gaps_linearly(points)
    assert filled[:, 0, 0].tolist() == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert np.isnan(filled[:, 1]).all()


@pytest.mark.parametrize("length", [3, 4, 9])
def test_the_mean_around_some_frames_is_that_of_a_moving_mean(length: int) -> None:
    values = np.random.default_rng(2).normal(size=(23, 5))
    frames = np.array([0, 1, 7, 11, 22])
    expected = uniform_filter1d(values, length, axis=0, mode="nearest")[frames]
    assert mean_around(values, frames, length) == pytest.approx(expected)
