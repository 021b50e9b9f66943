"""Quality gates: findings that say a result is probably wrong, so that a clearly wrong take never passes silently.

The limits lie outside what sound takes reach (inlier shares of 0.75 and more, medians up to 20 px with a rig that was
never refined, raw bone lengths steady within 2 cm) and well inside what exchanged cameras give (0.25, 95 px, 13 cm).
"""

from __future__ import annotations

import numpy as np

from mocap.analysis.moments import FAR_LIMIT_PX, camera_frames
from mocap.analysis.quality import Quality, camera_figures, measure_quality
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Source
from mocap.core.looks import looks_of
from mocap.core.take import SolvedTake

CAMERA_LIMIT_PX = 40.0
"""Median reprojection of a camera, for pictures 1920 px long (scaled with the picture)."""
CAMERA_RATIO = 3.0
"""A camera stands apart when its median is this many times that of the others."""
MIN_INLIER_SHARE = 0.5
SOUND_INLIER_SHARE = 0.75
"""Expected where nothing but the result itself tells whether the cameras were in step."""
MIN_DETECTIONS = 50
"""Cameras with fewer confident detections say too little to be judged."""
MIN_MEASURED_SHARE = 0.6
MAX_FAR_SHARE = 0.05
MIN_FAR_S = 0.1
"""Gross errors of a detector hit two views by chance now and then, but not the same keypoint for this long."""
MAX_RAW_BONE_SD_M = 0.06


def quality_gates(
    take: SolvedTake, quality: Quality | None = None, *, are_times_assumed: bool = False
) -> tuple[Diagnostic, ...]:
    """Return a finding of severity QUALITY for every gate that `take` fails; none for a sound take.

    are_times_assumed: whether nothing tied the cameras' clocks together, so that the result must show that they fit.
    """
    if take.motion.timeline.n_frames == 0:
        return ()
    quality = quality or measure_quality(take)
    found = (
        _cameras(take, quality, SOUND_INLIER_SHARE if are_times_assumed else MIN_INLIER_SHARE),
        _measured(take),
        _far(take, quality),
        _bones(quality),
    )
    return tuple(d for d in found if d is not None)


