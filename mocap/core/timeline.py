"""Time: exact frame rates, master timelines, and each camera's own clock."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Timeline:
    """Evenly spaced instants of master time: frame k is at start_s + k / fps."""

    fps: Fraction
    n_frames: int
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.n_frames < 0:
            raise ValueError(f"timeline needs a positive rate and a frame count of 0 or more, got {self}")

    @property
    def time_s(self) -> np.ndarray:
        """[frame] master time of each frame."""
        return self.start_s + np.arange(self.n_frames) / float(self.fps)

    @property
    def duration_s(self) -> float:
        """Time from the first frame to one period after the last."""
        return self.n_frames / float(self.fps)


@dataclass(frozen=True)
class TimeMap:
    """A camera's clock in master time: t_master = offset_s + (1 + drift_ppm * 1e-6) * t_camera."""

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    sigma_s: float = float("nan")
    """1 standard deviation of the offset; NaN when unknown."""
    methods: tuple[str, ...] = ()
    """Evidence it rests on, e.g. ('timecode', 'audio'); empty: assumed."""

    def master_time_s(self, camera_time_s: np.ndarray) -> np.ndarray:
        """Return master time of instants on the camera's clock."""
        return self.offset_s + (1.0 + self.drift_ppm * 1e-6) * np.asarray(camera_time_s, np.float64)
