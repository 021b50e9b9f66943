"""Every frame triangulated on its own: what usual programs have before a filter smooths it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, Points3D, Source
from mocap.core.observations import Observations, observe
from mocap.core.timeline import Timeline
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.trajectories import fill_gaps_linearly
from mocap.reconstruct.hypotheses import best_hypotheses

WRONG_SHARE = 15.0 / 1920.0
"""Of the picture's longer side: views farther from the start do not count. 15 px is Pose2Sim's threshold, at 1080p."""
BRIDGED_S = 0.5
"""Longer gaps stay gaps."""
_CHUNK_FRAMES = 600


def framewise_points(detections: Keypoints2D, rig: CameraRig, timeline: Timeline) -> Points3D:
    """Return one person's keypoints [frame keypoint], each frame for itself, gaps bridged by straight lines.

    Linear triangulation weighted by score (`best_hypotheses`) of the views that agree: those within WRONG_SHARE of a
    first such point. Each camera's frame nearest in time counts as of the instant. NaN where fewer than two views agree
    for longer than BRIDGED_S, and before and after all of them. `sigma_m` is NaN: nothing is said of uncertainty.
    """
    everything, fps = observe(detections, rig, timeline), float(timeline.fps)
    limit_px = wrong_px(rig)
    xyz_m = np.full((timeline.n_frames, len(detections.keypoint_set), 3), np.nan)
    for low in range(0, timeline.n_frames, _CHUNK_FRAMES):
        high = min(low + _CHUNK_FRAMES, timeline.n_frames)
        part, _ = everything.window(low, high)
        if part.seen.any():
            xyz_m[low:high], _ = best_hypotheses(agreeing(part, high - low, fps, limit_px), high - low, fps)
    measured = np.asarray(np.isfinite(xyz_m).all(-1))
    bridged = _short_gaps(measured, round(BRIDGED_S * fps))
    source = np.where(measured, Source.MEASURED, np.where(bridged, Source.INTERPOLATED, Source.MISSING))
    filled = np.where((measured | bridged)[..., None], fill_gaps_linearly(xyz_m), np.nan)
    unknown = np.full(measured.shape, np.nan)
    return Points3D(detections.keypoint_set, timeline.time_s, filled, unknown, source.astype(np.uint8))


def wrong_px(rig: CameraRig) -> np.ndarray:
    """Return the distance [camera] in pixels beyond which a view does not count."""
    return WRONG_SHARE * np.array([float(max(camera.intrinsics.size_px)) for camera in rig.cameras])


def agreeing(observations: Observations, n_frames: int, fps: float, limit_px: np.ndarray) -> Observations:
    """Return the observations without those farther than limit_px [camera] from the best hypothesis."""
    o = observations
    start, _ = best_hypotheses(o, n_frames, fps)
    nearest = o.nearest_frame(n_frames)
    at = np.stack([start[np.maximum(row, 0)] for row in nearest])
    error_px = np.linalg.norm(residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m), axis=-1)
    agrees = np.nan_to_num(error_px, nan=np.inf) < limit_px[:, None, None]
    return replace(o, score=np.where(agrees, o.score, 0.0), px_per_unit=np.where(agrees, o.px_per_unit, 0.0))


def _short_gaps(known: np.ndarray, longest: int) -> np.ndarray:
    """Return [frame keypoint] what lies between two known frames that are at most `longest` frames apart."""
    out = np.zeros_like(known)
    for k in range(known.shape[1]):
        at = np.flatnonzero(known[:, k])
        for before, after in pairwise(at):
            if 1 < after - before <= longest:
                out[before + 1 : after, k] = True
    return out
