"""Smooth 2D trajectories of the people one camera sees, with velocities: what motion synchronisation compares.

Detections are cleaned of jumps by a running median and smoothed by local quadratic regression with a Gaussian kernel of
one width in seconds for all cameras (W. Cleveland, "Robust locally weighted regression", JASA 1979, without the robust
step). Smoothing before interpolation matters: interpolated noise is smaller between frames than on them, which would
pull clocks towards half frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from mocap.core.keypoints import KeypointSet, looked_at

MIN_SCORE = 0.1
KERNEL_S = 0.035
"""Width (1 sd) of the smoothing kernel; at least one frame of the slowest camera."""
JUMP_FRAMES = 11
JUMP_FACTOR = 6.0
"""A detection this many local deviations away from the running median is a jump."""
LIMBS = ("Shoulder", "Elbow", "Wrist", "Knee", "Ankle", "Heel", "BigToe", "SmallToe")
MIN_LIMBS = 8
MAX_PEOPLE = 3
LOST_S = 0.5
LINK_SIZES = 0.5
"""A person moves less than this share of the body's size between two detections."""


class Detected(Protocol):
    """One camera's detections; `mocap.pose2d.detections.CameraDetections` is one."""

    @property
    def keypoint_set(self) -> KeypointSet:
        """What the keypoints are."""
        ...

    @property
    def xy_px(self) -> np.ndarray:
        """[frame person keypoint 2] NaN where not detected."""
        ...

    @property
    def score(self) -> np.ndarray:
        """[frame person keypoint] 0 where not detected."""
        ...

    @property
    def time_s(self) -> np.ndarray:
        """[frame] on the camera's clock."""
        ...


@dataclass(frozen=True, eq=False)
class _LookedAt:
    """The frames of a view that a model looked at."""

    keypoint_set: KeypointSet
    xy_px: np.ndarray
    score: np.ndarray
    time_s: np.ndarray


def only_looked_at(view: Detected) -> Detected:
    """Return a view without the frames that a quick look left out: smoothing goes by the frames that there are."""
    which = looked_at(np.asarray(np.isfinite(view.xy_px[..., 0]).any((1, 2))))
    if which.step in (None, 1):
        return view
    return _LookedAt(view.keypoint_set, view.xy_px[which], view.score[which], view.time_s[which])


