"""One frame's JSON of OpenPose, and of what imitates it (OpenPose documentation, "Output format").

`{"people": [{"pose_keypoints_2d": [x, y, score, ...], "hand_left_keypoints_2d": [...], ...}]}`; a keypoint that was not
found is 0, 0, 0. Each hand has 21 points: the wrist, then thumb, index, middle, ring and little finger, of each the
four points from the knuckle to the tip. `face_keypoints_2d` is not read: no part of the skeleton is told by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mocap.core.errors import InputError
from mocap.core.keypoints import N_HAND
from mocap.pose2d.readers.raw import People

_HANDS = {side: f"hand_{side}_keypoints_2d" for side in ("left", "right")}


def openpose_people(document: Any) -> People:
    """Return the people of one document, those without keypoints of the body left out."""
    return [values for entry in document["people"] if (values := _body(entry))]


def openpose_hands(document: Any, path: str) -> list[list[float]]:
    """Return both hands of each of `openpose_people`, left then right; empty where neither was seen.

    A hand that is absent, or whose scores are all 0, is zeros beside one that was seen. Raises: InputError
    keypoints-count where an array is not of 21 points.
    """
    return [_hands(entry, path) for entry in document["people"] if _body(entry)]


def _body(entry: Any) -> list[float]:
    values = entry.get("pose_keypoints_2d")
    return entry.get("pose_keypoints", []) if values is None else values


def _hands(entry: Any, path: str) -> list[float]:
    both: list[float] = []
    is_seen = False
    for side, key in _HANDS.items():
        values: Sequence[float] = entry.get(key) or ()
        if not values:
            both.extend([0.0] * (3 * N_HAND))
            continue
        if len(values) != 3 * N_HAND:
            raise _wrong_hand(path, side, len(values))
        is_seen = is_seen or any(score > 0 for score in values[2::3])
        both.extend(values)
    return both if is_seen else []


def _wrong_hand(path: str, side: str, got: int) -> InputError:
    return InputError(
        "keypoints-count",
        f"{path}: expected {N_HAND} keypoints of the {side} hand ({3 * N_HAND} values in {_HANDS[side]}), "
        f"got {got} values ({got / 3:g} keypoints).",
        "Write the files again with the program that made them, or without hands.",
    )
