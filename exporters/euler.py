"""Euler angles for files: intrinsic Z, X, Y, continuous over time."""

from __future__ import annotations

import numpy as np

_GIMBAL = 1e-7


def continuous_zxy_deg(R: np.ndarray) -> np.ndarray:
    """Return angles (z, x, y) [frame joint 3] in degrees of R = Rz @ Rx @ Ry [frame joint 3 3], continuous over frames.

    Every rotation has two families of angles, (z, x, y) and (z + 180, 180 - x, y + 180), each modulo 360. Both are
    tried and the one with the smaller sum of steps is kept, so a joint passes through the gimbal pole without its
    angles turning over. At the pole itself only z + y or z - y is determined: z keeps its last value. No channel ever
    steps by more than 180.
    """
    z = np.degrees(np.arctan2(-R[..., 0, 1], R[..., 1, 1]))
    x = np.degrees(np.arctan2(R[..., 2, 1], np.hypot(R[..., 0, 1], R[..., 1, 1])))
    y = np.degrees(np.arctan2(-R[..., 2, 0], R[..., 2, 2]))
    at_pole = np.hypot(R[..., 0, 1], R[..., 1, 1]) < _GIMBAL
    twist = np.degrees(np.arctan2(R[..., 1, 0], R[..., 0, 0]))
    side = np.sign(R[..., 2, 1])
    first = np.stack([z, x, y], -1)
    second = np.stack([z + 180.0, 180.0 - x, y + 180.0], -1)
    out = np.empty_like(first)
    previous = np.zeros(first.shape[1:])
    for f in range(len(first)):
        a = _nearest(first[f], previous)
        b = _nearest(second[f], previous)
        swap = np.abs(b - previous).sum(-1) < np.abs(a - previous).sum(-1)
        chosen = np.where(swap[..., None], b, a)
        if at_pole[f].any():
            kept = np.stack([previous[..., 0], x[f], side[f] * (twist[f] - previous[..., 0])], -1)
            chosen = np.where(at_pole[f][..., None], _nearest(kept, previous), chosen)
        out[f] = previous = chosen
    return out


def _nearest(angles_deg: np.ndarray, reference_deg: np.ndarray) -> np.ndarray:
    """Return the angles plus the multiples of 360 that bring them nearest to the reference."""
    return angles_deg - 360.0 * np.round((angles_deg - reference_deg) / 360.0)
