"""Has a camera moved since the rig was calibrated, or during the take: told from the keypoints of one person.

One camera that moved makes every camera's projections disagree a little, since all of them triangulate. So each camera
in turn is let go while the others stay: the one whose freedom explains most, on parts of the take that were held out,
has moved, or its clock is off, whichever explains it. It then stays free and the next is looked for. Detectors place
keypoints differently from different sides, which looks like a small movement of every camera; only movements beyond
that are named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.check_doubt import doubtful_moves, retracted
from calibration.check_findings import CameraCheck, check_findings
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
from calibration.refine_bundle import Fit, Poses, residuals_px, triangulate_robust
from calibration.refine_certainty import CameraCertainty, certainty
from calibration.refine_figures import CameraReprojection, error_correlation, reprojection
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress

MIN_SCORE = 0.3
MAX_OBSERVATIONS = 7000
MIN_POINTS = 150
MIN_PER_CAMERA = 60
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
    """With the moved ones where they are now; over the whole take, also where one moved within it."""

    @property
    def moved(self) -> tuple[str, ...]:
        """Return the cameras that moved."""
        return tuple(name for name, c in self.cameras.items() if c.has_moved)


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found so far."""

    fit: Fit
    free: Freedom
    trials: dict[int, Trial]
    """The trial that named each camera, movements and clocks alike."""
    confidence: np.ndarray
    """[camera] of the best trial of a movement."""


@dataclass(frozen=True, eq=False)
class _Take:
    """What is checked."""

    rig: CameraRig
    """The cameras with detections, in their order."""
    detections: Keypoints2D
    obs: Observations
    origin: Poses
    ready: np.ndarray
    """[camera] bool: seen often enough to judge."""
    min_score: float

    def correlation(self, obs: Observations) -> float:
        """Return how many errors in a row count as one."""
        points = triangulate_robust(obs, self.origin, self.rig)
        return error_correlation(residuals_px(points, obs, self.origin, self.rig), obs)

    def figures(self, poses: Poses) -> dict[str, CameraReprojection]:
        """Return how the cameras at some poses agree on the person over the whole take."""
        points = triangulate_robust(self.obs, poses, self.rig)
        residuals = residuals_px(points, self.obs, poses, self.rig)
        return reprojection(residuals, self.rig, self.correlation(self.obs))

    def observed(self, from_s: float) -> Observations:
        """Return what was seen from some time on."""
        time_s = np.where(self.detections.time_s >= from_s, self.detections.time_s, np.nan)
        return _observed(replace(self.detections, time_s=time_s), self.min_score)


def _observed(detections: Keypoints2D, min_score: float) -> Observations:
    return gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras, with_velocity=True)


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
    At most half of the cameras can be told to have moved; with two, that one of them did, not which.

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
    obs = _observed(detections, min_score)
    ready = obs.seen.sum(1) >= MIN_PER_CAMERA
    if obs.xy_px.shape[1] < MIN_POINTS or ready.sum() < 2:
        raise InputError(
            "check-too-few",
            f"Only {obs.xy_px.shape[1]} keypoints are seen by two cameras, {MIN_POINTS} are needed to check the rig.",
            "Give a take in which one person moves about where two cameras see them.",
        )
    progress.start("checking the cameras", None)
    try:
        take = _Take(used, detections, obs, Poses.of(used), ready, min_score)
        return _checked(rig, take, assumed_hz, progress)
    finally:
        progress.finish()


def _mixed_up(rig: CameraRig, detections: Keypoints2D, finding: Diagnostic, min_score: float) -> CheckResult:
    """Return the result where cameras were mixed up: as calibrated, none of them moved."""
    used, obs = rig.in_order(detections.camera_names), _observed(detections, min_score)
    take = _Take(used, detections, obs, Poses.of(used), obs.seen.sum(1) >= MIN_PER_CAMERA, min_score)
    figures = take.figures(take.origin)
    cameras = {name: CameraCheck(False, 0.0, 0.0, 0.0, 0.0, None) for name in used.names}
    return CheckResult(cameras, rig, (finding,), figures, figures)


