"""Every residual block of the solve against central differences of its own cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mocap.core.observations import Observations
from mocap.kernels.articulated import N_TRANSLATION, banded_step
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.rotations import quat_exp
from mocap.solve import fit
from mocap.solve.body import JOINT_NAMES, JOINTS, LANDMARKS
from mocap.solve.limits import LIMIT_SIGMA_RAD, joint_limits
from mocap.solve.pose import Freedom, Pose, bind_pose, freedom
from mocap.solve.shape import ShapeModel, reference_shape

NAMES = tuple(n for n in LANDMARKS if n != "Hip")
N_FRAMES = 7
H = 1e-5
SHAPE = reference_shape(0.95)


def _pose(spread: float) -> Pose:
    rng = np.random.default_rng(51)
    turn = rng.normal(scale=spread, size=(len(JOINTS), 3)) + rng.normal(scale=0.2 * spread, size=(7, len(JOINTS), 3))
    dof = freedom(NAMES)
    start = bind_pose(N_FRAMES)
    along = (turn[:, dof.joint] * dof.axis).sum(-1)
    return start.moved(np.concatenate([rng.normal(size=(N_FRAMES, 3)), along], axis=1), dof)


def _check(cost: Callable[[Pose], float], slope: np.ndarray, pose: Pose, dof: Freedom, rel: float = 1e-4) -> None:
    """Compare slope [frame 3+dof] with the change of a cost on some of its entries."""
    rng = np.random.default_rng(52)
    size = np.abs(slope).max()
    assert size > 0
    for f, d in zip(rng.integers(0, N_FRAMES, 40), rng.integers(0, slope.shape[1], 40), strict=True):
        step = np.zeros(slope.shape)
        step[f, d] = H
        numeric = (cost(pose.moved(step, dof)) - cost(pose.moved(-step, dof))) / (2 * H)
        assert slope[f, d] == pytest.approx(numeric, abs=rel * size), (f, d)


def _slope_of(pose: Pose, dof: Freedom, data: fit.PointTerms) -> np.ndarray:
    """Return the slope of data alone: priors are taken off again."""
    none = (np.zeros((N_FRAMES, len(NAMES), 6)), np.zeros((N_FRAMES, len(NAMES), 3)))
    with_data = fit.pose_terms(pose, SHAPE, NAMES, dof, data, has_limits=False)[1]
    return with_data - fit.pose_terms(pose, SHAPE, NAMES, dof, lambda _: none, has_limits=False)[1]


def test_reprojection() -> None:
    pose, dof = _pose(0.4), freedom(NAMES)
    rng = np.random.default_rng(53)
    observations = Observations(
        xy=rng.normal(scale=0.02, size=(3, N_FRAMES, len(NAMES), 2)),
        px_per_unit=np.full((3, N_FRAMES, len(NAMES)), 900.0),
        score=np.ones((3, N_FRAMES, len(NAMES))),
        frame=np.tile(np.arange(N_FRAMES, dtype=float), (3, 1)),
        R_cam_from_world=np.tile(np.eye(3), (3, 1, 1)),
        t_cam_from_world_m=np.array([[0.0, 0.0, 8.0], [0.5, 0.0, 8.0], [0.0, 0.7, 9.0]]),
    )
    o, sigma_px = observations, 300.0

    def squared(moved: Pose) -> np.ndarray:
        at = o.at_own_times(fit.body_points(moved, SHAPE, NAMES)[2])
        residual = residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m)
        return (residual**2).sum(-1) / sigma_px**2

    # the weight (c^2 / (c^2 + r^2))^2 is the derivative of this loss by r^2 / 2 (Geman and McClure)
    c2 = fit.ROBUST_SCALE_SQUARED
    data = fit.to_cameras(observations, np.full((3, N_FRAMES, len(NAMES)), sigma_px))
    _check(lambda p: float((0.5 * c2 * squared(p) / (c2 + squared(p))).sum()), _slope_of(pose, dof, data), pose, dof)


def test_points() -> None:
    pose, dof = _pose(0.4), freedom(NAMES)
    rng = np.random.default_rng(54)
    points = fit.body_points(pose, SHAPE, NAMES)[2]
    target = points + rng.normal(scale=0.05, size=points.shape)
    precision, c2 = 1.0 / (0.02**2 + fit.MODEL_SIGMA_M**2), 3 * fit.ROBUST_SCALE_SQUARED

    def cost(moved: Pose) -> float:
        squared = precision * ((fit.body_points(moved, SHAPE, NAMES)[2] - target) ** 2).sum(-1)
        return float((0.5 * c2 * squared / (c2 + squared)).sum())

    data = fit.to_points(target, np.full(target.shape[:2], 0.02))
    _check(cost, _slope_of(pose, dof, data), pose, dof)


def test_the_prior_towards_the_bind_pose() -> None:
    # exact for hinges; for ball joints to the second order of the angle
    pose, dof = _pose(0.02), freedom(NAMES)
    n = N_TRANSLATION + len(dof.joint)
    hessian, slope = np.zeros((N_FRAMES, n, n)), np.zeros((N_FRAMES, n))
    fit._add_priors(hessian, slope, pose, dof)
    _check(lambda p: float(0.5 * ((p.angles(dof) / dof.prior_rad) ** 2).sum()), slope, pose, dof, rel=2e-3)


def test_joint_limits() -> None:
    pose, dof = _pose(1.6), freedom(NAMES)
    n = N_TRANSLATION + len(dof.joint)
    hessian, slope = np.zeros((N_FRAMES, n, n)), np.zeros((N_FRAMES, n))
    fit.add_limits(hessian, slope, pose.local_wxyz, dof.joint, pose.axes(dof), N_TRANSLATION)

    def cost(moved: Pose) -> float:
        beyond = [limit.excess(moved.local_wxyz[:, limit.joint])[0] for limit in joint_limits()]
        return float(0.5 * (np.stack(beyond) ** 2).sum() / LIMIT_SIGMA_RAD**2)

    _check(cost, slope, pose, dof, rel=1e-3)


def test_contacts() -> None:
    pose, dof = _pose(0.4), freedom(NAMES)
    n = N_TRANSLATION + len(dof.joint)
    contact = np.ones((N_FRAMES, len(fit.FOOT_LANDMARKS)), bool)
    contact[2:4, 1] = False
    hessian, slope = np.zeros((N_FRAMES, n, n)), np.zeros((N_FRAMES, n))
    coupling = fit.add_contacts(hessian, slope, pose, SHAPE, dof, contact, 0.01)

    def cost(moved: Pose) -> float:
        way = np.diff(fit.body_points(moved, SHAPE, fit.FOOT_LANDMARKS)[2], axis=0)
        return float(0.5 * ((way / 0.01) ** 2).sum(-1)[contact[1:] & contact[:-1]].sum())

    _check(cost, slope, pose, dof)
    # a cost of differences: the same step of the whole body in all frames costs nothing
    together = hessian.sum(0) + (coupling + coupling.swapaxes(1, 2)).sum(0)
    assert together[:3, :3] == pytest.approx(np.zeros((3, 3)), abs=1e-6)


def test_smoothness() -> None:
    # second differences of rotations are taken as if turns added up: exact for small turns from frame to frame
    pose, dof = _pose(0.02), freedom(NAMES)
    n = N_TRANSLATION + len(dof.joint)
    weight = np.random.default_rng(55).uniform(1.0, 3.0, size=(N_FRAMES - 2, n))
    huge = 1e9
    step = banded_step(
        np.tile(huge * np.eye(n), (N_FRAMES, 1, 1)), np.zeros((N_FRAMES, n)), weight, pose.accelerations(dof)
    )
    slope = -step * huge
    _check(lambda p: float(0.5 * (weight * p.accelerations(dof) ** 2).sum()), slope, pose, dof, rel=2e-2)


def test_segments_and_landmark_places() -> None:
    pose = _pose(0.4)
    model = ShapeModel(NAMES)
    R_world, _, points = fit.body_points(pose, SHAPE, NAMES)
    jacobian, vector = model.jacobian(R_world), model.vector(SHAPE)
    assert model.n > 40
    for n in range(model.n):
        moved = vector.copy()
        moved[n] += H
        change = fit.body_points(pose, model.shape(moved, SHAPE), NAMES)[2] - points
        assert jacobian[..., n] == pytest.approx(change / H, abs=1e-6)


def test_the_profile_of_a_performer_as_prior() -> None:
    model = ShapeModel(NAMES)
    rng = np.random.default_rng(56)
    off = rng.normal(scale=0.01, size=model.n)
    for measured in (None, ("LHeel", "RHeel")):
        information = model.prior_information(measured)
        gradient = information @ off
        for n in range(model.n):
            step = np.zeros(model.n)
            step[n] = H
            cost = [0.5 * (off + s * step) @ information @ (off + s * step) for s in (1, -1)]
            assert gradient[n] == pytest.approx((cost[0] - cost[1]) / (2 * H), rel=1e-5, abs=1e-3)


def test_quaternions_of_the_poses_tested_are_far_from_the_bind_pose() -> None:
    angle = 2 * np.arccos(np.abs(_pose(0.4).local_wxyz[:, JOINT_NAMES.index("LeftArm"), 0]))
    assert angle.max() > 0.2
    assert quat_exp(np.zeros(3)) == pytest.approx([1, 0, 0, 0])
