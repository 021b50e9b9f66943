"""Figures of how the cameras agree on one person: reprojection per camera, and how errors run in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.refine_observations import Observations
from mocap.core.camera import CameraRig


@dataclass(frozen=True)
class CameraReprojection:
    """How one camera's detections agree with the points that all cameras triangulate."""

    median_px: float
    p95_px: float
    bias_px: tuple[float, float]
    """Median of projected minus detected, x and y: where this camera's picture of the world is shifted to."""
    bias_sd_px: float
    """Standard error of the bias, the correlation of the errors in time allowed for."""
    n: int
    """Observations."""


def reprojection(residuals: np.ndarray, rig: CameraRig, correlation: float) -> dict[str, CameraReprojection]:
    """Return figures per camera from residuals [camera point 2]."""
    out: dict[str, CameraReprojection] = {}
    for c, name in enumerate(rig.names):
        r = residuals[c][np.isfinite(residuals[c]).all(-1)]
        if not len(r):
            nan = float("nan")
            out[name] = CameraReprojection(nan, nan, (nan, nan), nan, 0)
            continue
        length = np.linalg.norm(r, axis=-1)
        bias = np.median(r, axis=0)
        spread = 1.4826 * float(np.median(np.abs(r - bias)))
        # 1.2533: the median is that much less certain than the mean.
        sd = 1.2533 * spread / np.sqrt(max(1.0, len(r) / correlation))
        out[name] = CameraReprojection(
            float(np.median(length)),
            float(np.percentile(length, 95)),
            (float(bias[0]), float(bias[1])),
            float(sd),
            len(r),
        )
    return out


def overall_px(cameras: dict[str, CameraReprojection]) -> float:
    """Return the mean of the cameras' medians, by their numbers of observations."""
    n = np.array([c.n for c in cameras.values()], float)
    median = np.array([c.median_px for c in cameras.values()])
    return float(np.nansum(n * median) / n.sum()) if n.sum() else float("nan")


def error_correlation(residuals: np.ndarray, obs: Observations) -> float:
    """Return how many successive residuals [camera point 2] carry the information of one independent one.

    (1 + rho) / (1 - rho) of a first-order process, rho from the medians of products of signs, so outliers do not count:
    for Gaussian residuals E[sign sign'] = 2/pi asin(rho).
    """
    seen = np.asarray(np.isfinite(residuals).all(-1))
    centred = residuals.copy()
    for c in np.nonzero(seen.any(-1))[0]:
        centred[c] -= np.median(residuals[c, seen[c]], axis=0)
    order = np.lexsort((obs.instant, obs.keypoint))
    follows = (np.diff(obs.keypoint[order]) == 0) & (np.diff(obs.instant[order]) == 1)
    product = np.sign(centred[:, order[:-1]]) * np.sign(centred[:, order[1:]])
    product = product[:, follows]
    product = product[np.isfinite(product)]
    if len(product) < 50:
        return 1.0
    rho = float(np.sin(0.5 * np.pi * np.clip(product.mean(), 0.0, 0.97)))
    return float(np.clip((1.0 + rho) / (1.0 - rho), 1.0, 60.0))
