"""The motion of points in space, from noisy places: as smooth as the places themselves say.

Penalised least squares with third differences (P. Eilers, "A perfect smoother", Anal. Chem. 2003): slow motion passes
unchanged, so that velocities are not too small. How lively each keypoint is, is the value of greatest likelihood
(G. Wahba, "A comparison of GCV and GML for choosing the smoothing parameter", Ann. Statist. 1985).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

LIVELINESS_M = tuple(3e-5 * 2.0**i for i in range(11))
"""Candidates for the standard deviation of third differences from node to node."""
PENALTY = np.array([-1.0, 3.0, -3.0, 1.0])
FIRST = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12
SECOND = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / 12
"""Derivatives on five nodes, exact for quartic motion (M. Abramowitz and I. Stegun, 25.3)."""
NEAR = 3
SEEN_NEAR = 4
"""Motion is known where this many of the 2 * NEAR + 1 nodes around are."""
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Motion3D:
    """Places, velocities, accelerations [node keypoint 3]; NaN where not known."""

    place: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray


def smooth_motion(points: np.ndarray, variance: np.ndarray, time_s: np.ndarray, step_s: float) -> Motion3D:
    """Return the motion of points [node keypoint 3], NaN where missing, of variance per axis [node keypoint] (m^2).

    Nodes are `step_s` apart, but for gaps, over which nothing is assumed.
    """
    step_off_s: np.ndarray = np.abs(np.diff(time_s) - step_s)
    joined = step_off_s < 0.5 * step_s
    whole = joined[2:] & joined[1:-1] & joined[:-2] if len(points) > 3 else np.zeros(0, bool)
    place = np.full(points.shape, np.nan)
    for k in range(points.shape[1]):
        ok: np.ndarray = np.asarray(np.isfinite(points[:, k]).all(-1))
        if ok.sum() > 3 and whole.any():
            weight = np.where(ok, 1 / np.where(ok, variance[:, k], 1.0), 0.0)
            place[:, k] = _smoothed(np.where(ok[:, None], points[:, k], 0.0), weight, whole)
    known = _near(np.asarray(np.isfinite(points).all(-1)), joined)
    velocity, acceleration = (_derivative(place, kernel, joined) for kernel in (FIRST, SECOND))
    out = [place, velocity / step_s, acceleration / step_s**2]
    return Motion3D(*(np.where(known[..., None], v, np.nan) for v in out))


def _smoothed(values: np.ndarray, weight: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the smoothed values [node 3] of greatest likelihood."""
    penalty = _penalty_band(whole)
    scale = float(np.median(weight[weight > 0]))
    best, best_cost = values, np.inf
    for sd_m in LIVELINESS_M:
        band = penalty / sd_m**2
        band[-1] += weight + TINY * scale
        factor = cholesky_banded(band, check_finite=False)
        smooth = cho_solve_banded((factor, False), weight[:, None] * values, check_finite=False)
        fit = float((weight[:, None] * values * (values - smooth)).sum())
        cost = fit + 3 * float(2 * np.log(factor[-1]).sum() + 2 * np.log(sd_m) * whole.sum())
        if cost < best_cost:
            best, best_cost = smooth, cost
    return best


def _penalty_band(whole: np.ndarray) -> np.ndarray:
    """Return the upper band [4 node] of D' D of the third differences that count."""
    n = len(whole) + 3
    band = np.zeros((4, n))
    for i in range(4):
        for j in range(i, 4):
            band[3 - (j - i), j : n - 3 + j] += PENALTY[i] * PENALTY[j] * whole
    return band


def _near(seen: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Return where [node keypoint] enough nodes around are seen."""
    run = np.concatenate([[0], np.cumsum(~joined)])
    total = np.zeros(seen.shape, int)
    for shift in range(-NEAR, NEAR + 1):
        lo, hi = max(0, -shift), min(len(seen), len(seen) - shift)
        if lo < hi:
            same = run[lo:hi] == run[lo + shift : hi + shift]
            total[lo:hi] += seen[lo + shift : hi + shift] & same[:, None]
    return total >= SEEN_NEAR


def _derivative(place: np.ndarray, kernel: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Return the derivative [node keypoint 3] per node; NaN beside ends and gaps."""
    out = np.full(place.shape, np.nan)
    if len(place) < 5:
        return out
    n = len(place)
    middle = sum(w * place[i : n - 4 + i] for i, w in enumerate(kernel))
    whole = joined[3:] & joined[2:-1] & joined[1:-2] & joined[:-3]
    out[2:-2] = np.where(whole[:, None, None], middle, np.nan)
    return out
