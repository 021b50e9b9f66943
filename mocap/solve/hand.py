"""The studio's hands: joints of the fingers, their degrees of freedom, and where finger keypoints sit, in T-pose.

The left hand lies palm down along +y: x towards the thumb, z out of the back of the hand. The root is the wrist, whose
place and turn the body's solve gives. Lengths of phalanges, and of the soft tissue over the tips: A. Buryanov and
V. Kotiuk, "Proportions of hand segments", International Journal of Morphology 28(3), 2010, table I (means of adults).
The thumb at rest, against the third metacarpal: W. Cooney et al., "The kinesiology of the thumb trapeziometacarpal
joint", Journal of Bone and Joint Surgery 63-A, 1981: 48 degrees of flexion, 38 of abduction, 80 of pronation, and the
axes of its hinges with it. Ranges of motion are in `joint_limits.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.solve.anatomy import Anatomy, Joint, Landmark, Vector
from mocap.solve.body import LANDMARKS

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
N_JOINTS = 3
"""Joints of a finger that turn, and of the exported rig; the fourth of the anatomy is the tip."""
_TISSUE_M = {"Thumb": 0.0057, "Index": 0.0038, "Middle": 0.0040, "Ring": 0.0040, "Pinky": 0.0037}
_LENGTHS_M = {
    "Thumb": (0.0462, 0.0316, 0.0217),
    "Index": (0.0398, 0.0224, 0.0158),
    "Middle": (0.0446, 0.0263, 0.0174),
    "Ring": (0.0414, 0.0257, 0.0173),
    "Pinky": (0.0327, 0.0181, 0.0160),
}
"""The thumb's metacarpal and phalanges; the other fingers' three phalanges."""
_RADIAL, _PALMAR, _PRONATION = np.radians([48.0, 38.0, 80.0])
PULL_DEG = 45.0
"""Fingers go nearly anywhere within their range: how far they are from rest, 1 sd."""
_REST_DEG = {"Thumb": ((10.0, 0.0), (15.0,), (15.0,)), "": ((30.0, 0.0), (35.0,), (15.0,))}
"""Turns of the three joints in a relaxed hand: a choice within the range that is called its position of rest."""


def knuckle(finger: str) -> str:
    """Return the landmark, without its side, at which a finger begins."""
    return "Thumb1" if finger == "Thumb" else finger


def finger_landmarks(finger: str) -> tuple[str, str, str]:
    """Return the landmarks, without their side, at a finger's second and third joint and its tip."""
    return ("Thumb" if finger == "Thumb" else f"{finger}2", f"{finger}3", f"{finger}Tip")


def finger_axes(finger: str, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unit vectors [3] along a straight finger, of its hinges, and of its knuckle's sideways turn.

    A positive turn of a hinge bends towards the palm, a positive one sideways leads towards the thumb's side (of the
    thumb: away from the palm). In the hand's frame in T-pose.
    """
    mirror = 1.0 if side == "Left" else -1.0
    if finger != "Thumb":
        return np.array([0.0, mirror, 0.0]), np.array([-mirror, 0.0, 0.0]), np.array([0.0, 0.0, -mirror])
    cos, sin = np.cos(_PALMAR), np.sin(_PALMAR)
    along = np.array([cos * np.sin(_RADIAL), cos * np.cos(_RADIAL), -sin])
    back = np.array([0.0, 0.0, 1.0]) + sin * along
    back /= np.linalg.norm(back)
    nail = np.cos(_PRONATION) * back + np.sin(_PRONATION) * np.cross(along, back)
    place, turn = np.array([1.0, mirror, 1.0]), np.array([mirror, 1.0, mirror])
    return place * along, turn * np.cross(along, -nail), turn * nail


def _vector(v: np.ndarray) -> Vector:
    return float(v[0]), float(v[1]), float(v[2])


def _finger(finger: str, side: str) -> tuple[list[Joint], dict[str, Landmark]]:
    """Return a finger's joints, the tip as the last, and its landmarks."""
    hand = f"{side}Hand"
    along, hinge, sideways = finger_axes(finger, side)
    bend, swing = _vector(hinge), _vector(sideways)
    first = Joint(
        f"{hand}{finger}1",
        hand,
        LANDMARKS[side[0] + knuckle(finger)].offset_m,
        (bend, swing),
        PULL_DEG,
        rest_deg=_REST_DEG.get(finger, _REST_DEG[""])[0],
    )
    joints, lengths = [first], list(_LENGTHS_M[finger])
    lengths[-1] += _TISSUE_M[finger]
    for n, length in enumerate(lengths, 2):
        is_tip = n > N_JOINTS
        rest = () if is_tip else _REST_DEG.get(finger, _REST_DEG[""])[n - 1]
        axes = () if is_tip else (bend,)
        joints.append(
            Joint(f"{hand}{finger}{n}", joints[-1].name, _vector(length * along), axes, PULL_DEG, "bone", rest)
        )
    at = {
        side[0] + name: Landmark(joint.name, (0.0, 0.0, 0.0), False)
        for name, joint in zip(finger_landmarks(finger), joints[1:], strict=True)
    }
    return joints, at


def _hand(side: str) -> Anatomy:
    joints, landmarks = [Joint(f"{side}Hand", "", (0.0, 0.0, 0.0), (), 0.0)], {}
    for finger in FINGERS:
        of_finger, at = _finger(finger, side)
        joints += of_finger
        landmarks |= at
    return Anatomy(tuple(joints), landmarks)


HANDS = {side: _hand(side) for side in ("Left", "Right")}
"""The anatomy of each hand."""


def sides_with_fingers(landmarks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sides whose hands a set of landmarks shows whole: fingers and their knuckles."""
    needed = [n for f in FINGERS for n in (knuckle(f), *finger_landmarks(f))]
    return tuple(side for side in HANDS if all(side[0] + n in landmarks for n in needed))


def turning_joints(anatomy: Anatomy) -> list[int]:
    """Return the joints of a hand's fingers that the exported rig has."""
    return [j for j, joint in enumerate(anatomy.joints) if joint.axes]


def tips_of(anatomy: Anatomy) -> dict[int, int]:
    """Return the tip, by the joint that it hangs on."""
    return {anatomy.parents[j]: j for j, joint in enumerate(anatomy.joints) if joint.parent and not joint.axes}


def body_landmarks(sides: Sequence[str]) -> frozenset[str]:
    """Return the landmarks of the body's own solve; those of `sides` with fingers leave out what a finger moves."""
    return frozenset(LANDMARKS) - {n for side in sides for n in HANDS[side].landmarks}
