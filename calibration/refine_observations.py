"""From one person's tracks to observations of world points at common instants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.keypoints import Keypoints2D, looked_at

MAX_INTERPOLATION_S = 0.1
"""Tracks are interpolated between two samples that are at most this far apart."""


@dataclass(frozen=True, eq=False)
class Observations:
    """What the cameras saw of N points, one point per instant and keypoint with two views or more."""

    xy_px: np.ndarray
    """[camera point 2]; NaN where not seen."""
    velocity_px_s: np.ndarray
    """[camera point 2] image velocity; 0 where unknown."""
    instant: np.ndarray
    """[point] index of the instant."""
    keypoint: np.ndarray
    """[point] index of the keypoint."""
    time_s: np.ndarray
    """[instant] master time."""

    @property
    def n_instants(self) -> int:
        """Instants, with those that no point was seen at."""
        return len(self.time_s)

    @property
    def seen(self) -> np.ndarray:
        """[camera point] bool."""
        return np.asarray(np.isfinite(self.xy_px).all(-1))

    def without(self, camera: int) -> Observations:
        """Return the observations as if one camera had seen nothing."""
        xy_px = self.xy_px.copy()
        xy_px[camera] = np.nan
        return Observations(xy_px, self.velocity_px_s, self.instant, self.keypoint, self.time_s)

    def select(self, points: np.ndarray) -> Observations:
        """Return the observations of some points (boolean mask or indices)."""
        return Observations(
            self.xy_px[:, points],
            self.velocity_px_s[:, points],
            self.instant[points],
            self.keypoint[points],
            self.time_s,
        )


@dataclass(frozen=True, eq=False)
class Tracks:
    """One person's keypoints as each camera saw them, at its own times."""

    xy_px: tuple[np.ndarray, ...]
    """Of each camera [look keypoint 2]; NaN where not seen."""
    time_s: tuple[np.ndarray, ...]
    """Of each camera [look] master time, rising."""

    @classmethod
    def of(cls, detections: Keypoints2D, min_score: float) -> Tracks:
        """Return the tracks of one person. Of a quick look only the frames that were looked at are samples."""
        sure = (detections.score >= min_score)[..., None]
        xy = np.where(sure, detections.xy_px, np.nan)[:, :, 0].astype(np.float64)
        looks = [looked_at(np.asarray(np.isfinite(track).all(-1).any(-1))) for track in xy]
        each = [(xy[c, which], detections.time_s[c, which]) for c, which in enumerate(looks)]
        each = [(track[np.isfinite(time_s)], time_s[np.isfinite(time_s)]) for track, time_s in each]
        return cls(tuple(track for track, _ in each), tuple(time_s for _, time_s in each))

    def period_s(self, camera: int) -> float:
        """Return the time between two looks of a camera, NaN where it has fewer."""
        step = np.diff(self.time_s[camera])
        return float(np.median(step)) if len(step) else float("nan")

    def sampled(self, camera: int, instants: np.ndarray, *, with_velocity: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return a camera's keypoints and their velocities [instant keypoint 2], interpolated linearly."""
        xy, time_s = self.xy_px[camera], self.time_s[camera]
        if len(time_s) < 2:
            empty = np.full((len(instants), *xy.shape[1:]), np.nan)
            return empty, np.zeros_like(empty)
        low = np.clip(np.searchsorted(time_s, instants, side="right") - 1, 0, len(time_s) - 2)
        step = time_s[low + 1] - time_s[low]
        u = (instants - time_s[low]) / step
        inside = (u >= -1e-3) & (u <= 1 + 1e-3) & (step <= MAX_INTERPOLATION_S)
        u = np.where(u < 1e-3, 0.0, np.where(u > 1 - 1e-3, 1.0, u))[:, None, None]
        between = np.where(u == 0, xy[low], np.where(u == 1, xy[low + 1], (1 - u) * xy[low] + u * xy[low + 1]))
        velocity = _velocity(xy, time_s, low) if with_velocity else np.zeros_like(between)
        return np.where(inside[:, None, None], between, np.nan), velocity

    def later(self, obs: Observations, camera: int, lag_s: float) -> Observations:
        """Return observations of the same points had one camera's clock been put on by so much."""
        xy, velocity = self.sampled(camera, obs.time_s - lag_s, with_velocity=True)
        out, moves = obs.xy_px.copy(), obs.velocity_px_s.copy()
        out[camera], moves[camera] = (values[obs.instant, obs.keypoint] for values in (xy, velocity))
        return Observations(out, moves, obs.instant, obs.keypoint, obs.time_s)


def gather(detections: Keypoints2D, min_score: float, max_points: int, *, with_velocity: bool = False) -> Observations:
    """Return observations at the frame times of the camera that saw most, thinned evenly to about `max_points` points.

    Other cameras' tracks are interpolated linearly to these instants: cameras need not be genlocked. Of a quick look
    only the frames that were looked at are samples: the others would be gaps between any two of them.
    """
    tracks = Tracks.of(detections, min_score)
    most = int(np.argmax([np.isfinite(xy).all(-1).sum() for xy in tracks.xy_px]))
    instants = tracks.time_s[most]
    stride = max(1, int(np.ceil(len(instants) * len(detections.keypoint_set) / max_points)))
    instants = instants[::stride]
    each = [tracks.sampled(c, instants, with_velocity=with_velocity) for c in range(detections.n_cameras)]
    at, velocity = (np.stack(values) for values in zip(*each, strict=True))
    n_views = np.isfinite(at).all(-1).sum(0)
    instant, keypoint = np.nonzero(n_views >= 2)
    return Observations(at[:, instant, keypoint], velocity[:, instant, keypoint], instant, keypoint, instants)


def _velocity(xy: np.ndarray, time_s: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Return velocities [instant keypoint 2]: medians of the slopes among five frames (Theil-Sen), 0 where unknown.

    A difference of two detections would make every gross error a high-leverage velocity and shrink the clock offsets.
    """
    around = np.clip(low[:, None] + np.arange(-2, 3), 0, len(time_s) - 1)
    i, j = np.triu_indices(5, 1)
    gap = (time_s[around[:, j]] - time_s[around[:, i]])[..., None, None]
    slope = (xy[around[:, j]] - xy[around[:, i]]) / np.where(gap > 0, gap, np.nan)
    slope = np.sort(slope, axis=1)
    count = np.isfinite(slope).sum(1)
    middle = np.take_along_axis(slope, np.maximum(count - 1, 0)[:, None] // 2, axis=1)[:, 0]
    return np.where(count >= 3, middle, 0.0)
