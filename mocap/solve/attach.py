"""Keypoints that are no landmarks (mouth corners, fingers): fixed to the joint in whose frame they move least."""

from __future__ import annotations

import numpy as np

MAX_SPREAD_M = 0.03
"""A keypoint that moves more than this in every joint's frame is not fixed to the body."""


def attach_points(points_m: np.ndarray, R_world: np.ndarray, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points [frame point 3] carried by their joints, and which of them [point] are carried at all.

    points_m [frame point 3] with NaN gaps; R_world [frame joint 3 3]; joints_m [frame joint 3]. The joint is the one in
    whose frame the point's median absolute deviation is least; the offset is the median there.
    """
    carried = np.full(points_m.shape, np.nan)
    is_rigid = np.zeros(points_m.shape[1], bool)
    for k in range(points_m.shape[1]):
        seen = np.isfinite(points_m[:, k]).all(-1)
        if not seen.any():
            continue
        local = np.einsum("fjba,fjb->fja", R_world[seen], points_m[seen, k][:, None] - joints_m[seen])
        offset = np.median(local, axis=0)
        spread = np.median(np.linalg.norm(local - offset, axis=-1), axis=0)
        best = int(np.argmin(spread))
        is_rigid[k] = spread[best] < MAX_SPREAD_M
        carried[:, k] = joints_m[:, best] + R_world[:, best] @ offset[best]
    return carried, is_rigid
