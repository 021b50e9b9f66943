"""What one source says of the clocks of two cameras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Evidence:
    """A measured line between two clocks: at `time_b_s` on b's clock, a's clock reads `time_a_s`.

    Around it, a's clock runs 1 + rate_ppm * 1e-6 times as fast as b's: d(t_a) / d(t_b).
    """

    source: str
    """'motion', 'audio', 'timecode', ..."""
    camera_a: str
    camera_b: str
    time_a_s: float
    time_b_s: float
    rate_ppm: float
    sigma_s: float
    """1 standard deviation of `time_a_s`, without `bias_s`."""
    sigma_rate_ppm: float
    """1 standard deviation of the rate; infinite when the source says nothing of it."""
    bias_s: float = 0.0
    """1 standard deviation of an error that the source has in each of the two cameras, the same against all others
    (sound travels a distance that is not known): more pairs do not make it smaller."""
    places_m: tuple[np.ndarray, np.ndarray] | None = None
    """Where the two cameras stand in the world [3], when the lag holds the travel time of a sound whose place is not
    known: `fuse` can find that place."""
    is_heavy_tailed: bool = False
    """Whether far larger errors than `sigma_s` are not rare (a clock set by hand): it then counts for the less, the
    further it lies from what the rest says."""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    """Figures for reports and pictures, JSON-serialisable."""

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.source} {self.camera_a}-{self.camera_b}"


@dataclass(frozen=True, eq=False)
class Clocks:
    """Clocks of cameras around the middle of each recording: t_master = at_s + (1 + rate) * (t_camera - middle_s)."""

    middle_s: np.ndarray
    """[camera] camera time around which the clock is given."""
    at_s: np.ndarray
    """[camera] master time there."""
    rate: np.ndarray
    """[camera] drift, dimensionless."""
    covariance: np.ndarray
    """[2 * camera, 2 * camera] of (at_s, rate) per camera, relative to the first camera."""

    def camera_time_s(self, master_s: np.ndarray) -> np.ndarray:
        """Return camera times [camera n] of master instants [n]."""
        return (np.asarray(master_s) - self.at_s[:, None]) / (1 + self.rate[:, None]) + self.middle_s[:, None]
