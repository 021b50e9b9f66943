"""How well the solve knows each keypoint: standard deviations of its errors, from the curvature of the solve itself.

Along time the solve is a chain: every frame has data with curvature H (per degree of freedom, coupled by the body), and
second differences are held with weight W. In coordinates that whiten W, each eigenvalue of H is a scalar chain whose
error under noise in runs is known (`kernels.chain`). That is exact in the middle of a steady stretch and needs no
inverse of the whole band. Where evidence comes and goes, each degree's own chain says exactly what the frames around
are worth, and that much is added to H; over gaps with the prior that the take's own bridges support. What holds a frame
to the take's usual poses counts as data of the frame; over gaps that and the bridges make sigma rather too wide.
"""

from __future__ import annotations

import numpy as np

from mocap.core.observations import Observations
from mocap.kernels.articulated import N_TRANSLATION, point_jacobian
from mocap.kernels.chain import Scatter, curvature_of_variance, error_variance, scatter
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.trajectories import chain_posterior, mean_around
from mocap.solve.fit import ROBUST_SCALE_SQUARED, PointTerms, body_points, moves_matrix, pose_terms
from mocap.solve.motion_prior import MotionPrior
from mocap.solve.pose import Freedom, Pose
from mocap.solve.shape import Shape

STEP_FRAMES = 5
"""Uncertainty is found for every fifth frame and interpolated: it changes slowly."""
STEADY_S = 0.15
"""Evidence is averaged over this time: about what the smoothness ties together."""
LESS_THAN_WHITE = 0.86
"""Bodies accelerate less at high frequencies than the white prior thinks: what that takes off variances between
detections; measured on synthetic takes of recorded motion with noise in runs, one of those that the benchmark prints
among them. Where noise is white or motion smoother, the motion's part of the error is less still: sigma is too wide."""
BODY_SIGMA_M = 0.0008
"""What a rigid body of estimated proportions cannot follow of another such body; measured on synthetic takes."""
MAX_MISFIT_M = 0.1
MARGIN = 1.3
"""The points' variances are known to about this factor: only what exceeds it is the body's."""
MIN_SAMPLES = 60
NOTHING = 1e-12
"""Curvature, against that of the prior, of what neither a frame nor those around it tell anything about."""
CHI2_MEDIAN = 0.4549
"""Median of the square of a standard normal variable."""


def residual_scatter(points: np.ndarray, observations: Observations, sigma_px: np.ndarray, max_lag: int) -> Scatter:
    """Return how the solve's residuals scatter, up to `max_lag` frames apart.

    points [frame landmark 3] solved; observations and sigma_px [camera frame landmark].
    """
    o = observations
    at = o.at_own_times(points)
    residual = residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m) / sigma_px[..., None]
    return scatter(residual, ROBUST_SCALE_SQUARED, max_lag)


