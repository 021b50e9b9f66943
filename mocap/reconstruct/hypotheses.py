"""Frame-wise starting points: the best of several two-view and all-view triangulations, by a truncated robust cost."""

from __future__ import annotations

import numpy as np

from mocap.core.observations import Observations
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.robust import rayleigh_scale
from mocap.kernels.triangulation import triangulate_dlt

MAX_PAIRS = 12
"""Two-view hypotheses per point: keeps the cost linear in cameras; 12 pairs of 90 % good views are never all bad."""
TRUNCATION = 3.0
"""Residuals beyond this many standard deviations cost the same: a gross error is a gross error."""


def camera_pairs(centers_m: np.ndarray) -> list[tuple[int, int]]:
    """Return at most MAX_PAIRS pairs of cameras [camera 3], each camera in at least one, well spread in direction.

    All pairs where that is few enough; else every camera with the ones a quarter and a third of the way around.
    """
    n = len(centers_m)
    every = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if len(every) <= MAX_PAIRS:
        return every
    offset = centers_m - centers_m.mean(0)
    around = np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))
    pairs = [(int(around[i]), int(around[(i + max(n // 4, 1)) % n])) for i in range(n)]
    step = max(1, -(-n // MAX_PAIRS))
    return (pairs + [(int(around[i]), int(around[(i + n // 3) % n])) for i in range(n)])[::step][:MAX_PAIRS]


def best_hypotheses(observations: Observations, n_frames: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return starting points [frame keypoint 3] in the world, and what they cost [frame keypoint].

    Where no two cameras see the keypoint the point is NaN and the cost infinite; else the cost is the sum over views of
    squared residuals in units of the noise, truncated.

    Each camera's observation at its nearest master frame is used as if it were of that instant: a start, not a result.
    A frame that only others look at is interpolated between a camera's looks before and after (`core.looks`).
    """
    xy, scale, score = _aligned(observations, n_frames, fps)
    R, t = observations.R_cam_from_world, observations.t_cam_from_world_m
    weight = score * scale
    best = triangulate_dlt(xy, weight, R, t)
    lengths = np.linalg.norm(residuals_px(best, xy, scale, R, t), axis=-1)
    sigma_px = max(rayleigh_scale(lengths[np.isfinite(lengths)]), 0.5) if np.isfinite(lengths).any() else 1.0
    best_cost = _truncated_cost(best, xy, scale, R, t, sigma_px)
    centers = -np.einsum("cji,cj->ci", R, t)
    for i, j in camera_pairs(centers):
        pair = [i, j]
        candidate = triangulate_dlt(xy[pair], weight[pair], R[pair], t[pair])
        cost = _truncated_cost(candidate, xy, scale, R, t, sigma_px)
        better = cost < best_cost
        best[better], best_cost[better] = candidate[better], cost[better]
    return best, best_cost


def _aligned(observations: Observations, n_frames: int, fps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return xy, px_per_unit and score with every camera on the master frames [camera frame ...], unseen as zero."""
    c, _, k = observations.score.shape
    xy, scale, score = np.zeros((c, n_frames, k, 2)), np.zeros((c, n_frames, k)), np.zeros((c, n_frames, k))
    for cam, nearest in enumerate(observations.nearest_frame(n_frames)):
        inside = nearest >= 0
        xy[cam, nearest[inside]] = observations.xy[cam][inside]
        scale[cam, nearest[inside]] = observations.px_per_unit[cam][inside]
        score[cam, nearest[inside]] = observations.score[cam][inside]
    for cam, between in enumerate(observations.looks(n_frames, fps).between):
        xy[cam, between.frame] = between.sampled(observations.xy[cam])
        scale[cam, between.frame] = between.both(observations.px_per_unit[cam])
        score[cam, between.frame] = between.both(observations.score[cam])
    return xy, scale, score


def _truncated_cost(
    points: np.ndarray, xy: np.ndarray, scale: np.ndarray, R: np.ndarray, t: np.ndarray, sigma_px: float
) -> np.ndarray:
    """Return the sum over views of min(r^2, cut^2) [frame keypoint], infinite where the point is unknown."""
    squared = (residuals_px(points, xy, scale, R, t) ** 2).sum(-1) / sigma_px**2
    cut = 2 * TRUNCATION**2
    cost = np.where(scale > 0, np.minimum(np.nan_to_num(squared, nan=np.inf), cut), 0.0).sum(0)
    return np.where(np.isfinite(points).all(-1), cost, np.inf)
