"""What single pictures of a board leave open and a rig decides: which end of it is which, and mirrored videos.

The relative pose of two cameras that stand still repeats from frame to frame only where both read the board rightly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board import BoardKind, BoardSpec
from calibration.board_views import BoardViews
from calibration.rig_graph import MAX_SHIFT, MAX_TURN_DEG, MAX_VOTES, Pair, view_table, vote
from calibration.rig_poses import ViewPoses, view_poses
from calibration.rig_views import Views
from mocap.core.camera import LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.kernels.rotations import matrix_to_quat

MIN_VOTES = 6
"""Shared frames from which a pair's votes count."""
AGREED_SHARE = 0.6
"""Share of the shared frames that agree where the board is read rightly."""
_HALF_TURN = np.diag([-1.0, -1.0, 1.0])


def agreed_turns(
    views: BoardViews, flat: Views, frames: np.ndarray, poses: ViewPoses
) -> tuple[BoardViews, Views, ViewPoses]:
    """Return the same views of a symmetric board with the two ends named alike by all cameras of each frame.

    A board that looks the same turned by 180 degrees is numbered from either end by each camera. For each pair of
    cameras every shared frame votes for a relative pose with and without a half turn; the pose that repeats says which.
    frames [flat frame] number in `views`.
    """
    table = view_table(flat)
    found = [_turns_of_pair(poses, table, a, b) for a in range(flat.n_cameras) for b in range(a + 1, flat.n_cameras)]
    order = sorted((p for p in found if p is not None), key=lambda p: -p.n_agree)
    is_turned = np.zeros(len(flat.camera), bool)
    for f in range(flat.n_frames):
        for c in _turned_cameras(order, np.flatnonzero(table[:, f] >= 0), f):
            is_turned[table[c, f]] = True
    xy = views.xy_px.copy()
    turned = np.flatnonzero(is_turned)
    at = (flat.camera[turned], frames[flat.frame[turned]])
    xy[at] = xy[at][:, ::-1]
    flat_xy = flat.xy_px.copy()
    flat_xy[turned] = flat_xy[turned][:, ::-1]
    R = np.where(is_turned[:, None, None, None], poses.R @ _HALF_TURN, poses.R)
    note = Diagnostic(
        "board-symmetric",
        Severity.WARNING if len(order) < len([p for p in found if p is not None]) else Severity.INFO,
        f"A chessboard of {views.board.columns}x{views.board.rows} inner corners looks the same turned by 180 degrees. "
        f"{len(turned)} of {len(is_turned)} views were turned so that the cameras agree; which end is the origin stays "
        "open. A board with an odd sum of columns and rows leaves nothing open.",
        {"n_turned": len(turned), "n_views": len(is_turned)},
    )
    views = replace(views, xy_px=xy, diagnostics=(*views.diagnostics, note))
    return views, replace(flat, xy_px=flat_xy), replace(poses, R=R)


@dataclass(frozen=True, eq=False)
class _Turns:
    first: int
    second: int
    n_agree: int
    is_turned: dict[int, bool]
    """Frame to whether the second camera numbers the board from the other end than the first."""


def _turns_of_pair(poses: ViewPoses, table: np.ndarray, first: int, second: int) -> _Turns | None:
    """Return in which frames the cameras disagree; None where the frames support no relative pose."""
    shared = np.flatnonzero((table[first] >= 0) & (table[second] >= 0))
    a, b = table[first, shared], table[second, shared]
    finite = np.isfinite(poses.error_px[a, 0] + poses.error_px[b, 0])
    shared, a, b = shared[finite], a[finite], b[finite]
    if len(shared) < MIN_VOTES:
        return None
    # [frame side_a side_b turn]
    R_b = np.stack([poses.R[b], poses.R[b] @ _HALF_TURN], 2)
    R = R_b[:, None] @ poses.R[a].swapaxes(-1, -2)[:, :, None, None]
    t = poses.t_m[b][:, None, :, None] - (R @ poses.t_m[a][:, :, None, None, :, None])[..., 0]
    n = len(shared)
    quat, shift = matrix_to_quat(R).reshape(n, 8, 4), t.reshape(n, 8, 3)
    depth = float(np.median(np.linalg.norm(poses.t_m[np.concatenate([a, b]), 0], axis=-1)))
    asked = np.linspace(0, n - 1, min(n, MAX_VOTES)).astype(int)
    trial_quat, trial_shift = quat[asked].reshape(-1, 4), shift[asked].reshape(-1, 3)
    near = np.abs(np.einsum("tq,fcq->tfc", trial_quat, quat)) > np.cos(np.deg2rad(MAX_TURN_DEG) / 2)
    near &= np.linalg.norm(trial_shift[:, None, None] - shift, axis=-1) < MAX_SHIFT * depth
    # Equal support where the board is never tilted: then it is taken as numbered.
    support = near.any(-1).sum(1) + 0.01 * near[..., ::2].any(-1).sum(1)
    best = near[int(np.argmax(support))]
    agrees = best.any(-1)
    if agrees.sum() < AGREED_SHARE * n:
        return None
    turned = best[:, 1::2].any(-1) & ~best[:, ::2].any(-1)
    return _Turns(
        first, second, int(agrees.sum()), dict(zip(shared[agrees].tolist(), turned[agrees].tolist(), strict=True))
    )


