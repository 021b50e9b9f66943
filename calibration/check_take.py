"""A take whose cameras are checked: what was seen of one person, on clocks that can be put on or back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.refine_bundle import Poses, residuals_px, triangulate_robust
from calibration.refine_figures import CameraReprojection, error_correlation, reprojection
from calibration.refine_observations import Observations, Tracks, gather
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D

MAX_OBSERVATIONS = 7000
MIN_PER_CAMERA = 60
CLOCK_POINTS = 12000
"""Points that a clock is read from to parts of a frame: of fewer, chance makes it up to half a frame wrong."""


@dataclass(frozen=True, eq=False)
class Take:
    """What is checked."""

    rig: CameraRig
    """The cameras with detections, in their order."""
    detections: Keypoints2D
    obs: Observations
    tracks: Tracks
    origin: Poses
    ready: np.ndarray
    """[camera] bool: seen often enough to judge."""
    min_score: float
    clock_s: np.ndarray
    """[camera] what the clocks were put on by, against those given."""

    @classmethod
    def of(cls, rig: CameraRig, detections: Keypoints2D, min_score: float) -> Take:
        """Return a take on the clocks as given."""
        obs, tracks = _observations(detections, min_score), Tracks.of(detections, min_score)
        ready = obs.seen.sum(1) >= MIN_PER_CAMERA
        return cls(rig, detections, obs, tracks, Poses.of(rig), ready, min_score, np.zeros(len(rig)))

    def later(self, camera: int, lag_s: float) -> Take:
        """Return the take with one camera's clock put on by so much."""
        by = np.where(np.arange(len(self.rig)) == camera, lag_s, 0.0)
        detections = replace(self.detections, time_s=self.detections.time_s + by[:, None])
        moved = Take.of(self.rig, detections, self.min_score)
        return replace(moved, ready=self.ready, clock_s=self.clock_s + by)

    def end(self, share: float) -> Observations:
        """Return what was seen in the last part of the take."""
        return self.obs if share == 1.0 else self.observed(float(np.quantile(self.obs.time_s, 1.0 - share)))

    def correlation(self, obs: Observations) -> float:
        """Return how many errors in a row count as one."""
        points = triangulate_robust(obs, self.origin, self.rig)
        return error_correlation(residuals_px(points, obs, self.origin, self.rig), obs)

    def figures(self, poses: Poses) -> dict[str, CameraReprojection]:
        """Return how the cameras at some poses agree on the person over the whole take."""
        points = triangulate_robust(self.obs, poses, self.rig)
        residuals = residuals_px(points, self.obs, poses, self.rig)
        return reprojection(residuals, self.rig, self.correlation(self.obs))

    def for_clocks(self, share: float) -> Observations:
        """Return what was seen in the last part of the take, of more points."""
        from_s = -np.inf if share == 1.0 else float(np.quantile(self.obs.time_s, 1.0 - share))
        return gather(self._from(from_s), self.min_score, CLOCK_POINTS, with_velocity=True)

    def observed(self, from_s: float) -> Observations:
        """Return what was seen from some time on."""
        return _observations(self._from(from_s), self.min_score)

    def _from(self, from_s: float) -> Keypoints2D:
        time_s = np.where(self.detections.time_s >= from_s, self.detections.time_s, np.nan)
        return replace(self.detections, time_s=time_s)


def _observations(detections: Keypoints2D, min_score: float) -> Observations:
    return gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras, with_velocity=True)
