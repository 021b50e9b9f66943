"""A synthetic performer: the studio's rig walking a circle and reaching, with Halpe-26 keypoints attached.

With hands (`mocap.synth.hands`) the keypoints are COCO-WholeBody's, without the face.

The pose is a closed formula of time, so a camera that is not in step with the others can be asked at its own instants.
The motion is asymmetric (left arm raised, right arm swinging, head turned), so mirroring and side swaps show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.core.skeleton import Motion, Skeleton
from mocap.core.timeline import Timeline
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_exp, quat_multiply
from mocap.synth.hands import Hands

HALPE26: KeypointSet = load_keypoint_set("halpe26")
WHOLEBODY133: KeypointSet = load_keypoint_set("coco_wholebody133")
REFERENCE_HEIGHT_M = 1.75

JOINTS: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("Hips", "", (0.0, 0.0, 0.93)),
    ("Spine", "Hips", (0.0, 0.0, 0.10)),
    ("Spine1", "Spine", (0.0, 0.0, 0.13)),
    ("Spine2", "Spine1", (0.0, 0.0, 0.13)),
    ("Neck", "Spine2", (0.0, 0.0, 0.17)),
    ("Head", "Neck", (0.02, 0.0, 0.09)),
    ("LeftShoulder", "Spine2", (0.0, 0.03, 0.13)),
    ("LeftArm", "LeftShoulder", (0.0, 0.14, 0.0)),
    ("LeftForeArm", "LeftArm", (0.0, 0.28, 0.0)),
    ("LeftHand", "LeftForeArm", (0.0, 0.26, 0.0)),
    ("RightShoulder", "Spine2", (0.0, -0.03, 0.13)),
    ("RightArm", "RightShoulder", (0.0, -0.14, 0.0)),
    ("RightForeArm", "RightArm", (0.0, -0.28, 0.0)),
    ("RightHand", "RightForeArm", (0.0, -0.26, 0.0)),
    ("LeftUpLeg", "Hips", (0.0, 0.09, -0.02)),
    ("LeftLeg", "LeftUpLeg", (0.0, 0.0, -0.43)),
    ("LeftFoot", "LeftLeg", (0.0, 0.0, -0.40)),
    ("LeftToeBase", "LeftFoot", (0.14, 0.0, -0.06)),
    ("RightUpLeg", "Hips", (0.0, -0.09, -0.02)),
    ("RightLeg", "RightUpLeg", (0.0, 0.0, -0.43)),
    ("RightFoot", "RightLeg", (0.0, 0.0, -0.40)),
    ("RightToeBase", "RightFoot", (0.14, 0.0, -0.06)),
)
"""Name, parent and offset in metres of each joint of a person of the reference height, in bind axes (= world axes)."""

TIPS: dict[str, tuple[float, float, float]] = {
    "Head": (0.0, 0.0, 0.20),
    "LeftHand": (0.0, 0.18, 0.0),
    "RightHand": (0.0, -0.18, 0.0),
    "LeftToeBase": (0.06, 0.0, 0.0),
    "RightToeBase": (0.06, 0.0, 0.0),
}

_LEFT_LANDMARKS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "LEye": ("Head", (0.09, 0.032, 0.09)),
    "LEar": ("Head", (0.0, 0.075, 0.07)),
    "LShoulder": ("LeftArm", (0.0, 0.0, 0.0)),
    "LElbow": ("LeftForeArm", (0.0, 0.0, 0.0)),
    "LWrist": ("LeftHand", (0.0, 0.0, 0.0)),
    "LHip": ("LeftUpLeg", (0.0, 0.0, 0.0)),
    "LKnee": ("LeftLeg", (0.0, 0.0, 0.0)),
    "LAnkle": ("LeftFoot", (0.0, 0.0, 0.0)),
    "LHeel": ("LeftFoot", (-0.05, 0.0, -0.08)),
    "LBigToe": ("LeftToeBase", (0.06, -0.02, -0.02)),
    "LSmallToe": ("LeftToeBase", (0.03, 0.05, -0.02)),
}
LANDMARKS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "Nose": ("Head", (0.11, 0.0, 0.06)),
    "Head": ("Head", (0.0, 0.0, 0.20)),
    "Neck": ("Spine2", (0.0, 0.0, 0.14)),
    "Hip": ("Hips", (0.0, 0.0, -0.02)),
    **_LEFT_LANDMARKS,
    **{
        "R" + name[1:]: (joint.replace("Left", "Right"), (x, -y, z))
        for name, (joint, (x, y, z)) in _LEFT_LANDMARKS.items()
    },
}
"""Joint and place in its frame, in metres at the reference height, of each canonical landmark."""

X, Y, Z = np.eye(3)


@dataclass(frozen=True, eq=False)
class Swing:
    """One rotation of a joint: mean + amplitude * sin(2 pi harmonic cadence t + phase) about a fixed axis."""

    joint: str
    axis: np.ndarray
    """[3] unit axis in the frame before this rotation."""
    mean_deg: float
    amplitude_deg: float = 0.0
    harmonic: float = 1.0
    phase_rad: float = 0.0
    is_gait: bool = False
    """Scaled by the performer's stride: still when the performer stands."""