def _turned_cameras(pairs: list[_Turns], cameras: np.ndarray, frame: int) -> list[int]:
    """Return which of the cameras that see a frame number the board otherwise than the first of them."""
    side: dict[int, bool] = {}
    for start in cameras.tolist():
        if start in side:
            continue
        side[start] = False
        for _ in cameras:
            for pair in pairs:
                turned = pair.is_turned.get(frame)
                if turned is None or (pair.first in side) == (pair.second in side):
                    continue
                known, new = (pair.first, pair.second) if pair.first in side else (pair.second, pair.first)
                side[new] = side[known] ^ turned
    return [c for c, is_turned in side.items() if is_turned]


def require_unmirrored(
    views: BoardViews, flat: Views, pairs: list[Pair], lens: np.ndarray, models: tuple[LensModel, ...]
) -> None:
    """Raise where a camera agrees with the others only once its pictures are mirrored.

    A transparent board seen from behind agrees as it is. Where all videos are mirrored they agree with each other, and
    only a board with markers tells.
    """
    suspects = [c for c in range(flat.n_cameras) if _is_alone(c, pairs, views)]
    table = view_table(flat)
    mirrored: dict[int, float] = {}
    for c in suspects:
        flipped, flipped_lens = _flipped(flat, lens, c, views)
        poses = view_poses(flipped, flipped_lens, models)
        others = [d for d in range(flat.n_cameras) if d != c and not (views.is_mirrored[c] and views.is_mirrored[d])]
        votes = [vote(flipped, poses, table, min(c, d), max(c, d)) for d in others]
        shares = [v.share for v in votes if v is not None and v.n_votes >= MIN_VOTES]
        if shares and max(shares) > AGREED_SHARE:
            mirrored[c] = max(shares)
    if not mirrored:
        return
    names = [views.camera_names[c] for c in mirrored]
    if len(views.camera_names) == 2 and len(mirrored) == 2:
        what = f"One of the videos of {' and '.join(names)} is mirrored"
    else:
        what = f"The video of {', '.join(names)} is mirrored"
    raise InputError(
        "video-mirrored",
        f"{what}: it agrees with the other cameras only when it is flipped left to right "
        f"({', '.join(f'{100 * s:.0f} %' for s in mirrored.values())} of the shared frames).",
        "Switch the camera's mirroring (selfie setting) off and film again, or flip that video left to right.",
    )


def _is_alone(camera: int, pairs: list[Pair], views: BoardViews) -> bool:
    """Return whether a camera contradicts all cameras that are not mirrored with it."""
    mine = [p for p in pairs if camera in (p.first, p.second) and p.n_votes >= MIN_VOTES]
    if views.is_mirrored[camera]:
        mine = [p for p in mine if not (views.is_mirrored[p.first] and views.is_mirrored[p.second])]
    elif views.board.has_markers:
        # Markers read from the front are not mirrored.
        return False
    return bool(mine) and max(p.share for p in mine) < AGREED_SHARE


def _flipped(flat: Views, lens: np.ndarray, camera: int, views: BoardViews) -> tuple[Views, np.ndarray]:
    """Return the views with one camera's pictures flipped left to right, and the lenses that belong to them."""
    width = views.size_px[camera][0]
    on = flat.camera == camera
    xy, lens = flat.xy_px.copy(), lens.copy()
    xy[on, :, 0] = width - 1 - xy[on, :, 0]
    if not views.board.has_markers:
        xy[on] = xy[on][:, _mirrored_order(views.board)]
    lens[camera, 2] = width - 1 - lens[camera, 2]
    return replace(flat, xy_px=xy), lens


def _mirrored_order(board: BoardSpec) -> np.ndarray:
    """Return the order of a chessboard's corners that reads its mirror image: the colours of its squares stay."""
    assert board.kind is BoardKind.CHESSBOARD
    lattice = np.arange(board.columns * board.rows).reshape(board.rows, board.columns)
    return (lattice[::-1] if board.rows % 2 == 0 else lattice[:, ::-1]).ravel()
