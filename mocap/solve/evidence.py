"""What the solved motion says of every detection: good, wrong, or of the other side's limb."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Keypoints2D, KeypointSet, Points3D
from mocap.core.limbs import limb_pairs, of_keypoints, put_back, stretches, with_sides_put_back
from mocap.core.observations import Observations, observe
from mocap.core.progress import NoProgress
from mocap.core.timeline import Timeline
from mocap.core.windows import Window, in_windows
from mocap.kernels.evidence import EXCHANGED, IN_PLACE, LEFT_ON_RIGHT, RIGHT_ON_LEFT, Judgement, distances_px, judge
from mocap.kernels.robust import noise_of_detections

USED = 0.5
"""Inlier probability below which a detection counts as rejected."""
STATE_TEXT = {
    EXCHANGED: "left and right exchanged",
    LEFT_ON_RIGHT: "left drawn on right",
    RIGHT_ON_LEFT: "right drawn on left",
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """The detections of a take, judged."""

    detections: Keypoints2D
    """With the sides of exchanged limbs put back."""
    exchanged: np.ndarray
    """[camera frame limb] whether the sides of a limb were put back, against the detections as they came."""
    inlier_probability: np.ndarray
    """[camera frame keypoint] of `detections`; NaN where nothing was detected or the take does not reach."""
    rejected: dict[str, int]
    """Detections left out, by reason."""
    diagnostics: tuple[Diagnostic, ...]


def judge_take(
    rig: CameraRig, detections: Keypoints2D, exchanged: np.ndarray, timeline: Timeline, keypoints: Points3D
) -> Evidence:
    """Return the judgement of one person's detections against the solved keypoints.

    exchanged [camera frame limb] limbs whose sides `detections` already has put back. Judged are the detections as they
    came: stretches are of the detector, not of what an earlier step left. Cost is linear in observations.
    """
    as_seen = with_sides_put_back(detections, exchanged)
    everything = observe(as_seen, rig, timeline)
    keypoint_set, shape = as_seen.keypoint_set, everything.seen.shape
    in_place, crossed = np.full(shape, np.nan), np.full(shape, np.nan)
    state = np.full(exchanged.shape, IN_PLACE)

    def judged(window: Window) -> tuple[Observations, np.ndarray, Judgement]:
        part, index = everything.window(window.low, window.high)
        points_m = keypoints.xyz_m[window.low : window.high]
        return part, index, _judged(part, points_m, keypoint_set, float(timeline.fps))

    for window, (seen_there, index, part) in in_windows(judged, timeline.n_frames, float(timeline.fps), NoProgress()):
        at_frame, keep = seen_there.frame, window.keep
        camera, at = np.nonzero((index >= 0) & (at_frame >= keep.start - 0.5) & (at_frame < keep.stop - 0.5))
        to = camera, index[camera, at]
        in_place[to], crossed[to], state[to] = (
            part.in_place[camera, at],
            part.crossed[camera, at],
            part.state[camera, at],
        )
    turned = state == EXCHANGED
    probability = np.where(of_keypoints(turned, keypoint_set), put_back(crossed, turned, keypoint_set), in_place)
    seen = put_back(everything.seen, turned, keypoint_set)
    # a detection whose point nobody knows is as good as any
    unknown = seen & np.isnan(probability) & _inside(everything, timeline.n_frames)[..., None]
    probability[unknown] = np.nanmean(probability) if np.isfinite(probability).any() else USED
    used = with_sides_put_back(as_seen, turned)
    return Evidence(
        detections=used,
        exchanged=turned,
        inlier_probability=probability,
        rejected={
            "outside_lens_model": int(((used.score[:, :, 0] > 0) & ~seen).sum()),
            "outside_take": int((seen & np.isnan(probability)).sum()),
            "inconsistent": int((probability < USED).sum()),
            "sides_exchanged": int((of_keypoints(turned, keypoint_set) & seen).sum()),
        },
        diagnostics=_log(used, state),
    )


def _judged(window: Observations, xyz_m: np.ndarray, keypoint_set: KeypointSet, fps: float) -> Judgement:
    o = window
    geometry = (o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m)
    own, crossed, apart = distances_px(o.at_own_times(xyz_m), *geometry, np.array(keypoint_set.mirror))
    limbs = tuple(limb_pairs(keypoint_set).values())
    return judge(own, crossed, apart, noise_of_detections(own, o.score), limbs, fps)


def _inside(observations: Observations, n_frames: int) -> np.ndarray:
    """[camera frame] whether the take reaches that instant."""
    return (observations.frame >= -0.5) & (observations.frame < n_frames - 0.5)


def _log(detections: Keypoints2D, state: np.ndarray) -> tuple[Diagnostic, ...]:
    """Say when and in which view limbs were exchanged or drawn on one side; state [camera frame limb]."""
    found = [
        {
            "camera": camera,
            "limb": limb,
            "what": text,
            "from_s": round(float(detections.time_s[c, first]), 4),
            "to_s": round(float(detections.time_s[c, last]), 4),
            "frames": last - first + 1,
        }
        for c, camera in enumerate(detections.camera_names)
        for g, limb in enumerate(limb_pairs(detections.keypoint_set))
        for what, text in STATE_TEXT.items()
        for first, last in stretches(state[c, :, g] == what)
    ]
    if not found:
        return ()
    frames = {text: sum(f["frames"] for f in found if f["what"] == text) for text in STATE_TEXT.values()}
    each = ", ".join(f"{text} {n}" for text, n in frames.items() if n)
    longest = max(found, key=lambda f: f["frames"])
    message = (
        f"detectors took one side for the other in {len(found)} stretches (limb-frames: {each}); exchanged sides were "
        f"put back, limbs drawn on one side left out; the longest: {longest['camera']} {longest['limb']} "
        f"{longest['from_s']:.2f}-{longest['to_s']:.2f} s"
    )
    return (Diagnostic("limbs-exchanged", Severity.INFO, message, {"limb_frames": frames, "stretches": found}),)
