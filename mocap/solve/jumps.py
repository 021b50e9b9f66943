"""Stretches that a landmark enters and leaves by accelerations beyond its limit, seen by all views alike.

Smoothed points make a soft ramp of a jump, so where they accelerate at all, every frame is triangulated on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_dilation

from mocap.core.observations import Observations
from mocap.kernels.reprojection import normal_equations, residuals_px, unpack_symmetric
from mocap.kernels.robust import geman_mcclure
from mocap.kernels.triangulation import triangulate_dlt
from mocap.solve.implausible import TOO_FAST, Entry, acceleration_limit_m_s2, stretches

SUSPECT_M_S2 = 25.0
"""Smoothed points turn a jump into an acceleration of this size or more: there every frame is looked at on its own."""
SUSPECT_S = 0.1
LONGEST_S = 1.0
"""A stretch between two impossible jumps is noise if it is shorter; a longer one may be the truth."""
ANNEALING = (1e6, 1e4, 1e3, 100.0, 30.0)
"""Squared scales of the robust loss in standard deviations, from the smoothed point to where the views agree."""
NOISE_FACTOR = 4.0
"""A jump counts when it exceeds its limit by this many standard deviations of its own uncertainty."""
MIN_AGREEING = 3
"""So many views that agree on another place than the solve's are no coincidence; nor are two where only two see."""
AGREE_PX_SIGMA = 3.0


