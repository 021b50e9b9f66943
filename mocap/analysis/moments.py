"""The moments of a take that most deserve a look, worst first.

Every kind of trouble is measured against a limit of its own, and a moment's score is the largest ratio of a figure to
its limit: 1 is "just as bad as allowed". So scores of different kinds compare, and one sentence explains each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mocap.analysis.quality import Quality, runs
from mocap.analysis.sampling import nearest
from mocap.core.keypoints import Source
from mocap.core.take import SolvedTake

REPROJECTION_LIMIT_PX = 20.0
"""Median over a camera frame's detections that the solve used, for pictures 1920 px long (scaled with the picture)."""
REJECTED_LIMIT_SHARE = 0.5
"""Share of a camera frame's detections that the solve rejected."""
FAR_LIMIT_PX = 60.0
"""Distance of a solved keypoint from a confident detection, in two or more views, and median of a camera frame's
detections where the solve rejected some, for pictures 1920 px long."""
SIGMA_LIMIT_M = 0.05
"""1 standard deviation of a solved keypoint."""
GAP_LIMIT_S = 0.5
"""Time that a keypoint goes without measurement."""
MIN_DETECTIONS = 5
"""A camera frame with fewer confident detections says little by the share of them that was rejected."""
SEPARATION_S = 0.5
"""Moments nearer than this are one moment (less in takes shorter than 8 s)."""


class Trouble(StrEnum):
    """Kinds of trouble."""

    REPROJECTION = "reprojection"
    REJECTED = "rejected detections"
    FAR = "far from detections"
    SIGMA = "uncertain"
    GAP = "gap"


@dataclass(frozen=True)
class Moment:
    """One moment to look at."""

    frame: int
    """Frame of the master timeline."""
    time_s: float
    """Master time."""
    score: float
    """Largest figure over its limit; above 1 is beyond the limit."""
    trouble: Trouble
    camera: str
    """The view that shows it best."""
    camera_frame: int
    """That camera's own frame; -1 when it has none near."""
    keypoint: str
    """The worst keypoint, '' when the whole picture is concerned."""
    reason: str
    """What is wrong, in words and figures."""


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Per master frame: severity, and what is needed to put it into words."""

    severity: np.ndarray
    camera: np.ndarray
    """[frame] camera index, -1: any."""
    keypoint: np.ndarray
    """[frame] keypoint index, -1: none."""
    value: np.ndarray
    trouble: Trouble


def worst_moments(take: SolvedTake, quality: Quality, n: int = 8) -> tuple[Moment, ...]:
    """Return up to `n` distinct moments, worst first; frames where nothing was measured at all never lead with 0."""
    timeline = take.motion.timeline
    if timeline.n_frames == 0:
        return ()
    kinds = [_reprojection(take, quality), _rejected(take, quality), _far(take, quality), _sigma(take), _gaps(take)]
    severity = np.stack([k.severity for k in kinds])
    score = severity.max(0)
    apart = max(1, round(min(SEPARATION_S, timeline.duration_s / 16) * float(timeline.fps)))
    moments: list[Moment] = []
    left = score.copy()
    while len(moments) < n and left.max() > 0:
        frame = int(left.argmax())
        moments.append(_moment(take, quality, kinds[int(severity[:, frame].argmax())], frame))
        left[max(0, frame - apart) : frame + apart + 1] = 0
    return tuple(moments)


def far_frames(take: SolvedTake, quality: Quality) -> np.ndarray:
    """Return the master frames where a keypoint is beyond FAR_LIMIT_PX of confident detections in two or more views."""
    return np.flatnonzero(_far(take, quality).severity > 1.0)


def _scale(take: SolvedTake) -> np.ndarray:
    """Return [camera] how much larger than 1920 px each camera's picture is."""
    names = take.detections.camera_names
    return np.array([max(take.rig[c].intrinsics.size_px) / 1920 if c in take.rig.names else 1.0 for c in names])


