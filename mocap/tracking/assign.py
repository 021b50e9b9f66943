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
MEMBER_BONUS = 0.04
"""A detection of the person's own tracklets is preferred to another by this share of its size."""
CAP = 0.6


def nearest_frames(time_s: np.ndarray, instants_s: np.ndarray) -> np.ndarray:
    """Return for each camera the frame [camera instant] nearest to each instant, -1 if none is within 1.1 half periods."""
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
    """Return the index [camera frame] with every frame's choice checked against the other views.

    xy_px [camera frame person keypoint 2] holds the keypoints to use. At each frame of the first camera's clock the person
    is triangulated from the present choice, gaps are filled for a moment, and each view takes the detection nearest to
    where that puts the person, or none. Frames at which fewer than two views have the person keep their choice.
    Cost is linear in frames, cameras and people.
    """
    times = detections.time_s
    reference = int(np.isfinite(times).sum(1).argmax())
    instants = times[reference][np.isfinite(times[reference])]
    frames = nearest_frames(times, instants)
    out = index.copy()
    for start in range(0, len(instants), CHUNK):
        part = slice(start, start + CHUNK)
        _settle_part(out, xy_px, size_px, rig, frames[:, part], instants[part])
    return out


def _settle_part(
    index: np.ndarray, xy_px: np.ndarray, size_px: np.ndarray, rig: CameraRig, frames: np.ndarray, time_s: np.ndarray
) -> None:
    """Settle the choice [camera frame], in place, at some instants [camera instant]."""
    camera = np.arange(len(frames))[:, None]
    present = frames >= 0
    at = np.maximum(frames, 0)
    now = np.where(present, index[camera, at], -1)
    chosen = np.where((now >= 0)[..., None, None], xy_px[camera, at, np.maximum(now, 0)], np.nan)
    points = _filled(triangulate(normalised(chosen, rig), rig, n_iterations=2), time_s)
    best = now.copy()
    for c, view in enumerate(rig.cameras):
        k = view.intrinsics
        size = size_px[c, at[c]] / float(k.focal_px.mean())
        off = _offsets(points, normalised_view(xy_px[c, at[c]], rig, c), view.R_cam_from_world, view.t_cam_from_world_m)
        off = off / size
        off = np.where(np.arange(off.shape[1]) == now[c][:, None], off - MEMBER_BONUS, off)
        known = np.isfinite(points[..., 0]).sum(-1) >= MIN_COMMON
        judged = known & present[c]
        off = np.where(np.isfinite(off), off, np.inf)
        nearest = off.argmin(-1)
        value = off.min(-1)
        best[c] = np.where(judged, np.where(value < GATE, nearest, -1), now[c])
        # A detection with too few keypoints in common to be judged keeps its place.
        unjudged = (
            judged & (now[c] >= 0) & ~np.isfinite(np.take_along_axis(off, np.maximum(now[c], 0)[:, None], 1)[:, 0])
        )
        best[c] = np.where(unjudged, now[c], best[c])
        index[c, frames[c][present[c]]] = best[c][present[c]]


def normalised_view(xy_px: np.ndarray, rig: CameraRig, c: int) -> np.ndarray:
    """Return undistorted x/z, y/z of one camera's pixels [... 2]."""
    return normalised(xy_px[None], CameraRig((rig.cameras[c],)))[0]


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
