"""Limbs whose left and right a view has exchanged, found over time and put back.

A detector that takes the left arm for the right one does so for a stretch of frames and for the whole limb. So the
question is a labelling problem per view and limb: two states, the cost of each the truncated reprojection error of the
limb's keypoints under that labelling, and a price for changing state; solved exactly by dynamic programming
(A. Viterbi, 1967).
"""

from __future__ import annotations

import numpy as np

from mocap.core.keypoints import KeypointSet

ARM = ("Shoulder", "Elbow", "Wrist", "Thumb", "Index", "Pinky")
LEG = ("Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel")
HEAD = ("Eye", "Ear")
TRUNCATION_SQUARED = 16.0
"""Whitened squared residual beyond which a keypoint is simply wrong under a labelling."""
SWITCH_COST = 20.0
"""Price of a change of state: about one keypoint wrong in one frame, so that single jumps do not turn a limb."""
EXCHANGE_COST = 4.0
"""Price per frame of the exchanged state: where the limbs overlap in the picture nothing is changed."""


def limb_groups(keypoint_set: KeypointSet) -> np.ndarray:
    """Return [limb keypoint] which keypoints belong to arms, legs and head; the midline belongs to none."""
    sided = [n[1:] if n[:1] in "LR" and n[1:2].isupper() else "" for n in keypoint_set.landmarks]
    groups = np.array([[name in limb for name in sided] for limb in (ARM, LEG, HEAD)])
    return groups[groups.any(1)]


def exchanged_limbs(own_squared: np.ndarray, crossed_squared: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return [camera frame limb] whether a view shows the limb with its sides exchanged.

    own_squared and crossed_squared [camera frame keypoint]: whitened squared residuals of each observation against its
    own point and against the point of the other side; NaN where unseen. Cost is linear in frames.
    """
    cost = np.stack([_limb_cost(own_squared, groups), _limb_cost(crossed_squared, groups) + EXCHANGE_COST], axis=-1)
    n_frames = cost.shape[1]
    best = np.zeros(cost.shape)
    came_from = np.zeros(cost.shape, np.int8)
    best[:, 0] = cost[:, 0]
    for f in range(1, n_frames):
        stay, change = best[:, f - 1], best[:, f - 1, :, ::-1] + SWITCH_COST
        came_from[:, f] = change < stay
        best[:, f] = np.minimum(stay, change) + cost[:, f]
    state = np.zeros(cost.shape[:3], np.int64)
    state[:, -1] = best[:, -1].argmin(-1)
    for f in range(n_frames - 1, 0, -1):
        changed = np.take_along_axis(came_from[:, f], state[:, f, :, None], axis=-1)[..., 0]
        state[:, f - 1] = state[:, f] ^ changed
    return state.astype(bool)


def _limb_cost(squared: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the truncated cost [camera frame limb]; unseen keypoints cost nothing under either labelling."""
    truncated = np.where(np.isnan(squared), 0.0, np.minimum(squared, TRUNCATION_SQUARED))
    return truncated @ groups.T.astype(float)


def put_back(values: np.ndarray, exchanged: np.ndarray, groups: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return values [camera frame keypoint ...] with the sides of exchanged limbs [camera frame limb] changed over."""
    turn = (exchanged.astype(int) @ groups.astype(int)) > 0
    turn = turn.reshape(*turn.shape, *[1] * (values.ndim - 3))
    return np.where(turn, values[:, :, mirror], values)
