"""Solved takes with known truth: a small synthetic one, and the exact truth of the virtual shoot."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mocap.analysis.reprojection import project_world
from mocap.analysis.sampling import sample_at
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.keypoints import Keypoints2D, Points3D, Source, load_keypoint_set
from mocap.core.skeleton import Motion, Skeleton
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_exp

JOINTS: dict[str, tuple[str | None, tuple[float, float, float]]] = {
    "Hips": (None, (0, 0, 0.95)),
    "Spine": ("Hips", (0, 0, 0.10)),
    "Neck": ("Spine", (0, 0, 0.42)),
    "Head": ("Neck", (0, 0, 0.10)),
    "LeftArm": ("Spine", (0, 0.18, 0.36)),
    "LeftForeArm": ("LeftArm", (0, 0.28, 0)),
    "LeftHand": ("LeftForeArm", (0, 0.25, 0)),
    "RightArm": ("Spine", (0, -0.18, 0.36)),
    "RightForeArm": ("RightArm", (0, -0.28, 0)),
    "RightHand": ("RightForeArm", (0, -0.25, 0)),
    "LeftUpLeg": ("Hips", (0, 0.10, -0.02)),
    "LeftLeg": ("LeftUpLeg", (0, 0, -0.43)),
    "LeftFoot": ("LeftLeg", (0, 0, -0.42)),
    "RightUpLeg": ("Hips", (0, -0.10, -0.02)),
    "RightLeg": ("RightUpLeg", (0, 0, -0.43)),
    "RightFoot": ("RightLeg", (0, 0, -0.42)),
}
ATTACHED: dict[str, tuple[str, tuple[float, float, float]]] = {
    "Nose": ("Head", (0.10, 0, 0.05)),
    "Head": ("Head", (0, 0, 0.20)),
    "Neck": ("Neck", (0, 0, 0)),
    "Hip": ("Hips", (0, 0, -0.02)),
    **{
        f"{s[0]}{landmark}": (joint.replace("Left", s), (x, y * (1 if s == "Left" else -1), z))
        for s in ("Left", "Right")
        for landmark, (joint, (x, y, z)) in {
            "Eye": ("Head", (0.09, 0.03, 0.08)),
            "Ear": ("Head", (0.0, 0.07, 0.06)),
            "Shoulder": ("LeftArm", (0, 0, 0)),
            "Elbow": ("LeftForeArm", (0, 0, 0)),
            "Wrist": ("LeftHand", (0, 0, 0)),
            "Hip": ("LeftUpLeg", (0, 0, 0)),
            "Knee": ("LeftLeg", (0, 0, 0)),
            "Ankle": ("LeftFoot", (0, 0, 0)),
            "BigToe": ("LeftFoot", (0.18, 0, -0.07)),
            "SmallToe": ("LeftFoot", (0.15, 0.05, -0.07)),
            "Heel": ("LeftFoot", (-0.05, 0, -0.07)),
        }.items()
    },
}


def make_skeleton() -> Skeleton:
    """Return a small humanoid: T-pose facing +X, left arm +Y."""
    names = tuple(JOINTS)
    parents = tuple(-1 if p is None else names.index(p) for p, _ in JOINTS.values())
    leaf = ~np.isin(np.arange(len(names)), parents)
    tips = {"Head": (0, 0, 0.2), "LeftHand": (0, 0.1, 0), "RightHand": (0, -0.1, 0)}
    tip = np.array([tips.get(n, (0.15, 0, -0.07)) for n in names], float)
    tip[~leaf] = np.nan
    bind = np.tile([1.0, 0, 0, 0], (len(names), 1))
    return Skeleton("small", names, parents, np.array([o for _, o in JOINTS.values()]), bind, tip)


def make_motion(n_frames: int, fps: Fraction, start_s: float) -> Motion:
    """Return a walk-like motion with the left arm up."""
    skeleton = make_skeleton()
    timeline = Timeline(fps, n_frames, start_s)
    t = timeline.time_s - start_s
    rotvec = np.zeros((n_frames, len(skeleton), 3))
    for joint, turn in {
        "LeftArm": np.stack([0.9 + 0.3 * np.sin(3 * t), 0 * t, 0 * t], -1),
        "LeftForeArm": np.stack([0 * t, 0 * t, -0.7 + 0.2 * np.sin(5 * t)], -1),
        "RightArm": np.stack([1.2 + 0 * t, 0.5 * np.sin(4 * t), 0 * t], -1),
        "LeftUpLeg": np.stack([0 * t, -0.4 * np.sin(4 * t), 0 * t], -1),
        "RightUpLeg": np.stack([0 * t, 0.4 * np.sin(4 * t), 0 * t], -1),
        "LeftLeg": np.stack([0 * t, 0.3 + 0.3 * np.sin(4 * t), 0 * t], -1),
        "Hips": np.stack([0 * t, 0 * t, 0.4 * t], -1),
    }.items():
        rotvec[:, skeleton.index(joint)] = turn
    root = np.stack([0.3 * np.sin(0.5 * t), 0.2 * t % 3.0, 0.93 + 0.02 * np.cos(8 * t)], -1)
    return Motion(skeleton, timeline, root, quat_exp(rotvec))


def keypoints_of(motion: Motion, keypoint_set_name: str = "halpe26") -> np.ndarray:
    """Return [frame keypoint 3] fixed points of the moving skeleton; NaN for landmarks the small body lacks."""
    skeleton, keypoint_set = motion.skeleton, load_keypoint_set(keypoint_set_name)
    R, p = forward_kinematics(skeleton.parents, skeleton.offset_m, motion.root_translation_m, motion.local_wxyz)
    out = np.full((motion.timeline.n_frames, len(keypoint_set), 3), np.nan)
    for k, landmark in enumerate(keypoint_set.landmarks):
        if landmark in ATTACHED:
            joint, offset = ATTACHED[landmark]
            j = skeleton.index(joint)
            out[:, k] = p[:, j] + R[:, j] @ np.array(offset, float)
    return out


def look_at(name: str, position: tuple[float, float, float], size_px: tuple[int, int] = (1280, 720)) -> Camera:
    """Return a camera at `position` that looks at the middle of the volume."""
    eye = np.array(position, float)
    forward = np.array([0, 0.3, 0.9]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    focal = 0.6 * max(size_px)
    lens = Intrinsics(size_px, np.full(2, focal), np.array(size_px) / 2 - 0.5, np.array([-0.11, 0.016, 4e-4, -3e-4, 0]))
    return Camera(name, lens, R, -R @ eye)


def make_rig(n_cameras: int = 5) -> CameraRig:
    """Return cameras on a ring."""
    angles = 0.4 + 2 * np.pi * np.arange(n_cameras) / n_cameras
    return CameraRig(
        tuple(look_at(f"cam{n + 1}", (3.5 * np.cos(a), 3.5 * np.sin(a), 1.2 + 0.2 * n)) for n, a in enumerate(angles))
    )


@dataclass
class Recipe:
    """What a synthetic take is made with."""

    n_frames: int = 7
    n_cameras: int = 5
    fps: Fraction = Fraction(60000, 1001)
    start_s: float = 0.25
    camera_delay_s: float = 0.004
    """Camera c is late by c times this: its frames fall between master frames."""
    noise_px: float = 0.0
    noise_m: float = 0.0
    seed: int = 7


def make_take(recipe: Recipe | None = None) -> SolvedTake:
    """Return a take whose final keypoints are exact and whose detections and points have the recipe's noise."""
    r = recipe or Recipe()
    rng = np.random.default_rng(r.seed)
    motion, rig = make_motion(r.n_frames, r.fps, r.start_s), make_rig(r.n_cameras)
    keypoint_set = load_keypoint_set("halpe26")
    xyz = keypoints_of(motion)
    time = motion.timeline.time_s
    camera_time = time[None, :] + np.arange(r.n_cameras)[:, None] * r.camera_delay_s
    # The truth between frames comes from the motion itself, made at ten times the rate.
    fine = make_motion(10 * (r.n_frames + 2), r.fps * 10, r.start_s)
    xy = np.stack(
        [
            project_world(camera, sample_at(fine.timeline.time_s, keypoints_of(fine), camera_time[c]))
            for c, camera in enumerate(rig.cameras)
        ]
    )
    xy = xy + rng.normal(0, r.noise_px, xy.shape) if r.noise_px else xy
    seen = np.isfinite(xy).all(-1)
    shape = xyz.shape[:2]
    measured = np.full(shape, Source.MEASURED, np.uint8)
    sigma = np.full(shape, 0.008)
    points = Points3D(keypoint_set, time, xyz + rng.normal(0, r.noise_m, xyz.shape), sigma, measured)
    return SolvedTake(
        subject="subject_0",
        rig=rig,
        detections=Keypoints2D(
            keypoint_set, rig.names, xy[:, :, None], np.where(seen, 0.9, 0.0)[:, :, None], camera_time
        ),
        points=points,
        keypoints=Points3D(keypoint_set, time, xyz, sigma, measured),
        motion=motion,
        inlier_probability=np.where(seen, 1.0, np.nan),
        contact_names=("LeftFoot", "RightFoot"),
        contact=np.stack([np.arange(r.n_frames) % 2 == 0, np.ones(r.n_frames, bool)], -1),
        rejected={"swapped sides": 3, "low score": 11},
    )


