"""By how many frames a camera's clock is off: its picture of a moving person is tried at earlier and later moments.

A camera that was moved is off alike wherever the person goes; one whose clock is off is off along the person's motion,
and by nothing once its track is taken from another moment. Only whole frames are tried: between two frames a track is
a mean of both and less noisy, which would look like a better fit. What is left is less than half a frame, and for that
a track's velocity does; for more it does not, because noise makes velocities uncertain and clocks short.
"""

from __future__ import annotations

import numpy as np

from calibration.cauchy import CAUCHY, squared_lengths
from calibration.refine_bundle import (
    MIN_SIGMA_PX,
    Poses,
    corrected_px,
    projected_px,
    residuals_px,
    triangulate_robust,
)
from calibration.refine_observations import Observations, Tracks
from mocap.core.camera import CameraRig

MAX_LAG_S = 0.6
"""A clock that is off by more is a matter of synchronising the take."""
MIN_SEEN = 60
"""Points that one camera and two others see, or one other, to tell its clock by."""
MIN_LEFT_SHARE = 0.6
"""So much of what a camera saw must still be there at another moment, for the two to be compared."""


def likely_lag_s(obs: Observations, tracks: Tracks, camera: int, poses: Poses, rig: CameraRig) -> float:
    """Return what a camera's clock is to be put on by, in whole frames, to fit the others best; 0 where it fits."""
    lags, cost = _costs(obs, tracks, camera, poses, rig)
    return float(lags[np.argmin(cost)])


def precise_lag_s(obs: Observations, tracks: Tracks, camera: int, poses: Poses, rig: CameraRig) -> float:
    """Return the same to parts of a frame: the vertex of the parabola through the best frame and its neighbours.

    All three are equally much between frames, so that none has less noise than the others.
    """
    lags, cost = _costs(obs, tracks, camera, poses, rig)
    best = int(np.argmin(cost))
    if not 0 < best < len(lags) - 1:
        return float(lags[best])
    before, at, after = cost[best - 1 : best + 2]
    bend = before - 2 * at + after
    return float(lags[best] + (0.5 * (before - after) / bend if bend > 0 else 0.0) * (lags[best + 1] - lags[best]))


def _costs(
    obs: Observations, tracks: Tracks, camera: int, poses: Poses, rig: CameraRig
) -> tuple[np.ndarray, np.ndarray]:
    """Return lags in whole frames, and the mean robust cost of a camera's keypoints at each; only 0 if none is told.

    The others' points are made once where two of them see enough, else anew with the camera at every moment: with two
    cameras there is nothing to hold one against but the other. Linear in points and moments.
    """
    nothing = np.zeros(1), np.zeros(1)
    period_s = tracks.period_s(camera)
    if not np.isfinite(period_s):
        return nothing
    alone = obs.without(camera)
    by_others = alone.seen.sum(0) >= 2
    is_pair = bool((by_others & obs.seen[camera]).sum() < MIN_SEEN)
    part = obs if is_pair else obs.select(by_others)
    if part.seen[camera].sum() < MIN_SEEN:
        return nothing
    most = int(MAX_LAG_S / period_s)
    lags = np.arange(-most, most + 1) * period_s
    moments = [tracks.later(part, camera, lag) for lag in lags]
    if is_pair:
        squared = np.stack([_squared_with(moment, camera, poses, rig) for moment in moments])
    else:
        at_px = projected_px(triangulate_robust(alone.select(by_others), poses, rig), camera, poses, rig)
        xy_px = np.stack([corrected_px(moment, poses)[camera] for moment in moments])
        seen = np.asarray(np.isfinite(xy_px).all(-1))
        squared = np.where(seen, squared_lengths(at_px - xy_px, seen), np.nan)
    n_left = np.isfinite(squared).sum(1)
    is_told = n_left >= MIN_LEFT_SHARE * part.seen[camera].sum()
    if not is_told.any():
        return nothing
    squared, lags = squared[is_told], lags[is_told]
    scale_px = max(MIN_SIGMA_PX, float(np.sqrt(np.nanmedian(squared, axis=1).min())) / 1.1774)
    return lags, np.nanmean(np.log1p(squared / (CAUCHY * scale_px) ** 2), axis=1)


def _squared_with(obs: Observations, camera: int, poses: Poses, rig: CameraRig) -> np.ndarray:
    """Return squared errors [point], px^2, of all views from the points made with a camera; NaN where it sees none."""
    both = obs.seen[camera] & (obs.seen.sum(0) >= 2)
    part = obs.select(both)
    residuals = residuals_px(triangulate_robust(part, poses, rig, n_iterations=1), part, poses, rig)
    out = np.full(len(both), np.nan)
    out[both] = squared_lengths(residuals, part.seen).sum(0)
    return out
