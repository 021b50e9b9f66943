"""Coarse search: at which lag do two cameras' motions agree, over all lags at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d

from mocap.sync.signals import Track

STEP_S = 1.0 / 30
MIN_OVERLAP_S = 1.0
MIN_OVERLAP_SHARE = 0.35
"""Of the shorter recording; less overlap is left to other sources."""
FEATURES = (1.0, 0.5)
"""Weights of vertical velocity (alike from all around) and of speed."""
MAX_RAYS = 2500
FIRST_STRIDE = 3
"""Steps between the lags looked at first: rays of people who walk meet, about, for 0.1 s around the right one."""
N_PROMISING = 24
CUT = 0.02
"""Epipolar distance, as tangent of an angle, beyond which a pair of rays counts as wrong."""


@dataclass(frozen=True, eq=False)
class LagScores:
    """How well two cameras agree when t_a = t_b + lag."""

    lag_s: np.ndarray
    """[lag] evenly spaced."""
    score: np.ndarray
    """[lag] in -1..1; -1 where the overlap is too short."""

    def peaks(self, n: int, apart_s: float = 0.15) -> list[tuple[float, float]]:
        """Return the n best local maxima as (lag, score), best first."""
        score = self.score.copy()
        found: list[tuple[float, float]] = []
        reach = max(1, round(apart_s / STEP_S))
        for _ in range(n):
            i = int(score.argmax())
            if score[i] <= -1.0:
                break
            found.append((float(self.lag_s[i]), float(self.score[i])))
            score[max(0, i - reach) : i + reach + 1] = -1.0
        return found


def grid_times(track: Track) -> np.ndarray:
    """Return the instants at which a track is compared, STEP_S apart from its first frame."""
    return track.time_s[0] + np.arange(max(1, int((track.time_s[-1] - track.time_s[0]) / STEP_S) + 1)) * STEP_S


def features(track: Track) -> list[np.ndarray]:
    """Return the compared signals [time keypoint], NaN where unknown, from a track in pixels."""
    time_s = grid_times(track)
    _, velocity, _, known = track.sample(time_s)
    speed = np.where(known, np.linalg.norm(velocity, axis=-1), np.nan)
    return [_robust(np.where(known, velocity[..., 1], np.nan)), _robust(_without_trend(speed))]


def _without_trend(signal: np.ndarray) -> np.ndarray:
    """Return a signal [time keypoint] minus its mean over two seconds."""
    known = np.isfinite(signal)
    width = max(3, round(2.0 / STEP_S))
    mass = uniform_filter1d(known.astype(float), width, axis=0, mode="constant")
    mean = uniform_filter1d(np.where(known, signal, 0.0), width, axis=0, mode="constant") / np.maximum(mass, 1e-9)
    return signal - mean


def _robust(signal: np.ndarray) -> np.ndarray:
    """Return a signal [time keypoint] without its median, cut at three deviations, in units of the deviation."""
    out = np.full(signal.shape, np.nan)
    for k in range(signal.shape[1]):
        known = np.isfinite(signal[:, k])
        if known.sum() < 10:
            continue
        values = signal[known, k] - np.median(signal[known, k])
        scale = max(1.4826 * float(np.median(np.abs(values))), 0.3 * float(values.std()), 1e-9)
        out[known, k] = np.clip(values / scale, -3, 3)
    return out


def correlate(a: list[np.ndarray], b: list[np.ndarray], start_a_s: float, start_b_s: float) -> LagScores:
    """Return the normalised correlation of two cameras' features, all keypoints together.

    Masked normalised cross-correlation by FFT (D. Padfield, "Masked object registration in the Fourier domain", IEEE
    TIP 2012): at each lag only what both know counts.
    """
    n_a, n_b = len(a[0]), len(b[0])
    lags = np.arange(-(n_b - 1), n_a)
    size = next_fast_len(n_a + n_b)

    def sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        product = rfft(x, size, axis=0) * np.conj(rfft(y, size, axis=0))
        return irfft(product.sum(1), size)[lags]

    total, weight = np.zeros(len(lags)), 0.0
    overlap = np.minimum(n_a, n_b + lags) - np.maximum(0, lags)
    for signal_a, signal_b, w in zip(a, b, FEATURES, strict=True):
        known_x, known_y = np.isfinite(signal_a), np.isfinite(signal_b)
        x, y = np.where(known_x, signal_a, 0.0), np.where(known_y, signal_b, 0.0)
        both = sums(known_x.astype(float), known_y.astype(float))
        power = np.maximum(sums(x**2, known_y.astype(float)) * sums(known_x.astype(float), y**2), 1e-12)
        few = both < 0.2 * overlap * x.shape[1] * min(known_x.mean(), known_y.mean())
        total += w * np.where(few, -1.0, sums(x, y) / np.sqrt(power))
        weight += w
    score = np.where(overlap * STEP_S >= min_overlap_s(n_a * STEP_S, n_b * STEP_S), total / weight, -1.0)
    return LagScores(lags * STEP_S + start_a_s - start_b_s, np.clip(score, -1.0, 1.0))


def min_overlap_s(duration_a_s: float, duration_b_s: float) -> float:
    """Return the shortest overlap of two recordings that is looked at."""
    return max(MIN_OVERLAP_S, MIN_OVERLAP_SHARE * min(duration_a_s, duration_b_s))


def epipolar_scores(a: Track, b: Track, b_from_a: tuple[np.ndarray, np.ndarray]) -> LagScores:
    """Return at each lag the share of rays that meet, from tracks in normalised coordinates.

    b_from_a: rotation and translation between the camera frames. Distance: Sampson's (R. Hartley and A. Zisserman,
    Multiple View Geometry, eq. 11.9), cut at CUT.
    """
    R, t = b_from_a
    essential = np.cross(np.eye(3), t) @ R if np.linalg.norm(t) > 1e-9 else np.zeros((3, 3))
    t_a, t_b = grid_times(a), grid_times(b)
    lags = np.arange(-(len(t_b) - 1), len(t_a))
    shortest = min_overlap_s(len(t_a) * STEP_S, len(t_b) * STEP_S) / STEP_S
    xy_a, _, _, known_a = a.sample(t_a)
    xy_b, _, _, known_b = b.sample(t_b)
    stride = max(1, len(t_b) * known_b.shape[1] // MAX_RAYS)
    rows = np.arange(0, len(t_b), stride)
    line_a = _homogeneous(xy_a) @ essential.T
    h_b = _homogeneous(xy_b[rows])
    line_b = h_b @ essential
    norm_a, norm_b = (line_a[..., :2] ** 2).sum(-1), (line_b[..., :2] ** 2).sum(-1)
    score = np.full(len(lags), -1.0)
    usual = known_a.mean() * known_b.mean() * known_b.shape[1]

    def meeting(lag: int) -> float:
        at = rows + lag
        inside = (at >= 0) & (at < len(t_a))
        i, r = at[inside], rows[inside]
        both = known_a[i] & known_b[r]
        if inside.sum() * stride < shortest or both.sum() < max(20, 0.2 * usual * inside.sum()):
            return -1.0
        error = (h_b[inside] * line_a[i]).sum(-1)[both]
        squared = error**2 / (norm_a[i] + norm_b[inside])[both] / CUT**2
        return float(np.mean(1 - np.minimum(squared, 1.0)))

    for n in range(0, len(lags), FIRST_STRIDE):
        score[n] = meeting(int(lags[n]))
    promising = np.argsort(-score)[:N_PROMISING]
    around = {int(n) + k for n in promising for k in range(-FIRST_STRIDE, FIRST_STRIDE + 1)}
    for n in sorted(n for n in around if 0 <= n < len(lags) and n % FIRST_STRIDE):
        score[n] = meeting(int(lags[n]))
    # lags that were not looked at are worse than their neighbours that were
    looked = np.flatnonzero((np.arange(len(lags)) % FIRST_STRIDE == 0) | np.isin(np.arange(len(lags)), list(around)))
    filled = np.interp(np.arange(len(lags)), looked, score[looked])
    return LagScores(lags * STEP_S + t_a[0] - t_b[0], np.where(filled > -0.5, filled, -1.0))


def _homogeneous(xy: np.ndarray) -> np.ndarray:
    return np.concatenate([np.nan_to_num(xy), np.ones((*xy.shape[:-1], 1))], -1)
