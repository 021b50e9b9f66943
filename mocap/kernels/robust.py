"""Robust weights, and the noise level of detections as a function of their score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INLIER = 0.35
"""Geman-McClure weight above which an observation counts as used: a residual of 2.9 standard deviations at c^2 = 12."""
MAX_LAG_S = 0.5
"""Correlation of residuals beyond this time is slow bias, which no spread within a take can show."""
MIN_SIGMA_PX = 0.5
MAX_SIGMA_FACTOR = 5.0
"""Noise of a poor score against that of the take; beyond, a detection is an error and not a vague one."""
RAYLEIGH_MEDIAN = 1.1774
"""Median length of a 2-vector of unit-variance Gaussian components: sqrt(2 ln 2)."""


def geman_mcclure(squared: np.ndarray, scale_squared: float) -> np.ndarray:
    """Return weights in 0..1 of squared whitened residuals: (c^2 / (c^2 + r^2))^2.

    The iteratively re-weighted form of the Geman-McClure loss; annealing c^2 from large to small is graduated
    non-convexity (H. Yang et al., "Graduated non-convexity for robust spatial perception", RA-L 2020, eq. 12).
    """
    return (scale_squared / (scale_squared + squared)) ** 2


def rayleigh_scale(lengths: np.ndarray, n_iterations: int = 5, cut: float = 3.5) -> float:
    """Return the standard deviation per axis of 2D residuals of lengths [n], without gross outliers; NaN if empty.

    The median, repeated over the residuals within `cut` standard deviations.
    """
    lengths = np.sort(lengths[np.isfinite(lengths)])
    if len(lengths) == 0:
        return float("nan")

    def median(n: int) -> float:
        """Of the n shortest."""
        return 0.5 * float(lengths[(n - 1) // 2] + lengths[n // 2])

    sigma = median(len(lengths)) / RAYLEIGH_MEDIAN
    for _ in range(n_iterations):
        n_inner = int(np.searchsorted(lengths, cut * max(sigma, 1e-9)))
        if n_inner == 0:
            break
        sigma = median(n_inner) / RAYLEIGH_MEDIAN
    return sigma


def fit_sigma_of_score(
    lengths_px: np.ndarray, score: np.ndarray, n_bins: int = 12, min_count: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Return knots (score [n], sigma_px [n]) of the noise per axis as a non-increasing function of the score.

    Robust scales of residual lengths in bins of equal count; detectors differ in what a score means, so it is measured
    on the take itself. With too few samples a single knot (the overall scale) comes back.
    """
    ok = np.isfinite(lengths_px) & (score > 0)
    lengths_px, score = lengths_px[ok], score[ok]
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bins + 1))) if len(score) else np.zeros(0)
    centres: list[float] = []
    sigmas: list[float] = []
    if len(edges) > 2:
        which = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, len(edges) - 2)
        for b in range(len(edges) - 1):
            inside = which == b
            if inside.sum() >= min_count:
                centres.append(float(score[inside].mean()))
                sigmas.append(rayleigh_scale(lengths_px[inside]))
    if len(centres) < 2:
        return np.array([0.5]), np.array([rayleigh_scale(lengths_px)])
    return np.array(centres), np.minimum.accumulate(np.array(sigmas))


def noise_of_detections(lengths_px: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the noise per axis [camera frame keypoint] in pixels, from residual lengths and scores of that shape.

    See `DetectionNoise`.
    """
    return fit_detection_noise(lengths_px, score).sigma_px(score)


@dataclass(frozen=True, eq=False)
class DetectionNoise:
    """The noise of detections: a function of the score, times one factor per keypoint (hips are vaguer than eyes)."""

    knots: tuple[np.ndarray, np.ndarray]
    """Scores [n] and sigmas [n], see `fit_sigma_of_score`."""
    limit_px: float
    factor: np.ndarray
    """[keypoint]"""

    def sigma_px(self, score: np.ndarray) -> np.ndarray:
        """Return the noise per axis of scores [... keypoint]: at least MIN_SIGMA_PX, 1 where nothing tells."""
        sigma = np.minimum(np.interp(score, *self.knots), self.limit_px) * self.factor
        return np.maximum(np.nan_to_num(sigma, nan=1.0), MIN_SIGMA_PX)


def fit_detection_noise(lengths_px: np.ndarray, score: np.ndarray) -> DetectionNoise:
    """Return the noise that residual lengths and scores [camera frame keypoint] speak for."""
    knots = fit_sigma_of_score(lengths_px, score)
    # where most of a score's detections are wrong their spread says nothing about noise
    limit_px = MAX_SIGMA_FACTOR * rayleigh_scale(lengths_px.ravel())
    sigma = np.minimum(np.interp(score, *knots), limit_px)
    factor = [rayleigh_scale((lengths_px[..., k] / sigma[..., k]).ravel()) for k in range(sigma.shape[2])]
    return DetectionNoise(knots, limit_px, np.clip(np.nan_to_num(np.array(factor), nan=1.0), 0.5, 2.0))
