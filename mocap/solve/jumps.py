"""Stretches that a landmark enters and leaves by accelerations beyond its limit, seen by all views alike.

Smoothed points make a soft ramp of a jump, so where they accelerate at all, every frame is triangulated on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_dilation

from mocap.core.limbs import stretches
from mocap.core.observations import Observations
from mocap.kernels.reprojection import normal_equations, residuals_px, unpack_symmetric
from mocap.kernels.robust import geman_mcclure
from mocap.kernels.triangulation import triangulate_dlt
from mocap.solve.implausible import TOO_FAST, Entry, acceleration_limit_m_s2

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
"""So many views that agree on another place than the solve's are no coincidence; nor are two that none contradicts."""
AGREE_SD = 3.0


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
) -> tuple[list[Entry], np.ndarray]:
    """Return where views that the solve rejected agree with each other on a place that cannot be reached in time.

    solved_m [frame landmark 3]; rejected, observations and sigma_px [camera frame landmark]. The second value
    [camera frame landmark] marks the observations that show that place rather than the solved one: a view along whose
    rays a jump goes hardly tells the two apart.
    """
    o, n_frames = observations, len(solved_m)
    nearest = o.nearest_frame(n_frames)
    column = np.full((len(nearest), n_frames), -1)
    for c, row in enumerate(nearest):
        column[c, row[row >= 0]] = np.flatnonzero(row >= 0)
    count = o.n_views(rejected, n_frames)
    n_seen = o.n_views(o.seen, n_frames)
    shown = np.zeros(o.seen.shape, bool)
    frames, k = np.nonzero((count >= 2) & (2 * count >= n_seen))
    if len(frames) == 0:
        return [], shown
    camera, at = np.arange(len(nearest))[:, None], np.maximum(column[:, frames], 0)
    seen = (column[:, frames] >= 0) & o.seen[camera, at, k]
    px = np.where(seen, o.px_per_unit[camera, at, k], 0.0)
    views = (o.xy[camera, at, k], px, o.R_cam_from_world, o.t_cam_from_world_m)
    used, sigma = seen & rejected[camera, at, k], sigma_px[camera, at, k]
    place, off = _where_most_agree(views, used, sigma)
    off_solved = _distance_sd(solved_m[frames, k], views, sigma)
    is_there = seen & (off < AGREE_SD)
    n_agree = (is_there & used).sum(0)
    # two views agree by chance at times; where none is left for the solved place they need no third
    for_solved = (seen & ~used & ~is_there).sum(0)
    agree = (n_agree >= MIN_AGREEING) | ((n_agree == 2) & (for_solved == 0))
    needed = np.nan_to_num(np.linalg.norm(place - solved_m[frames, k], axis=-1) * fps**2)
    limit = np.array([acceleration_limit_m_s2(name) for name in names])
    impossible = agree & (needed > limit[k])
    c, n = np.nonzero(is_there & (off < off_solved) & impossible)
    shown[c, at[c, n], k[n]] = True
    value = np.zeros((n_frames, len(names)))
    value[frames[impossible], k[impossible]] = needed[impossible]
    found = [
        Entry(name, first, last, TOO_FAST, float(value[first : last + 1, i].max()), float(limit[i]), "acceleration")
        for i, name in enumerate(names)
        for first, last in stretches(value[:, i] > 0)
    ]
    return found, shown


Views = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Places [camera n 2], their scale [camera n], and the cameras' R [camera 3 3] and t [camera 3]."""


def _where_most_agree(views: Views, used: np.ndarray, sigma_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points [n 3] on which most of the views used [camera n] agree, and the distance of every view in sd.

    One of them may be wrong by itself: the triangulation is repeated with weights, and where that leaves a view out of
    agreement, once more from the views without each one.
    """
    place, off = _agreed(views, used, sigma_px, used)
    for c in range(len(used)):
        without = used & (np.arange(len(used)) != c)[:, None]
        missing = ((off < AGREE_SD) & used).sum(0) < used.sum(0)
        again = np.flatnonzero(used[c] & missing & (without.sum(0) >= 2))
        if len(again) == 0:
            continue
        part = (views[0][:, again], views[1][:, again], *views[2:])
        other, off_other = _agreed(part, without[:, again], sigma_px[:, again], used[:, again])
        more = ((off_other < AGREE_SD) & used[:, again]).sum(0) > ((off[:, again] < AGREE_SD) & used[:, again]).sum(0)
        place[again[more]], off[:, again[more]] = other[more], off_other[:, more]
    return place, off


def _agreed(views: Views, start: np.ndarray, sigma_px: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points [n 3] and distances [camera n] in sd by weighted triangulation, first from the views `start`."""
    xy, px_per_unit, *cameras = views
    place = triangulate_dlt(xy, start * px_per_unit / sigma_px, *cameras)
    off = _distance_sd(place, views, sigma_px)
    for scale_squared in ANNEALING[1:] if start is used else ANNEALING[-2:]:
        weight = np.where(used, np.sqrt(geman_mcclure(np.minimum(off, 1e6) ** 2, scale_squared)), 0.0)
        place = triangulate_dlt(xy, weight * px_per_unit / sigma_px, *cameras)
        off = _distance_sd(place, views, sigma_px)
    return place, off


def _distance_sd(points_m: np.ndarray, views: Views, sigma_px: np.ndarray) -> np.ndarray:
    """Return how far [camera n] views are from points [n 3], in standard deviations; inf where nothing is seen."""
    xy, px_per_unit, *cameras = views
    off = residuals_px(points_m[:, None], xy[:, :, None], px_per_unit[..., None], *cameras)[:, :, 0]
    return np.linalg.norm(np.nan_to_num(off / sigma_px[..., None], nan=np.inf), axis=-1)
