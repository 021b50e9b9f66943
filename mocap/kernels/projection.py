"""Pinhole, Brown-Conrady and Kannala-Brandt projection, batched.

Arrays follow `Intrinsics`: focal and centre in pixels, distortion as OpenCV orders it; points in the camera frame
(z forward). Formulas: OpenCV documentation, "Camera Calibration and 3D Reconstruction" (Brown, `cv2.projectPoints`)
and `cv2.fisheye`; J. Kannala and S. Brandt, "A generic camera model and calibration method", PAMI 2006, eq. 6.
"""

from __future__ import annotations

import numpy as np

MIN_DEPTH = 1e-6
MAX_ANGLE = 1.55
"""Angle from the optical axis, in radians, beyond which a direction has no usable x/z, y/z."""


def distort_brown(xy: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return distorted normalised coordinates [... 2]; distortion [... 5] is k1 k2 p1 p2 k3."""
    x, y = xy[..., 0], xy[..., 1]
    k1, k2, p1, p2, k3 = np.moveaxis(np.asarray(distortion), -1, 0)
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    xy2 = 2.0 * x * y
    return np.stack(
        [x * radial + p1 * xy2 + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + p2 * xy2], axis=-1
    )


def distort_fisheye(xy: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return distorted normalised coordinates [... 2]; distortion [... 4] is k1..k4 of the angle's odd polynomial."""
    k1, k2, k3, k4 = np.moveaxis(np.asarray(distortion), -1, 0)
    r = np.linalg.norm(xy, axis=-1)
    theta = np.arctan(r)
    t2 = theta * theta
    theta_d = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    scale = np.where(r < 1e-9, 1.0, theta_d / np.maximum(r, 1e-9))
    return xy * scale[..., None]


def distort(xy: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Distort by the model that the coefficient count names: 5 Brown-Conrady, 4 fisheye."""
    return distort_brown(xy, distortion) if np.shape(distortion)[-1] == 5 else distort_fisheye(xy, distortion)


def distortion_area(xy: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return the determinant [...] of the forward model's Jacobian at undistorted points [... 2]."""
    (xx, xy_), (yx, yy) = _distortion_jacobian(xy, distortion)
    return xx * yy - xy_ * yx


Rows = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _distortion_jacobian(xy: np.ndarray, distortion: np.ndarray) -> Rows:
    """Return the derivatives [...] of distorted x, then y, by undistorted x and y; a fisheye's by differences."""
    if np.shape(distortion)[-1] == 5:
        x, y = xy[..., 0], xy[..., 1]
        k1, k2, p1, p2, k3 = np.moveaxis(np.asarray(distortion), -1, 0)
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2.0 * (k1 + r2 * (2 * k2 + r2 * (3 * k3)))  # d radial / d x is x times this
        across = x * y * slope + 2.0 * (p1 * x + p2 * y)
        along_x = radial + x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
        along_y = radial + y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
        return (along_x, across), (across, along_y)
    step = 1e-5
    dx = (distort(xy + [step, 0.0], distortion) - distort(xy - [step, 0.0], distortion)) / (2 * step)
    dy = (distort(xy + [0.0, step], distortion) - distort(xy - [0.0, step], distortion)) / (2 * step)
    return (dx[..., 0], dy[..., 0]), (dx[..., 1], dy[..., 1])


def project(points_cam: np.ndarray, focal_px: np.ndarray, center_px: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return pixels [... 2] of points [... 3] in the camera frame; NaN behind the camera."""
    z = points_cam[..., 2:]
    xy = points_cam[..., :2] / np.where(z > MIN_DEPTH, z, np.nan)
    return distort(xy, distortion) * focal_px + center_px


def undistort(
    xy_px: np.ndarray, focal_px: np.ndarray, center_px: np.ndarray, distortion: np.ndarray, n_iterations: int = 12
) -> np.ndarray:
    """Return normalised undistorted coordinates [... 2] (x/z, y/z) of pixels; NaN stays NaN.

    Newton's method on the 2-vector; twelve iterations reach 1e-10 for the lenses of action cameras. Pixels outside the
    model's invertible range come back NaN, never as a wrong value.
    """
    target = (np.asarray(xy_px, np.float64) - center_px) / focal_px
    xy = _initial_undistorted(target, distortion)
    for _ in range(n_iterations):
        residual = distort(xy, distortion) - target
        (xx, xy_), (yx, yy) = _distortion_jacobian(xy, distortion)
        det = xx * yy - xy_ * yx
        det = np.where(np.abs(det) < 1e-9, np.nan, det)
        dx = (yy * residual[..., 0] - xy_ * residual[..., 1]) / det
        dy = (xx * residual[..., 1] - yx * residual[..., 0]) / det
        xy = xy - np.clip(np.stack([dx, dy], -1), -0.5, 0.5)
        if np.nanmax(np.abs(residual), initial=0.0) < 1e-12:
            break
    converged = np.abs(distort(xy, distortion) - target).max(-1, keepdims=True) < 1e-7
    return np.where(converged, xy, np.nan)


def _initial_undistorted(target: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Start Newton at the distorted point; for a fisheye at the solution for its angle: tan() is steep near 90 deg."""
    if np.shape(distortion)[-1] == 5:
        return target.copy()
    k1, k2, k3, k4 = np.moveaxis(np.asarray(distortion), -1, 0)
    theta_d = np.linalg.norm(target, axis=-1)
    theta = np.minimum(theta_d, MAX_ANGLE)
    for _ in range(8):
        t2 = theta * theta
        value = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
        theta = np.clip(theta - (value - theta_d) / np.maximum(slope, 0.1), 0.0, MAX_ANGLE)
    return target * np.where(theta_d < 1e-9, 1.0, np.tan(theta) / np.maximum(theta_d, 1e-9))[..., None]
