"""What a camera's clock is to be put on by, once it is a likelier cause than the camera, or may stand behind it."""

from __future__ import annotations

from calibration.check_take import Take
from calibration.check_trials import MIN_CLOCK_S, Freedom, Trial, fitted, is_large
from calibration.clock_lag import precise_lag_s
from calibration.refine_bundle import Poses


def clock_s(trial: Trial, share: float, take: Take, correlation: float) -> float:
    """Return what a trial's clock is to be put on by, as all observations of the last part of the take tell it."""
    if trial.lag_s:
        return precise_lag_s(take.for_clocks(share), take.tracks, trial.camera, trial.poses, take.rig)
    fit = fitted(take.end(share), take.rig, trial.poses, trial.free, correlation)
    return 0.0 - float(fit.poses.offset_s[trial.camera])


def clock_behind(camera: int, share: float, take: Take, poses: Poses, free: Freedom) -> float:
    """Return what a camera's clock is to be put on by if that leaves nothing of its movement, else 0.

    A clock that is a frame or two off passes for a movement: velocities of noisy tracks tell of it too little.
    """
    lag_s = precise_lag_s(take.for_clocks(share), take.tracks, camera, poses, take.rig)
    if abs(lag_s) < MIN_CLOCK_S:
        return 0.0
    later = take.later(camera, lag_s)
    obs = later.end(share)
    left = fitted(obs, take.rig, poses, free.also(camera, pose=True), later.correlation(obs))
    return 0.0 if is_large(camera, left, take.origin, take.rig) else lag_s
