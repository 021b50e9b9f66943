"""Has a camera moved since the rig was calibrated, or during the take: told from the keypoints of one person.

One camera that moved makes every camera's projections disagree a little, since all of them triangulate. So each camera
in turn is let go while the others stay: the one whose freedom explains most, on parts of the take that were held out,
has moved. It then stays free and the next is looked for. A camera whose clock is off is wrong along the person's motion
alone: its picture at another moment explains more than any movement of it (`clock_lag`), and the rest is judged on
clocks put right. Detectors place keypoints differently from different sides, which looks like a small movement of every
camera; only movements beyond that are named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.check_clocks import clock_behind, clock_s
from calibration.check_doubt import doubtful_moves, retracted
from calibration.check_findings import CameraCheck, check_findings
from calibration.check_take import Take
from calibration.check_trials import (
    MIN_CLOCK_S,
    Freedom,
    Judge,
    Trial,
    change_time_s,
    fitted,
    is_large,
    movement,
)
from calibration.exchange import REDO_SHARE_OF_PICTURE, exchange_finding, misfit_finding, misfit_share
from calibration.refine_bundle import Fit, triangulate_robust
from calibration.refine_certainty import CameraCertainty, certainty
from calibration.refine_figures import CameraReprojection
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress

MIN_SCORE = 0.3
MIN_POINTS = 150
WINDOWS = (1.0, 0.5, 0.25)
"""Shares of the take, up to its end, in which movements are looked for: each as densely sampled as the whole."""


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Findings per camera."""

    cameras: dict[str, CameraCheck]
    rig: CameraRig
    """The rig with the moved cameras where the take says they are now."""
    diagnostics: tuple[Diagnostic, ...]
    before: dict[str, CameraReprojection]
    """With the cameras as calibrated."""
    after: dict[str, CameraReprojection]
    """With the moved ones where they are now and clocks put right; over the whole take, also where one moved within."""

    @property
    def moved(self) -> tuple[str, ...]:
        """Return the cameras that moved."""
        return tuple(name for name, c in self.cameras.items() if c.has_moved)


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found so far."""

    take: Take
    """On the clocks that were found."""
    fit: Fit
    free: Freedom
    trials: dict[int, Trial]
    """The trial that named each camera, movements and clocks alike."""
    confidence: np.ndarray
    """[camera] of the best trial of a movement."""


def check_rig(
    rig: CameraRig,
    detections: Keypoints2D,
    *,
    alone: Keypoints2D | None = None,
    assumed_hz: float | None = None,
    min_score: float = MIN_SCORE,
    progress: Progress | None = None,
) -> CheckResult:
    """Return which cameras have moved, by how much, with what confidence and since which frame.

    detections: one person's, on cameras of the rig. alone: the same person chosen in each camera by itself, where the
    rig had a part in choosing `detections`: shows whether cameras were mixed up, and then none is said to have moved.
    assumed_hz: the frame rate that the times were made from where none is known: clocks are then told in frames.
    At most half of the cameras can be told to have moved; with two, that one of them did, not which. Clocks are told
    where they are off by up to `MAX_LAG_S`, of all cameras but one.

    Raises InputError `rig-camera-missing`, `check-needs-one-person` and `check-too-few`.
    """
    if detections.n_persons != 1:
        raise InputError(
            "check-needs-one-person",
            f"Checking the cameras needs one person per camera, got detections of {detections.n_persons}.",
            "Choose the performer first.",
        )
    used = rig.in_order(detections.camera_names)
    progress = progress or NoProgress()
    exchanged = exchange_finding(rig, alone or detections, min_score)
    if exchanged is not None:
        return _mixed_up(rig, alone or detections, exchanged, min_score)
    take = Take.of(used, detections, min_score)
    n_points = take.obs.xy_px.shape[1]
    if n_points < MIN_POINTS or take.ready.sum() < 2:
        raise InputError(
            "check-too-few",
            f"Only {n_points} keypoints are seen by two cameras, {MIN_POINTS} are needed to check the rig.",
            "Give a take in which one person moves about where two cameras see them.",
        )
    progress.start("checking the cameras", None)
    try:
        return _checked(rig, take, assumed_hz, progress)
    finally:
        progress.finish()


def _mixed_up(rig: CameraRig, detections: Keypoints2D, finding: Diagnostic, min_score: float) -> CheckResult:
    """Return the result where cameras were mixed up: as calibrated, none of them moved."""
    used = rig.in_order(detections.camera_names)
    take = Take.of(used, detections, min_score)
    figures = take.figures(take.origin)
    cameras = {name: CameraCheck(False, 0.0, 0.0, 0.0, 0.0, None) for name in used.names}
    return CheckResult(cameras, rig, (finding,), figures, figures)


def _checked(rig: CameraRig, take: Take, assumed_hz: float | None, progress: Progress) -> CheckResult:
    """Return the result: cameras are let go one after another while that explains more."""
    before, found = take.figures(take.origin), None
    confidence = np.zeros(len(take.rig))
    # A camera knocked late in the take fits better calibrated than moved on the whole, and worse at the end.
    for share in WINDOWS:
        if take.end(share).xy_px.shape[1] < MIN_POINTS:
            break
        found = _found_in(share, take, progress)
        take, confidence = found.take, np.maximum(confidence, found.confidence)
        if found.free.pose.any():
            break
    assert found is not None
    fit, since_s = _dated(take, found)
    cameras = _findings(take, found, fit, since_s, confidence)
    poses, after = fit.poses, take.figures(fit.poses)
    share = misfit_share(after, take.rig)
    is_dated = any(c.since_frame for c in cameras.values())
    # Over the whole take a camera that moved within it fits neither before nor after.
    is_misfit = share > REDO_SHARE_OF_PICTURE and not is_dated
    moved = tuple(name for name, c in cameras.items() if c.has_moved)
    doubtful = moved if is_misfit else doubtful_moves(cameras, take.figures(take.origin), after)
    if doubtful:
        cameras, poses = retracted(cameras, doubtful, poses, take.origin)
        after = take.figures(poses)
    findings = check_findings(cameras, assumed_hz, doubtful)
    if is_misfit:
        findings = (misfit_finding(share, moved), *(d for d in findings if d.code == "camera-clock-off"))
    result = poses.rig(take.rig)
    whole = CameraRig(tuple(result[c.name] if c.name in result.names else c for c in rig.cameras))
    return CheckResult(cameras, whole, findings, before, after)


def _found_in(share: float, take: Take, progress: Progress) -> _Found:
    """Return what has moved and whose clock is off in the last part of the take."""
    rig, obs = take.rig, take.end(share)
    free, trials, confidence = Freedom.none(len(rig)), dict[int, Trial](), np.zeros(len(rig))
    correlation = take.correlation(obs)
    points = triangulate_robust(obs, take.origin, rig)
    fit = Fit(take.origin, points, 0.0, np.zeros((len(rig), 7, len(rig), 7)))
    while free.pose.sum() < max(1, len(rig) // 2):
        judge = Judge(obs, take.tracks, rig, fit.poses, correlation)
        pose, clock = _likeliest(judge, free, take.ready, progress)
        if pose is None:
            break
        if not trials:
            confidence[pose.camera] = pose.confidence
        # A clock that explains more than a movement, but not surely, leaves the movement in doubt as well.
        chosen = clock if clock is not None and clock.gain >= pose.gain else pose
        is_clock = chosen is clock
        if not chosen.is_significant:
            break
        camera, start, freed = chosen.camera, chosen.poses, chosen.free
        if is_clock:
            lag_s = clock_s(chosen, share, take, correlation)
            if abs(lag_s) < MIN_CLOCK_S:
                break
        else:
            lag_s = 0.0 if free.clock[camera] else clock_behind(camera, share, take, fit.poses, free)
        if lag_s:
            take = take.later(camera, lag_s)
            obs, freed = take.end(share), free.also(camera, clock=True)
            start = replace(start if is_clock else fit.poses, offset_s=np.zeros(len(rig)))
            correlation = take.correlation(obs)
        new = fitted(obs, rig, start, freed, correlation)
        if not lag_s and not is_large(camera, new, take.origin, rig):
            break
        free, fit, trials[camera] = freed, new, chosen
    return _Found(take, fit, free, trials, confidence)


def _likeliest(judge: Judge, free: Freedom, ready: np.ndarray, progress: Progress) -> tuple[Trial | None, Trial | None]:
    """Return the movement and the clock that explain most; the movement is of the camera that both together suit best.

    A clock is tried at other moments of any camera, and by the velocities of the camera that may have moved.
    """
    both: list[Trial] = []
    clocks: list[Trial] = []
    is_clock_told = free.clock.sum() >= len(ready) - 1
    for c in np.flatnonzero(ready):
        camera = int(c)
        if not free.pose[c]:
            both.append(judge.trial(camera, free.also(camera, pose=True, clock=True)))
        if not free.clock[c] and not is_clock_told:
            lag = judge.lag(camera, free.also(camera, clock=True))
            clocks += [lag] if lag is not None else []
        progress.advance()
    best = max(both, key=lambda trial: trial.gain, default=None)
    if best is None:
        return None, None
    pose = judge.trial(best.camera, free.also(best.camera, pose=True))
    if not free.clock[best.camera] and not is_clock_told:
        clocks.append(judge.trial(best.camera, free.also(best.camera, clock=True)))
    return pose, max(clocks, key=lambda trial: trial.gain, default=None)


def _dated(take: Take, found: _Found) -> tuple[Fit, dict[int, float]]:
    """Return the fit and the times at which cameras moved within the take (none for those that moved before it)."""
    fit, since_s = found.fit, dict[int, float]()
    moved, correlation = np.flatnonzero(found.free.pose), take.correlation(take.obs)
    for _ in range(2):
        times = {
            int(c): change_time_s(
                int(c), take.detections, take.min_score, take.obs, take.rig, take.origin, fit.poses, correlation
            )
            for c in moved
        }
        since_s = {c: t for c, t in times.items() if t is not None}
        if not since_s:
            break
        # The part before the movement would pull the estimate back.
        after = take.observed(max(since_s.values()))
        if after.xy_px.shape[1] < MIN_POINTS:
            break
        fit = fitted(after, take.rig, fit.poses, found.free, take.correlation(after))
    return fit, since_s


def _findings(
    take: Take, found: _Found, fit: Fit, since_s: dict[int, float], confidence: np.ndarray
) -> dict[str, CameraCheck]:
    """Return the findings per camera."""
    sure = certainty(fit.covariance, fit.poses, 1.0, is_gauge_free=False)
    points = triangulate_robust(take.obs, fit.poses, take.rig)
    out: dict[str, CameraCheck] = {}
    for c, name in enumerate(take.rig.names):
        clock_s = float(take.clock_s[c] - fit.poses.offset_s[c])
        if not found.free.pose[c]:
            out[name] = CameraCheck(False, 0.0, 0.0, 0.0, float(min(confidence[c], 0.5)), None, clock_s=clock_s)
            continue
        out[name] = _moved(c, points, take, found, fit, since_s.get(c), sure[c])
    return out


def _moved(
    camera: int,
    points: np.ndarray,
    take: Take,
    found: _Found,
    fit: Fit,
    since_s: float | None,
    sure: CameraCertainty,
) -> CameraCheck:
    """Return the finding of a camera that moved."""
    deg, mm, px = movement(camera, points, take.origin, fit.poses, take.rig)
    frame = 0
    if since_s is not None:
        time_s = take.detections.time_s[camera]
        frame = int(np.nanargmin(np.abs(time_s - since_s)))
    check = CameraCheck(True, deg, mm, px, found.trials[camera].confidence, frame)
    clock_s = float(take.clock_s[camera] - fit.poses.offset_s[camera])
    return replace(check, turned_sd_deg=sure.turn_sd_deg, moved_sd_mm=sure.center_sd_mm, clock_s=clock_s)