def _on_master(take: SolvedTake, per_camera_frame: np.ndarray) -> np.ndarray:
    """Return [camera frame ...] of each camera's frame nearest to each master frame; NaN where it has none near.

    For finding a frame to look at only: the figures themselves were taken at the camera's own instants.
    """
    master_s = take.motion.timeline.time_s
    out = np.full((per_camera_frame.shape[0], len(master_s), *per_camera_frame.shape[2:]), np.nan)
    for c, time_s in enumerate(take.detections.time_s):
        index = camera_frames(time_s, master_s)
        out[c, index >= 0] = per_camera_frame[c, index[index >= 0]]
    return out


def camera_frames(camera_time_s: np.ndarray, master_time_s: np.ndarray) -> np.ndarray:
    """Return [frame] the camera frame nearest to each master time; -1 where none is within one period of the camera."""
    index = nearest(camera_time_s, master_time_s)
    known = camera_time_s[np.isfinite(camera_time_s)]
    period_s = float(np.median(np.diff(known))) if len(known) > 1 else np.inf
    away = np.abs(camera_time_s[np.maximum(index, 0)] - master_time_s) > period_s
    return np.where(away | (index < 0), -1, index)


def _reprojection(take: SolvedTake, quality: Quality) -> _Candidates:
    on = quality.is_confident & quality.is_inlier
    residual = np.where(on, quality.residual_px, np.nan)
    enough = on.sum(-1) >= 3
    median = np.full(on.shape[:2], np.nan)
    median[enough] = np.nanmedian(residual[enough], axis=-1) if enough.any() else np.nan
    ratio = _on_master(take, median) / (REPROJECTION_LIMIT_PX * _scale(take)[:, None])
    ratio = np.nan_to_num(ratio)
    camera = ratio.argmax(0)
    severity = ratio.max(0)
    value = severity * REPROJECTION_LIMIT_PX * _scale(take)[camera]
    return _Candidates(severity, camera, np.full(len(severity), -1), value, Trouble.REPROJECTION)


def _rejected(take: SolvedTake, quality: Quality) -> _Candidates:
    n_confident = quality.is_confident.sum(-1)
    n_rejected = (quality.is_confident & ~quality.is_inlier).sum(-1)
    share = n_rejected / np.maximum(n_confident, 1)
    # The larger of both: many small misses count by their share, a figure that is somewhere else by its distance.
    ratio = np.fmax(share / REJECTED_LIMIT_SHARE, quality.frame_median_px / (FAR_LIMIT_PX * _scale(take)[:, None]))
    ratio = np.nan_to_num(_on_master(take, np.where((n_confident >= MIN_DETECTIONS) & (n_rejected > 0), ratio, np.nan)))
    camera, severity = ratio.argmax(0), ratio.max(0)
    return _Candidates(severity, camera, np.full(len(severity), -1), severity, Trouble.REJECTED)


def _far(take: SolvedTake, quality: Quality) -> _Candidates:
    residual = np.where(quality.is_confident, quality.residual_px, np.nan)
    ratio = np.nan_to_num(_on_master(take, residual) / (FAR_LIMIT_PX * _scale(take)[:, None, None]))
    # The second largest over views: two cameras must agree that the keypoint is somewhere else.
    second = np.sort(ratio, axis=0)[-2] if len(ratio) > 1 else np.zeros(ratio.shape[1:])
    keypoint = second.argmax(-1)
    frames = np.arange(len(keypoint))
    camera = ratio[:, frames, keypoint].argmax(0)
    value = ratio[camera, frames, keypoint] * FAR_LIMIT_PX * _scale(take)[camera]
    return _Candidates(second[frames, keypoint], camera, keypoint, value, Trouble.FAR)


def _sigma(take: SolvedTake) -> _Candidates:
    sigma = np.where(np.isfinite(take.keypoints.sigma_m), take.keypoints.sigma_m, 0.0)
    # Keypoints that no camera ever measured are uncertain in every frame: no moment of the take shows that better.
    sigma[:, ~(take.keypoints.source == Source.MEASURED).any(0)] = 0.0
    keypoint = sigma.argmax(-1)
    value = sigma.max(-1)
    return _Candidates(value / SIGMA_LIMIT_M, np.full(len(value), -1), keypoint, value, Trouble.SIGMA)


