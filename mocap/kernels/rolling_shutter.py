"""Places seen by a rolling shutter, as if all rows of a picture had been taken at one instant.

The rows of a picture are read one after the other: what stands in row v is seen (v / height - 1/2) * readout later than
the middle row. Each place is moved back along its own image velocity (M. Meingast, C. Geyer and S. Sastry, "Geometric
models of rolling-shutter cameras", 2005, section 3: the constant-velocity model, with the velocity measured instead of
found from the camera's motion).
"""

from __future__ import annotations

import numpy as np

REACH = 3
"""Frames on either side from which a velocity is measured."""
MIN_SLOPES = 3
MAX_STEP_S = 0.2
"""Over longer gaps nothing is known of the velocity."""
CHUNK = 1000


def at_middle_row(
    xy_px: np.ndarray, time_s: np.ndarray, size_px: tuple[int, int], readout_s: float, rotation_deg: int = 0
) -> np.ndarray:
    """Return places [frame ... 2] at each frame's middle row instead of at their own row.

    Args:
        xy_px: [frame ... 2] in the upright picture, NaN where missing.
        time_s: [frame] of the frames.
        size_px: width and height of the upright picture.
        readout_s: time from the first to the last row of the sensor.
        rotation_deg: clockwise turn (0, 90, 180, 270) that made the picture upright.
    """
    late_s = row_share(xy_px, size_px, rotation_deg) * readout_s
    velocity = np.nan_to_num(velocities(xy_px, time_s))
    return xy_px - velocity * late_s[..., None]


def row_share(xy_px: np.ndarray, size_px: tuple[int, int], rotation_deg: int = 0) -> np.ndarray:
    """Return how far along the sensor's rows places [... 2] of the upright picture lie: -1/2 first, 1/2 last row."""
    axis, sign = {0: (1, 1.0), 90: (0, -1.0), 180: (1, -1.0), 270: (0, 1.0)}[rotation_deg]
    return sign * ((xy_px[..., axis] + 0.5) / size_px[axis] - 0.5)


def velocities(xy_px: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return velocities [frame ... 2] per second: the median slope between frames before and after; NaN if unknown.

    The median of up to nine slopes stands a detection that jumped, on either side.
    """
    out = np.full(xy_px.shape, np.nan)
    for start in range(0, len(xy_px), CHUNK):
        stop = min(start + CHUNK, len(xy_px))
        slopes = [
            _slope(xy_px, time_s, np.arange(start, stop), before, after)
            for before in range(1, REACH + 1)
            for after in range(1, REACH + 1)
        ]
        ordered = np.sort(np.stack(slopes), axis=0)
        n = np.isfinite(ordered).sum(0)
        middle = (np.maximum(n - 1, 0) // 2, np.minimum(n // 2, len(slopes) - 1))
        low, high = (np.take_along_axis(ordered, i[None], 0)[0] for i in middle)
        out[start:stop] = np.where(n >= MIN_SLOPES, 0.5 * (low + high), np.nan)
    return out


def _slope(xy_px: np.ndarray, time_s: np.ndarray, at: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return slopes between frames around `at` [n]; NaN where one of them is not there or too far."""
    i, j = at - before, at + after
    inside = (i >= 0) & (j < len(xy_px))
    i, j = np.maximum(i, 0), np.minimum(j, len(xy_px) - 1)
    step_s = np.where(inside, time_s[j] - time_s[i], np.inf)
    step_s = np.where((step_s > 0) & (step_s < MAX_STEP_S), step_s, np.nan)
    return (xy_px[j] - xy_px[i]) / step_s.reshape(-1, *[1] * (xy_px.ndim - 1))
