"""The studio's body: joints, degrees of freedom, and where landmarks sit, for a person of 1.75 m in T-pose.

World axes of the bind pose: x forward, y left, z up; all bind rotations are identity. Proportions: segment lengths as
fractions of body height from R. Drillis and R. Contini, "Body segment parameters", 1966 (as tabulated in D. Winter,
Biomechanics and Motor Control of Human Movement, figure 4.1); head and foot landmarks from the same figure.
Ranges of motion are in `joint_limits.toml`.
"""

from __future__ import annotations

from mocap.solve.anatomy import Anatomy, Joint, Landmark

REFERENCE_HEIGHT_M = 1.75

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
BALL = (X, Y, Z)
ROLL = "Roll"
"""Ends the name of a joint that turns its parent's bone about itself (radius about ulna); the exported rig has the two
as one joint."""


def _side(left: bool) -> list[Joint]:
    """Return the arm and leg joints of one side; the body is symmetric in y."""
    s, name = (1.0, "Left") if left else (-1.0, "Right")
    return [
        Joint(f"{name}Shoulder", "Spine2", (0.0, 0.03 * s, 0.13), (X, Z), 12.0),
        Joint(f"{name}Arm", f"{name}Shoulder", (0.0, 0.15 * s, 0.0), BALL, 90.0, "clavicle"),
        Joint(f"{name}ForeArm", f"{name}Arm", (0.0, 0.29 * s, 0.0), ((0.0, 0.0, -s),), 90.0, "upper_arm"),
        Joint(f"{name}ForeArm{ROLL}", f"{name}ForeArm", (0.0, 0.0, 0.0), (Y,), 90.0),
        Joint(f"{name}Hand", f"{name}ForeArm{ROLL}", (0.0, 0.255 * s, 0.0), (X, Z), 25.0, "forearm"),
        Joint(f"{name}UpLeg", "Hips", (0.0, 0.09 * s, 0.0), BALL, 90.0, "pelvis"),
        Joint(f"{name}Leg", f"{name}UpLeg", (0.0, 0.0, -0.43), (Y,), 90.0, "thigh"),
        Joint(f"{name}Foot", f"{name}Leg", (0.0, 0.0, -0.43), BALL, 20.0, "shank"),
        Joint(f"{name}ToeBase", f"{name}Foot", (0.13, 0.0, -0.065), (Y,), 15.0),
    ]


def _arm_and_leg(left: bool) -> tuple[list[Joint], list[Joint]]:
    joints = _side(left)
    return joints[:5], joints[5:]


def _joints() -> tuple[Joint, ...]:
    (left_arm, left_leg), (right_arm, right_leg) = _arm_and_leg(True), _arm_and_leg(False)
    return (
        Joint("Hips", "", (0.0, 0.0, 0.93), BALL, 1e3),
        Joint("Spine", "Hips", (0.0, 0.0, 0.10), BALL, 20.0, "spine"),
        Joint("Spine1", "Spine", (0.0, 0.0, 0.12), BALL, 15.0, "spine"),
        Joint("Spine2", "Spine1", (0.0, 0.0, 0.12), BALL, 15.0, "spine"),
        Joint("Neck", "Spine2", (0.0, 0.0, 0.17), BALL, 25.0, "spine"),
        Joint("Head", "Neck", (0.01, 0.0, 0.10), BALL, 25.0),
        *left_arm,
        *right_arm,
        *left_leg,
        *right_leg,
    )


JOINTS: tuple[Joint, ...] = _joints()

LEAF_TIPS_M = {
    "Head": (0.0, 0.0, 0.20),
    "LeftHand": (0.0, 0.18, 0.0),
    "RightHand": (0.0, -0.18, 0.0),
    "LeftToeBase": (0.07, 0.0, 0.0),
    "RightToeBase": (0.07, 0.0, 0.0),
}