def _gaps(take: SolvedTake) -> _Candidates:
    source = take.keypoints.source
    measured = (source == Source.MEASURED) | (source == Source.EDITED)
    fps = float(take.motion.timeline.fps)
    value = np.zeros(source.shape[0])
    keypoint = np.full(source.shape[0], -1)
    for k in np.flatnonzero(measured.any(0)):
        for start, stop in runs(~measured[:, k]):
            middle, gap_s = (start + stop - 1) // 2, (stop - start) / fps
            if gap_s > value[middle]:
                value[middle], keypoint[middle] = gap_s, k
    return _Candidates(value / GAP_LIMIT_S, np.full(len(value), -1), keypoint, value, Trouble.GAP)


def _moment(take: SolvedTake, quality: Quality, kind: _Candidates, frame: int) -> Moment:
    detections = take.detections
    time_s = float(take.motion.timeline.time_s[frame])
    k = int(kind.keypoint[frame])
    camera = int(kind.camera[frame])
    if camera < 0:
        camera = _best_view(take, quality, time_s, k)
    name = detections.camera_names[camera]
    camera_frame = int(camera_frames(detections.time_s[camera], np.array([time_s]))[0])
    keypoint = detections.keypoint_set.names[k] if k >= 0 else ""
    if kind.trouble in (Trouble.REPROJECTION, Trouble.REJECTED):
        reason = _picture_words(quality, camera, camera_frame, name)
    else:
        reason = _words(kind.trouble, float(kind.value[frame]), name, keypoint)
    return Moment(
        frame=frame,
        time_s=time_s,
        score=float(kind.severity[frame]),
        trouble=kind.trouble,
        camera=name,
        camera_frame=camera_frame,
        keypoint=keypoint,
        reason=reason,
    )


def _best_view(take: SolvedTake, quality: Quality, time_s: float, keypoint: int) -> int:
    """Return the camera that has a frame at this instant and detects most of the person and the keypoint."""
    score = take.detections.score[:, :, 0]
    best, best_value = 0, -1.0
    for c, times in enumerate(take.detections.time_s):
        f = int(camera_frames(times, np.array([time_s]))[0])
        value = -0.5 if f < 0 else float(score[c, f].mean() + (score[c, f, keypoint] if keypoint >= 0 else 0.0))
        if value > best_value:
            best, best_value = c, value
    return best


def _picture_words(quality: Quality, camera: int, camera_frame: int, name: str) -> str:
    """Return what a camera's frame shows: what was rejected, how far the rest is, and how far all detections are.

    The figure of all detections is the one that the report's chart and the overlay show.
    """
    is_confident = quality.is_confident[camera, camera_frame]
    used = is_confident & quality.is_inlier[camera, camera_frame]
    residual = quality.residual_px[camera, camera_frame]
    n, n_rejected = int(is_confident.sum()), int(is_confident.sum() - used.sum())
    overall = f"{quality.frame_median_px[camera, camera_frame]:.0f} px"
    if n_rejected == 0:
        return f"The skeleton is {overall} from the detections in {name} (median of all {n}; none was rejected)."
    rejected = f"{n_rejected} of {n} detections in {name} were rejected here"
    if n_rejected == n:
        return f"{rejected}: the skeleton is {overall} from them (median)."
    return f"{rejected}; the rest are {np.median(residual[used]):.0f} px off, all together {overall} (medians)."


def _words(trouble: Trouble, value: float, camera: str, keypoint: str) -> str:
    if trouble is Trouble.FAR:
        return f"{keypoint} is {value:.0f} px from a confident detection in {camera}, and far in another view too."
    if trouble is Trouble.SIGMA:
        return f"{keypoint} is uncertain by {value * 1e3:.0f} mm (1 sd)."
    return f"{keypoint} was not measured for {value:.2f} s; the solve filled it in."
