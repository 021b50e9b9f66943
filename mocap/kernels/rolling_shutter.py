"""Places seen by a rolling shutter, as if all rows of a picture had been taken at one instant.

The rows of a picture are read one after the other: what stands in row v is seen (v / height - 1/2) * readout later than
the middle row. Each place is moved back along its own image velocity (M. Meingast, C. Geyer and S. Sastry, "Geometric
models of rolling-shutter cameras", 2005, section 3: the constant-velocity model, with the velocity measured instead of
found from the camera's motion).
"""

from __future__ import annotations

from itertools import product

import numpy as np

NEIGHBOURS = 3
"""Frames with a detection on either side from which a velocity is measured: one of them may have jumped."""
REACH_S = 0.25
"""Neighbours farther away say nothing of the velocity: half a period of a 2 Hz swing, as fast as arms and legs swing in
a run, after which a limb goes the other way."""
MIN_WEIGHT = 0.5
"""Summed weight of slopes from which a velocity is believed in full; below, in proportion, so that no correction comes
or goes at once where neighbours are about REACH_S away."""
MIDDLE = (0.4, 0.6)
"""Quantiles between which slopes are averaged: as robust as a median, and continuous in their weights."""
CHUNK = 100
"""Frames at a time: bounds the memory."""


def at_middle_row(
    xy_px: np.ndarray, time_s: np.ndarray, size_px: tuple[int, int], readout_s: float, rotation_deg: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return places [frame ... 2] at each frame's middle row instead of at their own row, and how far they were moved.

    The second is [frame ...]: 1 where the whole correction was made, 0 where nothing is known of the velocity and the
    place was left alone, between where little is; NaN where there is no place.

    Args:
        xy_px: [frame ... 2] in the upright picture, NaN where missing.
        time_s: [frame] of the frames, increasing.
        size_px: width and height of the upright picture.
        readout_s: time from the first to the last row of the sensor.
        rotation_deg: clockwise turn (0, 90, 180, 270) that made the picture upright.
    """
    late_s = row_share(xy_px, size_px, rotation_deg) * readout_s
    velocity, trust = velocities(xy_px, time_s)
    moved_px = np.nan_to_num(velocity * trust[..., None]) * late_s[..., None]
    return xy_px - moved_px, trust


def row_share(xy_px: np.ndarray, size_px: tuple[int, int], rotation_deg: int = 0) -> np.ndarray:
    """Return how far along the sensor's rows places [... 2] of the upright picture lie: -1/2 first, 1/2 last row."""
    axis, sign = {0: (1, 1.0), 90: (0, -1.0), 180: (1, -1.0), 270: (0, 1.0)}[rotation_deg]
    return sign * ((xy_px[..., axis] + 0.5) / size_px[axis] - 0.5)


def velocities(xy_px: np.ndarray, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return velocities [frame ... 2] per second, NaN if unknown, and trust in them [frame ...] 0 to 1, NaN if unseen.

    Slopes from frames before to frames after and from each of these to the frame itself, among those with a detection;
    at the ends of a track and beside gaps the latter alone. Of slopes weighted by how near their ends are (the tricube
    of W. S. Cleveland, "Robust locally weighted regression and smoothing scatterplots", 1979, section 2) the mean of
    the middle ones (a robust slope as H. Theil, 1950): a detection that jumped, on either side, is stood.
    """
    shape = xy_px.shape[:-1]
    flat = xy_px.reshape(len(xy_px), -1, 2)
    out, trust = np.full(flat.shape, np.nan), np.full(flat.shape[:2], np.nan)
    for start in range(0, len(flat), CHUNK):
        stop = min(start + CHUNK, len(flat))
        first, last = np.searchsorted(time_s, [time_s[start] - REACH_S, time_s[stop - 1] + REACH_S])
        part = flat[first:last]
        frame, track = np.nonzero(np.isfinite(part[start - first : stop - first]).all(-1))
        slopes, weights = _slopes(part, time_s[first:last], frame + start - first, track)
        total = weights.sum(0)
        out[start + frame, track] = _middle(slopes, weights)
        trust[start + frame, track] = np.minimum(total / MIN_WEIGHT, 1.0)
    return out.reshape(*shape, 2), trust.reshape(shape)


def _slopes(xy_px: np.ndarray, time_s: np.ndarray, frame: np.ndarray, track: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return slopes [pair n 2] around frames [n] of tracks [n], and their weights [pair n]; a weight of 0 is none."""
    is_seen = np.asarray(np.isfinite(xy_px).all(-1))
    last = len(xy_px) - 1
    earlier = _earlier(is_seen, frame, track)
    later = [np.where(i < 0, -1, last - i) for i in _earlier(is_seen[::-1], last - frame, track)]
    own = (frame, np.ones(len(frame)))
    before, after = ([(i, _nearness(time_s, frame, i)) for i in side] for side in (earlier, later))
    slopes: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for (i, near_i), (j, near_j) in list(product((own, *before), (own, *after)))[1:]:
        step_s = time_s[j] - time_s[i]
        weight = np.where(step_s > 0, near_i * near_j, 0.0)
        slope = (xy_px[j, track] - xy_px[i, track]) / np.where(weight > 0, step_s, 1.0)[:, None]
        slopes.append(np.where(weight[:, None] > 0, slope, 0.0))
        weights.append(weight)
    return np.stack(slopes), np.stack(weights)


def _earlier(is_seen: np.ndarray, frame: np.ndarray, track: np.ndarray) -> list[np.ndarray]:
    """Return the last, the second last ... frames [n] before `frame` in which the tracks were seen; -1 if none."""
    index = np.where(is_seen, np.arange(len(is_seen))[:, None], -1)
    # One row more: what comes before the first frame, found by -1 too.
    latest = np.full((len(index) + 1, index.shape[1]), -1)
    np.maximum.accumulate(index[:-1], axis=0, out=latest[1:-1])
    found = [latest[frame, track]]
    while len(found) < NEIGHBOURS:
        found.append(latest[found[-1], track])
    return found


def _nearness(time_s: np.ndarray, frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the tricube weight [n] of other frames [n], 0 where there is none."""
    far = np.minimum(np.abs(time_s[other] - time_s[frame]) / REACH_S, 1.0)
    return np.where(other < 0, 0.0, (1.0 - far**3) ** 3)


def _middle(slopes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean [n 2] of the middle of slopes [pair n 2] with weights [pair n]; NaN if all are 0."""
    order = np.argsort(slopes, axis=0)
    ordered = np.take_along_axis(slopes, order, axis=0)
    share = np.take_along_axis(np.broadcast_to(weights[..., None], slopes.shape), order, axis=0)
    total = share.sum(0)
    upper = np.cumsum(share, axis=0)
    low, high = (q * total for q in MIDDLE)
    inside = np.maximum(np.minimum(upper, high) - np.maximum(upper - share, low), 0.0)
    n = inside.sum(0)
    return np.where(n > 0, (inside * ordered).sum(0) / np.where(n > 0, n, 1.0), np.nan)