def _landmarks() -> dict[str, Landmark]:
    table = {
        "Hip": Landmark("Hips", (0.0, 0.0, 0.0), False),
        "Neck": Landmark("Spine2", (0.0, 0.0, 0.17), True),
        "Head": Landmark("Head", (0.01, 0.0, 0.20), True),
        "Nose": Landmark("Head", (0.11, 0.0, 0.06), True),
    }
    for side, s in (("Left", 1.0), ("Right", -1.0)):
        k = side[0]
        for landmark, joint in (("Shoulder", "Arm"), ("Elbow", "ForeArm"), ("Wrist", "Hand")):
            table[k + landmark] = Landmark(side + joint, (0.0, 0.0, 0.0), False)
        for landmark, joint in (("Hip", "UpLeg"), ("Knee", "Leg"), ("Ankle", "Foot")):
            table[k + landmark] = Landmark(side + joint, (0.0, 0.0, 0.0), False)
        table[k + "Eye"] = Landmark("Head", (0.09, 0.032 * s, 0.095), True)
        table[k + "Ear"] = Landmark("Head", (0.01, 0.075 * s, 0.07), True)
        table[k + "BigToe"] = Landmark(side + "ToeBase", (0.06, -0.02 * s, 0.0), True)
        table[k + "SmallToe"] = Landmark(side + "ToeBase", (0.02, 0.045 * s, 0.0), True)
        table[k + "Heel"] = Landmark(side + "Foot", (-0.05, 0.0, -0.06), True)
        table[k + "Thumb"] = Landmark(side + "Hand", (0.035, 0.07 * s, -0.01), True)
        table[k + "Index"] = Landmark(side + "Hand", (0.03, 0.09 * s, 0.0), True)
        table[k + "Pinky"] = Landmark(side + "Hand", (-0.03, 0.08 * s, 0.0), True)
        # what only sets with fingers have: the other knuckles, the thumb's saddle joint, and the wrist once more
        table[k + "Middle"] = Landmark(side + "Hand", (0.01, 0.095 * s, 0.0), True)
        table[k + "Ring"] = Landmark(side + "Hand", (-0.01, 0.09 * s, 0.0), True)
        table[k + "Thumb1"] = Landmark(side + "Hand", (0.025, 0.03 * s, -0.01), True)
        table[k + "HandRoot"] = Landmark(side + "Hand", (0.0, 0.0, 0.0), True)
    return table


LANDMARKS = _landmarks()
HAND_LANDMARKS = ("Thumb", "Index", "Pinky", "Middle", "Ring", "Thumb1", "HandRoot")
"""Where fingers begin, and the wrist: as landmarks of the body fixed to the hand."""
ONLY_WITH_FINGERS = ("Middle", "Ring", "Thumb1", "HandRoot")
BODY = Anatomy(JOINTS, LANDMARKS, shared="spine")
LENGTH_SD = 0.15
"""Prior standard deviation of a segment's factor about the body's overall scale."""
ASYMMETRY_SD = 0.03
"""Prior standard deviation of the difference between a left segment's factor and the right one's."""
LANDMARK_SD_M = 0.03
"""Prior standard deviation of a free landmark offset."""
PROFILE_LENGTH_SD = 0.01
"""The same of a segment's factor, where an earlier take of the performer told it: clothes and light differ."""
PROFILE_LANDMARK_SD_M = 0.006
JOINT_NAMES = BODY.names
PARENTS = BODY.parents
OFFSETS_M = BODY.offsets_m
RIG_JOINTS = tuple(i for i, name in enumerate(JOINT_NAMES) if not name.endswith(ROLL))
"""Joints of the exported rig."""
RIG_NAMES = tuple(JOINT_NAMES[i] for i in RIG_JOINTS)
RIG_PARENTS = tuple(
    RIG_NAMES.index(j.parent.removesuffix(ROLL)) if j.parent else -1 for j in JOINTS if not j.name.endswith(ROLL)
)
