"""What BlazePose's output tensors mean. Arrays in, arrays out; nothing here runs a model.

Source: the graphs of MediaPipe 0.10 (`pose_detection`, `pose_landmark`) and Bazarevsky et al., "BlazePose: On-device
Real-time Body Pose Tracking" (2020): an SSD detector without box regression per aspect that also gives the hips and a
point on the circle that holds the body; a landmark model whose regressed points are refined on heatmaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

DETECTOR_SIDE = 224
LANDMARK_SIDE = 256
N_LANDMARKS = 39
"""33 body points, then the hips' centre and the circle point, then points this product does not use."""
HEATMAP_REACH = 3
"""Cells to each side of the regressed point that take part in its refinement."""
MIN_PEAK = 0.5
"""A heatmap value of this confirms a regressed point."""


@cache
def detector_anchors() -> np.ndarray:
    """[2254 2] normalised centres of the detector's anchors: strides 8, 16 and three times 32, two in each cell."""
    rows = []
    for stride, per_cell in ((8, 2), (16, 2), (32, 6)):
        n = DETECTOR_SIDE // stride
        y, x = np.mgrid[0:n, 0:n]
        cells = (np.stack([x.ravel(), y.ravel()], axis=-1) + 0.5) / n
        rows.append(np.repeat(cells, per_cell, axis=0))
    return np.concatenate(rows)


def decode_people(boxes: np.ndarray, logits: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return people in one detector window: hips [n 2], circle points [n 2] (normalised) and scores [n], best first.

    Overlapping answers are blended by score (weighted non-maximum suppression), as MediaPipe does.

    Args:
        boxes: [2254 12] centre, size and four points relative to the anchors, in detector pixels.
        logits: [2254].
        min_score: answers below are dropped.
    """
    score = sigmoid(np.asarray(logits, np.float64).ravel())
    keep = np.flatnonzero(score >= min_score)
    keep = keep[np.argsort(-score[keep])]
    raw = np.asarray(boxes, np.float64).reshape(-1, 12)[keep] / DETECTOR_SIDE
    anchor, score = detector_anchors()[keep], score[keep]
    center, side = raw[:, :2] + anchor, raw[:, 2:4]
    points = np.stack([raw[:, 4:6] + anchor, raw[:, 6:8] + anchor], axis=1)
    found = []
    left = np.arange(len(keep))
    while len(left):
        best = left[0]
        overlap = _overlap(center[best], side[best], center[left], side[left]) > 0.3
        same = left[overlap]
        weight = score[same] / score[same].sum()
        found.append((np.einsum("n,npd->pd", weight, points[same]), score[best]))
        left = left[~overlap]
    if not found:
        return np.empty((0, 2)), np.empty((0, 2)), np.empty(0)
    both = np.stack([p for p, _ in found])
    return both[:, 0], both[:, 1], np.array([s for _, s in found])


def _overlap(center: np.ndarray, side: np.ndarray, centers: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """[n] intersection over union of a box with others."""
    low = np.maximum(center - side / 2, centers - sides / 2)
    high = np.minimum(center + side / 2, centers + sides / 2)
    shared = np.clip(high - low, 0, None).prod(-1)
    return shared / np.maximum(side.prod() + sides.prod(-1) - shared, 1e-12)


def decode_landmarks(raw: np.ndarray, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return [39 2] points in normalised crop coordinates, and [39] scores in 0..1.

    The model answers twice: regressed points with visibility and presence, and heatmaps. A point is as sure as the less
    sure of the two: the product of visibility and presence, or the highest value of its heatmap around it. On four
    cameras' pictures of a man balancing, where that value was 0.7 to 0.9 points were more than 40 of his 900 px off in
    0.2 %, 3 % for 0.5 to 0.7, 27 % for 0.4 to 0.5, 44 % for 0.3 to 0.4 and 81 % below, while visibility times presence
    was 0.6 on average: a foot that the picture blurs away is drawn on the floor with 0.93.

    Args:
        raw: [39 5] x, y, z in crop pixels, visibility and presence as logits.
        heatmaps: [64 64 39] logits.
    """
    raw = np.asarray(raw, np.float64).reshape(N_LANDMARKS, 5)
    xy, peak = refine_on_heatmaps(raw[:, :2] / LANDMARK_SIDE, heatmaps)
    score = sigmoid(raw[:, 3]) * sigmoid(raw[:, 4])
    return xy, np.minimum(score, peak)


def mirrored_back(xy: np.ndarray, score: np.ndarray, mirror: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return points [39 2] and scores [39] of a crop that was mirrored left to right, as of the crop itself.

    Args:
        xy: normalised crop coordinates.
        score: of each point.
        mirror: for each body point, the one that takes its place in a mirrored picture; the others have no side.
    """
    order = np.concatenate([np.asarray(mirror, int), np.arange(len(mirror), len(xy))])
    return np.column_stack([1.0 - xy[order, 0], xy[order, 1]]), score[order]


def averaged(
    xy: np.ndarray, score: np.ndarray, other_xy: np.ndarray, other_score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of two answers, points [k 2] weighted by their scores [k]."""
    share = (score / np.maximum(score + other_score, 1e-9))[:, None]
    return share * xy + (1.0 - share) * other_xy, (score + other_score) / 2


def refine_on_heatmaps(xy: np.ndarray, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points moved to the centroid of their heatmap around them where it has a peak, and its highest value.

    Args:
        xy: [k 2] normalised crop coordinates.
        heatmaps: [side side k] logits; a value of MIN_PEAK within HEATMAP_REACH cells of the point is a peak.
    """
    side, reach = heatmaps.shape[0], HEATMAP_REACH
    offset = np.arange(-reach, reach + 1)
    cols, rows = (np.floor(xy * side).astype(int)[:, :, None] + offset).transpose(1, 0, 2)
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((cols >= 0) & (cols < side))[:, None, :]
    r, c = np.clip(rows, 0, side - 1)[:, :, None], np.clip(cols, 0, side - 1)[:, None, :]
    logit = heatmaps[r, c, np.arange(len(xy))[:, None, None]].astype(np.float64)
    weight = np.where(inside, sigmoid(logit), 0.0)
    total = weight.sum((1, 2))
    peak = weight.max((1, 2))
    peaked = peak >= MIN_PEAK
    total = np.where(peaked, total, 1.0)
    x = (weight.sum(1) * cols).sum(1) / total / side
    y = (weight.sum(2) * rows).sum(1) / total / side
    return np.where(peaked[:, None], np.stack([x, y], axis=-1), xy), peak


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -100.0, 100.0)))