def framewise_points(
    track_m: np.ndarray, frames: np.ndarray, observations: Observations, sigma_px: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the views of each frame agree, whatever the frames around say: points, and their sd per axis.

    track_m [frame 3] of one landmark, a start; frames [n] to look at; observations and sigma_px of that one landmark
    [camera frame 1]. Returns [n 3] and [n], NaN where fewer than two views agree. Views that are not in step are moved
    to the frame's instant along the track.
    """
    o = observations
    at_own = o.at_own_times(track_m[:, None])  # (camera, frame, 1, 3)
    nearest = o.nearest_frame(len(track_m))
    information, points = np.zeros((len(frames), 3, 3)), track_m[frames].copy()
    row_of = np.full(len(track_m), -1)
    row_of[frames] = np.arange(len(frames))
    views = []
    for c in range(len(nearest)):
        columns = np.flatnonzero((nearest[c] >= 0) & (o.px_per_unit[c, :, 0] > 0))
        columns = columns[row_of[nearest[c, columns]] >= 0]
        shift = at_own[c, columns, 0] - track_m[nearest[c, columns]]
        views.append((columns, row_of[nearest[c, columns]], shift))
    agree = np.zeros(len(frames), int)
    for scale_squared in ANNEALING:
        information[:], gradient = 1e-3 * np.eye(3), np.zeros((len(frames), 3))
        agree[:] = 0
        for c, (columns, row, shift) in enumerate(views):
            part = (
                (points[row] + shift)[None, :, None],
                o.xy[c : c + 1, columns],
                o.px_per_unit[c : c + 1, columns],
            )
            camera = o.R_cam_from_world[c : c + 1], o.t_cam_from_world_m[c : c + 1]
            squared = (residuals_px(*part, *camera) ** 2).sum(-1) / sigma_px[c, columns] ** 2
            weight = np.where(np.isfinite(squared), geman_mcclure(np.nan_to_num(squared), scale_squared), 0.0)
            here, slope = normal_equations(*part, weight / sigma_px[c, columns] ** 2, *camera)
            np.add.at(information, row, unpack_symmetric(here[0, :, 0]))
            np.add.at(gradient, row, slope[0, :, 0])
            np.add.at(agree, row, (weight[0, :, 0] > 0.25).astype(int))
        points -= np.linalg.solve(information, gradient[..., None])[..., 0]
    sd = np.sqrt(np.trace(np.linalg.inv(information), axis1=1, axis2=2) / 3)
    points[agree < 2] = np.nan
    return points, np.where(agree < 2, np.nan, sd)


def impossible_jumps(
    names: Sequence[str], track_m: np.ndarray, observations: Observations, sigma_px: np.ndarray, fps: float
) -> list[Entry]:
    """Return the stretches that a landmark enters and leaves by impossible accelerations.

    track_m [frame landmark 3] smoothed, NaN in gaps; observations and sigma_px [camera frame landmark].
    """
    if len(track_m) < 3:
        return []
    found: list[Entry] = []
    acceleration = np.linalg.norm(np.diff(track_m, 2, axis=0), axis=-1) * fps**2
    width = 2 * max(1, round(SUSPECT_S * fps)) + 1
    for k, name in enumerate(names):
        fast = np.flatnonzero(np.nan_to_num(acceleration[:, k]) > SUSPECT_M_S2) + 1
        if len(fast) == 0:
            continue
        near = np.zeros(len(track_m), bool)
        near[fast] = True
        near = binary_dilation(near, np.ones(width, bool)) & np.isfinite(track_m[:, k]).all(-1)
        frames = np.flatnonzero(near)
        one = _of_landmark(observations, k)
        raw = np.nan_to_num(track_m[:, k].copy())
        sd = np.zeros(len(raw))
        raw[frames], sd[frames] = framewise_points(raw, frames, one, sigma_px[:, :, k : k + 1])
        limit = acceleration_limit_m_s2(name)
        at = np.flatnonzero(near & np.isfinite(raw).all(-1))
        found += _excursions(name, raw, sd, at, limit, fps)
    return found


def _excursions(name: str, raw: np.ndarray, sd: np.ndarray, at: np.ndarray, limit: float, fps: float) -> list[Entry]:
    """Return the stretches of raw [frame 3], known at frames `at`, that lie between two impossible jumps."""
    jumps: list[tuple[int, int, float]] = []
    per_frame = np.zeros(3)  # of the last step that was no jump
    for before, after in pairwise(at):
        steps = int(after - before)
        if steps > round(SUSPECT_S * fps):
            per_frame = np.zeros(3)
            continue
        way = raw[after] - raw[before]
        reach = np.linalg.norm(way - per_frame * steps) - NOISE_FACTOR * float(np.hypot(sd[before], sd[after]))
        needed = reach / (steps / fps) ** 2
        if needed > limit:
            jumps.append((int(before), int(after), float(needed)))
        else:
            per_frame = way / steps
    found: list[Entry] = []
    n = 0
    while n + 1 < len(jumps):
        (_, first, value), (last, _, value_back) = jumps[n], jumps[n + 1]
        if last - first < round(LONGEST_S * fps):
            found.append(Entry(name, first, last, TOO_FAST, max(value, value_back), limit, "acceleration"))
            n += 2
        else:
            n += 1
    return found


def _of_landmark(o: Observations, k: int) -> Observations:
    one = slice(k, k + 1)
    return Observations(
        o.xy[:, :, one], o.px_per_unit[:, :, one], o.score[:, :, one], o.frame, o.R_cam_from_world, o.t_cam_from_world_m
    )


def agreeing_elsewhere(
    names: Sequence[str],
    solved_m: np.ndarray,
    rejected: np.ndarray,
    observations: Observations,
    sigma_px: np.ndarray,
    fps: float,
) -> list[Entry]:
    """Return where views that the solve rejected agree with each other on a place that cannot be reached in time.

    solved_m [frame landmark 3]; rejected, observations and sigma_px [camera frame landmark].
    """
    o = observations
    n_frames = len(solved_m)
    nearest = o.nearest_frame(n_frames)
    count = o.on_timeline(rejected.astype(float), n_frames)
    n_seen = o.on_timeline(o.seen.astype(float), n_frames)
    found: list[Entry] = []
    for k, name in enumerate(names):
        frames = np.flatnonzero((count[:, k] >= MIN_AGREEING) | ((count[:, k] == 2) & (n_seen[:, k] == 2)))
        if len(frames) == 0:
            continue
        column = np.full((len(nearest), n_frames), -1)
        for c, row in enumerate(nearest):
            column[c, row[row >= 0]] = np.flatnonzero(row >= 0)
        column = column[:, frames]
        camera, at = np.arange(len(nearest))[:, None], np.maximum(column, 0)
        used = np.where(column >= 0, rejected[camera, at, k], False)
        xy, px, sigma = o.xy[camera, at, k], o.px_per_unit[camera, at, k], sigma_px[camera, at, k]
        place = triangulate_dlt(xy, used * px / sigma, o.R_cam_from_world, o.t_cam_from_world_m)
        geometry = (xy[:, :, None], np.where(used, px, 0.0)[..., None], o.R_cam_from_world, o.t_cam_from_world_m)
        off = residuals_px(place[:, None], *geometry)[:, :, 0] / sigma[..., None]
        distance = np.where(used, np.linalg.norm(np.nan_to_num(off, nan=np.inf), axis=-1), np.nan)
        n_agree = (distance < AGREE_PX_SIGMA).sum(0)
        agree = (n_agree >= np.minimum(MIN_AGREEING, n_seen[frames, k])) & (n_agree >= 0.6 * used.sum(0))
        needed = np.linalg.norm(place - solved_m[frames, k], axis=-1) * fps**2
        limit = acceleration_limit_m_s2(name)
        mask = np.zeros(n_frames, bool)
        mask[frames[agree & (needed > limit)]] = True
        value = np.zeros(n_frames)
        value[frames] = np.nan_to_num(needed)
        for first, last in stretches(mask):
            worst = float(value[first : last + 1].max())
            found.append(Entry(name, first, last, TOO_FAST, worst, limit, "acceleration"))
    return found
