"""2D keypoints of one camera, and who made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.diagnostics import Diagnostic
from mocap.core.keypoints import KeypointSet, frozen_detections


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
        shape = (None, None, len(self.keypoint_set), 2)
        for name, value in frozen_detections(self.xy_px, self.score, self.time_s, shape).items():
            object.__setattr__(self, name, value)

    @property
    def n_frames(self) -> int:
        """Frames of the video."""
        return self.xy_px.shape[0]

    @property
    def n_persons(self) -> int:
        """Tracks, present at some frame."""
        return self.xy_px.shape[1]
