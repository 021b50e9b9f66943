"""Errors of smoothed chains against dense inverses and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.chain import (
    Noise,
    autocovariance,
    curvature_of_variance,
    error_variance,
    fit_noise,
    passed_share,
    scatter,
)

N = 401


def _smoother(curvature: float) -> np.ndarray:
    """Return the matrix [N N] that maps data to the smoothed chain."""
    second = np.diff(np.eye(N), 2, axis=0)
    return np.linalg.inv(second.T @ second + curvature * np.eye(N)) * curvature


@pytest.mark.parametrize("curvature", [1e-4, 1e-2, 1.0, 100.0])
def test_white_noise_gives_the_posterior_of_the_middle_of_a_long_chain(curvature: float) -> None:
    expected = _smoother(curvature)[200, 200] / curvature
    assert error_variance(np.array(curvature)) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("curvature", [1e-2, 1.0])
def test_noise_in_runs_passes_as_its_covariance_says(curvature: float) -> None:
    noise = Noise(0.4, 0.6, 0.9)
    lag = np.abs(np.subtract.outer(np.arange(N), np.arange(N)))
    covariance = (noise.white * (lag == 0) + noise.slow * noise.rho**lag) / curvature
    row = _smoother(curvature)[200]
    white = row @ row / curvature
    passed = row @ covariance @ row
    assert error_variance(np.array(curvature), noise) - error_variance(np.array(curvature)) == pytest.approx(
        passed - white, rel=2e-2
    )


def test_curvature_and_variance_are_inverse() -> None:
    curvature = np.geomspace(1e-6, 1e4, 23)
    assert curvature_of_variance(error_variance(curvature)) == pytest.approx(curvature, rel=1e-2)


def test_noise_is_found_through_a_fit_that_took_part_of_it() -> None:
    rng = np.random.default_rng(41)
    true = Noise(0.5, 0.5, 0.9)
    n_cameras, n_frames, n_points = 4, 3000, 7
    slow = np.zeros((n_cameras, n_frames, n_points, 2))
    slow[:, 0] = rng.normal(size=slow[:, 0].shape)
    for f in range(1, n_frames):
        slow[:, f] = true.rho * slow[:, f - 1] + np.sqrt(1 - true.rho**2) * rng.normal(size=slow[:, 0].shape)
    data = np.sqrt(true.white) * rng.normal(size=slow.shape) + np.sqrt(true.slow) * slow
    # each axis is a chain seen by four cameras: their mean, smoothed, is taken out
    curvature = 0.5
    spectrum = np.fft.rfftfreq(n_frames) * 2 * np.pi
    gain = curvature / (curvature + (2 - 2 * np.cos(spectrum)) ** 2)
    fitted = np.fft.irfft(np.fft.rfft(data.mean(0), axis=0) * gain[:, None, None], n=n_frames, axis=0)
    covariance = autocovariance(data - fitted, np.ones(data.shape[:3], bool), 30)
    found = fit_noise(covariance, passed_share(np.full(10, curvature)) / n_cameras)
    naive = fit_noise(covariance, np.zeros_like(passed_share(np.full(10, curvature))))
    assert found.slow == pytest.approx(true.slow, rel=0.2)
    assert found.white == pytest.approx(true.white, rel=0.1)
    assert found.rho == pytest.approx(true.rho, abs=0.05)
    assert naive.slow < 0.85 * found.slow


def test_the_robust_loss_holds_less_than_its_weights_say() -> None:
    rng = np.random.default_rng(42)
    residual = rng.normal(size=(3, 400, 5, 2))
    residual[0, :10] = np.nan
    residual[1, 5:9] = 40.0
    seen = scatter(residual, 12.0, 5)
    assert seen.n_used == ((residual**2).sum(-1) < 16).sum()
    assert 0.6 < seen.held < 0.95


def test_nothing_seen_says_nothing() -> None:
    seen = scatter(np.full((3, 7, 5, 2), np.nan), 12.0, 5)
    assert seen.n_used == 0
    assert seen.held == 1.0
