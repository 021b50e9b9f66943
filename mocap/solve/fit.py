"""Gauss-Newton fits of the body: shape and pose to points on some frames, then pose to all cameras over the take."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mocap.core.observations import Observations
from mocap.core.windows import in_parts
from mocap.kernels.articulated import N_TRANSLATION, articulated_terms, banded_step, gauss_newton_terms, point_jacobian
from mocap.kernels.reprojection import PACKED_IDENTITY, unpack_symmetric
from mocap.kernels.robust import geman_mcclure
from mocap.solve.limits import add_limits, greatest_excess_deg
from mocap.solve.motion_prior import MotionPrior
from mocap.solve.pose import Freedom, Pose
from mocap.solve.shape import Shape, ShapeModel, landmark_arrays

SHAPE_FRAMES = 240
"""Frames that the shape is fitted on, spread over the take; doubling them moves lengths by under 1 mm."""
SHAPE_ITERATIONS = 12
SHAPE_STILL = 1e-4
"""Where no size changes by more than this share, and no place by more than this many metres, the shape is found."""
SHAPE_PART_FRAMES = 60
POSE_ITERATIONS = 4
TAKE_ITERATIONS = 2
"""From a pose that fits every frame; a third changes the error by under 0.02 mm."""
MAX_TAKE_ITERATIONS = 4
MAX_EXCESS_DEG = 1.0
"""A joint further beyond its range than this was pushed there by the last step: the fit goes on."""
MODEL_SIGMA_M = 0.01
"""Points leave the rigid body by about this much (soft tissue, detector bias): added to their own uncertainty."""
ROBUST_SCALE_SQUARED = 12.0
DAMPING = 3e-4
MAX_STEP_RAD = 0.5
"""Angles move at most this far per iteration: beyond, the linearisation is worth nothing."""

FOOT_LANDMARKS = ("LHeel", "LBigToe", "RHeel", "RBigToe")
"""Points of the soles that may stand on something."""

PointTerms = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Given points [frame landmark 3], the data's information [frame landmark 6], packed as `reprojection.SYMMETRIC`, and
gradient [frame landmark 3]."""


