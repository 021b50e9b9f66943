"""A small asymmetric take for export tests: the left arm is up, the walk bends to one side, one point is missing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.keypoints import Keypoints2D, KeypointSet, Points3D, Source
from mocap.core.skeleton import Motion, Skeleton
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.kernels.rotations import quat_continuous, quat_exp
from mocap.retarget.rig import target_rig
from mocap.solve.hand import FINGERS, HANDS, finger_axes, knuckle
from mocap.solve.rig import skeleton_of
from mocap.solve.shape import reference_shape

KEYPOINTS = KeypointSet("eleven", tuple(f"Point{k}" for k in range(11)), ("",) * 11, ((0, 1),), tuple(range(11)))


def sample_motion(
    n_frames: int = 7, fps: Fraction = Fraction(60), skeleton: Skeleton | None = None, start_s: float = 0.0
) -> Motion:
    """Return a motion that turns every joint about its own axis and raises the left arm."""
    skeleton = skeleton or target_rig("studio").skeleton
    n = len(skeleton)
    time = np.arange(n_frames)[:, None, None] / max(n_frames - 1, 1)
    axis = np.random.default_rng(13).normal(size=(n, 3))
    rotvec = 0.5 * axis * np.sin(2.0 * time + np.arange(n)[:, None])
    left_arm = skeleton.joint_names.index("LeftArm")
    rotvec[:, left_arm] = [1.3, 0.2, -0.4] + rotvec[:, left_arm]
    rotvec[:, 0] = [0.1, 0.2, 1.0] * time[:, 0] * 3.0
    root = np.array([0.3, -0.7, 0.95]) + time[:, 0] * [1.1, 0.4, 0.05]
    return Motion(skeleton, Timeline(fps, n_frames, start_s), root, quat_continuous(quat_exp(rotvec)))


FIST_DEG = {"Thumb": (35.0, 40.0, 45.0), "": (80.0, 95.0, 50.0)}


def sample_hands(n_frames: int = 7) -> Motion:
    """Return a motion of a body in T-pose that closes its left hand and points with its right forefinger."""
    shape = reference_shape(1.0)
    fingers = [
        replace(
            reference_shape(1.0, HANDS[side]),
            placed_m={f"{side}Hand{f}1": shape.landmark_offset_m(side[0] + knuckle(f)) for f in FINGERS},
        )
        for side in HANDS
    ]
    skeleton = skeleton_of(shape, fingers)
    rotvec = np.zeros((n_frames, len(skeleton), 3))
    for side in HANDS:
        for finger in FINGERS:
            if (side, finger) != ("Right", "Index"):
                hinge = finger_axes(finger, side)[1]
                for n, bend_deg in enumerate(FIST_DEG.get(finger, FIST_DEG[""]), 1):
                    turn = np.radians(bend_deg) * np.linspace(0.0, 1.0, n_frames)
                    rotvec[:, skeleton.index(f"{side}Hand{finger}{n}")] = turn[:, None] * hinge
    root = np.tile(skeleton.offset_m[0], (n_frames, 1))
    return Motion(skeleton, Timeline(Fraction(60), n_frames), root, quat_exp(rotvec))


def sample_take(motion: Motion | None = None, subject: str = "subject_0") -> SolvedTake:
    """Return a take of five cameras around a motion; keypoint 3 of `points` is missing at frame 2."""
    motion = motion or sample_motion()
    f, c, k = motion.timeline.n_frames, 5, len(KEYPOINTS)
    rng = np.random.default_rng(7)
    lens = Intrinsics((640, 480), np.array([500.0, 500.0]), np.array([320.0, 240.0]), np.zeros(5))
    rig = CameraRig(tuple(Camera(f"cam{i}", lens, np.eye(3), np.array([0.1 * i, 0, 3.0])) for i in range(c)))
    xyz = rng.normal(size=(f, k, 3))
    source = np.full((f, k), Source.MEASURED, np.uint8)
    sigma = np.full((f, k), 0.01)
    time_s = motion.timeline.time_s
    holed, holed_sigma, holed_source = xyz + 0.01, sigma.copy(), source.copy()
    if f > 2:
        holed[2, 3], holed_sigma[2, 3], holed_source[2, 3] = np.nan, np.nan, Source.MISSING
    return SolvedTake(
        subject=subject,
        rig=rig,
        detections=Keypoints2D(
            KEYPOINTS, rig.names, rng.uniform(0, 400, (c, f, 1, k, 2)), np.ones((c, f, 1, k)), np.tile(time_s, (c, 1))
        ),
        points=Points3D(KEYPOINTS, time_s, holed, holed_sigma, holed_source),
        keypoints=Points3D(KEYPOINTS, time_s, xyz, sigma, source),
        motion=motion,
        inlier_probability=np.ones((c, f, k)),
        contact_names=("LeftFoot", "RightFoot"),
        contact=np.arange(2 * f).reshape(f, 2) % 3 == 0,
        rejected={"outlier": 2},
    )
