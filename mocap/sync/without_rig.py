"""Clocks of two cameras from keypoints when nothing is known of the cameras.

Whatever two cameras are, their views of one instant obey one epipolar geometry. It is estimated together with the
offset and the rate of one clock against the other (compare C. Albl et al., "On the two-view geometry of unsynchronized
cameras", CVPR 2017). Lens distortion is not modelled; it only adds to the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.kernels.robust import geman_mcclure
from mocap.sync.coarse import STEP_S, LagScores, correlate, features, grid_times, min_overlap_s
from mocap.sync.signals import Track
from mocap.sync.spread import scatter

ANNEALING = (100.0, 50.0, 25.0, 16.0, 12.0, 12.0, 12.0, 12.0)
N_CANDIDATES = 6
N_CORRELATED = 30
MAX_SCANNED = 2400
"""Lags of a scan; of more, only those where motions correlate are looked at."""
SCAN_INSTANTS = 150
SCAN_SAMPLES = 900
MAX_INSTANTS = 900
MIN_SAMPLES = 200
OVERLAP_WORTH_S = 2.0
"""Eight free numbers explain a short overlap by chance; this is how much an overlap counts for."""
WEAK_RATE = 1e-3
SANDWICH_FACTOR = 1.7
"""By which the sandwich falls short of the errors' variance, measured on takes with known clocks."""


@dataclass(frozen=True, eq=False)
class PairFit:
    """One clock against another: t_a = at_s + (1 + rate) * (t_b - middle_s)."""

    at_s: float
    middle_s: float
    rate: float
    covariance: np.ndarray
    """[2 2] of at_s and rate."""
    residual_px: float
    """Robust sd of the distance between points and epipolar lines."""
    overlap_s: float
    start_lag_s: float
    """Where the coarse search put it."""
    coarse_score: float

    @property
    def lag_s(self) -> float:
        """Offset t_a - t_b in the middle."""
        return self.at_s - self.middle_s


@dataclass(frozen=True, eq=False)
class PairSync:
    """The best fit of a pair of cameras, and what else might be."""

    best: PairFit
    others: tuple[PairFit, ...]
    ambiguity: float
    """Residual of the best fit over that of the best one elsewhere: 1 is a tie, small is clear."""
    curve: LagScores


def synchronise_pair(people_a: list[Track], people_b: list[Track]) -> PairSync | None:
    """Return how b's clock runs against a's, from tracks in pixels; None where no overlap can be compared."""
    candidates: list[tuple[float, float, Track, Track, LagScores]] = []
    for a in people_a:
        for b in people_b:
            if a.is_known.any() and b.is_known.any():
                curve = scan(a, b)
                candidates += [(score, lag, a, b, curve) for lag, score in curve.peaks(N_CANDIDATES)]
    candidates.sort(key=lambda c: -c[0])
    fits: list[tuple[PairFit, LagScores]] = []
    for score, lag, a, b, curve in candidates[:N_CANDIDATES]:
        fit = fit_pair(a, b, lag, score)
        if fit is not None:
            fits.append((fit, curve))
    if not fits:
        return None
    fits.sort(key=lambda f: _cost(f[0]))
    best, curve = fits[0]
    elsewhere = tuple(f for f, _ in fits[1:] if abs(f.lag_s - best.lag_s) > 2 * STEP_S)
    ambiguity = float(np.exp(_cost(best) - min((_cost(f) for f in elsewhere), default=np.inf)))
    return PairSync(best, elsewhere, min(1.0, ambiguity), curve)


