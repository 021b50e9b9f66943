"""Where cameras stand, from the graph of the views that they share: no view needs to see all of them.

Each pair that shares frames votes for its relative pose. Every shared frame casts four votes, because each of the two
views of a plane leaves two poses possible; the true one repeats from frame to frame, the false ones scatter. The best
supported pairs form a tree that joins the cameras, and each board then takes the candidate that all its views support.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.rig_bundle import CAUCHY, squared_lengths
from calibration.rig_poses import MIN_CORNERS, ViewPoses
from calibration.rig_views import State, Views, residuals_px
from mocap.core.camera import LensModel
from mocap.kernels.rotations import matrix_to_quat, quat_to_matrix

MAX_VOTES = 48
"""Shared frames of a pair that vote, the most certain ones."""
MAX_TURN_DEG = 7.0
MAX_SHIFT = 0.12
"""Disagreement of two votes for one relative pose; the shift as a share of the distance to the board."""
N_SUPPORTERS = 3
"""Views of a frame whose candidates are tried for the board's pose."""


@dataclass(frozen=True, eq=False)
class Pair:
    """What the frames that two cameras share say of their relative pose."""

    first: int
    second: int
    R_second_from_first: np.ndarray
    t_second_from_first_m: np.ndarray
    n_shared: int
    n_votes: int
    """Frames asked."""
    n_agree: int
    """Frames that support the pose."""
    frames: np.ndarray
    """The shared frames asked."""
    agrees: np.ndarray
    """[frame asked] bool."""

    @property
    def share(self) -> float:
        """Share of the frames asked that agree."""
        return self.n_agree / max(1, self.n_votes)


def view_table(views: Views) -> np.ndarray:
    """Return [camera frame] the index of each view, -1 where there is none with enough corners."""
    table = np.full((views.n_cameras, views.n_frames), -1)
    enough = views.seen.sum(1) >= MIN_CORNERS
    table[views.camera[enough], views.frame[enough]] = np.flatnonzero(enough)
    return table


def vote(views: Views, poses: ViewPoses, table: np.ndarray, first: int, second: int) -> Pair | None:
    """Return the relative pose that most of the shared frames support, or None where no frame is shared."""
    return _vote(first, second, table[first], table[second], poses, views.seen.sum(1))


def _vote(
    first: int, second: int, rows_first: np.ndarray, rows_second: np.ndarray, poses: ViewPoses, count: np.ndarray
) -> Pair | None:
    """Vote over instants [frame] with a view index for each camera, -1 for none."""
    shared = np.flatnonzero((rows_first >= 0) & (rows_second >= 0))
    shared = shared[np.isfinite(poses.error_px[rows_first[shared], 0] + poses.error_px[rows_second[shared], 0])]
    if not len(shared):
        return None
    a, b = rows_first[shared], rows_second[shared]
    certain = np.minimum(count[a], count[b]) / (1.0 + poses.error_px[a, 0] + poses.error_px[b, 0])
    asked = np.sort(np.argsort(-certain, kind="stable")[:MAX_VOTES])
    a, b = a[asked], b[asked]
    R, t = _relative(poses, a, b)
    quat = matrix_to_quat(R).reshape(-1, 4)
    shift = t.reshape(-1, 3)
    depth = np.median(np.linalg.norm(poses.t_m[np.concatenate([a, b]), 0], axis=-1))
    near = np.abs(quat @ quat.T) > np.cos(np.deg2rad(MAX_TURN_DEG) / 2)
    near &= ((shift[:, None] - shift[None]) ** 2).sum(-1) < (MAX_SHIFT * depth) ** 2
    # A vote's own costs break ties: both candidates of a lone frame agree with themselves.
    cost = (poses.cost[a][:, :, None] + poses.cost[b][:, None, :]).reshape(-1)
    support = near.reshape(len(near), len(a), 4).any(-1).sum(1) - 1e-3 * cost / (1.0 + cost)
    best = int(np.argmax(support))
    inside, mean, middle = near[best], quat[best], shift[best]
    for _ in range(3):
        mean = _mean_quat(quat[inside], mean)
        middle = np.median(shift[inside], axis=0)
        inside = _near(quat, shift, mean, middle, depth, inside)
    frame_agrees = np.asarray(inside.reshape(-1, 4).any(1))
    return Pair(
        first,
        second,
        quat_to_matrix(mean),
        middle,
        len(shared),
        len(a),
        int(frame_agrees.sum()),
        shared[asked],
        frame_agrees,
    )


def _near(
    quat: np.ndarray, shift: np.ndarray, mean: np.ndarray, middle: np.ndarray, depth: float, otherwise: np.ndarray
) -> np.ndarray:
    """Return which votes agree with a pose; `otherwise` where none does."""
    turn = np.abs(quat @ mean) > np.cos(np.deg2rad(MAX_TURN_DEG) / 2)
    near: np.ndarray = turn & (((shift - middle) ** 2).sum(-1) < (MAX_SHIFT * depth) ** 2)
    return near if near.any() else otherwise


