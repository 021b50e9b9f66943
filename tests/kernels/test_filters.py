"""Filters by name: what each promises, on signals whose answer is known."""

import numpy as np
import pytest

from mocap.kernels.filters import FILTERS, MIN_SAMPLES, OneEuroState, filtered, one_euro_step

RATE_HZ = 60.0
N_FRAMES, N_KEYPOINTS = 211, 3


@pytest.fixture
def walk() -> np.ndarray:
    """Smooth motion below 2 Hz, another one per coordinate, in metres."""
    t = np.arange(N_FRAMES)[:, None, None] / RATE_HZ
    hz = np.linspace(0.3, 2.0, N_KEYPOINTS * 3).reshape(N_KEYPOINTS, 3)
    return 0.3 * np.sin(2 * np.pi * hz * t + hz) + hz


@pytest.fixture
def noisy(walk: np.ndarray) -> np.ndarray:
    return walk + np.random.default_rng(5).normal(0, 0.01, walk.shape)


@pytest.mark.parametrize("name", [n for n, f in FILTERS.items() if not f.is_causal])
def test_a_smoother_leaves_less_than_two_thirds_of_white_noise(name: str, walk: np.ndarray, noisy: np.ndarray) -> None:
    left = filtered(noisy, RATE_HZ, name) - walk
    assert left.std() < 0.67 * (noisy - walk).std()


@pytest.mark.parametrize("name", FILTERS)
def test_a_still_point_stays_where_it_is(name: str) -> None:
    still = np.tile(np.array([0.4, -1.3, 1.7]), (N_FRAMES, N_KEYPOINTS, 1))
    np.testing.assert_allclose(filtered(still, RATE_HZ, name), still, atol=1e-9)


@pytest.mark.parametrize("name", FILTERS)
def test_gaps_stay_gaps_and_part_the_stretches(name: str, noisy: np.ndarray) -> None:
    gapped = noisy.copy()
    gapped[97:113, 1] = np.nan
    out = filtered(gapped, RATE_HZ, name)
    assert np.isnan(out[97:113, 1]).all()
    alone = filtered(gapped[113:, 1:2], RATE_HZ, name)
    np.testing.assert_allclose(out[113:, 1:2], alone, atol=1e-12)
    assert np.isfinite(out[:, [0, 2]]).all()


@pytest.mark.parametrize("name", [n for n, f in FILTERS.items() if f.is_causal])
def test_a_causal_filter_does_not_look_ahead(name: str, noisy: np.ndarray) -> None:
    changed = noisy.copy()
    changed[120:] += 1.0
    np.testing.assert_array_equal(filtered(changed, RATE_HZ, name)[:120], filtered(noisy, RATE_HZ, name)[:120])


@pytest.mark.parametrize("name", FILTERS)
def test_a_stretch_too_short_to_filter_is_left_alone(name: str, noisy: np.ndarray) -> None:
    short = np.full_like(noisy, np.nan)
    short[7 : 7 + MIN_SAMPLES - 1] = noisy[7 : 7 + MIN_SAMPLES - 1]
    np.testing.assert_array_equal(filtered(short, RATE_HZ, name), short)


def test_butterworth_is_at_minus_3_db_at_its_cutoff_and_without_lag() -> None:
    t = np.arange(1201) / RATE_HZ
    tone = np.sin(2 * np.pi * 6.0 * t)[:, None, None] * np.ones(3)
    out = filtered(tone, RATE_HZ, "butterworth", {"cutoff_hz": 6.0})[300:900, 0, 0]
    inner = tone[300:900, 0, 0]
    assert out @ inner / (inner @ inner) == pytest.approx(0.5**0.5, abs=0.005)
    lag = np.cos(2 * np.pi * 6.0 * t)[300:900]
    assert abs(out @ lag) / (lag @ lag) < 0.005


def test_the_smoother_equals_the_dense_posterior_mean(noisy: np.ndarray) -> None:
    """Reference: the same model written as one linear least-squares problem."""
    z, dt, a, s = noisy[:41, 0, 0], 1 / RATE_HZ, 10.0, 0.01
    n = len(z)
    rows, right = [], []
    first = np.zeros(2 * n)
    first[1] = 1 / 10.0
    rows.append(first)
    right.append(0.0)
    for f in range(n):
        row = np.zeros(2 * n)
        row[2 * f] = 1 / s
        rows.append(row)
        right.append(z[f] / s)
    start = np.zeros(2 * n)
    start[0] = 1 / s  # the prior of the first position is centred on its measurement
    rows.append(start)
    right.append(z[0] / s)
    for f in range(1, n):
        # State noise has rank one: solve for it and pin the direction it cannot move.
        speed, pinned = np.zeros(2 * n), np.zeros(2 * n)
        speed[[2 * f + 1, 2 * f - 1]] = [1 / (dt * a), -1 / (dt * a)]
        pinned[[2 * f, 2 * f - 2, 2 * f + 1, 2 * f - 1]] = np.array([1, -1, -dt / 2, -dt / 2]) * 1e8
        rows += [speed, pinned]
        right += [0.0, 0.0]
    dense = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0][::2]
    np.testing.assert_allclose(filtered(noisy[:41, :1], RATE_HZ, "rts")[:, 0, 0], dense, atol=2e-5)


@pytest.mark.parametrize(("name", "bad"), [("butterworth", {"cutoff_hz": 40.0}), ("savgol", {"window_s": 0.01})])
def test_a_parameter_beyond_the_rate_is_refused(name: str, bad: dict[str, float], noisy: np.ndarray) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        filtered(noisy, RATE_HZ, name, bad)


def test_one_euro_step_by_step_is_the_filter_of_the_whole() -> None:
    points = np.random.default_rng(8).normal(size=(23, 5, 3)).cumsum(axis=0) * 0.05
    parameters = {"min_cutoff_hz": 1.1, "beta": 0.7}
    state = OneEuroState(points[0], points[0], np.zeros((5, 3)))
    steps = [state := one_euro_step(state, p, 50.0, **parameters) for p in points[1:]]
    together = filtered(points, 50.0, "one-euro", parameters)
    np.testing.assert_array_equal(np.stack([s.smooth for s in steps]), together[1:])
