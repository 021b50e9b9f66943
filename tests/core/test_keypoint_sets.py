"""The keypoint sets: orders, mirrors, landmarks and bones."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mocap.core.keypoints import keypoint_set_names, load_keypoint_set

_SIDED = ("Eye", "Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel")
_HAND = ("Thumb", "Index", "Pinky")
_FINGERS = (
    *("HandRoot", "Thumb1", "Thumb3", "ThumbTip", "Middle", "Ring"),
    *(f"{finger}{n}" for finger in ("Index", "Middle", "Ring", "Pinky") for n in ("2", "3", "Tip")),
)
LANDMARKS = {"Nose", "Head", "Neck", "Hip"} | {side + name for side in "LR" for name in _SIDED + _HAND + _FINGERS}
SIZES = {
    "blazepose33": 33,
    "body_25": 25,
    "body_25b": 25,
    "coco17": 17,
    "coco18": 18,
    "coco_wholebody133": 133,
    "h36m17": 17,
    "halpe136": 136,
    "halpe26": 26,
    "hand21": 21,
    "mpii16": 16,
}
BODIES = [name for name in SIZES if name != "hand21"]


def test_all_known_sets_are_there_with_their_size() -> None:
    assert {name: len(load_keypoint_set(name)) for name in keypoint_set_names()} == SIZES


@pytest.mark.parametrize("name", SIZES)
def test_a_mirror_swaps_left_and_right_landmarks(name: str) -> None:
    points = load_keypoint_set(name)
    for landmark, mirror in zip(points.landmarks, points.mirror, strict=True):
        other = points.landmarks[mirror]
        if landmark[:1] in ("L", "R"):
            assert {landmark[0], other[0]} == {"L", "R"}
            assert landmark[1:] == other[1:]
        else:
            assert landmark == other


@pytest.mark.parametrize("name", SIZES)
def test_landmarks_are_canonical_and_carried_once(name: str) -> None:
    landmarks = [m for m in load_keypoint_set(name).landmarks if m]
    assert set(landmarks) <= LANDMARKS
    assert len(landmarks) == len(set(landmarks))


@pytest.mark.parametrize("name", SIZES)
def test_bones_are_symmetric(name: str) -> None:
    points = load_keypoint_set(name)
    bones = {frozenset(b) for b in points.bones}
    assert len(bones) == len(points.bones)
    assert {frozenset(points.mirror[i] for i in bone) for bone in bones} == bones


@pytest.mark.parametrize("name", BODIES)
def test_every_body_has_the_limbs(name: str) -> None:
    points = load_keypoint_set(name)
    bones = {frozenset(points.landmarks[i] for i in bone) for bone in points.bones}
    for side in "LR":
        for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle")):
            assert frozenset((side + a, side + b)) in bones


def test_halpe26_has_the_order_of_the_bench(shared: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shared("bench/benchlib.py").parent
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    benchlib = importlib.import_module("benchlib")
    assert list(load_keypoint_set("halpe26").names) == benchlib.HALPE26


def test_body_25b_names_the_points_that_openpose_does() -> None:
    names = load_keypoint_set("body_25b").names
    assert names[:5] == ("Nose", "LEye", "REye", "LEar", "REar")
    assert names[17:] == ("UpperNeck", "HeadTop", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")


def test_an_unknown_set_names_the_available_ones() -> None:
    with pytest.raises(KeyError, match="halpe26"):
        load_keypoint_set("halpe27")


def test_halpe136_goes_on_after_halpe26_with_face_and_hands() -> None:
    names = load_keypoint_set("halpe136").names
    assert names[:26] == load_keypoint_set("halpe26").names
    assert (names[26], names[93], names[94], names[115]) == ("face-0", "face-67", "left_hand_root", "right_hand_root")


def test_mpii_has_the_order_of_its_annotations() -> None:
    points = load_keypoint_set("mpii16")
    assert points.names[:4] == ("RAnkle", "RKnee", "RHip", "LHip")
    assert points.names[6:11] == ("Pelvis", "Thorax", "UpperNeck", "HeadTop", "RWrist")
    assert points.landmarks[6:10] == ("Hip", "Neck", "", "Head")
