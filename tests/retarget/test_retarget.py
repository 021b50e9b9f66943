"""Transfer of motion to other rigs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.skeleton import Motion
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_exp, quat_log, quat_to_matrix
from mocap.retarget import retarget, target_names, target_rig
from mocap.retarget.rig import bind_pose

MM = 1e-3


def world(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations and positions."""
    return forward_kinematics(
        motion.skeleton.parents, motion.skeleton.offset_m, motion.root_translation_m, motion.local_wxyz
    )


def bind_motion(motion: Motion) -> Motion:
    """Return the motion's skeleton standing in its bind pose."""
    n = motion.timeline.n_frames
    local = np.tile(motion.skeleton.bind_local_wxyz, (n, 1, 1))
    return replace(motion, local_wxyz=local, root_translation_m=np.tile(motion.skeleton.offset_m[0], (n, 1)))


def test_the_known_rigs_are_listed() -> None:
    assert target_names() == ("mixamo", "studio", "ue5")


def test_an_unknown_rig_names_the_known_ones(samples: ModuleType) -> None:
    with pytest.raises(InputError, match="mixamo, studio, ue5") as caught:
        retarget(samples.sample_motion(), "centaur")
    assert caught.value.code == "rig-unknown"


def test_a_motion_on_another_rig_is_refused_by_the_joints_it_lacks(samples: ModuleType) -> None:
    on_ue5 = retarget(samples.sample_motion(), "ue5")
    with pytest.raises(InputError, match="LeftArm") as caught:
        retarget(on_ue5, "mixamo")
    assert caught.value.code == "rig-mismatch"


@pytest.mark.parametrize("name", ["studio", "mixamo", "ue5"])
def test_rigs_are_symmetric_t_poses_that_face_forward(name: str) -> None:
    rig = target_rig(name)
    _, place = bind_pose(rig.skeleton)
    at = {studio: p for studio, p in zip(rig.studio_joints, place, strict=True) if studio}
    for joint, p in at.items():
        if joint.startswith("Left"):
            np.testing.assert_allclose(at[joint.replace("Left", "Right")], p * [1, -1, 1], atol=0.1 * MM)
    assert at["LeftHand"][1] > 0.5
    assert abs(at["LeftHand"][2] - at["LeftArm"][2]) < 1 * MM
    assert at["LeftToeBase"][0] > at["LeftFoot"][0] + 0.05
    np.testing.assert_allclose(at["LeftUpLeg"][:2], at["LeftFoot"][:2], atol=20 * MM)


@pytest.mark.parametrize("name", ["studio", "mixamo", "ue5"])
def test_the_bind_pose_becomes_the_bind_pose_with_the_performers_joints(name: str, samples: ModuleType) -> None:
    still = bind_motion(samples.sample_motion())
    moved = retarget(still, name)
    dots = np.abs((moved.local_wxyz * moved.skeleton.bind_local_wxyz).sum(-1))
    np.testing.assert_allclose(dots, 1.0, atol=1e-9)
    source, target = world(still)[1], world(moved)[1]
    for j, place in enumerate(target_rig(name).places):
        if place:
            np.testing.assert_allclose(target[:, j], source[:, still.skeleton.index(place)], atol=0.01 * MM)


def test_mixamo_joints_follow_the_studios_exactly(samples: ModuleType) -> None:
    motion = samples.sample_motion()
    moved = retarget(motion, "mixamo")
    source, target = world(motion), world(moved)
    for j, name in enumerate(motion.skeleton.joint_names):
        k = moved.skeleton.index(f"mixamorig:{name}")
        np.testing.assert_allclose(target[0][:, k], source[0][:, j], atol=1e-9)
        np.testing.assert_allclose(target[1][:, k], source[1][:, j], atol=0.01 * MM)