def _cameras(take: SolvedTake, quality: Quality, min_inlier_share: float) -> Diagnostic | None:
    figures = camera_figures(take, quality)
    judged = {name: f for name, f in figures.items() if f["n_detections"] >= MIN_DETECTIONS}
    scale = _picture_scale(take)
    # In units of a 1920 px picture, so that cameras of different resolution compare.
    median_px = {name: f["reproj_median_px"] / scale[name] for name, f in judged.items() if f["reproj_median_px"]}
    bad: dict[str, str] = {}
    for name, f in judged.items():
        own = median_px.get(name, 0.0)
        others = sorted(m for other, m in median_px.items() if other != name)
        typical = others[(len(others) - 1) // 2] if others else 0.0
        if f["inlier_share"] < min_inlier_share or (own > CAMERA_LIMIT_PX and own > CAMERA_RATIO * typical):
            bad[name] = f"{name} {_px(f['reproj_median_px'])} off (median), {f['inlier_share']:.0%} fit"
    if not bad:
        return None
    rest = [f"{name} {_px(f['reproj_median_px'])}" for name, f in figures.items() if name not in bad]
    return Diagnostic(
        "camera-disagrees",
        Severity.QUALITY,
        f"The result contradicts what some cameras saw: {'; '.join(bad.values())}; the others: "
        f"{', '.join(rest) or 'none'}. Expected a median below {CAMERA_LIMIT_PX:.0f} px (pictures 1920 px long) and at "
        f"least {min_inlier_share:.0%} of the detections fitting. Such a camera was moved, mixed up with another or "
        "is out of sync: check the names and the order of the recordings, then the sync, then the calibration.",
        {
            "cameras": {name: figures[name] for name in bad},
            "others": {n: f for n, f in figures.items() if n not in bad},
        },
    )


def _measured(take: SolvedTake) -> Diagnostic | None:
    # Keypoints that the model never reports are no evidence against the take.
    seen = take.detections.score[:, :, 0] > 0
    source = take.keypoints.source[_looked_at_by_two(take, np.asarray(seen.any(-1)))][:, seen.any((0, 1))]
    share = float(np.isin(source, (Source.MEASURED, Source.EDITED)).mean()) if source.size else 0.0
    if share >= MIN_MEASURED_SHARE:
        return None
    return Diagnostic(
        "take-hardly-measured",
        Severity.QUALITY,
        f"Only {share:.0%} of the keypoints of this take were measured by two or more cameras, at least "
        f"{MIN_MEASURED_SHARE:.0%} expected; the rest was filled in by the solve and may not have happened like that. "
        "Check that the cameras see the performer at the same time, or trim the take.",
        {"measured_share": round(share, 4)},
    )


def _looked_at_by_two(take: SolvedTake, has_any: np.ndarray) -> np.ndarray:
    """Return [frame] the master frames that two cameras looked at, all where there are none; has_any [camera frame].

    What a quick look left out says nothing against the take.
    """
    timeline = take.motion.timeline
    frame = (take.detections.time_s - timeline.start_s) * float(timeline.fps)
    n_looks = looks_of(frame, has_any, timeline.n_frames, float(timeline.fps)).count
    return n_looks >= 2 if (n_looks >= 2).any() else np.ones(len(n_looks), bool)


def _far(take: SolvedTake, quality: Quality) -> Diagnostic | None:
    frames = lasting_far_frames(take, quality)
    share = len(frames) / take.motion.timeline.n_frames
    if share <= MAX_FAR_SHARE:
        return None
    first_s, last_s = (float(take.motion.timeline.time_s[frames[i]]) for i in (0, -1))
    return Diagnostic(
        "solve-disagrees",
        Severity.QUALITY,
        f"In {len(frames)} of {take.motion.timeline.n_frames} frames ({share:.0%}, from {first_s:.2f} s to "
        f"{last_s:.2f} s) a keypoint of the solved skeleton stays more than {FAR_LIMIT_PX:.0f} px (pictures 1920 px "
        "long) from what most views confidently saw, in two views or more; at most "
        f"{MAX_FAR_SHARE:.0%} of the frames expected. Look at these moments in the report, and check the cameras' "
        "names, sync and calibration.",
        {"n_frames": len(frames), "share": round(share, 4), "first_s": first_s, "last_s": last_s},
    )


def lasting_far_frames(take: SolvedTake, quality: Quality) -> np.ndarray:
    """Return the master frames in which a keypoint stays far from what most views confidently saw.

    Far means beyond FAR_LIMIT_PX in two or more views and in half of those that see it, for at least MIN_FAR_S.
    """
    timeline = take.motion.timeline
    shape = (timeline.n_frames, len(take.detections.keypoint_set))
    n_seen, n_far = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for c, scale in enumerate(_picture_scale(take).values()):
        index = camera_frames(take.detections.time_s[c], timeline.time_s)
        seen = quality.is_confident[c][index] & (index >= 0)[:, None]
        n_seen += seen
        n_far += seen & (np.nan_to_num(quality.residual_px[c][index]) > FAR_LIMIT_PX * scale)
    is_far = (n_far >= 2) & (2 * n_far >= n_seen)
    width = max(2, round(MIN_FAR_S * float(timeline.fps)))
    if timeline.n_frames < width:
        return np.zeros(0, np.int64)
    # An opening along time: a run stays only where it is at least `width` long.
    windows = np.lib.stride_tricks.sliding_window_view(is_far, width, axis=0)
    whole = np.atleast_1d(np.asarray(windows.all(-1).any(-1)))
    lasting = np.zeros(timeline.n_frames, bool)
    for k in range(width):
        lasting[k : k + len(whole)] |= whole
    return np.flatnonzero(lasting)


def _bones(quality: Quality) -> Diagnostic | None:
    sd_m = {b.name: b.points_sd_m for b in quality.bones if np.isfinite(b.points_sd_m)}
    mean_m = float(np.mean(list(sd_m.values()))) if sd_m else 0.0
    if mean_m <= MAX_RAW_BONE_SD_M:
        return None
    worst = sorted(sd_m, key=lambda name: -sd_m[name])[:3]
    text = ", ".join(f"{name} {1e3 * sd_m[name]:.0f} mm" for name in worst)
    return Diagnostic(
        "bones-unsteady",
        Severity.QUALITY,
        f"Before the solve the lengths of the bones vary by {1e3 * mean_m:.0f} mm (sd, mean over the bones; worst: "
        f"{text}), at most {1e3 * MAX_RAW_BONE_SD_M:.0f} mm expected: the views do not describe one body. Check the "
        "cameras' names, sync and calibration (its unit too), and that all views follow the same person.",
        {"points_bone_sd_mm": round(1e3 * mean_m, 2), "worst_mm": {name: round(1e3 * sd_m[name], 2) for name in worst}},
    )


def _picture_scale(take: SolvedTake) -> dict[str, float]:
    """Return by camera how much larger than 1920 px its picture is."""
    rig = take.rig
    return {c: max(rig[c].intrinsics.size_px) / 1920 if c in rig.names else 1.0 for c in take.detections.camera_names}


def _px(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} px"
