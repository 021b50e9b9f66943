"""Which keypoint set the files of each camera of a take use, and the hands that follow the body in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import (
    N_HAND,
    KeypointSet,
    hand_keypoints,
    keypoint_set_names,
    load_keypoint_set,
    with_hands,
)
from mocap.pose2d.readers.raw import RawKeypoints, is_missing
from mocap.pose2d.recognise import choose_keypoint_set


def camera_sets(
    raw: Mapping[str, RawKeypoints], requested: str | None
) -> tuple[dict[str, KeypointSet], list[Diagnostic]]:
    """Return the keypoint set of every camera; cameras with the same count and names have the same set.

    What is `requested` counts for the cameras with its count where counts differ. A camera that sees nobody has the set
    of another.
    """
    groups: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for camera, r in raw.items():
        if len(r.frame):
            groups.setdefault((r.xys.shape[1], r.names), []).append(camera)
    is_known = requested in keypoint_set_names()
    counts = [count for count, _ in groups]
    n_requested = len(load_keypoint_set(requested)) if requested is not None and is_known else None
    sets: dict[str, KeypointSet] = {}
    found: list[Diagnostic] = []
    for (count, names), cameras in groups.items():
        xy = [np.where(is_missing(raw[c].xys)[..., None], np.nan, raw[c].xys[..., :2]) for c in cameras]
        wanted = requested if count == n_requested or n_requested not in counts else None
        points, chosen = choose_keypoint_set(xy, names, wanted, raw[cameras[0]].where)
        found += chosen
        sets |= dict.fromkeys(cameras, points)
    return {camera: sets.get(camera, next(iter(sets.values()))) for camera in raw}, found


def with_hand_arrays(
    raw: Mapping[str, RawKeypoints], sets: Mapping[str, KeypointSet]
) -> tuple[dict[str, RawKeypoints], dict[str, KeypointSet], list[Diagnostic]]:
    """Return the cameras with the hands of their files after the body, their sets, and what had to be left out.

    The set is the take's: where one camera saw a hand, the others with its body set have hands too, missing there. A
    body whose set has points of a hand itself keeps those alone.
    """
    joined, joined_sets = dict(raw), dict(sets)
    bodies = {sets[c].names for c, r in raw.items() if r.hands is not None}
    cameras = [c for c in raw if sets[c].names in bodies]
    with_own = {c: sets[c].name for c in cameras if set(sets[c].landmarks) & set(hand_keypoints().landmarks)}
    for camera in cameras:
        if camera not in with_own:
            joined[camera] = _joined(raw[camera])
            joined_sets[camera] = with_hands(sets[camera])
    if not with_own:
        return joined, joined_sets, []
    message = (
        f"{', '.join(with_own)}: the arrays of hands in the files are left out, as the body's keypoint set "
        f"({', '.join(sorted(set(with_own.values())))}) has points of the hands itself."
    )
    return joined, joined_sets, [Diagnostic("keypoints-hands-left-out", Severity.INFO, message, {"cameras": with_own})]


def _joined(raw: RawKeypoints) -> RawKeypoints:
    hands = np.zeros((len(raw.frame), 2 * N_HAND, 3), np.float32) if raw.hands is None else raw.hands
    return replace(raw, xys=np.concatenate([raw.xys, hands], axis=1), hands=None) if len(raw.frame) else raw