def _gait(side: str, phase_rad: float) -> list[Swing]:
    """Return a leg's swings: hip flexes (leg forward) about -Y, the knee bends back about +Y a quarter cycle later."""
    return [
        Swing(f"{side}UpLeg", Y, -6.0, 24.0, 1, phase_rad, is_gait=True),
        Swing(f"{side}Leg", Y, 26.0, 24.0, 1, phase_rad + 1.9, is_gait=True),
        Swing(f"{side}Foot", Y, -8.0, 12.0, 1, phase_rad - 0.9, is_gait=True),
        Swing(f"{side}ToeBase", Y, -4.0, 6.0, 1, phase_rad + 0.4, is_gait=True),
    ]


BASE_SWINGS: tuple[Swing, ...] = (
    Swing("Hips", Z, 0.0, 4.0, 1, 0.3, is_gait=True),
    Swing("Hips", X, 0.0, 2.0, 1, 0.9, is_gait=True),
    Swing("Spine", Y, 4.0, 2.0, 2, 0.2),
    Swing("Spine1", Z, 3.0, 4.0, 1, 2.0),
    Swing("Spine2", X, 2.0, 2.0, 0.5, 0.4),
    Swing("Neck", Y, 6.0, 3.0, 0.5, 1.0),
    Swing("Head", Z, 12.0, 14.0, 0.4, 0.6),
    Swing("LeftShoulder", X, 6.0, 4.0, 0.7, 0.1),
    Swing("LeftArm", X, 35.0, 28.0, 0.6, 0.5),
    Swing("LeftArm", Z, -20.0, 15.0, 0.5, 1.2),
    Swing("LeftForeArm", Z, -50.0, 30.0, 0.8, 2.2),
    Swing("LeftHand", X, 5.0, 12.0, 1.1, 0.7),
    Swing("RightShoulder", X, 0.0, 2.0, 1, 1.5),
    Swing("RightArm", Y, 0.0, 25.0, 1, 0.2),
    Swing("RightArm", X, 70.0, 4.0, 2, 0.0),
    Swing("RightForeArm", Z, 28.0, 14.0, 1, 0.9),
    Swing("RightHand", Z, 4.0, 8.0, 1.3, 0.2),
    *_gait("Left", 0.0),
    *_gait("Right", np.pi),
)
"""What every performer does, in the order of composition within a joint (first is outermost)."""


def studio_skeleton(height_m: float = REFERENCE_HEIGHT_M) -> Skeleton:
    """Return the studio's rig (identity bind rotations, T-pose) of a person of a given height."""
    names = tuple(name for name, _, _ in JOINTS)
    scale = height_m / REFERENCE_HEIGHT_M
    return Skeleton(
        name="studio",
        joint_names=names,
        parents=tuple(names.index(parent) if parent else -1 for _, parent, _ in JOINTS),
        offset_m=scale * np.array([offset for _, _, offset in JOINTS]),
        bind_local_wxyz=np.tile([1.0, 0.0, 0.0, 0.0], (len(names), 1)),
        tip_m=scale * np.array([TIPS.get(name, (np.nan,) * 3) for name in names]),
    )


