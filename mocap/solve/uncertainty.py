"""How well the solve knows each keypoint: posterior standard deviations, from the curvature of the solve itself.

Along time the solve is a chain: every frame has data with curvature H (per degree of freedom, coupled by the body), and
second differences are held with weight W. In a stretch over which H and W hardly change, the posterior covariance of a
frame follows from the chain's spectrum: in coordinates that whiten W, an eigenvalue l of H leaves the variance
mean over angles w of 1 / (l + (2 - 2 cos w)^2), the spectral form of a stationary posterior (H. Rue and L. Held,
Gaussian Markov Random Fields, 2005, section 2.6). That is exact in the middle of a steady stretch and needs no inverse
of the whole band.

Detections err in runs, not independently: the correlation of residuals over time is measured and divides the evidence.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from mocap.core.observations import Observations
from mocap.kernels.articulated import N_TRANSLATION, point_jacobian
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.robust import INLIER, correlation_inflation, geman_mcclure
from mocap.solve.fit import ROBUST_SCALE_SQUARED, PointTerms, body_points, moves_matrix, pose_terms
from mocap.solve.pose import Freedom, Pose
from mocap.solve.shape import Shape

STEP_FRAMES = 5
"""Uncertainty is found for every fifth frame and interpolated: it changes slowly."""
STEADY_S = 0.15
"""Evidence is averaged over this time: about what the smoothness ties together."""
BODY_SIGMA_M = 0.0015
"""What a rigid body of estimated proportions cannot follow, even with perfect detections."""
_LOG_L = np.linspace(-30.0, 20.0, 401)


def _chain_variance_table() -> np.ndarray:
    """Return the log of the chain's variance at exp(_LOG_L), by the mean over a grid that resolves the narrow peak."""
    angle = np.pi * np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 4000)])
    smooth = (2 - 2 * np.cos(angle)) ** 2
    integrand = 1.0 / (np.exp(_LOG_L)[:, None] + smooth)
    return np.log(np.trapezoid(integrand, angle, axis=1) / np.pi)


_LOG_VARIANCE = _chain_variance_table()


def chain_variance(curvature: np.ndarray) -> np.ndarray:
    """Return the stationary posterior variance of a chain with unit second-difference weight and data `curvature`."""
    return np.exp(np.interp(np.log(np.maximum(curvature, 1e-12)), _LOG_L, _LOG_VARIANCE))


def residual_correlation(points: np.ndarray, observations: Observations, sigma_px: np.ndarray, max_lag: int) -> float:
    """Return by how much the runs of the solve's residuals inflate variance, see `correlation_inflation`.

    points [frame landmark 3] solved; observations and sigma_px [camera frame landmark].
    """
    o = observations
    at = o.at_own_times(points)
    residual = residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m) / sigma_px[..., None]
    squared = (residual**2).sum(-1)
    accepted = geman_mcclure(np.nan_to_num(squared), ROBUST_SCALE_SQUARED) > INLIER
    return correlation_inflation(residual, np.isfinite(squared) & accepted, max_lag)


def keypoint_sigma(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    acceleration: np.ndarray,
    inflation: float,
    of: tuple[str, ...],
    fps: float,
) -> np.ndarray:
    """Return the posterior standard deviation per axis [frame landmark] of landmarks `of`, in metres.

    names are the landmarks that carry `data`; acceleration [frame-2 3+dof] per frame^2 as the solve used it; inflation
    from `residual_correlation`.
    """
    n_frames = len(pose.root_m)
    hessian, _ = pose_terms(pose, shape, names, dof, data)
    hessian = uniform_filter1d(hessian, max(3, round(STEADY_S * fps)), axis=0, mode="nearest") / inflation
    frames = np.unique(np.append(np.arange(0, n_frames, STEP_FRAMES), n_frames - 1))
    level = acceleration[np.clip(frames - 1, 0, len(acceleration) - 1)]
    whitened = level[:, :, None] * hessian[frames] * level[:, None, :]
    curvature, axes = np.linalg.eigh(whitened)
    half = level[:, :, None] * axes * np.sqrt(chain_variance(curvature))[:, None, :]
    R_world, joints, points = body_points(pose.frames(frames), shape, of)
    jacobian = point_jacobian(R_world, joints, points, dof.joint, dof.axis, moves_matrix(of, dof))
    n = N_TRANSLATION + len(dof.joint)
    spread = jacobian.reshape(len(frames), -1, n) @ half
    variance = (spread**2).sum(-1).reshape(len(frames), len(of), 3).mean(-1) + BODY_SIGMA_M**2
    at = np.arange(n_frames)
    return np.sqrt(np.stack([np.interp(at, frames, variance[:, k]) for k in range(len(of))], axis=1))