@pytest.fixture
def new_take() -> Callable[..., SolvedTake]:
    """Return a function that makes a synthetic take; its options are those of `Recipe`."""
    return lambda **options: make_take(Recipe(**options))


@pytest.fixture
def new_camera() -> Callable[..., Camera]:
    """Return a function that makes a camera: name, position and size."""
    return look_at


@pytest.fixture
def footage(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Return a function that writes grey footage for every camera of a take, frame for frame."""

    def write(take: SolvedTake, **options: float) -> dict[str, Path]:
        n = take.detections.n_frames
        return {c.name: write_footage(tmp_path / f"{c.name}.mp4", c, n, **options) for c in take.rig.cameras}

    return write


@pytest.fixture
def take() -> SolvedTake:
    """Return the small synthetic take: 5 cameras, 7 frames, 26 keypoints."""
    return make_take()


def write_footage(path: Path, camera: Camera, n_frames: int, size: float = 0.25) -> Path:
    """Write grey footage in which the frame's number sets the brightness; size is relative to the calibration."""
    import av

    width, height = (int(s * size) // 2 * 2 for s in camera.intrinsics.size_px)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60, options={"g": "4", "preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(n_frames):
            picture = np.full((height, width, 3), 40 + 8 * (n % 25), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


SHOOT_NAMES = {
    **{f"{s[0].upper()}{a}": f"{s}_{b}" for s in ("left", "right") for a, b in
       {"Eye": "eye", "Ear": "ear", "Shoulder": "shoulder", "Elbow": "elbow", "Wrist": "wrist", "Hip": "hip",
        "Knee": "knee", "Ankle": "ankle", "BigToe": "toe_tip", "SmallToe": "toe", "Heel": "heel"}.items()},
    "Nose": "nose", "Head": "head_top", "Neck": "neck", "Hip": "hips",
}  # fmt: skip


@pytest.fixture(scope="session")
def shoot(shared: Callable[[str], Path]) -> tuple[SolvedTake, dict[str, Path]]:
    """Return the virtual shoot's exact truth as a solved take, and its videos."""
    return make_shoot(shared("data/virtual_shoot"))


def make_shoot(folder: Path) -> tuple[SolvedTake, dict[str, Path]]:
    """Return the virtual shoot in `folder` as a solved take (its motion is the root alone), and its videos."""
    truth = np.load(folder / "truth.npz")
    rig_data = tomllib.loads((folder / "rig_truth.toml").read_text("utf-8"))
    cameras = []
    for table in (v for k, v in sorted(rig_data.items()) if k.startswith("cam_")):
        K = np.array(table["matrix"])
        lens = Intrinsics(tuple(table["size"]), K[[0, 1], [0, 1]], K[:2, 2], np.array(table["distortions"]))
        R = cv2.Rodrigues(np.array(table["rotation"]))[0]
        cameras.append(Camera(table["name"], lens, R, np.array(table["translation"])))
    rig = CameraRig(tuple(cameras))
    keypoint_set = load_keypoint_set("halpe26")
    order = [list(truth["names"]).index(SHOOT_NAMES[landmark]) for landmark in keypoint_set.landmarks]
    t, xyz = truth["t"], truth["joints"][:, order]
    n = max(len(truth[f"t_{name}"]) for name in rig.names)
    xy = np.full((len(rig), n, 1, len(order), 2), np.nan)
    time = np.full((len(rig), n), np.nan)
    for c, name in enumerate(rig.names):
        count = len(truth[f"t_{name}"])
        xy[c, :count, 0], time[c, :count] = truth[f"uv_{name}"][:, order], truth[f"t_{name}"]
    seen = np.asarray(np.isfinite(xy).all(-1))
    measured = np.full(xyz.shape[:2], Source.MEASURED, np.uint8)
    points = Points3D(keypoint_set, t, xyz, np.full(xyz.shape[:2], 0.005), measured)
    base = make_motion(len(t), Fraction(60), float(t[0]))
    motion = Motion(base.skeleton, base.timeline, truth["joints"][:, 0], base.local_wxyz)
    take = SolvedTake(
        subject="subject_0",
        rig=rig,
        detections=Keypoints2D(keypoint_set, rig.names, xy, np.where(seen, 1.0, 0.0), time),
        points=points,
        keypoints=points,
        motion=motion,
        inlier_probability=np.where(seen[:, :, 0], 1.0, np.nan),
        contact_names=(),
        contact=np.zeros((len(t), 0), bool),
        rejected={},
    )
    return take, {name: folder / "videos" / f"{name}.mp4" for name in rig.names}
