"""How reprojection depends on the cameras themselves: their places, directions and clocks, beside the points they see.

A camera's eight unknowns: turn (rad) and shift (m) of its extrinsics on the left, x_cam -> exp(turn) x_cam + shift; the
offset of its clock (s) and its drift (s per s), about an instant that the caller chooses.
"""

from __future__ import annotations

import numpy as np

from mocap.kernels.reprojection import MIN_DEPTH
from mocap.kernels.robust import geman_mcclure
from mocap.kernels.rotations import skew

N_UNKNOWNS = 8
TURN, SHIFT, OFFSET, DRIFT = slice(0, 3), slice(3, 6), 6, 7


def camera_jacobian(
    points: np.ndarray,
    velocity_m_s: np.ndarray,
    time_s: np.ndarray,
    px_per_unit: np.ndarray,
    R_cam_from_world: np.ndarray,
    t_cam_from_world_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one camera's projections, their derivative by the points, and by the camera's unknowns.

    points and velocity_m_s [frame keypoint 3] at the camera's own times, time_s [frame] those times from the instant
    about which the clock drifts. Returns normalised coordinates [frame keypoint 2], and in pixels [frame keypoint 2 3]
    and [frame keypoint 2 8]; the derivatives are zero where px_per_unit [frame keypoint] is, or behind the camera.
    """
    R = R_cam_from_world
    cam = points @ R.T + t_cam_from_world_m
    ok = (px_per_unit > 0) & (cam[..., 2] > MIN_DEPTH)
    inverse_z = 1.0 / np.where(ok, cam[..., 2], 1.0)
    xy = cam[..., :2] * inverse_z[..., None]
    by_cam = np.zeros((*xy.shape, 3))
    scale = np.where(ok, px_per_unit * inverse_z, 0.0)
    by_cam[..., 0, 0] = by_cam[..., 1, 1] = scale
    by_cam[..., 2] = -scale[..., None] * xy
    by_point = by_cam @ R
    by_camera = np.empty((*xy.shape, N_UNKNOWNS))
    by_camera[..., TURN] = -by_cam @ skew(cam)
    by_camera[..., SHIFT] = by_cam
    by_camera[..., OFFSET] = (by_point @ velocity_m_s[..., None])[..., 0]
    by_camera[..., DRIFT] = by_camera[..., OFFSET] * time_s[:, None, None]
    return xy, by_point, by_camera


def camera_terms(
    points: np.ndarray,
    velocity_m_s: np.ndarray,
    time_s: np.ndarray,
    xy: np.ndarray,
    px_per_unit: np.ndarray,
    sigma_px: np.ndarray,
    scale_squared: float,
    R_cam_from_world: np.ndarray,
    t_cam_from_world_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one camera's Gauss-Newton terms with respect to its unknowns, and what ties these to the points.

    hessian [8 8], slope [8], coupling [frame keypoint 3 8], of the loss of `reprojection.robust_terms`; arguments as
    there and in `camera_jacobian`.
    """
    there, by_point, by_camera = camera_jacobian(
        points, velocity_m_s, time_s, px_per_unit, R_cam_from_world, t_cam_from_world_m
    )
    off = (there - xy) * px_per_unit[..., None] / sigma_px[..., None]
    weight = geman_mcclure((off**2).sum(-1), scale_squared) / sigma_px
    whitened = by_camera * (weight / sigma_px)[..., None, None]
    flat = by_camera.reshape(-1, N_UNKNOWNS)
    hessian = flat.T @ whitened.reshape(-1, N_UNKNOWNS)
    slope = flat.T @ (off * weight[..., None]).reshape(-1)
    return hessian, slope, by_point.swapaxes(-1, -2) @ whitened