def body_points(pose: Pose, shape: Shape, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return world rotations, joint positions and landmark positions [frame landmark 3]."""
    R_world, joints = pose.world(shape.anatomy.parents, shape.offsets_m())
    joint, offset = landmark_arrays(names, shape)
    return R_world, joints, joints[:, joint] + (R_world[:, joint] @ offset[..., None])[..., 0]


@lru_cache(maxsize=8)
def moves_matrix(names: tuple[str, ...], dof: Freedom) -> np.ndarray:
    """Return [landmark dof] whether a degree's joint is the landmark's own or an ancestor of it."""
    out = np.zeros((len(names), len(dof.joint)), bool)
    for k, name in enumerate(names):
        j = dof.anatomy.names.index(dof.anatomy.landmarks[name].joint)
        while j >= 0:
            out[k] |= dof.joint == j
            j = dof.anatomy.parents[j]
    out.flags.writeable = False
    return out


def to_points(target_m: np.ndarray, sigma_m: np.ndarray, model_sigma_m: float = MODEL_SIGMA_M) -> PointTerms:
    """Return data terms that pull landmarks to targets [frame landmark 3] of given sigma; NaN targets pull nothing.

    `model_sigma_m`: how far points leave the rigid anatomy.
    """
    known = np.isfinite(target_m).all(-1) & np.isfinite(sigma_m)
    precision = np.where(known, 1.0 / (np.nan_to_num(sigma_m) ** 2 + model_sigma_m**2), 0.0)
    target = np.nan_to_num(target_m)

    def terms(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        off = points - target
        w = precision * geman_mcclure(precision * (off**2).sum(-1), 3 * ROBUST_SCALE_SQUARED)
        return w[..., None] * PACKED_IDENTITY, w[..., None] * off

    return terms


def to_cameras(observations: Observations, sigma_px: np.ndarray) -> PointTerms:
    """Return data terms of reprojection at each camera's own times; observations and sigma [camera frame landmark]."""

    def terms(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return observations.robust_terms(points, sigma_px, ROBUST_SCALE_SQUARED)[:2]

    return terms


def pose_terms(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    *,
    has_limits: bool = True,
    has_pull: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss-Newton terms of data, joint limits and the pull of each frame towards the bind pose.

    [frame n n] and [frame n], n = 3 + dof.
    """
    R_world, joints, points = body_points(pose, shape, names)
    information, gradient = data(points)
    moves, axes = moves_matrix(names, dof), pose.axes(dof)
    hessian, slope = articulated_terms(R_world, joints, points, dof.joint, axes, moves, information, gradient)
    if has_pull:
        _add_priors(hessian, slope, pose, dof)
    if has_limits:
        add_limits(hessian, slope, pose.local_wxyz, dof.joint, axes, N_TRANSLATION, dof.anatomy)
    _hold_root(hessian, dof)
    return hessian, slope


def _add_priors(hessian: np.ndarray, slope: np.ndarray, pose: Pose, dof: Freedom) -> None:
    """Add, in place, the pull towards the pose at rest."""
    angle = pose.angles(dof) - dof.rest_rad
    diagonal = np.einsum("fii->fi", hessian)
    diagonal[:, N_TRANSLATION:] += dof.prior_rad**-2.0
    slope[:, N_TRANSLATION:] += angle * dof.prior_rad**-2.0


def _hold_root(hessian: np.ndarray, dof: Freedom) -> None:
    """Add, in place, that the root stays within its standard deviation of where the pose has it."""
    if np.isfinite(dof.root_sd_m):
        np.einsum("fii->fi", hessian)[:, :N_TRANSLATION] += dof.root_sd_m**-2.0


def fit_pose(
    pose: Pose, shape: Shape, names: tuple[str, ...], dof: Freedom, data: PointTerms, *, has_limits: bool = True
) -> Pose:
    """Return the pose that fits each frame's data on its own (damped Gauss-Newton)."""
    for _ in range(POSE_ITERATIONS):
        hessian, slope = pose_terms(pose, shape, names, dof, data, has_limits=has_limits)
        damp(hessian)
        pose = pose.moved(limited(-np.linalg.solve(hessian, slope[..., None])[..., 0]), dof)
    return pose


def fit_shape(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    measured: tuple[str, ...] | None = None,
) -> tuple[Pose, Shape]:
    """Return pose and shape fitted together on a few frames: poses are eliminated, the shape is solved on the border.

    Block elimination of a bordered block-diagonal system (Schur complement; B. Triggs et al., "Bundle adjustment - a
    modern synthesis", 2000, section 6.1). `shape` is the prior's centre: the book's, or with `measured` a profile's.
    """
    model = ShapeModel(names, shape.anatomy)
    prior, neutral = model.prior_information(measured), model.vector(shape)
    vector = neutral.copy()
    for _ in range(SHAPE_ITERATIONS):
        left, right, solved = _reduced_to_shape(pose, shape, model, dof, data)
        change = -np.linalg.solve(left + prior, right + prior @ (vector - neutral))
        pose = pose.moved(limited(-(solved[..., -1] + solved[..., :-1] @ change)), dof)
        vector = vector + change
        shape = model.shape(vector, shape)
        if np.abs(change).max() < SHAPE_STILL:
            break
    return pose, shape


def _reduced_to_shape(
    pose: Pose, shape: Shape, model: ShapeModel, dof: Freedom, data: PointTerms
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the system of the shape alone [m m], [m], and what poses follow from it, [frame n m+1] with n = 3 + dof.

    Frame by frame, in parts in threads: the step of the pose is -(last column + other columns @ step of the shape).
    """
    R_world, joints, points = body_points(pose, shape, model.names)
    packed, gradient = data(points)
    information, axes, moves = unpack_symmetric(packed), pose.axes(dof), moves_matrix(model.names, dof)
    n, m = N_TRANSLATION + len(dof.joint), model.n
    held, pull = np.zeros((len(points), n, n)), np.zeros((len(points), n))
    _add_priors(held, pull, pose, dof)
    add_limits(held, pull, pose.local_wxyz, dof.joint, axes, N_TRANSLATION, dof.anatomy)
    _hold_root(held, dof)

    def eliminated(part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        jacobian = point_jacobian(R_world[part], joints[part], points[part], dof.joint, axes[part], moves)
        hessian, slope = gauss_newton_terms(jacobian, information[part], gradient[part])
        hessian, slope = hessian + held[part], slope + pull[part]
        damp(hessian)
        of_shape = model.jacobian(R_world[part])
        weighted = (information[part] @ of_shape).reshape(len(slope), -1, m)
        coupling = jacobian.reshape(len(slope), -1, n).transpose(0, 2, 1) @ weighted
        solved = np.linalg.solve(hessian, np.concatenate([coupling, slope[..., None]], axis=2))
        # a sum of products over frames is one product of tall matrices
        border, tall = coupling.reshape(-1, m).T, of_shape.reshape(-1, m).T
        taken = border @ solved.reshape(-1, m + 1)
        return tall @ weighted.reshape(-1, m) - taken[:, :-1], tall @ gradient[part].ravel() - taken[:, -1], solved

    lefts, rights, solved = zip(*in_parts(eliminated, len(points), SHAPE_PART_FRAMES), strict=True)
    return np.sum(lefts, axis=0), np.sum(rights, axis=0), np.concatenate(solved)


def fit_take(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    prior: MotionPrior,
    fps: float,
    contact: np.ndarray | None = None,
    slip_m: float = np.inf,
) -> tuple[Pose, MotionPrior]:
    """Return the pose that fits all frames together, and the prior of motion as it was learned on the way.

    contact [frame sole] tells which of FOOT_LANDMARKS stand (None: not yet known), and slip_m how far a standing one
    moves from frame to frame (1 sd).
    """
    for n in range(MAX_TAKE_ITERATIONS):
        if n >= TAKE_ITERATIONS and max(greatest_excess_deg(pose.local_wxyz, dof.anatomy).values()) < MAX_EXCESS_DEG:
            break
        prior = prior.learned(pose, dof, fps)
        hessian, slope, coupling, evidence = take_terms(pose, shape, names, dof, data, prior, fps, contact, slip_m)
        step = banded_step(hessian, slope, prior.level**-2.0, pose.accelerations(dof), coupling)
        pose, prior = pose.moved(limited(step), dof), evidence
    return pose, prior


def take_terms(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    data: PointTerms,
    prior: MotionPrior,
    fps: float,
    contact: np.ndarray | None = None,
    slip_m: float = np.inf,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, MotionPrior]:
    """Return the take's Gauss-Newton terms but for second differences, damped, and the prior with their evidence.

    hessian [frame n n], slope [frame n] and the blocks between frames [frame-1 n n]; arguments as in `fit_take`.
    """
    hessian, slope = pose_terms(pose, shape, names, dof, data, has_pull=False)
    evidence = prior.with_evidence(hessian, fps)
    coupling = prior.add(hessian, slope, pose, dof)
    if contact is not None and contact.any():
        coupling += add_contacts(hessian, slope, pose, shape, dof, contact, slip_m)
    damp(hessian)
    return hessian, slope, coupling, evidence


def add_contacts(
    hessian: np.ndarray,
    slope: np.ndarray,
    pose: Pose,
    shape: Shape,
    dof: Freedom,
    contact: np.ndarray,
    slip_m: float,
) -> np.ndarray:
    """Add, in place, that standing soles stay where they are; return the blocks between frames [frame-1 n n]."""
    R_world, joints, soles = body_points(pose, shape, FOOT_LANDMARKS)
    jacobian = point_jacobian(R_world, joints, soles, dof.joint, pose.axes(dof), moves_matrix(FOOT_LANDMARKS, dof))
    weight = np.where(contact[1:] & contact[:-1], slip_m**-2.0, 0.0)
    moved = (soles[1:] - soles[:-1]) * weight[..., None]
    n_frames, _, _, n = jacobian.shape
    flat = jacobian.reshape(n_frames, -1, n)
    weighted = (jacobian[:-1] * weight[..., None, None]).reshape(n_frames - 1, -1, n).transpose(0, 2, 1)
    hessian[:-1] += weighted @ flat[:-1]
    next_weighted = (jacobian[1:] * weight[..., None, None]).reshape(n_frames - 1, -1, n).transpose(0, 2, 1)
    hessian[1:] += next_weighted @ flat[1:]
    pull = moved.reshape(n_frames - 1, -1, 1)
    slope[:-1] -= (flat[:-1].transpose(0, 2, 1) @ pull)[..., 0]
    slope[1:] += (flat[1:].transpose(0, 2, 1) @ pull)[..., 0]
    return -weighted @ flat[1:]


def damp(hessian: np.ndarray) -> None:
    """Add a small share of the diagonal, in place (K. Levenberg, 1944)."""
    diagonal = np.einsum("fii->fi", hessian)
    diagonal += DAMPING * diagonal + 1e-9


def limited(step: np.ndarray) -> np.ndarray:
    """Return the step [frame 3+dof] with its angles limited to MAX_STEP_RAD."""
    out = step.copy()
    out[:, N_TRANSLATION:] = np.clip(step[:, N_TRANSLATION:], -MAX_STEP_RAD, MAX_STEP_RAD)
    return out
