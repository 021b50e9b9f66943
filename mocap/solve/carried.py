"""Every keypoint of the set on the moving skeleton, with its source and its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mocap.core.keypoints import Points3D, Source
from mocap.solve.attach import attach_points
from mocap.solve.motion import MAX_SIGMA_M
from mocap.solve.uncertainty import body_misfit_m

UNMEASURED_SIGMA_M = 0.05
"""Least uncertainty of a landmark that was never measured: its place on the reference body. Joints that nothing drives
add theirs."""
GAP_ACCELERATION_M_S2 = 10.0
"""How fast uncertainty grows in gaps: half this times the squared time to the nearest measurement."""


@dataclass(frozen=True, eq=False)
class Carried:
    """Landmarks that a solved joint tree carries."""

    index: list[int]
    """Keypoint of each landmark."""
    xyz_m: np.ndarray
    """[frame landmark 3]"""
    spread_m: np.ndarray
    """[frame landmark] posterior standard deviation."""
    is_measured: np.ndarray
    """[landmark] bool: whether it took part in the solve; others follow from the tree alone."""


def carried_keypoints(
    points: Points3D, parts: Sequence[Carried], R_world: np.ndarray, joints_m: np.ndarray
) -> Points3D:
    """Return every keypoint of the set on the skeleton: landmarks by the solve, others where they sit rigidly.

    R_world [frame joint 3 3] and joints_m [frame joint 3] are the body's.
    """
    keypoint_set = points.keypoint_set
    xyz, source, sigma = points.xyz_m.copy(), points.source.copy(), points.sigma_m.copy()
    solved: list[int] = []
    measured: set[int] = set()
    for part in parts:
        at = part.index
        xyz[:, at] = part.xyz_m
        misfit_m = body_misfit_m(part.xyz_m, points.xyz_m[:, at], part.spread_m, points.sigma_m[:, at])
        sigma[:, at] = np.minimum(np.hypot(part.spread_m, misfit_m), MAX_SIGMA_M)
        solved += at
        measured |= {k for k, known in zip(at, part.is_measured, strict=True) if known}
    others = [k for k in range(len(keypoint_set)) if k not in solved]
    if others:
        sigma[:, others] = _sigma_over_gaps(sigma[:, others], points.time_s)
        at_other = {k: n for n, k in enumerate(others)}
        bones = [(at_other[a], at_other[b]) for a, b in keypoint_set.bones if a in at_other and b in at_other]
        attached, is_rigid = attach_points(points.xyz_m[:, others], R_world, joints_m, bones)
        rigid = np.array(others)[is_rigid]
        xyz[:, rigid] = attached[:, is_rigid]
        solved += rigid.tolist()
        measured |= set(rigid.tolist())
    for k in solved:
        gap = source[:, k] == Source.MISSING
        source[gap, k] = Source.INTERPOLATED if k in measured else Source.SOLVED
        if k not in measured:
            source[:, k], sigma[:, k] = Source.SOLVED, np.maximum(sigma[:, k], UNMEASURED_SIGMA_M)
    return Points3D(keypoint_set, points.time_s, xyz, np.where(source == Source.MISSING, np.nan, sigma), source)


def _sigma_over_gaps(sigma_m: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return sigma [frame keypoint] with gaps filled: it grows with the squared time to the nearest measurement."""
    sigma = sigma_m.copy()
    frames = np.arange(len(sigma))
    step_s = float(np.median(np.diff(time_s))) if len(sigma) > 1 else 0.0
    for k in range(sigma.shape[1]):
        at = np.flatnonzero(np.isfinite(sigma[:, k]))
        if len(at) == 0:
            continue
        nearest = at[np.rint(np.interp(frames, at, np.arange(len(at)))).astype(int)]
        growth = 0.5 * GAP_ACCELERATION_M_S2 * ((frames - nearest) * step_s) ** 2
        sigma[:, k] = np.minimum(np.hypot(sigma[nearest, k], growth), MAX_SIGMA_M)
    return sigma
