"""Linear triangulation of undistorted rays, batched over points."""

from __future__ import annotations

import numpy as np


def triangulate_dlt(
    xy_normalised: np.ndarray, weight: np.ndarray, R_cam_from_world: np.ndarray, t_cam_from_world: np.ndarray
) -> np.ndarray:
    """Return points [... 3] that minimise the weighted algebraic error over cameras; NaN with fewer than two views.

    xy_normalised [camera ... 2] undistorted x/z, y/z; weight [camera ...] (0 or NaN observations are left out);
    R [camera 3 3], t [camera 3]. Inhomogeneous DLT (R. Hartley and A. Zisserman, Multiple View Geometry, section 12.2),
    solved as 3x3 normal equations: exact for finite points, not meant for points near infinity. Cost is linear in
    cameras.
    """
    seen = np.isfinite(xy_normalised).all(-1) & (weight > 0)
    w = np.where(seen, weight, 0.0) ** 2
    xy = np.where(seen[..., None], xy_normalised, 0.0)
    batch = xy.shape[1:-1]
    normal = np.zeros((*batch, 3, 3))
    right = np.zeros((*batch, 3))
    for c, (R, t) in enumerate(zip(R_cam_from_world, t_cam_from_world, strict=True)):
        for axis in range(2):
            row = xy[c, ..., axis, None] * R[2] - R[axis]
            value = t[axis] - xy[c, ..., axis] * t[2]
            normal += w[c][..., None, None] * row[..., :, None] * row[..., None, :]
            right += (w[c] * value)[..., None] * row
    det = np.linalg.det(normal)
    scale = np.trace(normal, axis1=-2, axis2=-1) / 3.0
    solvable = (seen.sum(0) >= 2) & (det > 1e-12 * scale**3)
    normal[~solvable] = np.eye(3)
    return np.where(solvable[..., None], np.linalg.solve(normal, right[..., None])[..., 0], np.nan)
