"""The anatomy of the hands: axes, sides, and their agreement with the file of joint limits."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.keypoints import keypoint_set_names, load_keypoint_set
from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.solve.body import LANDMARKS
from mocap.solve.hand import FINGERS, HANDS, body_landmarks, finger_axes, sides_with_fingers, tips_of, turning_joints
from mocap.solve.limits import About, joint_limits

WITH_FINGERS = {"coco_wholebody133", "halpe136"}


@pytest.mark.parametrize("name", keypoint_set_names())
def test_only_sets_that_show_whole_hands_have_fingers(name: str) -> None:
    sides = sides_with_fingers(load_keypoint_set(name).landmarks)
    assert sides == (("Left", "Right") if name in WITH_FINGERS else ())


@pytest.mark.parametrize("side", HANDS)
@pytest.mark.parametrize("finger", FINGERS)
def test_a_positive_turn_of_a_hinge_bends_towards_the_palm(finger: str, side: str) -> None:
    along, hinge, sideways = finger_axes(finger, side)
    np.testing.assert_allclose(
        np.stack([along, hinge, sideways]) @ np.stack([along, hinge, sideways]).T, np.eye(3), atol=1e-12
    )
    bent = quat_rotate(quat_exp(0.5 * hinge), along)
    # of the thumb, which stands across the others, towards the little finger's side
    towards = np.array([-1.0, 0.0, 0.0]) if finger == "Thumb" else np.array([0.0, 0.0, -1.0])
    assert (bent - along) @ towards > 0.3


def test_the_right_hand_is_the_mirror_image_of_the_left() -> None:
    left, right = HANDS["Left"], HANDS["Right"]
    np.testing.assert_allclose(right.offsets_m, left.offsets_m * [1.0, -1.0, 1.0], atol=1e-12)
    for a, b in zip(left.joints, right.joints, strict=True):
        assert b.name == a.name.replace("Left", "Right")
        for one, other in zip(a.axes, b.axes, strict=True):
            np.testing.assert_allclose(other, np.array(one) * [-1.0, 1.0, -1.0], atol=1e-12)


@pytest.mark.parametrize("side", HANDS)
def test_a_hand_has_twenty_degrees_and_each_of_them_its_range(side: str) -> None:
    anatomy = HANDS[side]
    degrees = [(j, axis) for j, joint in enumerate(anatomy.joints) for axis in joint.axes]
    assert len(degrees) == 20
    assert len(turning_joints(anatomy)) == 15
    assert len(tips_of(anatomy)) == 5
    limits = [m for m in joint_limits(anatomy) if isinstance(m, About)]
    assert len(limits) == len(joint_limits(anatomy)) == 20
    for joint, axis in degrees:
        assert any(m.joint == joint and abs(m.axis @ np.array(axis) - 1.0) < 1e-3 for m in limits), anatomy.names[joint]


def test_the_range_of_a_hand_contains_its_rest() -> None:
    for anatomy in HANDS.values():
        for m in joint_limits(anatomy):
            joint = anatomy.joints[m.joint]
            rest = np.radians(joint.rest_deg) @ np.array(joint.axes)
            assert m.excess(quat_exp(rest)[None])[0] == 0


def test_the_body_leaves_to_fingers_what_fingers_move() -> None:
    assert body_landmarks(()) == frozenset(LANDMARKS)
    assert frozenset(LANDMARKS) - body_landmarks(("Left",)) == {"LThumb"}
