"""The usual smoothing filters by name: Butterworth, Savitzky-Golay, GCV spline, Kalman (RTS) and One Euro.

They work on every coordinate on its own and know nothing of the body; the take's solve is the better smoother. Gaps
stay gaps: each stretch of known samples is filtered by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

MIN_SAMPLES = 5
"""Shorter stretches are left as they are: no filter here knows anything about them."""


@dataclass(frozen=True)
class Filter:
    """One filter: what it does to a stretch, its parameters with their defaults, and whether it looks ahead."""

    apply: Callable[..., np.ndarray]
    """(values [frame n] without NaN, rate_hz, **parameters) -> values [frame n]."""
    defaults: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]
    """Lowest and highest value of each parameter; an `order` is a whole number."""
    is_causal: bool = False


def butterworth(values: np.ndarray, rate_hz: float, cutoff_hz: float, order: float) -> np.ndarray:
    """Low-pass forwards and backwards, so without lag (zero phase).

    `order` is that of one pass. Two passes attenuate twice, so each is widened such that the whole is at -3 dB at the
    cutoff (D. Winter, Biomechanics and Motor Control of Human Movement, 4th ed. 2009, section 3.4.4.2).
    """
    from scipy.signal import butter, sosfiltfilt

    if not 0 < cutoff_hz < rate_hz / 2:
        raise ValueError(f"cutoff_hz must lie between 0 and half of the rate, {rate_hz / 2:g} Hz")
    widened = rate_hz / np.pi * np.arctan(np.tan(np.pi * cutoff_hz / rate_hz) / (2**0.5 - 1) ** (0.5 / order))
    sos = butter(int(order), widened, fs=rate_hz, output="sos")
    # A second of reflected signal lets the filter settle; a shorter stretch reflects all it has.
    return sosfiltfilt(sos, values, axis=0, padlen=min(round(rate_hz), len(values) - 1))


def savitzky_golay(values: np.ndarray, rate_hz: float, window_s: float, order: float) -> np.ndarray:
    """Fit polynomials in a sliding window (A. Savitzky and M. Golay, Anal. Chem. 36, 1964)."""
    from scipy.signal import savgol_filter

    window = 2 * round(window_s * rate_hz / 2) + 1
    if window <= order:
        raise ValueError(f"window_s must hold more than {int(order)} frames at {rate_hz:g} Hz")
    length = min(window, len(values) - 1 + len(values) % 2)
    if length <= order:
        return values  # too short a stretch to say anything
    return savgol_filter(values, length, int(order), axis=0)


def gcv_spline(values: np.ndarray, rate_hz: float) -> np.ndarray:
    """Smoothing spline whose strength is chosen by generalised cross-validation (P. Craven and G. Wahba, 1979).

    The discrete spline on even samples, which the cosine transform makes diagonal, so that the search for the strength
    costs nothing (D. Garcia, Comput. Stat. Data Anal. 54, 2010, equations 7 and 9). Every coordinate has its own.
    """
    from scipy.fft import dct, idct
    from scipy.optimize import minimize_scalar

    del rate_hz  # the strength is found in units of frames
    n = len(values)
    wave = dct(values, axis=0, norm="ortho")
    roughness = (2 - 2 * np.cos(np.pi * np.arange(n) / n))[:, None] ** 2

    def score(log_strength: float, column: np.ndarray) -> float:
        kept = 1 / (1 + math.exp(log_strength) * roughness[:, 0])
        return float(np.sum(((kept - 1) * column) ** 2) / (1 - kept.mean()) ** 2)

    # From nothing smoothed to nothing left but the mean and its slowest wave.
    low, high = math.log(1e-3), math.log(n**4 * 1e2)
    grid = [low + (high - low) * i / 40 for i in range(41)]
    strength = np.empty(wave.shape[1])
    for c, column in enumerate(wave.T):
        # The score can have several minima, so the best of a grid is refined.
        near = int(np.argmin([score(g, column) for g in grid]))
        bounds = (grid[max(near - 1, 0)], grid[min(near + 1, len(grid) - 1)])
        strength[c] = math.exp(minimize_scalar(score, bounds=bounds, args=(column,), method="bounded").x)
    return idct(wave / (1 + strength * roughness), axis=0, norm="ortho")


def one_euro(values: np.ndarray, rate_hz: float, min_cutoff_hz: float, beta: float) -> np.ndarray:
    """Smooth more the slower the motion, from the past alone (G. Casiez, N. Roussel and D. Vogel, CHI 2012).

    min_cutoff_hz is the cutoff at rest, beta its growth in Hz per m/s.
    """
    state = OneEuroState(values[0], values[0], np.zeros_like(values[0]))
    out = values.copy()
    for f in range(1, len(values)):
        state = one_euro_step(state, values[f], rate_hz, min_cutoff_hz, beta)
        out[f] = state.smooth
    return out


@dataclass(frozen=True, eq=False)
class OneEuroState:
    """What the One Euro filter remembers, for values of any shape."""

    value: np.ndarray
    """The last value that came in."""
    smooth: np.ndarray
    """What came out for it."""
    speed: np.ndarray
    """Its smoothed rate, per second."""


def one_euro_step(
    state: OneEuroState, value: np.ndarray, rate_hz: float | np.ndarray, min_cutoff_hz: float, beta: float
) -> OneEuroState:
    """Return the state after one more value, 1 / rate_hz after the last; its `smooth` is the output. See `one_euro`."""

    def share(cutoff_hz: np.ndarray | float) -> np.ndarray | float:
        return 1.0 / (1.0 + rate_hz / (2 * np.pi * cutoff_hz))

    speed = state.speed + share(1.0) * ((value - state.value) * rate_hz - state.speed)
    smooth = state.smooth + share(min_cutoff_hz + beta * np.abs(speed)) * (value - state.smooth)
    return OneEuroState(value, smooth, speed)


def kalman(values: np.ndarray, rate_hz: float, acceleration_m_s2: float, noise_m: float) -> np.ndarray:
    """Filter with a model of white acceleration, from the past alone (R. Kalman, 1960)."""
    return _kalman_pass(values, rate_hz, acceleration_m_s2, noise_m)[0][:, 0]


def rauch_tung_striebel(values: np.ndarray, rate_hz: float, acceleration_m_s2: float, noise_m: float) -> np.ndarray:
    """Smooth with the Kalman filter's model, from past and future (H. Rauch, F. Tung and C. Striebel, AIAA J. 1965)."""
    state, cov, predicted, predicted_cov = _kalman_pass(values, rate_hz, acceleration_m_s2, noise_m)
    transition = _transition(rate_hz)
    for f in range(len(values) - 2, -1, -1):
        ahead = state[f + 1] - predicted[f + 1]
        state[f] += cov[f] @ transition.T @ np.linalg.solve(predicted_cov[f + 1], ahead)
    return state[:, 0]