def _checked(rig: CameraRig, take: _Take, assumed_hz: float | None, progress: Progress) -> CheckResult:
    """Return the result: cameras are let go one after another while that explains more."""
    found = None
    confidence = np.zeros(len(take.rig))
    # A camera knocked late in the take fits better calibrated than moved on the whole, and worse at the end.
    for share in WINDOWS:
        part = take.obs if share == 1.0 else take.observed(float(np.quantile(take.obs.time_s, 1.0 - share)))
        if part.xy_px.shape[1] < MIN_POINTS:
            break
        found = _found_in(part, take, progress)
        confidence = np.maximum(confidence, found.confidence)
        if found.trials:
            break
    assert found is not None
    fit, since_s = _dated(take, found)
    cameras = _findings(take, found, fit, since_s, confidence)
    poses, before = fit.poses, take.figures(take.origin)
    after = take.figures(poses)
    share = misfit_share(after, take.rig)
    is_dated = any(c.since_frame for c in cameras.values())
    # Over the whole take a camera that moved within it fits neither before nor after.
    is_misfit = share > REDO_SHARE_OF_PICTURE and not is_dated
    moved = tuple(name for name, c in cameras.items() if c.has_moved)
    doubtful = moved if is_misfit else doubtful_moves(cameras, before, after)
    if doubtful:
        cameras, poses = retracted(cameras, doubtful, poses, take.origin)
        after = take.figures(poses)
    findings = check_findings(cameras, assumed_hz, doubtful)
    if is_misfit:
        findings = (misfit_finding(share, moved), *(d for d in findings if d.code == "camera-clock-off"))
    result = poses.rig(take.rig)
    whole = CameraRig(tuple(result[c.name] if c.name in result.names else c for c in rig.cameras))
    return CheckResult(cameras, whole, findings, before, after)


def _found_in(obs: Observations, take: _Take, progress: Progress) -> _Found:
    """Return what has moved and whose clock is off in a part of the take."""
    rig, origin, correlation = take.rig, take.origin, take.correlation(obs)
    most = max(1, len(rig) // 2)
    free, trials, confidence = Freedom.none(len(rig)), dict[int, Trial](), np.zeros(len(rig))
    fit = Fit(origin, triangulate_robust(obs, origin, rig), 0.0, np.zeros((len(rig), 7, len(rig), 7)))
    while free.pose.sum() < most and free.clock.sum() < most:
        judge = Judge(obs, rig, fit.poses, correlation)
        both: list[Trial] = []
        for c in np.flatnonzero(take.ready & ~free.pose):
            both.append(judge.trial(int(c), free.also(int(c), pose=True, clock=True)))
            progress.advance()
        best = max(both, key=lambda trial: trial.gain, default=None)
        if best is None:
            break
        pose = judge.trial(best.camera, free.also(best.camera, pose=True))
        clock = judge.trial(best.camera, free.also(best.camera, clock=True))
        if not trials:
            confidence[best.camera] = pose.confidence
        is_clock = clock.is_significant and clock.gain >= pose.gain
        chosen = clock if is_clock and not free.clock[best.camera] else pose
        if not chosen.is_significant:
            break
        new = fitted(obs, rig, chosen.poses, chosen.free, correlation)
        if chosen is clock and abs(new.poses.offset_s[best.camera]) < MIN_CLOCK_S:
            break
        if chosen is pose and not is_large(best.camera, new, origin, rig):
            break
        free, fit, trials[best.camera] = chosen.free, new, chosen
    return _Found(fit, free, trials, confidence)


def _dated(take: _Take, found: _Found) -> tuple[Fit, dict[int, float]]:
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
    take: _Take, found: _Found, fit: Fit, since_s: dict[int, float], confidence: np.ndarray
) -> dict[str, CameraCheck]:
    """Return the findings per camera."""
    sure = certainty(fit.covariance, fit.poses, 1.0, is_gauge_free=False)
    points = triangulate_robust(take.obs, fit.poses, take.rig)
    out: dict[str, CameraCheck] = {}
    for c, name in enumerate(take.rig.names):
        clock_s = 0.0 - float(fit.poses.offset_s[c])
        if not found.free.pose[c]:
            out[name] = CameraCheck(False, 0.0, 0.0, 0.0, float(min(confidence[c], 0.5)), None, clock_s=clock_s)
            continue
        out[name] = _moved(c, points, take, found, fit, since_s.get(c), sure[c])
    return out


def _moved(
    camera: int,
    points: np.ndarray,
    take: _Take,
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
    clock_s = 0.0 - float(fit.poses.offset_s[camera])
    return replace(check, turned_sd_deg=sure.turn_sd_deg, moved_sd_mm=sure.center_sd_mm, clock_s=clock_s)
