"""Noise that lasts, and motion smoothed in space."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.sync.lasting import Chain, Lasting, measure, projections
from mocap.sync.trajectory import smooth_motion


def _lasting_noise(rng: np.random.Generator, shape: tuple[int, ...], share: float, keep: float) -> np.ndarray:
    """Return noise of unit variance [... node] of which `share` lasts."""
    slow = rng.normal(size=shape)
    for n in range(1, shape[-1]):
        slow[..., n] = keep * slow[..., n - 1] + np.sqrt(1 - keep**2) * slow[..., n]
    return np.sqrt(share) * slow + np.sqrt(1 - share) * rng.normal(size=shape)


def test_how_much_noise_lasts_is_measured_from_residuals_with_gaps() -> None:
    rng = np.random.default_rng(1)
    noise = np.moveaxis(_lasting_noise(rng, (5, 7, 2, 611), 0.6, 0.85), -1, 1)
    found = measure(noise, rng.random((5, 611, 7)) > 0.3, Lasting(0.1, 0.5))
    assert found.share == pytest.approx(0.6, abs=0.06)
    assert found.keep == pytest.approx(0.85, abs=0.04)


def test_few_residuals_leave_the_usual() -> None:
    usual = Lasting(0.2, 0.7)
    assert measure(np.ones((2, 3, 5, 2)), np.ones((2, 3, 5), bool), usual) is usual


def test_the_chain_is_generalised_least_squares() -> None:
    rng = np.random.default_rng(2)
    n_nodes, n_rows, n_columns = 11, 6, 3
    lasting = Lasting(0.55, 0.8)
    J = rng.normal(size=(n_nodes, 1, n_rows, 3))
    columns = rng.normal(size=(n_nodes, 1, n_rows, n_columns))
    w = np.ones((n_nodes, 1, n_rows))
    chain = Chain(lasting, 1, n_rows, n_columns)
    for n in range(n_nodes):
        chain.add(J[n], columns[n], w[n], n == n_nodes - 1)
    lag = np.abs(np.subtract.outer(np.arange(n_nodes), np.arange(n_nodes)))
    in_time = lasting.share * lasting.keep**lag + (1 - lasting.share) * np.eye(n_nodes)
    W = np.linalg.inv(np.kron(in_time, np.eye(n_rows)))
    points = np.zeros((n_nodes * n_rows, 3 * n_nodes))
    for n in range(n_nodes):
        points[n * n_rows : (n + 1) * n_rows, 3 * n : 3 * n + 3] = J[n, 0]
    C = columns.reshape(-1, n_columns)
    WP = W @ points
    expected = C.T @ W @ C - (C.T @ WP) @ np.linalg.solve(points.T @ WP, WP.T @ C)
    np.testing.assert_allclose(chain.total[0], expected, rtol=1e-9, atol=1e-12)


def test_rows_that_leave_a_point_open_carry_nothing() -> None:
    J = np.random.default_rng(3).normal(size=(2, 4, 3))
    w = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    left = projections(J, w)
    assert np.all(left[0] == 0)
    np.testing.assert_allclose(left[1] @ J[1], 0, atol=1e-10)


def test_smoothing_keeps_the_speed_of_fast_motion_and_removes_noise() -> None:
    rng = np.random.default_rng(4)
    time_s = np.arange(601) / 60
    phase = 2 * np.pi * 2.5 * time_s
    true = 0.25 * np.stack([np.sin(phase), np.cos(phase), 0.2 * phase], -1)[:, None]
    points = true + rng.normal(0, 0.01, true.shape)
    points[rng.random(601) < 0.15] = np.nan
    found = smooth_motion(points, np.full((601, 1), 1e-4), time_s, 1 / 60)
    known: np.ndarray = np.isfinite(found.velocity[:, 0, 0])
    assert known.mean() > 0.95
    speed = 2 * np.pi * 2.5 * 0.25 * np.cos(phase)[known]
    gain = (found.velocity[known, 0, 0] * speed).sum() / (speed**2).sum()
    assert gain == pytest.approx(1.0, abs=0.01)
    assert np.abs(found.place - true)[known].mean() < 0.006


def test_nothing_is_known_in_a_gap() -> None:
    time_s = np.arange(200) / 60
    points = np.tile(time_s[:, None, None], (1, 1, 3))
    points[80:120] = np.nan
    found = smooth_motion(points, np.full((200, 1), 1e-4), time_s, 1 / 60)
    assert np.isnan(found.place[85:115]).all()
    assert np.isfinite(found.place[10:70]).all()