def test_ue5_legs_follow_exactly_and_the_chest_turns_with_the_performers(samples: ModuleType) -> None:
    motion = samples.sample_motion()
    moved = retarget(motion, "ue5")
    source, target = world(motion), world(moved)
    for ours, theirs in (
        ("LeftUpLeg", "thigh_l"),
        ("RightLeg", "calf_r"),
        ("LeftFoot", "foot_l"),
        ("RightToeBase", "ball_r"),
    ):
        k, j = moved.skeleton.index(theirs), motion.skeleton.index(ours)
        np.testing.assert_allclose(target[1][:, k], source[1][:, j], atol=0.01 * MM)
    R_bind = bind_pose(moved.skeleton)[0]
    for ours, theirs in (("Spine2", "spine_05"), ("Hips", "pelvis"), ("LeftForeArm", "lowerarm_l"), ("Head", "head")):
        k, j = moved.skeleton.index(theirs), motion.skeleton.index(ours)
        np.testing.assert_allclose(target[0][:, k] @ R_bind[k].T, source[0][:, j], atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("bend_deg", [(15.0, 15.0, 15.0), (45.0, 0.0, 0.0), (0.0, 45.0, 0.0), (0.0, 0.0, 45.0)])
def test_neck_and_arms_stay_where_the_performers_are_when_five_spine_bones_bend(
    bend_deg: tuple[float, float, float], axis: int, samples: ModuleType
) -> None:
    still = bind_motion(samples.sample_motion())
    local = still.local_wxyz.copy()
    for joint, angle in zip((1, 2, 3, 4), (*bend_deg, 30.0), strict=True):
        local[:, joint] = quat_exp(np.radians(angle) * np.eye(3)[axis])
    motion = replace(still, local_wxyz=local)
    moved = retarget(motion, "ue5")
    source, target = world(motion)[1], world(moved)[1]
    for ours, theirs in (
        ("Neck", "neck_01"),
        ("LeftShoulder", "clavicle_l"),
        ("RightArm", "upperarm_r"),
        ("LeftHand", "hand_l"),
        ("Head", "head"),
    ):
        off = target[:, moved.skeleton.index(theirs)] - source[:, motion.skeleton.index(ours)]
        assert np.linalg.norm(off, axis=-1).max() < 10 * MM, ours


def test_an_even_bend_is_spread_over_the_five_spine_bones(samples: ModuleType) -> None:
    still = bind_motion(samples.sample_motion())
    local = still.local_wxyz.copy()
    local[:, 1:4] = quat_exp(np.array([0.0, np.radians(15.0), 0.0]))
    moved = retarget(replace(still, local_wxyz=local), "ue5")
    R = world(moved)[0]
    R_bind = bind_pose(moved.skeleton)[0]
    names = ["pelvis", *(f"spine_0{i}" for i in range(1, 6))]
    turns = [R[0, k] @ R_bind[k].T for k in map(moved.skeleton.index, names)]
    steps = [np.degrees(np.arccos(min(1.0, (np.trace(a.T @ b) - 1) / 2))) for a, b in pairwise(turns)]
    assert sum(steps) == pytest.approx(45.0, abs=1e-6)
    assert max(steps) < 16.0


def test_ue5_bones_point_the_way_the_mannequins_do() -> None:
    R, _ = bind_pose(target_rig("ue5").skeleton)
    x = {name: R[j, :, 0] for j, name in enumerate(target_rig("ue5").skeleton.joint_names)}
    up, left = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    for name in ("pelvis", "spine_03", "head", "thigh_l", "calf_l", "foot_l"):
        np.testing.assert_allclose(x[name], up, atol=1e-6)
    for name in ("thigh_r", "calf_r", "foot_r"):
        np.testing.assert_allclose(x[name], -up, atol=1e-6)
    for name in ("upperarm_l", "hand_l", "upperarm_r", "hand_r"):
        np.testing.assert_allclose(x[name], left, atol=1e-6)


@pytest.mark.parametrize("name", ["mixamo", "ue5"])
def test_fingers_keep_their_bind_rotation(name: str, samples: ModuleType) -> None:
    rig = target_rig(name)
    moved = retarget(samples.sample_motion(), name)
    for j, joint in enumerate(rig.skeleton.joint_names):
        if "thumb" in joint.lower() or "index" in joint.lower():
            angle = np.linalg.norm(
                quat_log(moved.local_wxyz[:, j]) - quat_log(rig.skeleton.bind_local_wxyz[j]), axis=-1
            )
            assert angle.max() < 1e-6


@pytest.mark.parametrize("name", ["mixamo", "ue5"])
def test_kept_proportions_scale_the_path_by_leg_length_and_keep_the_feet_at_their_height(
    name: str, samples: ModuleType
) -> None:
    still = bind_motion(samples.sample_motion())
    walk = replace(still, root_translation_m=still.root_translation_m + np.linspace(0, 1, 7)[:, None] * [1.0, 0, 0])
    moved = retarget(walk, name, keep_target_proportions=True)
    own = target_rig(name).skeleton
    np.testing.assert_array_equal(moved.skeleton.offset_m, own.offset_m)
    hips = target_rig(name).studio_joints.index("Hips")
    path = world(moved)[1][:, hips]
    ratio = (path[-1] - path[0])[0]
    assert 0.8 < ratio < 1.2
    tips = world(moved)[1] + np.einsum("fjab,jb->fja", world(moved)[0], np.nan_to_num(moved.skeleton.tip_m))
    ours = world(walk)[1] + np.nan_to_num(walk.skeleton.tip_m)
    assert abs(tips[..., 2].min() - ratio * ours[..., 2].min()) < 5 * MM


def test_the_result_is_continuous_in_time(samples: ModuleType) -> None:
    moved = retarget(samples.sample_motion(401), "ue5")
    assert (moved.local_wxyz[1:] * moved.local_wxyz[:-1]).sum(-1).min() > 0.99


def test_a_bind_pose_written_at_the_origin_still_stands_on_its_feet(samples: ModuleType) -> None:
    motion = samples.sample_motion()
    offset = motion.skeleton.offset_m.copy()
    offset[0] = 0.0
    at_origin = replace(motion, skeleton=replace(motion.skeleton, offset_m=offset))
    a, b = retarget(motion, "ue5"), retarget(at_origin, "ue5")
    np.testing.assert_allclose(world(a)[1][:, 1:], world(b)[1][:, 1:], atol=1e-9)
    assert np.linalg.norm(b.skeleton.offset_m[1]) > 0.8
    assert quat_to_matrix(b.local_wxyz[:, 0]).shape == (7, 3, 3)


@pytest.mark.parametrize("name", ["mixamo", "ue5"])
def test_fingers_sit_where_the_performers_do_and_end_where_theirs_end(name: str, samples: ModuleType) -> None:
    motion = samples.sample_hands()
    moved = retarget(motion, name)
    source, target = world(motion), world(moved)
    fingers = [(j, finger) for j, finger in enumerate(target_rig(name).fingers) if finger]
    assert len(fingers) == 30
    for j, finger in fingers:
        k = motion.skeleton.index(finger)
        np.testing.assert_allclose(target[1][:, j], source[1][:, k], atol=0.01 * MM)
        if finger.endswith("3"):
            ours, theirs = (
                place[:, i] + R[:, i] @ skeleton.tip_m[i]
                for (R, place), i, skeleton in ((source, k, motion.skeleton), (target, j, moved.skeleton))
            )
            np.testing.assert_allclose(theirs, ours, atol=0.01 * MM)


@pytest.mark.parametrize("name", ["mixamo", "ue5"])
def test_fingers_of_motions_without_any_keep_their_bind_rotation(name: str, samples: ModuleType) -> None:
    moved = retarget(samples.sample_motion(), name)
    for j, finger in enumerate(target_rig(name).fingers):
        if finger:
            dots = np.abs(moved.local_wxyz[:, j] @ moved.skeleton.bind_local_wxyz[j])
            np.testing.assert_allclose(dots, 1.0, atol=1e-9)
