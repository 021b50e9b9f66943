"""Which detection is the person's, frame by frame, given the person's tracklets."""

from __future__ import annotations

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.tracking.consistency import MISS_LIMIT, normalised, triangulate
from mocap.tracking.tracklets import MIN_COMMON, Tracklets

CHUNK = 512
MAX_FILL_S = 0.3
GATE = 1.5 * MISS_LIMIT
"""A detection farther than this share of its size from where the other views put the person is somebody else."""
N_PASSES = 2
"""The first pass corrects views in which people were exchanged, the second starts without these."""


def nearest_frames(time_s: np.ndarray, instants_s: np.ndarray) -> np.ndarray:
    """Return each camera's frame [camera instant] nearest to each instant, -1 if none is within about half a period."""
    out = np.full((len(time_s), len(instants_s)), -1)
    for c, times in enumerate(time_s):
        valid = np.nonzero(np.isfinite(times))[0]
        if not len(valid):
            continue
        known = times[valid]
        right = np.clip(np.searchsorted(known, instants_s), 0, len(known) - 1)
        left = np.maximum(right - 1, 0)
        near = np.where(np.abs(known[left] - instants_s) <= np.abs(known[right] - instants_s), left, right)
        period = float(np.median(np.diff(known))) if len(known) > 1 else np.inf
        close = np.abs(known[near] - instants_s) <= 0.55 * period
        out[c] = np.where(close, valid[near], -1)
    return out


def members(tracklets: Tracklets, chosen: np.ndarray) -> np.ndarray:
    """Return the detection [camera frame] that belongs to the chosen tracklets, -1 for none."""
    is_member = np.isin(tracklets.label, chosen) & (tracklets.label >= 0)
    return np.where(is_member.any(-1), is_member.argmax(-1), -1)


def settle(
    detections: Keypoints2D, xy_px: np.ndarray, size_px: np.ndarray, rig: CameraRig, index: np.ndarray
) -> np.ndarray:
    """Return the index [person camera frame] with every frame's choice checked against the other views.

    xy_px [camera frame detection keypoint 2] holds the keypoints to use. At each frame of one camera's clock a person
    is triangulated from the present choice, gaps are filled for a moment, and in each view every detection goes to the
    person whom it is nearest to, each person taking the nearest of these, or none. Frames at which fewer than two views
    have a person keep their choice. Cost is linear in frames, cameras, detections and persons.
    """
    times = detections.time_s
    reference = int(np.isfinite(times).sum(1).argmax())
    instants = times[reference][np.isfinite(times[reference])]
    frames = nearest_frames(times, instants)
    out = index.copy()
    focal = np.array([c.intrinsics.focal_px.mean() for c in rig.cameras])
    camera = np.arange(len(frames))[:, None]
    for start in range(0, len(instants), CHUNK):
        part = frames[:, start : start + CHUNK]
        present, at = part >= 0, np.maximum(part, 0)
        xy = normalised(np.where(present[..., None, None, None], xy_px[camera, at], np.nan), rig)
        size = size_px[camera, at] / focal[:, None, None]
        chosen = np.where(present, out[:, camera, at], -1)
        for _ in range(N_PASSES):
            chosen = _settle_part(chosen, xy, size, rig, instants[start : start + CHUNK])
        for p, c in np.ndindex(out.shape[:2]):
            out[p, c, part[c][present[c]]] = chosen[p, c, present[c]]
    return out


def _settle_part(index: np.ndarray, xy: np.ndarray, size: np.ndarray, rig: CameraRig, time_s: np.ndarray) -> np.ndarray:
    """Return the settled choice [person camera instant]; xy [camera instant detection keypoint 2] is normalised."""
    points = [_filled(triangulate(_chosen(xy, now), rig, n_iterations=2), time_s) for now in index]
    best = index.copy()
    for c, view in enumerate(rig.cameras):
        off = np.stack([_offsets(p, xy[c], view.R_cam_from_world, view.t_cam_from_world_m) for p in points])
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.where(size[c] > 0, off / size[c], np.nan)
        known = np.stack([np.isfinite(p[..., 0]).sum(-1) >= MIN_COMMON for p in points])
        now = np.maximum(index[:, c], 0)
        unjudged = (index[:, c] >= 0) & ~np.isfinite(np.take_along_axis(off, now[..., None], 2)[..., 0])
        off = np.where(np.isfinite(off), off, np.inf)
        # Somebody else is nearer to it.
        off = np.where(off > off.min(0), np.inf, off)
        nearest = np.where(off.min(-1) < GATE, off.argmin(-1), -1)
        # A detection with too few keypoints in common to be judged, or a person whom only this view has, stays.
        best[:, c] = np.where(known & ~unjudged, nearest, index[:, c])
    return best


def _chosen(xy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the chosen of detections [camera instant detection keypoint 2] without their axis; NaN for none."""
    picked = np.take_along_axis(xy, np.maximum(index, 0)[:, :, None, None, None], axis=2)[:, :, 0]
    return np.where((index >= 0)[..., None, None], picked, np.nan)


def _offsets(points: np.ndarray, xy: np.ndarray, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the mean capped distance [frame person] in the normalised plane; NaN with too few common keypoints."""
    cam = points @ R.T + t
    with np.errstate(invalid="ignore", divide="ignore"):
        projected = np.where(cam[..., 2:] > 0.05, cam[..., :2] / cam[..., 2:], np.nan)
    d = np.linalg.norm(xy - projected[:, None], axis=-1)
    seen = np.isfinite(d)
    n = seen.sum(-1)
    # The better half of the keypoints: gross errors and swapped sides are not another person.
    ordered = np.sort(np.where(seen, d, np.inf), axis=-1)
    half = np.maximum((n + 1) // 2, 1)
    use = np.arange(d.shape[-1]) < half[..., None]
    total = np.where(use & np.isfinite(ordered), ordered, 0.0).sum(-1)
    return np.where(n >= MIN_COMMON, total / half, np.nan)


def _filled(points: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return points [frame keypoint 3] with gaps of up to MAX_FILL_S bridged linearly."""
    out = points.copy()
    for k in range(points.shape[1]):
        known = np.nonzero(np.isfinite(points[:, k, 0]))[0]
        if len(known) < 2 or len(known) == len(points):
            continue
        gap = np.nonzero(~np.isfinite(points[:, k, 0]))[0]
        right = np.searchsorted(known, gap)
        inside = (right > 0) & (right < len(known))
        gap, right = gap[inside], right[inside]
        a, b = known[right - 1], known[right]
        short = time_s[b] - time_s[a] <= MAX_FILL_S
        gap, a, b = gap[short], a[short], b[short]
        u = ((time_s[gap] - time_s[a]) / (time_s[b] - time_s[a]))[:, None]
        out[gap, k] = (1 - u) * points[a, k] + u * points[b, k]
    return out
