"""Reprojection residuals with analytic Jacobians, one camera and many points at a time.

Lens derivatives follow the forward models in `mocap.kernels.projection`; poses are perturbed on the left,
x_cam -> exp(w) x_cam + v, so the derivative with respect to (w, v) is [-skew(x_cam), I] (J. Sola,
arXiv:1711.02508, section 4.3.3).
"""

from __future__ import annotations

import numpy as np

from mocap.core.camera import Intrinsics, LensModel
from mocap.kernels.projection import MIN_DEPTH, distort
from mocap.kernels.rotations import skew


def distortion_jacobian(xy: np.ndarray, distortion: np.ndarray, model: LensModel) -> np.ndarray:
    """Return d(distorted) / d(undistorted) [... 2 2] at normalised coordinates xy [... 2]."""
    x, y = xy[..., 0], xy[..., 1]
    if model is LensModel.FISHEYE:
        return _fisheye_jacobian(xy, distortion)
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2.0 * (k1 + r2 * (2.0 * k2 + r2 * 3.0 * k3))
    jac = np.empty((*xy.shape, 2))
    jac[..., 0, 0] = radial + slope * x * x + 2.0 * p1 * y + 6.0 * p2 * x
    jac[..., 1, 1] = radial + slope * y * y + 6.0 * p1 * y + 2.0 * p2 * x
    jac[..., 0, 1] = jac[..., 1, 0] = slope * x * y + 2.0 * p1 * x + 2.0 * p2 * y
    return jac


def _fisheye_jacobian(xy: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return the Jacobian of Kannala-Brandt: along the radius the slope of theta_d(atan r), across it theta_d / r."""
    k1, k2, k3, k4 = distortion
    r = np.maximum(np.linalg.norm(xy, axis=-1), 1e-9)
    theta = np.arctan(r)
    t2 = theta * theta
    scale = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) / r
    slope = (1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))) / (1 + r * r)
    radial = (slope - scale) / (r * r)
    return scale[..., None, None] * np.eye(2) + radial[..., None, None] * xy[..., :, None] * xy[..., None, :]


def distortion_coefficient_jacobian(xy: np.ndarray, model: LensModel) -> np.ndarray:
    """Return d(distorted) / d(coefficients) [... 2 n] at normalised coordinates xy [... 2], n = 5 or 4.

    Both models are linear in their coefficients, so these themselves are not needed.
    """
    x, y = xy[..., 0], xy[..., 1]
    if model is LensModel.FISHEYE:
        r = np.maximum(np.linalg.norm(xy, axis=-1), 1e-9)
        theta = np.arctan(r)
        power = theta[..., None] ** np.array([3, 5, 7, 9]) / r[..., None]
        return xy[..., :, None] * power[..., None, :]
    r2 = x * x + y * y
    jac = np.empty((*xy.shape, 5))
    jac[..., 0] = xy * r2[..., None]
    jac[..., 1] = jac[..., 0] * r2[..., None]
    jac[..., 4] = jac[..., 1] * r2[..., None]
    jac[..., 0, 2] = jac[..., 1, 3] = 2.0 * x * y
    jac[..., 0, 3] = r2 + 2.0 * x * x
    jac[..., 1, 2] = r2 + 2.0 * y * y
    return jac


def project_with_jacobian(points_cam: np.ndarray, lens: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels [... 2] of camera-frame points [... 3] and d(pixel) / d(point) [... 2 3]; NaN behind the camera."""
    z = np.where(points_cam[..., 2:] > MIN_DEPTH, points_cam[..., 2:], np.nan)
    xy = points_cam[..., :2] / z
    pixels = distort(xy, lens.distortion) * lens.focal_px + lens.center_px
    lens_jac = distortion_jacobian(xy, lens.distortion, lens.model) * lens.focal_px[:, None] / z[..., None]
    jac = np.empty((*xy.shape, 3))
    jac[..., :2] = lens_jac
    jac[..., 2] = -(lens_jac * xy[..., None, :]).sum(-1)
    return pixels, jac


def reprojection(
    points_world: np.ndarray,
    xy_px: np.ndarray,
    lens: Intrinsics,
    R_cam_from_world: np.ndarray,
    t_cam_from_world_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals, projected - observed, [point 2] and Jacobians: pose (w, v) [point 2 6], point [point 2 3]."""
    residual, to_point = point_reprojection(points_world, xy_px, lens, R_cam_from_world, t_cam_from_world_m)
    points_cam = points_world @ R_cam_from_world.T + t_cam_from_world_m
    jac = to_point @ R_cam_from_world.T
    to_pose = np.empty((*jac.shape[:-1], 6))
    to_pose[..., :3] = -jac @ skew(points_cam)
    to_pose[..., 3:] = jac
    return residual, to_pose, to_point


def point_reprojection(
    points_world: np.ndarray,
    xy_px: np.ndarray,
    lens: Intrinsics,
    R_cam_from_world: np.ndarray,
    t_cam_from_world_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals, projected - observed, [point 2] and their Jacobian to the point [point 2 3]."""
    pixels, jac = project_with_jacobian(points_world @ R_cam_from_world.T + t_cam_from_world_m, lens)
    return pixels - xy_px, jac @ R_cam_from_world