def _relative(poses: ViewPoses, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return second_from_first R [frame 2 2 3 3], t [frame 2 2 3] of all combinations of candidates."""
    R_a, R_b = poses.R[a][:, :, None], poses.R[b][:, None]
    R = R_b @ R_a.swapaxes(-1, -2)
    t = poses.t_m[b][:, None] - (R @ poses.t_m[a][:, :, None, :, None])[..., 0]
    return R, t


def _mean_quat(quat: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return the mean of nearby rotations [n 4]."""
    signed = quat * np.where((quat @ like) < 0, -1.0, 1.0)[:, None]
    mean = signed.sum(0)
    return mean / np.linalg.norm(mean)


def groups(n_cameras: int, pairs: list[Pair], min_agree: int = 1) -> list[list[int]]:
    """Return the cameras that pairs join, one sorted list per group, the largest first."""
    label = list(range(n_cameras))
    for pair in pairs:
        if pair.n_agree >= min_agree:
            old, new = label[pair.second], label[pair.first]
            label = [new if x == old else x for x in label]
    found = [[c for c in range(n_cameras) if label[c] == g] for g in sorted(set(label))]
    return sorted(found, key=lambda g: -len(g))


def joined(n_cameras: int, pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Return camera poses R [camera 3 3], t [camera 3] of the tree of best supported pairs, its root the world.

    Prim's algorithm from the camera with most support. Cameras must be connected.
    """
    R, t = np.tile(np.eye(3), (n_cameras, 1, 1)), np.zeros((n_cameras, 3))
    weight = np.zeros((n_cameras, n_cameras))
    of = {}
    for pair in pairs:
        weight[pair.first, pair.second] = weight[pair.second, pair.first] = pair.n_agree * (0.2 + pair.share)
        of[pair.first, pair.second] = pair
    root = int(np.argmax(weight.sum(1)))
    done = [root]
    while len(done) < n_cameras:
        rest = [c for c in range(n_cameras) if c not in done]
        block = weight[np.ix_(done, rest)]
        i, j = np.unravel_index(int(np.argmax(block)), block.shape)
        known, new = done[int(i)], rest[int(j)]
        if (known, new) in of:
            R_step, t_step = of[known, new].R_second_from_first, of[known, new].t_second_from_first_m
        else:
            pair = of[new, known]
            R_step = pair.R_second_from_first.T
            t_step = -R_step @ pair.t_second_from_first_m
        R[new], t[new] = R_step @ R[known], R_step @ t[known] + t_step
        done.append(new)
    return R, t


def placed_boards(
    views: Views,
    poses: ViewPoses,
    lens: np.ndarray,
    models: tuple[LensModel, ...],
    cameras: tuple[np.ndarray, np.ndarray],
) -> State:
    """Return the state with each board at the candidate, of its best views, that all its views together support."""
    R_cam, t_cam = cameras
    n = views.n_frames
    quality = np.where(np.isfinite(poses.error_px[:, 0]), views.seen.sum(1) / (1.0 + poses.error_px[:, 0]), -1.0)
    order = np.lexsort((-quality, views.frame))
    frame = views.frame[order]
    rank = np.arange(len(order)) - np.searchsorted(frame, frame)
    best_cost = np.full(n, np.inf)
    R_best, t_best = np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3))
    seen = views.seen
    sigma = max(0.5, float(np.median(poses.error_px[np.isfinite(poses.error_px[:, 0]), 0])))
    for k in range(min(N_SUPPORTERS, int(rank.max(initial=0)) + 1)):
        rows = order[rank == k]
        for side in (0, 1):
            R_trial, t_trial = R_best.copy(), t_best.copy()
            c, f = views.camera[rows], views.frame[rows]
            back = R_cam[c].swapaxes(1, 2)
            R_trial[f] = back @ poses.R[rows, side]
            t_trial[f] = (back @ (poses.t_m[rows, side] - t_cam[c])[..., None])[..., 0]
            state = State(models, lens, R_cam, t_cam, R_trial, t_trial)
            squared = squared_lengths(residuals_px(views, state), seen)
            per_view = np.log1p(squared / (10.0 * CAUCHY * sigma) ** 2).sum(1)
            cost = np.bincount(views.frame, per_view, minlength=n)
            tried = np.zeros(n, bool)
            tried[f] = True
            better = tried & (cost < best_cost)
            best_cost[better], R_best[better], t_best[better] = cost[better], R_trial[better], t_trial[better]
    return State(models, lens, R_cam, t_cam, R_best, t_best)


def shift_between(views: Views, poses: ViewPoses, pair: Pair, table: np.ndarray, max_frames: int) -> tuple[int, float]:
    """Return by how many frames the second camera lags and the share of frames that agree once it is shifted back.

    The relative pose of two cameras that stand still repeats only where both see the board at the same instant.
    """
    count = views.seen.sum(1)
    n = table.shape[1]
    best = (0, pair.share)
    for lag in range(-max_frames, max_frames + 1):
        if lag == 0 or n - abs(lag) < 5:
            continue
        first = table[pair.first, max(0, -lag) : n - max(0, lag)]
        second = table[pair.second, max(0, lag) : n - max(0, -lag)]
        shifted = _vote(pair.first, pair.second, first, second, poses, count)
        if shifted and shifted.n_votes >= 5 and shifted.share > best[1]:
            best = (lag, shifted.share)
    return best
