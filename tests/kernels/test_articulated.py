"""Jacobians of an articulated body against central differences, and the banded step against a dense solve."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.articulated import (
    N_TRANSLATION,
    articulated_terms,
    banded_step,
    gauss_newton_terms,
    point_jacobian,
)
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.reprojection import SYMMETRIC
from mocap.kernels.rotations import quat_exp, quat_multiply

PARENTS = (-1, 0, 1, 1, 3)
N_FRAMES, N_POINTS = 7, 11
DOF_JOINT = np.array([0, 0, 0, 1, 1, 1, 2, 3, 3, 4])
DOF_AXIS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 2 + [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0.6, 0.8]], float)


@pytest.fixture
def body() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "offset": rng.normal(scale=0.3, size=(len(PARENTS), 3)),
        "root": rng.normal(size=(N_FRAMES, 3)),
        "local": quat_exp(rng.normal(scale=0.8, size=(N_FRAMES, len(PARENTS), 3))),
        "joint_of_point": rng.integers(0, len(PARENTS), N_POINTS),
        "place": rng.normal(scale=0.2, size=(N_POINTS, 3)),
    }


def _points(body: dict[str, np.ndarray], step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rotvec = np.zeros((N_FRAMES, len(PARENTS), 3))
    for d, (j, axis) in enumerate(zip(DOF_JOINT, DOF_AXIS, strict=True)):
        rotvec[:, j] += step[:, N_TRANSLATION + d, None] * axis
    local = quat_multiply(body["local"], quat_exp(rotvec))
    R, p = forward_kinematics(PARENTS, body["offset"], body["root"] + step[:, :3], local)
    j = body["joint_of_point"]
    return R, p, p[:, j] + np.einsum("fkij,kj->fki", R[:, j], body["place"])


def _moves(body: dict[str, np.ndarray]) -> np.ndarray:
    moves = np.zeros((N_POINTS, len(DOF_JOINT)), bool)
    for k, own in enumerate(body["joint_of_point"]):
        j = int(own)
        while j >= 0:
            moves[k] |= j == DOF_JOINT
            j = PARENTS[j]
    return moves


def test_the_jacobian_agrees_with_central_differences(body: dict[str, np.ndarray]) -> None:
    n = N_TRANSLATION + len(DOF_JOINT)
    R, joints, points = _points(body, np.zeros((N_FRAMES, n)))
    jacobian = point_jacobian(R, joints, points, DOF_JOINT, DOF_AXIS, _moves(body))
    h = 1e-6
    for d in range(n):
        step = np.zeros((N_FRAMES, n))
        step[:, d] = h
        numeric = (_points(body, step)[2] - _points(body, -step)[2]) / (2 * h)
        assert jacobian[..., d] == pytest.approx(numeric, abs=1e-8)


def test_the_terms_are_j_transposed_a_j(body: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(4)
    jacobian = rng.normal(size=(N_FRAMES, N_POINTS, 3, 5))
    root = rng.normal(size=(N_FRAMES, N_POINTS, 3, 3))
    information = root @ root.swapaxes(-1, -2)
    gradient = rng.normal(size=(N_FRAMES, N_POINTS, 3))
    hessian, slope = gauss_newton_terms(jacobian, information, gradient)
    assert hessian == pytest.approx(np.einsum("fkia,fkij,fkjb->fab", jacobian, information, jacobian))
    assert slope == pytest.approx(np.einsum("fkia,fki->fa", jacobian, gradient))


@pytest.mark.parametrize("turns_with_the_frame", [False, True])
def test_the_terms_of_a_body_need_no_jacobian(body: dict[str, np.ndarray], turns_with_the_frame: bool) -> None:
    rng = np.random.default_rng(6)
    R, joints, points = _points(body, np.zeros((N_FRAMES, N_TRANSLATION + len(DOF_JOINT))))
    axes = np.tile(DOF_AXIS, (N_FRAMES, 1, 1)) if turns_with_the_frame else DOF_AXIS
    if turns_with_the_frame:
        axes = axes + rng.normal(scale=0.1, size=axes.shape)
    root = rng.normal(size=(N_FRAMES, N_POINTS, 3, 3))
    information = root @ root.swapaxes(-1, -2)
    gradient = rng.normal(size=(N_FRAMES, N_POINTS, 3))
    of_body = (R, joints, points, DOF_JOINT, axes, _moves(body))
    expected = gauss_newton_terms(point_jacobian(*of_body), information, gradient)
    packed = np.stack([information[..., i, j] for i, j in SYMMETRIC], axis=-1)
    hessian, slope = articulated_terms(*of_body, packed, gradient)
    assert hessian == pytest.approx(expected[0], abs=1e-10)
    assert slope == pytest.approx(expected[1], abs=1e-10)


def test_the_banded_step_equals_a_dense_solve() -> None:
    rng = np.random.default_rng(5)
    n_dof = 4
    root = rng.normal(size=(N_FRAMES, n_dof, n_dof))
    hessian = root @ root.swapaxes(-1, -2) + np.eye(n_dof)
    slope = rng.normal(size=(N_FRAMES, n_dof))
    weight = rng.uniform(0.5, 3.0, size=(N_FRAMES - 2, n_dof))
    acceleration = rng.normal(size=(N_FRAMES - 2, n_dof))
    dense = np.zeros((N_FRAMES * n_dof, N_FRAMES * n_dof))
    for f in range(N_FRAMES):
        dense[f * n_dof : (f + 1) * n_dof, f * n_dof : (f + 1) * n_dof] = hessian[f]
    second = np.zeros(((N_FRAMES - 2) * n_dof, N_FRAMES * n_dof))
    for f in range(N_FRAMES - 2):
        for d in range(n_dof):
            second[f * n_dof + d, [(f + i) * n_dof + d for i in range(3)]] = [1.0, -2.0, 1.0]
    dense += second.T @ (weight.ravel()[:, None] * second)
    rhs = slope.ravel() + second.T @ (weight * acceleration).ravel()
    expected = -np.linalg.solve(dense, rhs).reshape(N_FRAMES, n_dof)
    assert banded_step(hessian, slope, weight, acceleration) == pytest.approx(expected)
    coupling = 0.1 * rng.normal(size=(N_FRAMES - 1, n_dof, n_dof))
    for f in range(N_FRAMES - 1):
        rows, columns = slice(f * n_dof, (f + 1) * n_dof), slice((f + 1) * n_dof, (f + 2) * n_dof)
        dense[rows, columns] += coupling[f]
        dense[columns, rows] += coupling[f].T
    tied = -np.linalg.solve(dense, rhs).reshape(N_FRAMES, n_dof)
    assert banded_step(hessian, slope, weight, acceleration, coupling) == pytest.approx(tied)


@pytest.mark.parametrize("fps", [60.0, 240.0, 1000.0])
def test_what_nobody_sees_stays_where_it_is(fps: float) -> None:
    """Second differences alone leave place and speed free: a band that rounding errors make indefinite."""
    n_frames, n_dof = 1500, 40
    rng = np.random.default_rng(6)
    level = rng.uniform(0.5, 60.0, size=(n_frames - 2, n_dof)) / fps**2
    nothing = np.zeros((n_frames, n_dof, n_dof)), np.zeros((n_frames, n_dof))
    step = banded_step(*nothing, level**-2.0, np.zeros((n_frames - 2, n_dof)))
    assert np.array_equal(step, np.zeros((n_frames, n_dof)))
    one, pull = nothing[0].copy(), nothing[1].copy()
    one[700] = 1e4 * np.eye(n_dof)
    pull[700] = -1e4 * 0.3
    assert banded_step(one, pull, level**-2.0, np.zeros((n_frames - 2, n_dof)))[700] == pytest.approx(0.3, rel=0.15)
