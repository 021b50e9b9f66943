"""Left and right along a track: a keypoint model that reads a back as a front answers with both sides exchanged."""

from __future__ import annotations

import itertools

import numpy as np

from mocap.core.keypoints import KeypointSet

CAP = 0.5
"""A jump of more than this share of the body's size between frames counts no more (it says 'not the same limb')."""
AGAINST_SWAP = 0.003
"""Cost per frame and limb group of saying that the model was wrong, in the same unit: breaks ties for the majority."""
AGAINST_TWIST = 0.01
"""Cost per frame of exchanging only the arms or only the legs: a model mostly takes the whole body for turned round."""
SCORE_OF_A_SWAP = 0.7
"""Factor on the score of keypoints whose sides were exchanged: the model itself saw it otherwise."""

_LEGS = ("LHip", "LKnee", "LAnkle", "LHeel", "LBigToe", "LSmallToe")
_COMPARED = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


def untangle_sides(
    xy_px: np.ndarray, score: np.ndarray, keypoint_set: KeypointSet, expected_px: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one person's track with consistent sides: xy, score, and [frame 2] which of (arms, legs) were exchanged.

    Chooses for every frame whether the arms and the legs are as the model says or exchanged, so that limbs move least
    between frames (dynamic programming over 4 states, exact); sides as the model says are a little cheaper, so the
    majority of the model's answers decides for the take. A whole track that is reversed cannot be noticed here.

    Args:
        xy_px: [frame keypoint 2]; NaN where not detected.
        score: [frame keypoint].
        keypoint_set: its mirror pairs are exchanged.
        expected_px: [frame keypoint 2] where the keypoints should be, e.g. from other views; NaN where unknown. When
            given, its evidence is added for every frame.
    """
    groups = _groups(keypoint_set)
    size = _body_size(xy_px)
    costs = [_costs(xy_px, score, keypoint_set, g, size, expected_px) for g in groups]
    swapped = _cheapest(costs)
    xy, out = xy_px.copy(), score.copy()
    mirror = np.asarray(keypoint_set.mirror)
    for g, members in enumerate(groups):
        rows = np.flatnonzero(swapped[:, g])
        xy[rows[:, None], members] = xy_px[rows[:, None], mirror[members]]
        out[rows[:, None], members] = SCORE_OF_A_SWAP * score[rows[:, None], mirror[members]]
    return xy, out, swapped


def _groups(keypoint_set: KeypointSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints of arms (with the face, which turns with the shoulders) and of legs."""
    mirror = np.asarray(keypoint_set.mirror)
    paired = [k for k in range(len(keypoint_set)) if mirror[k] != k]
    legs = {k for name in _LEGS if (k := keypoint_set.index(name)) is not None}
    legs |= {int(mirror[k]) for k in legs}
    return np.array([k for k in paired if k not in legs], int), np.array(sorted(legs), int)


def _body_size(xy_px: np.ndarray) -> float:
    """Return the median extent of the track's body in pixels."""
    with np.errstate(all="ignore"):
        seen = xy_px[np.isfinite(xy_px).all((1, 2))]
    return max(1.0, float(np.median(np.ptp(seen, axis=1).max(-1)))) if len(seen) else 100.0


def _costs(
    xy_px: np.ndarray,
    score: np.ndarray,
    keypoint_set: KeypointSet,
    members: np.ndarray,
    size: float,
    expected_px: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return one limb group's costs: [frame state], and [frame from to] of the step from the last frame it was seen in.

    Only the limbs' own joints are compared: face, fingers and toes lie so close together that they would dilute a swap.
    """
    joints = [k for k in members if keypoint_set.landmarks[k][1:] in _COMPARED]
    members = np.array(joints, int) if joints else members
    mirror = np.asarray(keypoint_set.mirror)[members]
    both = np.stack([xy_px[:, members], xy_px[:, mirror]])  # [state frame keypoint 2]
    weight = np.stack([score[:, members], score[:, mirror]])
    n = xy_px.shape[0]
    unary, step = np.zeros((n, 2)), np.zeros((n, 2, 2))
    if not len(members):
        return unary, step
    unary[:, 1] = AGAINST_SWAP * weight[0].mean(-1)
    if expected_px is not None:
        unary += np.stack([_jump(both[s], expected_px[:, members], weight[s], size) for s in range(2)], axis=-1)
    frames = np.flatnonzero(np.isfinite(both[0]).all(-1).any(-1))
    before, after = frames[:-1], frames[1:]
    for a, b in itertools.product(range(2), range(2)):
        w = np.minimum(weight[a, before], weight[b, after])
        step[after, a, b] = _jump(both[a, before], both[b, after], w, size) / (after - before)
    return unary, step


def _cheapest(costs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[frame group] bool: the cheapest sequence of joint states of all groups (Viterbi's algorithm)."""
    n = len(costs[0][0])
    states = np.array(list(itertools.product(range(2), repeat=len(costs))))  # [state group]
    if n == 0:
        return np.zeros((0, len(costs)), bool)
    apart = AGAINST_TWIST * (np.ptp(states, axis=1) > 0)
    unary = apart + sum(u[:, states[:, g]] for g, (u, _) in enumerate(costs))
    step = np.sum([s[:, states[:, None, g], states[None, :, g]] for g, (_, s) in enumerate(costs)], axis=0)
    total, back = unary[0], np.zeros((n, len(states)), int)
    for f in range(1, n):
        reached = total[:, None] + step[f] + AGAINST_SWAP * 1e-3 * (1 - np.eye(len(states)))
        back[f] = reached.argmin(0)
        total = reached.min(0) + unary[f]
    best = np.zeros(n, int)
    best[-1] = int(total.argmin())
    for f in range(n - 1, 0, -1):
        best[f - 1] = back[f, best[f]]
    return states[best].astype(bool)


def _jump(a: np.ndarray, b: np.ndarray, weight: np.ndarray, size: float) -> np.ndarray:
    """[...] score-weighted mean distance in body sizes over the last axis of keypoints, each capped at CAP."""
    distance = np.minimum(np.linalg.norm(a - b, axis=-1) / size, CAP)
    known = np.isfinite(distance)
    w = np.where(known, weight, 0.0)
    return (np.where(known, distance, 0.0) * w).sum(-1) / np.maximum(w.sum(-1), 1e-6)
