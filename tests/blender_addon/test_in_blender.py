"""The extension, installed and run in Blender's module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics

FRAMES = (0, 7, 19, 30)
FIRST_FRAME = 5


def true_joints(take: SolvedTake) -> np.ndarray:
    motion = take.motion
    skeleton = motion.skeleton
    return forward_kinematics(skeleton.parents, skeleton.offset_m, motion.root_translation_m, motion.local_wxyz)[1]


def matrix_and_distortion(scene_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return cam2's lens as OpenCV has it."""
    camera = json.loads(scene_path.read_text("utf-8"))["cameras"][1]
    (fx, fy), (cx, cy) = camera["focal_px"], camera["center_px"]
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), np.array(camera["distortion"])


def grey_picture(path: str) -> np.ndarray:
    """Return a picture [height width] in grey."""
    picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    assert picture is not None, path
    return picture


def frame_number(path: str) -> int:
    """Return the number that a coded video's picture shows."""
    picture = grey_picture(path)
    height, width = picture.shape
    return sum(1 << b for b in range(6) if picture[height // 4, int((b + 0.5) * width / 6)] > 127)


def test_the_packed_extension_installs_and_registers(in_blender: dict[str, Any]) -> None:
    assert in_blender["installed"]


def test_joints_lie_where_forward_kinematics_puts_them(in_blender: dict[str, Any], take: SolvedTake) -> None:
    truth = true_joints(take)
    seen = np.array([in_blender["joints"][str(f)] for f in FRAMES])
    assert np.abs(seen - truth[list(FRAMES)]).max() < 1e-5


def test_bones_keep_their_names_and_point_at_their_children(in_blender: dict[str, Any], take: SolvedTake) -> None:
    bones = in_blender["bones"]
    assert list(bones) == list(take.motion.skeleton.joint_names)
    assert min(length for length, _ in bones.values()) > 0.01
    forearm = take.motion.skeleton.offset_m[take.motion.skeleton.index("LeftForeArm")]
    length, along = bones["LeftArm"]
    assert length == pytest.approx(np.linalg.norm(forearm), abs=1e-6)
    assert along == pytest.approx([0, 1, 0], abs=0.05)
    assert bones["Spine2"][1][2] > 0.9, "the chest points at the neck, not at a shoulder"


def test_rotations_are_continuous(in_blender: dict[str, Any]) -> None:
    assert in_blender["quaternion_step"] < 0.2


def test_a_fractional_rate_reaches_the_scene_exactly(in_blender: dict[str, Any]) -> None:
    assert in_blender["fps"] == [60, pytest.approx(1.001, rel=1e-6)]
    assert in_blender["range"] == [FIRST_FRAME, FIRST_FRAME + 30]


def test_markers_sit_at_their_frames(in_blender: dict[str, Any]) -> None:
    assert in_blender["markers"] == [[12, "! LWrist missing"], [34, "!! feet slide"]]


def test_contact_is_keyed_on_the_armature(in_blender: dict[str, Any], take: SolvedTake) -> None:
    assert in_blender["contact"] == take.contact[:, 0].tolist()


def test_missing_points_are_hidden_and_never_keyed(in_blender: dict[str, Any], take: SolvedTake) -> None:
    empties = in_blender["empties"]
    wrist = take.points.keypoint_set.names.index("LWrist")
    assert (empties["hidden_at_9"], empties["hidden_at_14"], empties["keys"]) == (True, False, 31 - 6)
    assert empties["at_14"] == pytest.approx(take.points.xyz_m[14, wrist], abs=1e-5)
    assert "RWrist" not in empties["names"]
    assert len(empties["names"]) == 25


@pytest.mark.parametrize("index", range(5), ids=["pinhole", "distorted", "fisheye", "portrait", "cropped"])
def test_joints_reproject_through_blenders_camera(in_blender: dict[str, Any], take: SolvedTake, index: int) -> None:
    camera = take.rig[index]
    seen = in_blender["cameras"][camera.name]
    joints = true_joints(take)[19] @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    expected = joints[:, :2] / joints[:, 2:] * camera.intrinsics.focal_px + camera.intrinsics.center_px
    size = camera.intrinsics.size_px
    if index == 4:
        # The footage lacks 13 columns on the left and 7 on the right.
        expected, size = expected - [13.0, 0.0], (300, 180)
    assert tuple(seen["size"]) == size
    assert np.abs(np.array(seen["pixels"]) - expected).max() < 0.01


def test_only_cameras_with_footage_get_a_background(in_blender: dict[str, Any]) -> None:
    backgrounds = {name: seen["backgrounds"] for name, seen in in_blender["cameras"].items()}
    assert backgrounds == {
        "cam1": ["subject_0 cam1"],
        "cam2": ["subject_0 cam2"],
        "cam3": [],
        "cam4": [],
        "cam5": ["subject_0 cam5"],
    }


def test_footage_that_began_earlier_is_shifted(in_blender: dict[str, Any]) -> None:
    assert in_blender["clips"]["subject_0 cam1"] == [FIRST_FRAME - 11, 47, False]
    assert [frame_number(p) for p in in_blender["pictures"]["cam1"]] == [f + 11 for f in FRAMES]


def test_footage_of_twice_the_rate_is_retimed(in_blender: dict[str, Any]) -> None:
    assert [frame_number(p) for p in in_blender["pictures"]["cam2"]] == [2 * f for f in FRAMES]


def test_blender_undistorts_the_footage_as_opencv_does(in_blender: dict[str, Any], scene_path: Path) -> None:
    lens = matrix_and_distortion(scene_path)
    path = scene_path.parent.parent / "footage" / "cam2.mp4"
    ok, frame = cv2.VideoCapture(str(path)).read()
    assert ok
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    expected = cv2.undistort(grey, lens[0], lens[1], None, lens[0])
    inside = (slice(95, 170), slice(15, 305))
    seen = [grey_picture(p) for p in in_blender["undistorted"]]
    best = min((float(np.abs(s[inside].astype(int) - expected[inside]).mean()) for s in seen), default=np.inf)
    untouched = float(np.abs(grey[inside].astype(int) - expected[inside]).mean())
    assert best < 0.15 * untouched, (best, untouched)


def test_the_stick_mesh_follows_the_armature(in_blender: dict[str, Any], take: SolvedTake) -> None:
    assert in_blender["sticks"] == pytest.approx(take.motion.root_translation_m[19], abs=1e-4)


def test_importing_again_replaces_the_first_import(in_blender: dict[str, Any]) -> None:
    first, again, copied = in_blender["counts"]
    assert again == first
    assert copied == {kind: 2 * n for kind, n in first.items()}


def test_a_missing_file_is_reported_to_the_user(in_blender: dict[str, Any]) -> None:
    (message,) = in_blender["errors"]
    assert "nothing.scene.json cannot be read" in message
    assert "Traceback" not in message


def test_disabling_leaves_nothing_behind(in_blender: dict[str, Any]) -> None:
    assert in_blender["left_behind"] == []
    assert in_blender["menu_is_as_before"]