def scan(a: Track, b: Track) -> LagScores:
    """Return at each lag how well one epipolar geometry explains both views: 1 / (1 + residual share of the spread).

    Long recordings are looked at only around the lags at which the motions correlate best.
    """
    t_a, t_b = grid_times(a), grid_times(b)
    xy_a, _, _, known_a = a.sample(t_a)
    xy_b, _, _, known_b = b.sample(t_b)
    unit = float(np.hypot(_spread(a), _spread(b)))
    h_a = _homogeneous((xy_a - _center(a)) / unit)
    h_b = _homogeneous((xy_b - _center(b)) / unit)
    lags = np.arange(-(len(t_b) - 1), len(t_a))
    shortest = min_overlap_s(len(t_a) * STEP_S, len(t_b) * STEP_S) / STEP_S
    stride = max(1, len(t_b) // SCAN_INSTANTS)
    score = np.full(len(lags), -1.0)
    for n in _worth_scanning(a, b, lags, float(t_a[0] - t_b[0])):
        rows = np.arange(max(0, -int(lags[n])), min(len(t_b), len(t_a) - int(lags[n])), stride)
        if len(rows) * stride < shortest:
            continue
        both = known_b[rows] & known_a[rows + lags[n]]
        if both.sum() < MIN_SAMPLES // 2:
            continue
        residual = _robust_residual(h_a[rows + lags[n]][both], h_b[rows][both])
        score[n] = 1 / (1 + 20 * residual) - 0.1 / (len(rows) * stride * STEP_S)
    return LagScores(lags * STEP_S + t_a[0] - t_b[0], score)


def _worth_scanning(a: Track, b: Track, lags: np.ndarray, start_s: float) -> np.ndarray:
    """Return the indices of the lags to look at: every second one, or those around the best correlations."""
    if len(lags) <= MAX_SCANNED:
        return np.arange(0, len(lags), 2)
    peaks = correlate(features(a), features(b), float(a.time_s[0]), float(b.time_s[0])).peaks(N_CORRELATED)
    reach = MAX_SCANNED // (4 * N_CORRELATED)
    at = [round((lag - start_s) / STEP_S) - int(lags[0]) for lag, _ in peaks]
    wanted = {i + k for i in at for k in range(-reach, reach + 1, 2)}
    return np.array(sorted(i for i in wanted if 0 <= i < len(lags)), int)


def _robust_residual(h_a: np.ndarray, h_b: np.ndarray) -> float:
    """Return the robust sd of Sampson distances [n] to the best epipolar geometry, re-weighted a few times."""
    stride = max(1, len(h_a) // SCAN_SAMPLES)
    h_a, h_b = h_a[::stride], h_b[::stride]
    weight = np.ones(len(h_a))
    residual = 1.0
    r, den = np.zeros(len(h_a)), np.ones(len(h_a))
    for loss_scale in (np.inf, 25.0, 12.0):
        if np.isfinite(loss_scale):
            weight = geman_mcclure((r / residual) ** 2, loss_scale) / den**2
        F = _weighted_fundamental(h_a, h_b, weight)
        line_b, line_a = h_a @ F.T, h_b @ F
        den = np.sqrt((line_b[:, :2] ** 2).sum(-1) + (line_a[:, :2] ** 2).sum(-1) + 1e-12)
        r = (h_b * line_b).sum(-1) / den
        residual = max(1.4826 * float(np.median(np.abs(r))), 1e-7)
    return residual


def _cost(fit: PairFit) -> float:
    """Return a figure that ranks fits: residual, with a short overlap counting against it."""
    return float(np.log(fit.residual_px) + OVERLAP_WORTH_S / fit.overlap_s)


def fit_pair(a: Track, b: Track, lag_s: float, coarse_score: float = 0.0) -> PairFit | None:
    """Return the fit near a lag (t_a = t_b + lag); None where too little is seen by both."""
    fit = _Pair(a, b, lag_s)
    if not fit.is_usable():
        return None
    fit.solve()
    if not fit.is_usable() or not np.isfinite(fit.residual):
        return None
    residual_px = fit.residual * fit.unit_px
    return PairFit(fit.at_s, fit.middle_s, fit.rate, fit.covariance(), residual_px, fit.overlap_s, lag_s, coarse_score)


class _Pair:
    """State of the iteration over the fundamental matrix, the offset and the rate."""

    def __init__(self, a: Track, b: Track, lag_s: float) -> None:
        self.a = a
        low = max(float(b.time_s[0]), float(a.time_s[0]) - lag_s)
        high = min(float(b.time_s[-1]), float(a.time_s[-1]) - lag_s)
        self.overlap_s = max(high - low, 0.0)
        self.shortest_s = min_overlap_s(float(np.ptp(a.time_s)), float(np.ptp(b.time_s)))
        step = max(STEP_S, self.overlap_s / MAX_INSTANTS)
        self.time_b_s = low + (np.arange(int(self.overlap_s / step)) + 0.5) * step
        self.middle_s = 0.5 * (low + high)
        self.at_s = self.middle_s + lag_s
        self.rate = 0.0
        xy_b, _, _, self.known_b = b.sample(self.time_b_s)
        self.center_a, self.center_b = _center(a), _center(b)
        self.unit_px = float(np.hypot(_spread(a), _spread(b)))
        self.h_b = _homogeneous((xy_b - self.center_b) / self.unit_px)
        self.F = np.zeros((3, 3))
        self.residual = float("nan")
        self.weight: np.ndarray | None = None

    def is_usable(self) -> bool:
        """Whether the overlap holds enough to say anything."""
        if self.overlap_s < self.shortest_s or len(self.time_b_s) < 8:
            return False
        return int(self._sampled()[3].sum()) >= MIN_SAMPLES

    def solve(self) -> None:
        """Alternate for a start, then Gauss-Newton on everything."""
        h_a, _, _, known = self._sampled()
        weight = known.astype(float)
        for _ in range(4):
            self.F = _weighted_fundamental(h_a, self.h_b, weight)
            r, den = self._distance(h_a)
            weight = np.where(known, geman_mcclure((r / self._scale(r, known)) ** 2, 25.0), 0.0) / den**2
        for loss_scale in ANNEALING:
            r, J, _, known = self._linearised()
            w = self._weights(r, known, loss_scale)
            normal, gradient = self._normal(J, r, w)
            step = -np.linalg.solve(normal, gradient)
            self.F += step[:9].reshape(3, 3)
            self.F /= np.linalg.norm(self.F)
            self.at_s += float(np.clip(step[9], -0.05, 0.05))
            self.rate += float(np.clip(step[10], -1e-3, 1e-3))

    def covariance(self) -> np.ndarray:
        """Return the covariance [2 2] of at_s and rate: a sandwich, see `with_rig`."""
        r, J, bend, known = self._linearised()
        w = self._weights(r, known, ANNEALING[-1])
        normal, _ = self._normal(J, r, w)
        squared = (r / self.residual) ** 2 / ANNEALING[-1]
        flat = 1 - 4 * squared / (1 + squared)  # curvature of the loss over its weight, see `with_rig`
        own = (self.time_b_s - self.middle_s)[:, None]
        for i in range(2):
            for j in range(2):
                normal[9 + i, 9 + j] += (w * r * bend * own ** (i + j)).sum()
        normal *= max(float((w * flat).sum() / max(w.sum(), 1e-12)), 0.1)
        values, vectors = np.linalg.eigh(normal)
        inverse = (vectors / np.maximum(values, 1e-9 * values.max())) @ vectors.T
        middle = scatter((w * r)[..., None] * J, self.overlap_s)
        middle[10, 10] += 1 / WEAK_RATE**2
        return SANDWICH_FACTOR * (inverse @ middle @ inverse)[9:, 9:]

    def _sampled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return a's homogeneous places, velocities, accelerations at b's instants, and where both are known."""
        t_a = self.at_s + (1 + self.rate) * (self.time_b_s - self.middle_s)
        xy, velocity, acceleration, known = self.a.sample(t_a)
        h_a = _homogeneous((xy - self.center_a) / self.unit_px)
        unit = self.unit_px
        return h_a, np.nan_to_num(velocity / unit), np.nan_to_num(acceleration / unit), known & self.known_b

    def _distance(self, h_a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return Sampson distances [time keypoint] and their denominators."""
        line_b, line_a = h_a @ self.F.T, self.h_b @ self.F
        den = np.sqrt((line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1) + 1e-12)
        return (self.h_b * line_b).sum(-1) / den, den

    def _linearised(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        h_a, velocity, acceleration, known = self._sampled()
        r, den = self._distance(h_a)
        J = np.empty((*r.shape, 11))
        J[..., :9] = (self.h_b[..., :, None] * h_a[..., None, :]).reshape(*r.shape, 9) / den[..., None]
        along = self.h_b @ self.F[:, :2]
        J[..., 9] = (along * velocity).sum(-1) / den
        J[..., 10] = J[..., 9] * (self.time_b_s - self.middle_s)[:, None]
        return r, J, (along * acceleration).sum(-1) / den, known

    def _scale(self, r: np.ndarray, known: np.ndarray) -> float:
        return max(1.4826 * float(np.median(np.abs(r[known]))) if known.any() else 1.0, 1e-7)

    def _weights(self, r: np.ndarray, known: np.ndarray, loss_scale: float) -> np.ndarray:
        self.residual = self._scale(r, known)
        return np.where(known, geman_mcclure((r / self.residual) ** 2, loss_scale), 0.0) / self.residual**2

    def _normal(self, J: np.ndarray, r: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = (J * np.sqrt(w)[..., None]).reshape(-1, 11)
        normal = flat.T @ flat
        f = self.F.ravel()
        normal[:9, :9] += np.outer(f, f) * np.trace(normal[:9, :9])
        normal[:9, :9] += 1e-9 * np.trace(normal[:9, :9]) * np.eye(9)
        normal[10, 10] += 1 / WEAK_RATE**2
        gradient = np.einsum("tk,tkp->p", w * r, J)
        gradient[10] += self.rate / WEAK_RATE**2
        return normal, gradient


def _weighted_fundamental(h_a: np.ndarray, h_b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the matrix of unit norm that minimises the weighted algebraic error (the eight-point algorithm)."""
    rows = (h_b[..., :, None] * h_a[..., None, :]).reshape(-1, 9) * np.sqrt(weight).reshape(-1, 1)
    return np.linalg.eigh(rows.T @ rows)[1][:, 0].reshape(3, 3)


def _center(track: Track) -> np.ndarray:
    return np.median(track.xy[track.is_known], axis=0)


def _spread(track: Track) -> float:
    return max(float(track.xy[track.is_known].std()), 1.0)


def _homogeneous(xy: np.ndarray) -> np.ndarray:
    return np.concatenate([np.nan_to_num(xy), np.ones((*xy.shape[:-1], 1))], -1)
