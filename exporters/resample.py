"""A take at another frame rate. The original rate is the default everywhere; this is for programs that need another."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from mocap.core.errors import InputError
from mocap.core.keypoints import Points3D, Source
from mocap.core.skeleton import Motion
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.kernels.rotations import quat_continuous, quat_slerp

_ON_SAMPLE = 1e-6
"""Instants closer to a frame than this part of a period take that frame's values as they are."""


def resample_take(take: SolvedTake, fps: Fraction) -> SolvedTake:
    """Return the take at `fps`, from the same first instant to the last one inside it.

    Rotations by spherical interpolation, positions by Catmull-Rom cubics, uncertainty linearly, contacts by the
    nearest frame. Points between two frames need both; their source is the less direct of the two and never MEASURED.
    The detections keep their own times. Raises InputError `fps-not-positive`.
    """
    if fps <= 0:
        raise InputError(
            "fps-not-positive", f"Frame rate {fps} is not above 0.", "Give a rate such as 30 or 60000/1001."
        )
    old = take.motion.timeline
    if fps == old.fps or old.n_frames == 0:
        return take
    n = int((old.n_frames - 1) * fps / old.fps) + 1
    timeline = Timeline(Fraction(fps), n, old.start_s)
    # Exact in rationals first: at 24 from 60000/1001 the rounding of floats would decide which frame an instant is on.
    at = np.array([float(k * old.fps / fps) for k in range(n)])
    nearest = np.minimum(np.round(at).astype(int), old.n_frames - 1)
    return replace(
        take,
        motion=_motion(take.motion, timeline, at),
        points=_points(take.points, timeline, at),
        keypoints=_points(take.keypoints, timeline, at),
        contact=take.contact[nearest],
    )


def _split(at: np.ndarray, n: int) -> tuple[npt.NDArray[np.intp], np.ndarray]:
    """Return the frame before each instant and the part of a period after it, snapped to frames that close."""
    at = np.where(np.abs(at - np.round(at)) < _ON_SAMPLE, np.round(at), at)
    before = np.clip(np.floor(at), 0, max(n - 2, 0)).astype(np.intp)
    return before, at - before


def _motion(motion: Motion, timeline: Timeline, at: np.ndarray) -> Motion:
    n = motion.timeline.n_frames
    before, u = _split(at, n)
    after = np.minimum(before + 1, n - 1)
    local = quat_slerp(
        motion.local_wxyz[before], motion.local_wxyz[after], np.repeat(u[:, None], len(motion.skeleton), 1)
    )
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return Motion(motion.skeleton, timeline, _cubic(motion.root_translation_m, before, u), quat_continuous(local))


def _cubic(values: np.ndarray, before: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Interpolate values [frame ...] by Catmull-Rom cubics; linear towards ends and missing frames."""
    n = len(values)
    a, b = values[before], values[np.minimum(before + 1, n - 1)]
    outer_a, outer_b = values[np.maximum(before - 1, 0)], values[np.minimum(before + 2, n - 1)]
    shape = (-1,) + (1,) * (values.ndim - 1)
    has_a, has_b = (before >= 1).reshape(shape), (before + 2 < n).reshape(shape)
    slope_a = np.where(has_a & np.isfinite(outer_a), (b - outer_a) / 2, b - a)
    slope_b = np.where(has_b & np.isfinite(outer_b), (outer_b - a) / 2, b - a)
    u = u.reshape(shape)
    out = (
        (2 * u**3 - 3 * u**2 + 1) * a
        + (u**3 - 2 * u**2 + u) * slope_a
        + (3 * u**2 - 2 * u**3) * b
        + (u**3 - u**2) * slope_b
    )
    # On a frame its own values count, whatever the neighbours lack.
    return np.where(u == 0, a, np.where(u == 1, b, out))


def _points(points: Points3D, timeline: Timeline, at: np.ndarray) -> Points3D:
    n = len(points.xyz_m)
    before, u = _split(at, n)
    after = np.minimum(before + 1, n - 1)
    xyz = _cubic(points.xyz_m, before, u)
    w = u[:, None]
    sigma = np.where(w == 0, points.sigma_m[before], (1 - w) * points.sigma_m[before] + w * points.sigma_m[after])
    sigma = np.where(w == 1, points.sigma_m[after], sigma)
    between = np.maximum(np.maximum(points.source[before], points.source[after]), Source.INTERPOLATED)
    source = np.where(w == 0, points.source[before], np.where(w == 1, points.source[after], between))
    source = np.where(np.isfinite(xyz).all(-1), source, Source.MISSING)
    return Points3D(points.keypoint_set, timeline.time_s, xyz, sigma, source.astype(np.uint8))