def _transition(rate_hz: float) -> np.ndarray:
    return np.array([[1.0, 1.0 / rate_hz], [0.0, 1.0]])


def _kalman_pass(
    values: np.ndarray, rate_hz: float, acceleration_m_s2: float, noise_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the filtered state [frame 2 n], its covariance [frame 2 2], and both as predicted before each frame."""
    n_frames, n = values.shape
    dt = 1.0 / rate_hz
    transition = _transition(rate_hz)
    # Acceleration is constant within a frame and independent between frames.
    step = np.array([dt * dt / 2, dt]) * acceleration_m_s2
    state, cov = np.zeros((n_frames, 2, n)), np.zeros((n_frames, 2, 2))
    predicted, predicted_cov = state.copy(), cov.copy()
    predicted[0, 0] = values[0]
    predicted_cov[0] = np.diag([noise_m**2, 10.0**2])  # at the start the speed is unknown: 10 m/s
    for f in range(n_frames):
        if f:
            predicted[f] = transition @ state[f - 1]
            predicted_cov[f] = transition @ cov[f - 1] @ transition.T + np.outer(step, step)
        gain = predicted_cov[f][:, 0] / (predicted_cov[f][0, 0] + noise_m**2)
        state[f] = predicted[f] + np.outer(gain, values[f] - predicted[f, 0])
        cov[f] = predicted_cov[f] - np.outer(gain, predicted_cov[f][0])
    return state, cov, predicted, predicted_cov


_MODEL = ({"acceleration_m_s2": 10.0, "noise_m": 0.01}, {"acceleration_m_s2": (0.01, 1e4), "noise_m": (1e-6, 1.0)})

FILTERS: Mapping[str, Filter] = {
    "butterworth": Filter(butterworth, {"cutoff_hz": 6.0, "order": 2}, {"cutoff_hz": (0.01, 1e3), "order": (1, 8)}),
    "savgol": Filter(savitzky_golay, {"window_s": 0.2, "order": 3}, {"window_s": (0.01, 60.0), "order": (1, 8)}),
    "gcv": Filter(gcv_spline, {}, {}),
    "rts": Filter(rauch_tung_striebel, *_MODEL),
    "kalman": Filter(kalman, *_MODEL, is_causal=True),
    "one-euro": Filter(
        one_euro,
        {"min_cutoff_hz": 1.5, "beta": 3.0},
        {"min_cutoff_hz": (0.01, 1e3), "beta": (0.0, 1e3)},
        is_causal=True,
    ),
}


def filtered(
    points: np.ndarray, rate_hz: float, name: str, parameters: Mapping[str, float] | None = None
) -> np.ndarray:
    """Return points [frame keypoint 3] filtered over time; NaN stays NaN and parts what lies on its two sides.

    Raises ValueError for a parameter outside what the filter can do at this rate, KeyError for an unknown filter.
    """
    chosen = FILTERS[name]
    settings = {**chosen.defaults, **(parameters or {})}
    out = np.array(points, np.float64)
    known: np.ndarray = np.isfinite(out.sum(axis=-1))
    for k in range(out.shape[1]):
        edges = np.flatnonzero(np.diff(np.pad(known[:, k].astype(np.int8), 1)))
        for start, stop in edges.reshape(-1, 2).tolist():
            if stop - start >= MIN_SAMPLES:
                out[start:stop, k] = chosen.apply(out[start:stop, k], rate_hz, **settings)
    return out
