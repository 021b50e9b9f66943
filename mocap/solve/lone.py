"""Detections of hidden landmarks that no second view could contradict: what of them is evidence."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from mocap.core.observations import Observations
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.trajectories import sample_cubic
from mocap.solve.implausible import without
from mocap.solve.shape import mirror_name

WATCHED, WATCHED_S = 0.3, 0.2
"""A landmark that every camera sees in less than this share of the frames within this time is not seen; of the frames
as often as that camera mostly has any detection: a quick look takes every n-th frame only, other footage has gaps."""
MIN_LOOKS = 3
"""A share is of so many looks at least."""
AT_OTHER_SIDE = 4.0
"""A detection within so many standard deviations of the other side's landmark may well be of that."""


def with_evidence_only(
    observations: Observations, names: tuple[str, ...], points_m: np.ndarray, sigma_px: np.ndarray, fps: float
) -> Observations:
    """Return the observations without those of hidden landmarks that are as well explained by the other side's.

    points_m [frame landmark 3], NaN where no two views agree on one; sigma_px [camera frame landmark].
    """
    watched = _watched(observations, len(points_m), fps)
    return _without_other_side(without(observations, ~watched)[0], names, points_m, sigma_px)


def _watched(observations: Observations, n_frames: int, fps: float) -> np.ndarray:
    """Return [frame landmark] whether any camera sees a landmark in a fair share of the frames around.

    What is drawn there now and then is the other side's, or an error.
    """
    seen = observations.seen
    watched = np.zeros((n_frames, seen.shape[2]), bool)
    rate_hz = observations.own_fps(fps)
    for camera, at in enumerate(observations.nearest_frame(n_frames)):
        (looks,) = np.nonzero(seen[camera].any(-1))
        every = float(np.median(np.diff(looks))) if len(looks) > 1 else 1.0
        length = max(round(MIN_LOOKS * every), round(WATCHED_S * rate_hz[camera]))
        share = every * uniform_filter1d(seen[camera].astype(float), length, axis=0, mode="nearest")
        inside = at >= 0
        # footage faster than the timeline has several frames at one of its frames
        np.logical_or.at(watched, at[inside], share[inside] >= WATCHED)
    # one that is nowhere seen steadily has nothing to be measured by
    return watched | ~watched.any(0)


def _without_other_side(
    observations: Observations, names: tuple[str, ...], points_m: np.ndarray, sigma_px: np.ndarray
) -> Observations:
    """Leave out detections of landmarks without a point that lie on the other side's, where that one is not detected.

    A detector that takes one limb for the other leaves exactly that picture, and a hidden limb cannot object.
    """
    o = observations
    mirror = np.array([names.index(m) if (m := mirror_name(name)) in names else k for k, name in enumerate(names)])
    nearest = o.nearest_frame(len(points_m))
    has_point: np.ndarray = np.asarray(np.isfinite(points_m).all(-1))
    no_point = ~has_point[np.maximum(nearest, 0)]
    asked = o.seen & no_point & ~o.seen[:, :, mirror] & (nearest >= 0)[..., None]
    px_per_unit = o.px_per_unit.copy()
    for camera in np.flatnonzero(asked.any((1, 2))):
        one, rows = slice(camera, camera + 1), np.flatnonzero(asked[camera].any(1))
        other = sample_cubic(points_m[:, mirror], o.frame[camera, rows])[None]
        residual = residuals_px(
            other, o.xy[one, rows], px_per_unit[one, rows], o.R_cam_from_world[one], o.t_cam_from_world_m[one]
        )
        near = np.linalg.norm(residual[0], axis=-1) < AT_OTHER_SIDE * sigma_px[camera, rows]
        px_per_unit[camera, rows] = np.where(near & asked[camera, rows], 0.0, px_per_unit[camera, rows])
    return Observations(o.xy, px_per_unit, o.score, o.frame, o.R_cam_from_world, o.t_cam_from_world_m)
