"""What a SimCC head's output means: every keypoint is a distribution over columns and one over rows.

Source: Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (ECCV 2022), as
RTMPose uses it: bins are `split_ratio` to a pixel, the answer is the highest bin (no sub-bin refinement), the score the
smaller of the two maxima.
"""

from __future__ import annotations

import numpy as np


def decode_simcc(x: np.ndarray, y: np.ndarray, split_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Return xy in pixels of the crop and score, [person keypoint 2] and [person keypoint].

    A keypoint without a positive maximum in both is missing: NaN with score 0.

    Args:
        x: [person keypoint column-bin].
        y: [person keypoint row-bin].
        split_ratio: bins to a pixel.
    """
    xy = np.stack([x.argmax(-1), y.argmax(-1)], axis=-1).astype(np.float32) / np.float32(split_ratio)
    score = np.minimum(x.max(-1), y.max(-1))
    is_there = score > 0
    return np.where(is_there[..., None], xy, np.nan), np.where(is_there, score, 0.0).astype(np.float32)


def mirrored_back(x: np.ndarray, y: np.ndarray, mirror: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the output for a picture flipped left to right as if it had not been flipped."""
    order = list(mirror)
    return x[:, order, ::-1], y[:, order]
