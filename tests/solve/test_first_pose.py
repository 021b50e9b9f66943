"""The first pose read off points: what straight limbs do to it."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.solve.body import JOINT_NAMES, JOINTS, PARENTS
from mocap.solve.pose import Pose, first_pose

N_FRAMES = 127


def _standing() -> dict[str, np.ndarray]:
    """Return hips, shoulders and a left arm that hangs down, of a person who faces +x, all frames alike."""
    places = {
        "LHip": (0, 0.09, 0.95),
        "RHip": (0, -0.09, 0.95),
        "LShoulder": (0, 0.18, 1.45),
        "RShoulder": (0, -0.18, 1.45),
    }
    return {name: np.tile(np.array(place, float), (N_FRAMES, 1)) for name, place in places.items()}


def _with_arm(bend_deg: np.ndarray, hinge: np.ndarray) -> dict[str, np.ndarray]:
    """Return the landmarks with an arm hanging down whose forearm is bent [frame] about a fixed hinge [3]."""
    landmarks = _standing()
    down = np.array([0.0, 0.0, -1.0])
    turn = quat_to_matrix(quat_exp(np.radians(bend_deg)[:, None] * hinge))
    elbow = landmarks["LShoulder"] + 0.29 * down
    return landmarks | {"LElbow": elbow, "LWrist": elbow + 0.25 * turn @ down}


def _hinge(pose: Pose) -> np.ndarray:
    """Return [frame 3] the axis about which the left elbow bends, in the world."""
    offsets = np.array([j.offset_m for j in JOINTS])
    R_world, _ = pose.world(PARENTS, offsets)
    return -R_world[:, JOINT_NAMES.index("LeftArm")][:, :, 2]


@pytest.mark.parametrize("away_deg", [0.0, 60.0, 110.0])
def test_an_elbow_beyond_straight_does_not_turn_the_arm_about_itself(away_deg: float) -> None:
    # bending forwards is about -y for an arm that hangs down; `away` turns the arm about itself from there
    away = np.radians(away_deg)
    hinge = np.array([np.sin(away), -np.cos(away), 0.0])
    bend_deg = 29.0 + 41.0 * np.cos(np.linspace(0, 4 * np.pi, N_FRAMES))
    assert bend_deg.min() < -11
    found = _hinge(first_pose(_with_arm(bend_deg, hinge)))
    off_deg = np.degrees(np.arccos(np.clip(found @ hinge, -1.0, 1.0)))
    step_deg = np.degrees(np.arccos(np.clip((found[1:] * found[:-1]).sum(-1), -1.0, 1.0)))
    assert off_deg[bend_deg > 25].max() < 15
    assert off_deg.max() < 50
    assert step_deg.max() < 12


def test_an_arm_that_bends_the_other_way_for_good_turns() -> None:
    hinge = np.array([0.0, -1.0, 0.0])
    bend_deg = np.where(np.arange(N_FRAMES) < N_FRAMES // 2, 60.0, -60.0)
    found = _hinge(first_pose(_with_arm(bend_deg, hinge)))
    assert found[5] @ hinge > 0.95
    assert found[-5] @ hinge < -0.95


def test_an_arm_that_never_bends_keeps_the_roll_of_the_t_pose() -> None:
    rng = np.random.default_rng(31)
    found = _hinge(first_pose(_with_arm(rng.normal(scale=3.0, size=N_FRAMES), np.array([0.6, 0.8, 0.0]))))
    assert np.ptp(np.degrees(np.arctan2(found[:, 1], found[:, 0]))) < 25
