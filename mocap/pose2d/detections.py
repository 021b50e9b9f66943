"""2D keypoints of one camera, and who made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.diagnostics import Diagnostic
from mocap.core.keypoints import KeypointSet


@dataclass(frozen=True, eq=False)
class CameraDetections:
    """Everyone seen by one camera. A person index is one track: the same body over time as far as this camera tells."""

    keypoint_set: KeypointSet
    xy_px: np.ndarray
    """[frame person keypoint 2] float32, distorted pixels of the upright video; NaN where not detected."""
    score: np.ndarray
    """[frame person keypoint] float32 in 0..1; 0 where not detected."""
    time_s: np.ndarray
    """[frame] float64 camera clock, first frame at 0."""
    size_px: tuple[int, int]
    """Width and height of the upright video."""
    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        k = len(self.keypoint_set)
        xy = frozen(self.xy_px, np.float32, (None, None, k, 2), "xy_px")
        score = frozen(self.score, np.float32, xy.shape[:-1], "score")
        time = frozen(self.time_s, np.float64, xy.shape[:1], "time_s")
        seen = np.isfinite(xy).all(-1)
        if (score[~seen] != 0).any() or not np.isfinite(score).all():
            raise ValueError("missing keypoints must be NaN with score 0, and scores finite")
        for name, value in (("xy_px", xy), ("score", score), ("time_s", time)):
            object.__setattr__(self, name, value)

    @property
    def n_frames(self) -> int:
        """Frames of the video."""
        return self.xy_px.shape[0]

    @property
    def n_persons(self) -> int:
        """Tracks, present at some frame."""
        return self.xy_px.shape[1]
