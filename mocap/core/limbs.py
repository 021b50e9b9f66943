"""Limbs whose left and right a detector takes for each other as a whole, and how they are put back."""

from __future__ import annotations

import numpy as np

from mocap.core.keypoints import Keypoints2D, KeypointSet

LIMBS = {
    "arms": ("Shoulder", "Elbow", "Wrist", "Thumb", "Index", "Pinky"),
    "legs": ("Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel"),
    "head": ("Eye", "Ear"),
    "hands": (
        *("HandRoot", "Thumb1", "Thumb", "Thumb3", "ThumbTip", "Index", "Index2", "Index3", "IndexTip"),
        *("Middle", "Middle2", "Middle3", "MiddleTip", "Ring", "Ring2", "Ring3", "RingTip"),
        *("Pinky", "Pinky2", "Pinky3", "PinkyTip"),
    ),
}
"""Landmarks of each limb, without their side. Hands are a limb in sets that show them whole: there detectors take one
for the other without the arms; elsewhere the few points of a hand go with the arm."""


def limb_pairs(keypoint_set: KeypointSet) -> dict[str, np.ndarray]:
    """Return the keypoints (left, right) [pair 2] of each limb that the set has, in the order of LIMBS."""
    pairs: dict[str, np.ndarray] = {}
    of_hands = LIMBS["hands"] if keypoint_set.index("LMiddle") is not None else ()
    for limb, landmarks in LIMBS.items():
        of_limb = of_hands if limb == "hands" else [n for n in landmarks if n not in of_hands]
        left = [keypoint_set.index("L" + n) for n in of_limb]
        both = [(k, keypoint_set.mirror[k]) for k in left if k is not None and keypoint_set.mirror[k] != k]
        if both:
            pairs[limb] = np.array(both)
    return pairs


def limb_groups(keypoint_set: KeypointSet) -> np.ndarray:
    """Return [limb keypoint] which keypoints belong to each limb of `limb_pairs`; the midline belongs to none."""
    pairs = limb_pairs(keypoint_set)
    groups = np.zeros((len(pairs), len(keypoint_set)), bool)
    for group, both in zip(groups, pairs.values(), strict=True):
        group[both] = True
    return groups


def of_keypoints(limb: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Return [... keypoint] whether a keypoint's limb is marked in [... limb]."""
    return (limb.astype(int) @ limb_groups(keypoint_set).astype(int)) > 0


def put_back(values: np.ndarray, exchanged: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Return values [camera frame keypoint ...] with the sides of exchanged limbs [camera frame limb] changed over."""
    turn = of_keypoints(exchanged, keypoint_set)
    turn = turn.reshape(*turn.shape, *[1] * (values.ndim - 3))
    return np.where(turn, values[:, :, np.array(keypoint_set.mirror)], values)


def with_sides_put_back(detections: Keypoints2D, exchanged: np.ndarray) -> Keypoints2D:
    """Return one person's detections with the sides of exchanged limbs [camera frame limb] changed over."""
    if not exchanged.any():
        return detections
    xy_px, score = (
        put_back(v[:, :, 0], exchanged, detections.keypoint_set)[:, :, None]
        for v in (detections.xy_px, detections.score)
    )
    return Keypoints2D(detections.keypoint_set, detections.camera_names, xy_px, score, detections.time_s)


def stretches(marked: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last index of each run of True in [frame]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
