"""Points of every frame from what was seen up to it: each frame triangulated on its own, then a One Euro filter.

G. Casiez, N. Roussel and D. Vogel, "1 Euro filter: a simple speed-based low-pass filter for noisy input in interactive
systems", CHI 2012.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.observations import Observations
from mocap.kernels.filters import FILTERS, OneEuroState, one_euro_step
from mocap.kernels.reprojection import normal_equations, residuals_px, unpack_symmetric
from mocap.kernels.robust import MIN_SIGMA_PX, RAYLEIGH_MEDIAN
from mocap.reconstruct.framewise import agreeing, wrong_px
from mocap.reconstruct.hypotheses import best_hypotheses

NOISE_FRAMES = 120
"""The noise of detections is the median of so many frames' own."""
MAX_GAP_S = 0.25
"""A point that was not seen for longer starts the filter anew."""
FIRST_NOISE_SHARE = 0.25
"""Noise before anything was measured, of the distance beyond which a view counts as wrong."""


@dataclass(frozen=True, eq=False)
class FramePoints:
    """The points of one frame."""

    measured_m: np.ndarray
    """[keypoint 3] as the views of this frame say, NaN where fewer than two agree."""
    filtered_m: np.ndarray
    """[keypoint 3] the same after the filter, NaN likewise."""
    sigma_m: np.ndarray
    """[keypoint] standard deviation per axis of `measured_m`: a filter does not say what it leaves."""
    noise_px: float
    """Standard deviation per axis of detections, as known so far."""


class CausalPoints:
    """Makes points frame by frame; remembers the filter's state and the noise of the last frames.

    Cost per frame is linear in cameras and does not grow with time.
    """

    def __init__(self, rig: CameraRig, fps: float) -> None:
        self._limit_px = wrong_px(rig)
        self._fps = fps
        self._noise: deque[float] = deque([FIRST_NOISE_SHARE * float(self._limit_px.mean())], maxlen=NOISE_FRAMES)
        self._state: OneEuroState | None = None
        self._age = np.zeros((0, 1))

    def push(self, observations: Observations) -> FramePoints:
        """Return the points of a frame, seen by observations at their nearest frame 0."""
        kept = agreeing(observations, 1, self._fps, self._limit_px)
        measured, _ = best_hypotheses(kept, 1, self._fps)
        self._measure_noise(measured, kept)
        noise_px = float(np.median(self._noise))
        return FramePoints(measured[0], self._filtered(measured[0]), _sigma_m(measured, kept, noise_px), noise_px)

    def _filtered(self, value: np.ndarray) -> np.ndarray:
        """Return the filter's output for values [keypoint 3]; after MAX_GAP_S without one a point starts anew."""
        known = np.isfinite(value).all(-1, keepdims=True)
        if self._state is None:
            self._state, self._age = OneEuroState(value, value, np.zeros_like(value)), np.zeros(known.shape)
        before, self._age = self._state, self._age + 1
        is_new = np.isnan(before.value) | (self._age > MAX_GAP_S * self._fps)
        before = OneEuroState(
            np.where(is_new, value, before.value),
            np.where(is_new, value, before.smooth),
            np.where(is_new, 0.0, before.speed),
        )
        after = one_euro_step(before, value, self._fps / self._age, **FILTERS["one-euro"].defaults)
        kept = ((before.value, after.value), (before.smooth, after.smooth), (before.speed, after.speed))
        self._state = OneEuroState(*(np.where(known, new, old) for old, new in kept))
        self._age = np.where(known, 0.0, self._age)
        return np.where(known, after.smooth, np.nan)

    def _measure_noise(self, points: np.ndarray, kept: Observations) -> None:
        o = kept
        length = np.linalg.norm(
            residuals_px(points, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m), axis=-1
        )
        n_views = np.isfinite(length).sum(0)
        # of two views' four coordinates a point takes three
        left = np.broadcast_to(np.sqrt(2 * n_views / np.maximum(2 * n_views - 3, 1)), length.shape)
        seen = np.isfinite(length) & (n_views > 2)
        if seen.any():
            self._noise.append(max(float(np.median((length * left)[seen])) / RAYLEIGH_MEDIAN, MIN_SIGMA_PX))


def _sigma_m(points: np.ndarray, kept: Observations, noise_px: float) -> np.ndarray:
    """Return the spread per axis [keypoint] of triangulated points [1 keypoint 3]: the mean of the axes' variances."""
    o = kept
    weight = np.where(o.seen, noise_px**-2.0, 0.0)
    place = np.nan_to_num(points)
    information, _ = normal_equations(place, o.xy, o.px_per_unit, weight, o.R_cam_from_world, o.t_cam_from_world_m)
    known = np.isfinite(points[0]).all(-1)
    out = np.full(len(known), np.nan)
    if known.any():
        covariance = np.linalg.inv(unpack_symmetric(information.sum((0, 1))[known]))
        out[known] = np.sqrt(np.einsum("kii->k", covariance) / 3)
    return out
