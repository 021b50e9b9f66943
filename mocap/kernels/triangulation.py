"""Linear triangulation of undistorted rays, batched over points."""

from __future__ import annotations

import numpy as np

from mocap.kernels.reprojection import SYMMETRIC


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
    normal, right = np.zeros((6, *batch)), np.zeros((3, *batch))
    for c, (R, t) in enumerate(zip(R_cam_from_world, t_cam_from_world, strict=True)):
        for axis in range(2):
            at = xy[c, ..., axis]
            row = [at * R[2, i] - R[axis, i] for i in range(3)]
            weighted = [w[c] * v for v in row]
            value = t[axis] - at * t[2]
            for n, (i, j) in enumerate(SYMMETRIC):
                normal[n] += weighted[i] * row[j]
            for i in range(3):
                right[i] += weighted[i] * value
    a, b, c, d, e, f = normal
    # columns of the adjugate: a symmetric matrix's inverse times its determinant
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * first + b * second + c * third
    scale = (a + d + f) / 3.0
    solvable = (seen.sum(0) >= 2) & (det > 1e-12 * scale**3)
    x, y, z = right
    out = np.empty((*batch, 3))
    middle, last, corner = a * f - c * c, b * c - a * e, a * d - b * b
    out[..., 0] = first * x + second * y + third * z
    out[..., 1] = second * x + middle * y + last * z
    out[..., 2] = third * x + last * y + corner * z
    return out / np.where(solvable, det, np.nan)[..., None]
