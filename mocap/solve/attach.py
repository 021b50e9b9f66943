"""Keypoints that are no landmarks (mouth corners, fingers): fixed to the joint in whose frame they move least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MAX_SPREAD_M = 0.03
"""A keypoint that moves more than this in every joint's frame is not fixed to the body."""


def attach_points(
    points_m: np.ndarray, R_world: np.ndarray, joints_m: np.ndarray, bones: Sequence[tuple[int, int]] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return points [frame point 3] carried by their joints, and which of them [point] are carried at all.

    points_m [frame point 3] with NaN gaps; R_world [frame joint 3 3]; joints_m [frame joint 3]. The joint is the one in
    whose frame the point's median absolute deviation is least; the offset is the median there. Points that `bones`
    (pairs of points) join have one joint, least for all of them: two joints would change the bone's length.
    """
    n_joints, n_points = joints_m.shape[1], points_m.shape[1]
    spread, offset = np.full((n_points, n_joints), np.inf), np.full((n_points, n_joints, 3), np.nan)
    carried = np.full(points_m.shape, np.nan)
    is_rigid = np.zeros(points_m.shape[1], bool)
    for k in range(n_points):
        seen = np.isfinite(points_m[:, k]).all(-1)
        if not seen.any():
            continue
        local = np.einsum("fjba,fjb->fja", R_world[seen], points_m[seen, k][:, None] - joints_m[seen])
        offset[k] = np.median(local, axis=0)
        spread[k] = np.median(np.linalg.norm(local - offset[k], axis=-1), axis=0)
    for group in _groups(n_points, bones):
        known = [k for k in group if np.isfinite(spread[k]).all()]
        if not known:
            continue
        best = int(np.argmin(spread[known].sum(0)))
        for k in known:
            is_rigid[k] = spread[k, best] < MAX_SPREAD_M
            carried[:, k] = joints_m[:, best] + R_world[:, best] @ offset[k, best]
    return carried, is_rigid


def _groups(n: int, pairs: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Return the points 0..n-1 in groups that pairs join."""
    links = coo_array((np.ones(len(pairs)), np.array(pairs, int).reshape(-1, 2).T), (n, n))
    n_groups, group = connected_components(links, directed=False)
    return [np.flatnonzero(group == g) for g in range(n_groups)]