@dataclass(frozen=True, eq=False)
class Performer:
    """A person whose pose is known at every instant."""

    skeleton: Skeleton
    swings: tuple[Swing, ...]
    cadence_hz: float = 0.9
    """Strides (two steps) per second."""
    stride: float = 1.0
    """0 stands on planted feet (only the upper body moves), 1 walks."""
    center_m: tuple[float, float] = (0.0, 0.0)
    """Where on the floor the circle lies, or the performer stands when `path_radius_m` is 0."""
    path_radius_m: float = 0.8
    heading_rad: float = 0.0
    """Heading at time 0."""
    hands: Hands | None = None
    """Fingers that move; None: the hands are stiff and have no keypoints."""

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        height_m: float = REFERENCE_HEIGHT_M,
        stride: float = 1.0,
        center_m: tuple[float, float] = (0.0, 0.0),
    ) -> Performer:
        """Return a performer with a cadence, phases and amplitudes of their own."""
        swings = tuple(
            Swing(
                s.joint,
                s.axis,
                s.mean_deg * rng.uniform(0.85, 1.15),
                s.amplitude_deg * rng.uniform(0.8, 1.1),
                s.harmonic,
                s.phase_rad + rng.uniform(-0.2, 0.2),
                s.is_gait,
            )
            for s in BASE_SWINGS
        )
        return cls(
            studio_skeleton(height_m),
            swings,
            cadence_hz=rng.uniform(0.8, 1.0),
            stride=stride,
            center_m=center_m,
            path_radius_m=0.8 * min(stride, 1.0),
            heading_rad=rng.uniform(-np.pi, np.pi),
        )

    def with_hands(self, rng: np.random.Generator) -> Performer:
        """Return the same performer with fingers that move."""
        return replace(self, hands=Hands.random(rng, self._scale))

    @property
    def keypoint_set(self) -> KeypointSet:
        """What `points` returns."""
        return HALPE26 if self.hands is None else WHOLEBODY133

    @property
    def _scale(self) -> float:
        return float(self.skeleton.offset_m[0, 2] / JOINTS[0][2][2])

    def pose(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return root translation [time 3] and local rotations [time joint 4] at any instants.

        The root's height follows from the floor: the lowest foot keypoint stays within millimetres of z = 0.
        """
        time_s = np.asarray(time_s, np.float64)
        local = np.zeros((len(time_s), len(self.skeleton), 4))
        local[..., 0] = 1.0
        heading = self.heading_rad + 2 * np.pi * self._turns_hz * time_s
        local[:, 0] = quat_exp(heading[:, None] * Z)
        for swing in self.swings:
            j = self.skeleton.index(swing.joint)
            scale = self.stride if swing.is_gait else 1.0
            angle = swing.amplitude_deg * np.sin(
                2 * np.pi * swing.harmonic * self.cadence_hz * time_s + swing.phase_rad
            )
            rotation = quat_exp(np.radians(scale * (swing.mean_deg + angle))[:, None] * swing.axis)
            local[:, j] = quat_multiply(local[:, j], rotation)
        # Walking counter-clockwise along the circle: the place is a quarter turn behind the heading.
        root = np.zeros((len(time_s), 3))
        root[:, 0] = self.center_m[0] + self.path_radius_m * np.sin(heading)
        root[:, 1] = self.center_m[1] - self.path_radius_m * np.cos(heading)
        feet = [n for n in HALPE26.landmarks if n[1:] in ("Heel", "BigToe", "SmallToe")]
        root[:, 2] = -_soft_min(self._attached(root, local, feet)[..., 2])
        return root, local

    @property
    def _turns_hz(self) -> float:
        """Turns per second along the circle at a stride length of 1.1 m."""
        return (
            0.0 if self.path_radius_m == 0 else 1.1 * self.stride * self.cadence_hz / (2 * np.pi * self.path_radius_m)
        )

    def motion(self, timeline: Timeline) -> Motion:
        """Return the true motion."""
        root, local = self.pose(timeline.time_s)
        return Motion(self.skeleton, timeline, root, local)

    def points(self, time_s: np.ndarray) -> np.ndarray:
        """Return the true keypoints [time keypoint 3] of the set in the world at any instants; a face is NaN."""
        root, local = self.pose(time_s)
        if self.hands is None:
            return self._attached(root, local, HALPE26.landmarks)
        skeleton = self.skeleton
        R_world, origin_m = forward_kinematics(skeleton.parents, skeleton.offset_m, root, local)
        hands: dict[str, np.ndarray] = {}
        for side in ("Left", "Right"):
            j = skeleton.index(f"{side}Hand")
            hands |= self.hands.points(side, origin_m[:, j], R_world[:, j], np.asarray(time_s))
        out = np.full((len(root), len(WHOLEBODY133), 3), np.nan)
        body = [k for k, name in enumerate(WHOLEBODY133.landmarks) if name in LANDMARKS]
        out[:, body] = self._attached(root, local, [WHOLEBODY133.landmarks[k] for k in body])
        for name, place in hands.items():
            out[:, WHOLEBODY133.landmarks.index(name)] = place
        return out

    def _attached(self, root_m: np.ndarray, local_wxyz: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return the landmarks [time landmark 3] that are fixed to a joint."""
        skeleton = self.skeleton
        R_world, origin_m = forward_kinematics(skeleton.parents, skeleton.offset_m, root_m, local_wxyz)
        joint = [skeleton.index(LANDMARKS[name][0]) for name in names]
        place_m = self._scale * np.array([LANDMARKS[name][1] for name in names])
        return origin_m[:, joint] + np.einsum("fkij,kj->fki", R_world[:, joint], place_m)


def _soft_min(z: np.ndarray, width: float = 0.004) -> np.ndarray:
    """Return a smooth lower envelope of z [time point] over points, so that the root's height has no kinks."""
    lowest = z.min(-1, keepdims=True)
    return lowest[:, 0] - width * np.log(np.exp(-(z - lowest) / width).sum(-1))