def keypoint_sigma(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    prior: MotionPrior,
    seen: Scatter,
    of: tuple[str, ...],
    fps: float,
) -> np.ndarray:
    """Return the standard deviation of the error per axis [frame landmark] of landmarks `of`, in metres.

    names are the landmarks that carry `data`; prior as the solve used it; seen from `residual_scatter`.
    """
    n_frames = len(pose.root_m)
    hessian, _ = pose_terms(pose, shape, names, dof, data, has_limits=False, has_pull=False)
    frames = np.unique(np.append(np.arange(0, n_frames, STEP_FRAMES), n_frames - 1))
    steady = mean_around(hessian, frames, max(3, round(STEADY_S * fps))) * seen.held
    there = pose.frames(frames)
    if prior.poses is not None:
        steady[:, N_TRANSLATION:, N_TRANSLATION:] += prior.poses.pull(there, dof)[0]
    level = prior.level[np.clip(frames - 1, 0, len(prior.level) - 1)]
    own = level[:, :, None] * steady * level[:, None, :]
    whitened = own + _borrowed(own, level, frames, prior.over_gaps(pose, dof, fps), n_frames)[:, :, None] * np.eye(
        own.shape[1]
    )
    curvature, axes = np.linalg.eigh(whitened)
    curvature = np.maximum(curvature, NOTHING)
    noise = seen.noise(curvature, n_frames)
    # noise in runs comes with a frame's own data (what usual poses add to it is small where there is any); what the
    # frames around are worth is exact already
    is_own = np.clip((axes * (own @ axes)).sum(1) / curvature, 0.0, 1.0)
    error = is_own * LESS_THAN_WHITE * error_variance(curvature, noise) + (1 - is_own) * error_variance(curvature)
    half = level[:, :, None] * axes * np.sqrt(error)[:, None, :]
    R_world, joints, points = body_points(there, shape, of)
    jacobian = point_jacobian(R_world, joints, points, dof.joint, there.axes(dof), moves_matrix(of, dof))
    n = N_TRANSLATION + len(dof.joint)
    spread = (jacobian.reshape(len(frames), -1, n) @ half).reshape(len(frames), len(of), 3, n)
    covariance = spread @ spread.swapaxes(2, 3)
    # one number for three axes: by the squares of variances, so that intervals of 95 % hold where one axis errs most
    variance = np.sqrt((covariance**2).sum((2, 3)) / 3) + BODY_SIGMA_M**2
    at = np.arange(n_frames)
    return np.sqrt(np.stack([np.interp(at, frames, variance[:, k]) for k in range(len(of))], axis=1))


def body_misfit_m(
    solved_m: np.ndarray, points_m: np.ndarray, solved_sigma_m: np.ndarray, points_sigma_m: np.ndarray
) -> np.ndarray:
    """Return the standard deviation per axis [landmark] by which real landmarks leave the rigid body.

    solved_m and points_m [frame landmark 3] with their sigmas [frame landmark]; NaN where a point is not known. Were
    the body right, solve and points would differ by no more than the points' variance less the solve's (J. Hausman,
    "Specification tests in econometrics", Econometrica 1978, lemma 2.1); what is clearly left over is the body's.
    """
    out = np.zeros(solved_m.shape[1])
    for k in range(len(out)):
        known = np.isfinite(points_m[:, k]).all(-1)
        if known.sum() < MIN_SAMPLES:
            continue
        squared = ((solved_m - points_m)[known, k]) ** 2
        points_variance = MARGIN * points_sigma_m[known, k, None] ** 2
        expected = np.maximum(points_variance - solved_sigma_m[known, k, None] ** 2, 0.25 * points_variance)
        low, high = 0.0, MAX_MISFIT_M**2
        for _ in range(20):
            middle = 0.5 * (low + high)
            is_more = np.median(squared / (expected + middle)) > CHI2_MEDIAN
            low, high = (middle, high) if is_more else (low, middle)
        out[k] = np.sqrt(low)
    return out


def _borrowed(own: np.ndarray, level: np.ndarray, frames: np.ndarray, prior: MotionPrior, n_frames: int) -> np.ndarray:
    """Return what the frames around add [n dof] to the whitened curvature `own` [n dof dof] at `frames`.

    In a gap a steady chain of no data would know nothing; the true one knows its ends, and the degree's range or, once
    it is learned, what `own` has of the usual poses. level [n dof] at `frames`; each degree on its own.
    """
    n_dof = own.shape[1]
    steady = 1.0 / np.einsum("fii->fi", np.linalg.inv(own + 1e-9 * np.eye(n_dof)))
    at = np.arange(n_frames)
    known = np.stack([np.interp(at, frames, steady[:, d] / level[:, d] ** 2) for d in range(n_dof)], axis=1)
    by_rate, by_place = prior.weights
    exact = chain_posterior(known + by_place, prior.level**-2.0, by_rate)[frames]
    # of chains that nothing holds, floating point leaves a variance of any sign: they know nothing
    exact = np.where(exact > 0, exact, np.inf)
    return np.maximum(curvature_of_variance(exact / level**2) - steady, 0.0)
