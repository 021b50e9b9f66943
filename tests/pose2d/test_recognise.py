"""Which keypoint set a take uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.keypoints import load_keypoint_set
from mocap.pose2d.files import read_keypoints
from mocap.pose2d.recognise import choose_keypoint_set, landmark_of

# A person of 1.75 m, facing -y, left arm raised: landmark -> x (left), y, z in metres.
BODY = {
    "Nose": (0, -0.12, 1.58), "LEye": (0.03, -0.1, 1.62), "REye": (-0.03, -0.1, 1.62), "LEar": (0.08, 0, 1.6),
    "REar": (-0.08, 0, 1.6), "LShoulder": (0.19, 0, 1.42), "RShoulder": (-0.19, 0, 1.42), "LElbow": (0.3, -0.05, 1.71),
    "RElbow": (-0.28, 0, 1.14), "LWrist": (0.28, -0.1, 1.96), "RWrist": (-0.33, -0.12, 0.92), "LHip": (0.1, 0, 0.92),
    "RHip": (-0.1, 0, 0.92), "LKnee": (0.12, -0.05, 0.5), "RKnee": (-0.12, 0.02, 0.49), "LAnkle": (0.13, 0.02, 0.08),
    "RAnkle": (-0.14, 0.1, 0.08), "Head": (0, 0, 1.75), "Neck": (0, 0.02, 1.45), "Hip": (0, 0, 0.94),
    "LBigToe": (0.16, -0.18, 0.02), "RBigToe": (-0.16, -0.1, 0.02), "LSmallToe": (0.21, -0.14, 0.02),
    "RSmallToe": (-0.21, -0.06, 0.02), "LHeel": (0.12, 0.07, 0.02), "RHeel": (-0.13, 0.15, 0.02),
    "Spine": (0, 0.02, 1.2), "Face": (0, -0.1, 1.57),
}  # fmt: skip


def person(name: str, n: int = 61, seed: int = 3) -> np.ndarray:
    """[instance keypoint 2] pixels of the body seen from all sides, with 2 px of noise."""
    points = load_keypoint_set(name)
    keys = [m or n for n, m in zip(points.names, points.landmarks, strict=True)]
    xyz = np.array([BODY[k] for k in keys], float)
    turn = np.linspace(0, 2 * np.pi, n)[:, None]
    x = xyz[:, 0] * np.cos(turn) + xyz[:, 1] * np.sin(turn)
    z = np.broadcast_to(xyz[:, 2], x.shape)
    return np.stack([500 + 220 * x, 700 - 220 * z], -1) + np.random.default_rng(seed).normal(0, 2, (*x.shape, 2))


@pytest.mark.parametrize("name", ["coco17", "h36m17", "body_25", "body_25b"])
def test_of_two_sets_with_one_count_the_one_that_makes_a_body_is_chosen(name: str) -> None:
    xy = person(name)
    points, diagnostics = choose_keypoint_set([xy[:31], xy[31:]], (), None, "a.json")
    assert points.name == name
    assert [d.code for d in diagnostics] == ["keypoint-set-chosen"]
    assert diagnostics[0].data["keypoint_set"] == name


@pytest.mark.parametrize("name", ["coco17", "body_25"])
def test_left_and_right_exchanged_in_some_frames_do_not_mislead(name: str) -> None:
    xy = person(name)
    xy[::5] = xy[::5, list(load_keypoint_set(name).mirror)]
    assert choose_keypoint_set([xy], (), None, "a.json")[0].name == name


def test_a_unique_count_needs_no_look() -> None:
    points, diagnostics = choose_keypoint_set([np.full((1, 26, 2), np.nan)], (), None, "a.json")
    assert (points.name, diagnostics) == ("halpe26", ())


@pytest.mark.parametrize("count", [17, 25])
def test_points_that_make_no_body_are_a_tie_that_names_the_option(count: int) -> None:
    xy = np.random.default_rng(1).uniform(0, 1000, (61, count, 2))
    with pytest.raises(InputError) as error:
        choose_keypoint_set([xy], (), None, "cam1/a.json")
    assert error.value.code == "keypoint-set-ambiguous"
    assert "--keypoint-set" in error.value.advice
    assert "cam1/a.json" in error.value.message


def test_the_users_choice_is_taken_and_checked() -> None:
    xy = person("coco17")
    assert choose_keypoint_set([xy], (), "h36m17", "a.json")[0].name == "h36m17"
    with pytest.raises(InputError) as error:
        choose_keypoint_set([xy], (), "halpe26", "a.json")
    assert error.value.code == "keypoint-set-mismatch"
    with pytest.raises(InputError) as error:
        choose_keypoint_set([xy], (), "halpe", "a.json")
    assert error.value.code == "keypoint-set-unknown"
    assert "halpe26" in error.value.advice


def test_an_unknown_count_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        choose_keypoint_set([np.zeros((1, 11, 2))], (), None, "a.json")
    assert error.value.code == "keypoint-count-unknown"
    assert "11 keypoints" in error.value.message
    assert "26 (halpe26)" in error.value.message


@pytest.mark.parametrize(
    ("name", "landmark"),
    [
        ("left_shoulder", "LShoulder"),
        ("LShoulder", "LShoulder"),
        ("shoulder_R", "RShoulder"),
        ("RightHand", "RWrist"),
        ("r.hip", "RHip"),
        ("pelvis", "Hip"),
        ("left_foot_index", "LBigToe"),
        ("head top", "Head"),
        ("tail", ""),
        ("shoulder", ""),
    ],
)
def test_landmarks_are_read_off_names(name: str, landmark: str) -> None:
    assert landmark_of(name) == landmark


def test_names_of_a_known_set_give_that_set_and_others_make_one() -> None:
    coco = load_keypoint_set("coco17")
    lower = tuple(
        {"L": "left_", "R": "right_"}.get(n[0], "") + n.removeprefix(n[0] if n != "Nose" else "").lower()
        for n in coco.names
    )
    assert choose_keypoint_set([np.zeros((1, 17, 2))], lower, None, "a.csv")[0].name == "coco17"
    names = ("tail", "rightelbow", "right_elbow", "right_wrist", "left_wrist", "left_elbow")
    points, diagnostics = choose_keypoint_set([np.zeros((1, 6, 2))], names, None, "a.csv")
    assert points.landmarks == ("", "", "RElbow", "RWrist", "LWrist", "LElbow")
    assert points.mirror == (0, 1, 5, 4, 3, 2)
    assert set(points.bones) == {(5, 4), (2, 3)}
    assert diagnostics[0].data["unused"] == ["tail", "rightelbow"]
    with pytest.raises(InputError) as error:
        choose_keypoint_set([np.zeros((1, 2, 2))], ("tail", "nose"), None, "a.csv")
    assert error.value.code == "keypoint-names-unknown"


@pytest.mark.parametrize("take", ["openpose_body25b_2022/pose-2d", "openpose_2024_two_person/T02_Participants1-2/pose"])
def test_real_body_25b_takes_are_recognised(shared: Callable[[str], Path], take: str) -> None:
    folder = shared("data/pose2sim_demo") / take
    files = read_keypoints(folder, ["cam_01", "cam_02", "cam_03", "cam_04"], 60)
    assert {d.keypoint_set.name for d in files.detections.values()} == {"body_25b"}
    assert files.detections["cam_03"].n_frames == 100


@pytest.mark.parametrize(("name", "count"), [("mpii16", 16), ("halpe136", 136)])
def test_sets_with_a_count_of_their_own_are_known_by_it(name: str, count: int) -> None:
    points, diagnostics = choose_keypoint_set([np.zeros((3, count, 2))], (), None, "a.json")
    assert points.name == name
    assert not diagnostics


def test_a_single_hand_is_not_taken_for_a_person() -> None:
    with pytest.raises(InputError) as caught:
        choose_keypoint_set([np.zeros((3, 21, 2))], (), None, "a.json")
    assert caught.value.code == "keypoint-count-unknown"
