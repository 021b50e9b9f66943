"""Reprojection residuals of points seen by many cameras, and their normal equations.

Observations are undistorted normalised coordinates xy [camera frame keypoint 2] with a local scale px_per_unit
[camera frame keypoint], so that residuals are distorted pixels to first order and the lens model costs nothing per
iteration. Unseen observations have px_per_unit 0.
"""

from __future__ import annotations

import numpy as np

from mocap.kernels.robust import geman_mcclure

MIN_DEPTH = 0.05
"""Metres; a point nearer to a camera's plane than this (or behind it) is not compared with its image."""

SYMMETRIC = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Order in which the six entries of a symmetric 3x3 matrix are packed."""

PACKED_IDENTITY = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])


def residuals_px(
    points: np.ndarray,
    xy: np.ndarray,
    px_per_unit: np.ndarray,
    R_cam_from_world: np.ndarray,
    t_cam_from_world: np.ndarray,
) -> np.ndarray:
    """Return projected minus observed [camera frame keypoint 2] in pixels; NaN where unseen or behind the camera.

    points [camera frame keypoint 3] (or [frame keypoint 3], the same for all cameras) in the world.
    """
    out = np.empty(xy.shape)
    shared = points.ndim == 3
    for c in range(len(xy)):
        x, y, z = _in_camera(points if shared else points[c], R_cam_from_world[c], t_cam_from_world[c])
        ok = (px_per_unit[c] > 0) & (z > MIN_DEPTH)
        scale = np.where(ok, px_per_unit[c], np.nan)
        z = np.where(ok, z, 1.0)
        out[c, ..., 0] = (x / z - xy[c, ..., 0]) * scale
        out[c, ..., 1] = (y / z - xy[c, ..., 1]) * scale
    return out


def robust_terms(
    points: np.ndarray,
    xy: np.ndarray,
    px_per_unit: np.ndarray,
    sigma_px: np.ndarray,
    scale_squared: float,
    R_cam_from_world: np.ndarray,
    t_cam_from_world: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one camera's Gauss-Newton terms of the Geman-McClure loss of its whitened residuals, and the weights.

    For one camera: points [frame keypoint 3], xy [frame keypoint 2], px_per_unit and sigma_px [frame keypoint].
    information [6 frame keypoint] (packed as SYMMETRIC), gradient [3 frame keypoint], weight [frame keypoint] in 0..1:
    `normal_equations` with weights `geman_mcclure` / sigma^2, each point projected once.
    """
    R = R_cam_from_world
    x, y, z = _in_camera(points, R, t_cam_from_world)
    ok = (px_per_unit > 0) & (z > MIN_DEPTH)
    inverse_z = 1.0 / np.where(ok, z, 1.0)
    x, y = x * inverse_z, y * inverse_z
    whitening = px_per_unit / sigma_px
    off_x, off_y = (x - xy[..., 0]) * whitening, (y - xy[..., 1]) * whitening
    weight = np.where(ok, geman_mcclure(off_x * off_x + off_y * off_y, scale_squared), 0.0)
    per_metre = whitening * inverse_z
    row_x, row_y = ([per_metre * (row[i] - at * R[2, i]) for i in range(3)] for row, at in ((R[0], x), (R[1], y)))
    weighted_x, weighted_y = [weight * v for v in row_x], [weight * v for v in row_y]
    information, gradient = np.empty((6, *weight.shape)), np.empty((3, *weight.shape))
    for n, (i, j) in enumerate(SYMMETRIC):
        np.add(weighted_x[i] * row_x[j], weighted_y[i] * row_y[j], out=information[n])
    for i in range(3):
        np.add(weighted_x[i] * off_x, weighted_y[i] * off_y, out=gradient[i])
    return information, gradient, weight


def _in_camera(points: np.ndarray, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return points [... 3] in the camera's frame, coordinate by coordinate [3 ...]."""
    return (R @ points.reshape(-1, 3).T + t[:, None]).reshape(3, *points.shape[:-1])


def normal_equations(
    points: np.ndarray,
    xy: np.ndarray,
    px_per_unit: np.ndarray,
    weight: np.ndarray,
    R_cam_from_world: np.ndarray,
    t_cam_from_world: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return per camera the Gauss-Newton terms of sum(weight * |residual|^2) / 2 with respect to each point.

    information [camera frame keypoint 6] (packed as SYMMETRIC) and gradient [camera frame keypoint 3]; zero where
    weight [camera frame keypoint] is zero.
    """
    information = np.zeros((*xy.shape[:3], 6))
    gradient = np.zeros((*xy.shape[:3], 3))
    shared = points.ndim == 3
    for c in range(len(xy)):
        R = R_cam_from_world[c]
        cam = (points if shared else points[c]) @ R.T + t_cam_from_world[c]
        w = np.where(cam[..., 2] > MIN_DEPTH, weight[c], 0.0)
        inverse_z = 1.0 / np.where(cam[..., 2] > MIN_DEPTH, cam[..., 2], 1.0)
        x, y = cam[..., 0] * inverse_z, cam[..., 1] * inverse_z
        scale = px_per_unit[c]
        row_x = (scale * inverse_z)[..., None] * (R[0] - x[..., None] * R[2])
        row_y = (scale * inverse_z)[..., None] * (R[1] - y[..., None] * R[2])
        wr_x = w * (x - xy[c, ..., 0]) * scale
        wr_y = w * (y - xy[c, ..., 1]) * scale
        gradient[c] = wr_x[..., None] * row_x + wr_y[..., None] * row_y
        for n, (i, j) in enumerate(SYMMETRIC):
            information[c, ..., n] = w * (row_x[..., i] * row_x[..., j] + row_y[..., i] * row_y[..., j])
    return information, gradient


def unpack_symmetric(packed: np.ndarray) -> np.ndarray:
    """Return matrices [... 3 3] of packed entries [... 6]."""
    full = np.empty((*packed.shape[:-1], 3, 3))
    for n, (i, j) in enumerate(SYMMETRIC):
        full[..., i, j] = full[..., j, i] = packed[..., n]
    return full
