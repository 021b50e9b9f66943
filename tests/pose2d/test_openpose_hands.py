"""OpenPose's hands: arrays of their own beside the body's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.keypoints import N_HAND, load_keypoint_set
from mocap.pose2d.files import KeypointFiles, read_keypoints

CAMERAS = ("cam1", "cam2", "cam3")
N_FRAMES = 5
BODY = np.array([[300.0 + 7 * k, 200.0 + 11 * k, 0.9 - k / 128] for k in range(26)])


def hand(camera: int, frame: int, side: int) -> np.ndarray:
    """A different number at every place [keypoint 3]."""
    k = np.arange(N_HAND)
    return np.stack([1000 + 100 * camera + 10 * frame + k / 32, 500 + 100 * side + k / 16, (k + 1) / 32], 1)


def person(body: np.ndarray, **arrays: np.ndarray | list[float]) -> dict[str, Any]:
    return {"pose_keypoints_2d": body.ravel().tolist(), **{f"{k}_keypoints_2d": list(v) for k, v in arrays.items()}}


def both_hands(camera: int, frame: int, body: np.ndarray = BODY) -> dict[str, Any]:
    left, right = (hand(camera, frame, side).ravel() for side in (0, 1))
    return person(body, face=[1.0] * 210, hand_left=left, hand_right=right)


def write(root: Path, people: list[dict[str, Any]], camera: int, frame: int) -> None:
    path = root / f"{CAMERAS[camera]}_json" / f"{CAMERAS[camera]}_{frame:06d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.3, "people": people}))


def take(root: Path, body: np.ndarray = BODY) -> Path:
    for c in range(len(CAMERAS)):
        for f in range(N_FRAMES):
            write(root, [both_hands(c, f, body)], c, f)
    return root


def read(root: Path, **options: Any) -> KeypointFiles:
    return read_keypoints(root, CAMERAS, 60, **options)


def test_hands_follow_the_body_left_first_and_the_face_is_passed_over(tmp_path: Path) -> None:
    detections, diagnostics = read(take(tmp_path))
    assert diagnostics == []
    for c, d in enumerate(detections.values()):
        assert d.keypoint_set.name == "halpe26+hands"
        assert d.xy_px.shape == (N_FRAMES, 1, 26 + 2 * N_HAND, 2)
        for f in range(N_FRAMES):
            expected = np.concatenate([BODY, hand(c, f, 0), hand(c, f, 1)]).astype(np.float32)
            np.testing.assert_array_equal(d.xy_px[f, 0], expected[:, :2])
            np.testing.assert_array_equal(d.score[f, 0], expected[:, 2])


def test_the_points_of_the_hands_mean_what_openpose_says(tmp_path: Path) -> None:
    points = read(take(tmp_path)).detections["cam1"].keypoint_set
    fingers = [f + n for f in ("Index", "Middle", "Ring", "Pinky") for n in ("", "2", "3", "Tip")]
    expected = ["HandRoot", "Thumb1", "Thumb", "Thumb3", "ThumbTip", *fingers]
    assert list(points.landmarks[26:]) == [side + name for side in "LR" for name in expected]
    assert points.mirror[26:] == (*range(26 + N_HAND, 26 + 2 * N_HAND), *range(26, 26 + N_HAND))
    bones = {frozenset(points.names[i] for i in bone) for bone in points.bones}
    assert {"left_forefinger1", "left_forefinger2"} in bones
    assert {"right_thumb3", "right_thumb4"} in bones
    assert {"LShoulder", "LElbow"} in bones


def test_a_hand_that_is_absent_in_a_file_is_missing_there(tmp_path: Path) -> None:
    take(tmp_path)
    zeros = [0.0] * (3 * N_HAND)
    left, right = (hand(0, 1, side).ravel() for side in (0, 1))
    write(tmp_path, [person(BODY)], 0, 0)
    write(tmp_path, [person(BODY, hand_left=zeros, hand_right=right)], 0, 1)
    write(tmp_path, [person(BODY, hand_left=left, hand_right=[])], 0, 2)
    write(tmp_path, [], 0, 3)
    d = read(tmp_path).detections["cam1"]
    seen = np.asarray(np.isfinite(d.xy_px[:, 0]).all(-1))
    np.testing.assert_array_equal(seen, d.score[:, 0] > 0)
    halves = np.stack([seen[:, 26 : 26 + N_HAND], seen[:, 26 + N_HAND :]], 1)
    assert halves.any(-1).tolist() == [[False, False], [False, True], [True, False], [False, False], [True, True]]
    assert (halves.any(-1) == halves.all(-1)).all()


def test_people_of_a_frame_keep_their_own_hands(tmp_path: Path) -> None:
    take(tmp_path)
    write(tmp_path, [{"pose_keypoints_2d": []}, person(BODY + [50, 0, 0]), both_hands(1, 2)], 1, 2)
    xy = read(tmp_path).detections["cam2"].xy_px[2]
    assert np.isnan(xy[0, 26:]).all()
    np.testing.assert_array_equal(xy[1, 26:], np.concatenate([hand(1, 2, 0), hand(1, 2, 1)])[:, :2].astype(np.float32))


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"hand_left": [0.0] * 63, "hand_right": [0.0] * 63},
        {"hand_left": []},
        {"hand_left": [10.0, 20.0, -1.0] * 21},
    ],
)
def test_one_camera_that_sees_hands_is_enough_and_none_means_the_body_alone(
    tmp_path: Path, arrays: dict[str, list[float]]
) -> None:
    for c in range(len(CAMERAS)):
        for f in range(N_FRAMES):
            write(tmp_path, [person(BODY, **arrays)], c, f)
    assert {d.keypoint_set.name for d in read(tmp_path).detections.values()} == {"halpe26"}
    write(tmp_path, [both_hands(2, 4)], 2, 4)
    detections, diagnostics = read(tmp_path)
    assert diagnostics == []
    assert {d.keypoint_set.name for d in detections.values()} == {"halpe26+hands"}
    seen = {c: np.isfinite(d.xy_px[:, 0, 26:]).all((1, 2)).tolist() for c, d in detections.items()}
    nowhere = [False] * N_FRAMES
    assert seen == {"cam1": nowhere, "cam2": nowhere, "cam3": [*nowhere[:-1], True]}


def test_openposes_coco_body_is_known_and_takes_hands(tmp_path: Path) -> None:
    detections, _ = read(take(tmp_path, BODY[:18]))
    points = detections["cam1"].keypoint_set
    assert points.name == "coco18+hands"
    assert points.names[:5] == ("Nose", "Neck", "RShoulder", "RElbow", "RWrist")
    assert points.names[14:18] == ("REye", "LEye", "REar", "LEar")


def test_a_set_that_is_asked_for_is_that_of_the_body(tmp_path: Path) -> None:
    detections, _ = read(take(tmp_path, BODY[:25]), keypoint_set="body_25b")
    assert detections["cam1"].keypoint_set.name == "body_25b+hands"


def test_a_body_with_hands_of_its_own_keeps_those_and_it_is_said(tmp_path: Path) -> None:
    whole = np.array([[300.0 + 3 * k, 200.0 + 5 * k, 0.5] for k in range(133)])
    detections, diagnostics = read(take(tmp_path, whole))
    assert detections["cam1"].keypoint_set is load_keypoint_set("coco_wholebody133")
    assert [d.code for d in diagnostics] == ["keypoints-hands-left-out"]
    assert diagnostics[0].data == {"cameras": dict.fromkeys(CAMERAS, "coco_wholebody133")}


@pytest.mark.parametrize(("side", "n"), [("left", 60), ("right", 66), ("right", 62)])
def test_a_hand_of_another_length_is_refused_with_its_place(tmp_path: Path, side: str, n: int) -> None:
    take(tmp_path)
    write(tmp_path, [person(BODY, **{f"hand_{side}": [1.0] * n})], 1, 3)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert error.value.code == "keypoints-count"
    message = error.value.message
    assert "cam2_000003.json" in message
    expected = f"expected 21 keypoints of the {side} hand (63 values in hand_{side}_keypoints_2d)"
    assert f"{expected}, got {n} values" in message


@pytest.mark.parametrize("value", [["a"] * 63, 5])
def test_a_hand_that_is_no_list_of_numbers_is_refused(tmp_path: Path, value: Any) -> None:
    take(tmp_path)
    write(tmp_path, [{"pose_keypoints_2d": BODY.ravel().tolist(), "hand_left_keypoints_2d": value}], 1, 3)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert error.value.code == "keypoints-broken"