@dataclass(frozen=True, eq=False)
class Track:
    """One person in one camera. Values are NaN where `is_known` is false."""

    time_s: np.ndarray
    """[frame] camera clock."""
    xy: np.ndarray
    """[frame keypoint 2] smoothed places, pixels or normalised coordinates."""
    velocity: np.ndarray
    """[frame keypoint 2] per second."""
    acceleration: np.ndarray
    """[frame keypoint 2] per second squared."""
    is_known: np.ndarray
    """[frame keypoint]"""
    score: np.ndarray
    """[frame keypoint] mean score of the detections that the place rests on; 0 where unknown."""
    detected: np.ndarray
    """[frame keypoint 2] the detections themselves, NaN where there is none."""
    detected_score: np.ndarray
    """[frame keypoint] of the detections around, where there are some: how sure a detector is changes slowly."""

    def scores(self, time_s: np.ndarray) -> np.ndarray:
        """Return the scores [n keypoint] of the nearest earlier frame at camera times [n]."""
        return self.score[np.clip(np.searchsorted(self.time_s, time_s, side="right") - 1, 0, len(self.time_s) - 1)]

    def sample(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return places, velocities, accelerations [n keypoint 2] and whether known [n keypoint] at camera times [n].

        Cubic Hermite interpolation between frames; unknown outside the recording and beside unknown frames.
        """
        n = len(self.time_s)
        i = np.clip(np.searchsorted(self.time_s, time_s, side="right") - 1, 0, max(n - 2, 0))
        j = np.minimum(i + 1, n - 1)
        step = np.where(j > i, self.time_s[j] - self.time_s[i], 1.0)
        u = (time_s - self.time_s[i]) / step
        inside = (u >= -1e-6) & (u <= 1 + 1e-6) & (step < LOST_S)
        known = self.is_known[i] & self.is_known[j] & inside[:, None]
        u, step = u[:, None, None], step[:, None, None]
        p, q, vp, vq = self.xy[i], self.xy[j], self.velocity[i] * step, self.velocity[j] * step
        xy = p + u * (vp + u * (3 * (q - p) - 2 * vp - vq + u * (2 * (p - q) + vp + vq)))
        velocity = (1 - u) * self.velocity[i] + u * self.velocity[j]
        acceleration = (1 - u) * self.acceleration[i] + u * self.acceleration[j]
        return xy, velocity, acceleration, known


def kernel_s(times_s: list[np.ndarray]) -> float:
    """Return the smoothing width that suits all cameras."""
    steps = [float(np.median(np.diff(t))) for t in times_s if len(t) > 1]
    return max([KERNEL_S, *(1.0 * s for s in steps)])


def clean_people(view: Detected) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the people seen most and moving most, best first: cleaned places [frame keypoint 2] and scores."""
    limbs = limb_keypoints(view.keypoint_set)
    score = view.score[..., limbs].astype(np.float64)
    xy = np.where((score >= MIN_SCORE)[..., None], view.xy_px[..., limbs, :], np.nan).astype(np.float64)
    people = [(xy[:, 0], score[:, 0])] if xy.shape[1] == 1 else _linked(xy, score, view.time_s)
    return [(_without_jumps(p), s) for p, s in people]


def limb_keypoints(keypoint_set: KeypointSet) -> np.ndarray:
    """Return the indices of the keypoints that move and that every view places alike; all where there are few.

    Measured on rendered footage with BlazePose: with its many points of face and hands, which share one error, clocks
    were off by up to 7 ms, with limbs alone by up to 3 ms.
    """
    found = [k for k, name in enumerate(keypoint_set.landmarks) if name[1:] in LIMBS and name[:1] in ("L", "R")]
    return np.array(found if len(found) >= MIN_LIMBS else range(len(keypoint_set)), int)


def smooth(xy: np.ndarray, score: np.ndarray, time_s: np.ndarray, width_s: float) -> Track:
    """Return the local quadratic fit of detections [frame keypoint 2] with scores [frame keypoint] at every frame."""
    fit, known, mean_score = local_quadratic(xy, score, time_s, width_s)
    place, velocity, acceleration = fit
    return Track(time_s, place, velocity, acceleration, known, mean_score, xy, np.where(known, mean_score, score))


def local_quadratic(
    values: np.ndarray, score: np.ndarray, time_s: np.ndarray, width_s: float
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Return values, first and second derivatives [frame keypoint n], whether known and mean scores [frame keypoint].

    values [frame keypoint n], NaN where missing; score [frame keypoint].
    """
    n_frames, n_keypoints, n_axes = values.shape
    seen: np.ndarray = np.asarray(np.isfinite(values).all(-1))
    filled = np.where(seen[..., None], values, 0.0)
    step = float(np.median(np.diff(time_s))) if n_frames > 1 else 1.0
    reach = max(2, int(np.ceil(2.5 * width_s / max(step, 1e-6))))
    moments = np.zeros((n_frames, n_keypoints, 5))
    sums = np.zeros((n_frames, n_keypoints, 3, n_axes))
    sides = np.zeros((n_frames, n_keypoints, 2))
    total_score = np.zeros((n_frames, n_keypoints))
    for shift in range(-reach, reach + 1):
        lo, hi = max(0, -shift), min(n_frames, n_frames - shift)
        if lo >= hi:
            continue
        here, there = slice(lo, hi), slice(lo + shift, hi + shift)
        u = (time_s[there] - time_s[here]) / width_s
        w = np.exp(-0.5 * u * u)[:, None] * seen[there]
        for power in range(5):
            wp = w * (u**power)[:, None]
            moments[here, :, power] += wp
            if power < 3:
                sums[here, :, power] += wp[..., None] * filled[there]
        total_score[here] += w * score[there]
        if shift:
            sides[here, :, int(shift > 0)] += w
    full = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width_s) ** 2).sum()
    known = np.asarray((moments[..., 0] > 0.35 * full) & (sides.min(-1) > 0.1 * full))
    normal = moments[..., np.arange(3)[:, None] + np.arange(3)]
    normal = normal + 1e-3 * moments[..., :1, None] * np.diag([0.0, 0.0, 1.0])
    normal[~known] = np.eye(3)
    fit = np.linalg.solve(normal, sums)
    fit[~known] = np.nan
    mean_score = np.where(known, total_score / np.maximum(moments[..., 0], 1e-12), 0.0)
    return (fit[..., 0, :], fit[..., 1, :] / width_s, 2 * fit[..., 2, :] / width_s**2), known, mean_score


def _without_jumps(xy: np.ndarray) -> np.ndarray:
    """Return detections [frame keypoint 2] with jumps away from the running median made NaN."""
    half = JUMP_FRAMES // 2
    padded = np.pad(xy, ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
    window = np.lib.stride_tricks.sliding_window_view(padded, JUMP_FRAMES, axis=0)
    off = np.linalg.norm(xy - _median_last(window), axis=-1)
    level = _median_last(off.T)
    typical = np.nanmedian(level) if np.isfinite(level).any() else 0.0
    limit = JUMP_FACTOR * np.maximum(np.fmax(level, typical), 1e-3 * _spread(xy))
    return np.where((off > limit)[..., None], np.nan, xy)


def _median_last(values: np.ndarray) -> np.ndarray:
    """Return the median along the last axis without NaN; NaN where there is nothing."""
    ordered = np.sort(values, axis=-1)
    n = np.isfinite(ordered).sum(-1)
    low = np.take_along_axis(ordered, np.maximum((n - 1) // 2, 0)[..., None], -1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(n // 2, ordered.shape[-1] - 1)[..., None], -1)[..., 0]
    return np.where(n > 0, 0.5 * (low + high), np.nan)


def _spread(xy: np.ndarray) -> float:
    """Return the size of the region [frame keypoint 2] that detections fill."""
    flat = xy[np.isfinite(xy).all(-1)]
    return float(np.ptp(flat, axis=0).max()) if len(flat) else 1.0


def _linked(xy: np.ndarray, score: np.ndarray, time_s: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return at most MAX_PEOPLE people of detections [frame person keypoint 2], followed over time by nearness."""
    tracks: list[list[tuple[int, int]]] = []
    last: list[tuple[float, np.ndarray]] = []
    for f in range(len(xy)):
        present = [p for p in range(xy.shape[1]) if np.isfinite(xy[f, p]).all(-1).sum() >= 4]
        alive = [n for n, (t, _) in enumerate(last) if time_s[f] - t < LOST_S]
        taken: set[int] = set()
        if present and alive:
            cost = np.array([[_distance(last[n][1], xy[f, p]) for p in present] for n in alive])
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] < LINK_SIZES:
                    n, p = alive[row], present[column]
                    tracks[n].append((f, p))
                    last[n] = (float(time_s[f]), xy[f, p])
                    taken.add(p)
        for p in present:
            if p not in taken:
                tracks.append([(f, p)])
                last.append((float(time_s[f]), xy[f, p]))
    return _best_people(xy, score, tracks)


def _best_people(
    xy: np.ndarray, score: np.ndarray, tracks: list[list[tuple[int, int]]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the tracks with most motion, shorter ones appended to a longer one that they do not overlap."""
    worth = [_worth(xy, track) for track in tracks]
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for n in np.argsort([-w for w in worth], kind="stable"):
        if worth[n] < 0.1 * max(worth):
            break
        frame, slot = np.array(tracks[n]).T
        home = next((k for k in kept if not np.isfinite(k[0][frame]).any()), None)
        if home is None and len(kept) < MAX_PEOPLE:
            home = (np.full((len(xy), *xy.shape[2:]), np.nan), np.zeros((len(xy), xy.shape[2])))
            kept.append(home)
        if home is not None:
            home[0][frame], home[1][frame] = xy[frame, slot], score[frame, slot]
    return kept or [(np.full((len(xy), *xy.shape[2:]), np.nan), np.zeros((len(xy), xy.shape[2])))]


def _worth(xy: np.ndarray, track: list[tuple[int, int]]) -> float:
    """Return how much a track moves in all, jumps cut."""
    frame, slot = np.array(track).T
    step = np.abs(np.diff(xy[frame, slot], axis=0)).sum(-1)
    step = step[np.isfinite(step)]
    return float(np.minimum(step, 10 * np.median(step)).sum()) if len(step) else 0.0


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of common keypoints in body sizes."""
    both = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    if both.sum() < 3:
        return 1e6
    size = max(float(np.ptp(b[both], axis=0).max()), 1e-6)
    return float(np.linalg.norm(a[both] - b[both], axis=-1).mean() / size)
