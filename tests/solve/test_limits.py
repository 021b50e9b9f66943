"""Ranges of motion: derivatives against central differences, left against right, and the joints they hold."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.rotations import quat_exp, quat_multiply
from mocap.solve.body import JOINT_NAMES
from mocap.solve.limits import LIMIT_SIGMA_RAD, add_limits, joint_limits
from mocap.solve.pose import bind_pose, freedom

NAMES = ("LHip", "RHip", "LShoulder", "RShoulder", "LIndex", "RIndex")


@pytest.mark.parametrize("limit", joint_limits(), ids=lambda m: m.name)
def test_the_derivative_of_a_limit_agrees_with_central_differences(limit) -> None:
    rng = np.random.default_rng(31)
    local = quat_exp(rng.normal(scale=1.4, size=(700, 3)))
    beyond, slope = limit.excess(local)
    inside = np.flatnonzero((np.abs(beyond) > 1e-3) & (np.linalg.norm(slope, axis=-1) < 20))
    assert len(inside) > 0
    h = 1e-6
    for axis in np.eye(3):
        forward = limit.excess(quat_multiply(local[inside], quat_exp(h * axis)))[0]
        back = limit.excess(quat_multiply(local[inside], quat_exp(-h * axis)))[0]
        # away from the half turn, where the nearer end of the range changes
        smooth = np.abs(forward - back) < 0.1
        assert slope[inside][smooth] @ axis == pytest.approx(((forward - back) / (2 * h))[smooth], abs=1e-4)


def test_limits_add_the_gauss_newton_terms_of_their_residuals() -> None:
    dof = freedom(NAMES)
    pose = bind_pose(7)
    turn = np.zeros((7, len(JOINT_NAMES), 3))
    turn[3, JOINT_NAMES.index("LeftLeg"), 1] = -0.6
    local = quat_multiply(pose.local_wxyz, quat_exp(turn))
    n = N_TRANSLATION + len(dof.joint)
    hessian, slope = np.zeros((7, n, n)), np.zeros((7, n))
    add_limits(hessian, slope, local, dof.joint, pose.axes(dof), N_TRANSLATION)
    knee = N_TRANSLATION + int(np.flatnonzero(dof.joint == JOINT_NAMES.index("LeftLeg"))[0])
    assert hessian[3, knee, knee] == pytest.approx(LIMIT_SIGMA_RAD**-2)
    assert slope[3, knee] == pytest.approx(-(0.6 - np.radians(10)) / LIMIT_SIGMA_RAD**2)
    assert np.count_nonzero(hessian) == 1


def test_the_right_side_is_the_mirror_image_of_the_left() -> None:
    rng = np.random.default_rng(32)
    turn = rng.normal(scale=1.5, size=(500, 3))
    by_name = {m.name: m for m in joint_limits()}
    for name, left in by_name.items():
        if name.startswith("left "):
            right = by_name[name.replace("left ", "right ", 1)]
            ours, theirs = left.excess(quat_exp(turn))[0], right.excess(quat_exp(turn * [-1.0, 1.0, -1.0]))[0]
            assert np.abs(ours) == pytest.approx(np.abs(theirs), abs=1e-9)


def test_the_t_pose_and_hanging_arms_exceed_no_limit() -> None:
    turn = np.zeros((2, len(JOINT_NAMES), 3))
    turn[1, JOINT_NAMES.index("LeftArm"), 0] = -np.pi / 2
    turn[1, JOINT_NAMES.index("RightArm"), 0] = np.pi / 2
    for limit in joint_limits():
        assert not limit.excess(quat_exp(turn)[:, limit.joint])[0].any(), limit.name


def test_a_forearm_turns_palm_up_and_no_further() -> None:
    roll = next(m for m in joint_limits() if m.name == "left forearm rotation")
    palm_up, beyond = quat_exp(np.radians([[0.0, -85.0, 0.0], [0.0, 125.0, 0.0]]))
    assert not roll.excess(palm_up[None])[0].any()
    assert np.degrees(roll.excess(beyond[None])[0]) == pytest.approx([35.0])
