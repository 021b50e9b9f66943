"""Two detections of one person, the second where a reconstruction expected him: which of them to believe.

The expectation comes from all views and from the time before and after, so a view that went wrong on its own is far
from it. Keypoint by keypoint the detection that lies nearer is kept; where both say the same, either has confirmed the
other, and the surer score stands.
"""

from __future__ import annotations

import numpy as np

NEAR = 0.02
"""How far a good detection is off, in units of the body's extent. The nearer one is not the truer one within that:
choosing it everywhere makes reprojection look better (p90 14.7 instead of 15.0 px on four cameras) and joints worse
(40 instead of 38 px at most from detections in two views)."""
AGREE = 0.05
"""Detections nearer than this, in units of the body's extent, say the same (about the width of a limb)."""


def better_of(
    first: tuple[np.ndarray, np.ndarray], again: tuple[np.ndarray, np.ndarray], expected_px: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return xy_px [frame keypoint 2], score [frame keypoint], and bool [frame keypoint]: the second one was taken.

    Args:
        first: xy_px [frame keypoint 2], NaN where not detected, and score [frame keypoint] of the first look.
        again: the same of the second.
        expected_px: [frame keypoint 2] where the reconstruction has them; where that is NaN the surer one counts.
    """
    xy = np.stack([first[0], again[0]]).astype(np.float64)
    score = np.stack([first[1], again[1]])
    is_there = np.isfinite(xy[..., 0]) & np.isfinite(xy[..., 1])
    away = np.linalg.norm(xy - expected_px, axis=-1)
    # What the reconstruction does not know is judged by the scores; what was not detected never wins.
    away = np.where(np.isfinite(expected_px).all(-1), away, -score)
    away = np.where(is_there, away, np.inf)
    extent_px = _extent_px(xy)[:, None]
    is_again = (away[1] <= away[0]) | (is_there[1] & (away[1] >= 0) & (away[1] < NEAR * extent_px))
    both = is_there[0] & is_there[1]
    agree = both & (np.linalg.norm(xy[1] - xy[0], axis=-1) < AGREE * extent_px)
    kept = np.where(is_again, score[1], score[0])
    return (
        np.where(is_again[..., None], again[0], first[0]),
        np.where(agree, score.max(0), kept),
        is_again & is_there[1],
    )


def _extent_px(xy: np.ndarray) -> np.ndarray:
    """[frame] the larger side of the box around everything detected, 0 where nothing is."""
    low, high = np.where(np.isfinite(xy), xy, np.inf).min((0, 2)), np.where(np.isfinite(xy), xy, -np.inf).max((0, 2))
    return np.where(np.isfinite(low) & np.isfinite(high), high - low, 0.0).max(-1)
