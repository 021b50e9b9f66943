"""What single pictures of a board leave open and a rig decides: which end or side of it is which, and mirrored videos.

The relative pose of two cameras that stand still repeats from frame to frame only where both read the board rightly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board import BoardKind, BoardSpec
from calibration.board_views import BoardViews
from calibration.lens import flattened
from calibration.rig_graph import MAX_SHIFT, MAX_TURN_DEG, MAX_VOTES, Pair, view_table, vote
from calibration.rig_poses import ViewPoses, view_poses
from calibration.rig_solve import all_pairs
from calibration.rig_views import Views, packed
from mocap.core.camera import CameraRig, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.kernels.rotations import matrix_to_quat

MIN_VOTES = 6
"""Shared frames from which a pair's votes count."""
AGREED_SHARE = 0.6
"""Share of the shared frames that agree where the board is read rightly."""


@dataclass(frozen=True, eq=False)
class _Turn:
    """Another way in which a board can be read: as if it were turned about its middle."""

    R: np.ndarray
    """[3 3] the turn, in the board's frame."""
    order: np.ndarray
    """[corner] which corner lies where each was."""


def agreed(
    views: BoardViews, flat: Views, frames: np.ndarray, poses: ViewPoses
) -> tuple[BoardViews, Views, ViewPoses, list[Pair]]:
    """Return the views read alike by all cameras of each frame, their poses, and the votes of all pairs of cameras.

    A board that looks the same turned by 180 degrees is numbered from either end by each camera; of a board printed on
    both sides some cameras see the back. For each pair of cameras every shared frame votes for a relative pose with
    and without such a turn; the pose that repeats says which. frames [flat frame] number in `views`.
    """
    pairs = all_pairs(flat, poses)
    if views.board.is_symmetric:
        half = _Turn(np.diag([-1.0, -1.0, 1.0]), np.arange(views.board.n_corners)[::-1])
        turned = _turned_views(flat, poses, half)
        views, flat, poses = _applied(views, flat, frames, poses, half, turned, _symmetric_note(views.board, turned))
        pairs = all_pairs(flat, poses)
    elif views.board.kind is BoardKind.CHARUCO and any(p.n_votes >= MIN_VOTES and p.share < 0.5 for p in pairs):
        for back in _backs(views.board):
            turned = _turned_views(flat, poses, back)
            trial = _applied(views, flat, frames, poses, back, turned, _two_sided_note(views, flat, turned))
            trial_pairs = all_pairs(trial[1], trial[2])
            if turned.any() and _share(trial_pairs) > max(AGREED_SHARE, 1.5 * _share(pairs)):
                return (*trial, trial_pairs)
    return views, flat, poses, pairs


def _backs(board: BoardSpec) -> list[_Turn]:
    """Return how the back of a board printed on both sides lies: turned over sideways, or lengthways."""
    columns, rows = board.inner_shape
    lattice = np.arange(columns * rows).reshape(rows, columns)
    return [
        _Turn(np.diag([-1.0, 1.0, -1.0]), lattice[:, ::-1].ravel()),
        _Turn(np.diag([1.0, -1.0, -1.0]), lattice[::-1].ravel()),
    ]


def _share(pairs: list[Pair]) -> float:
    """Return the share of votes that agree, of all pairs together."""
    return sum(p.n_agree for p in pairs) / max(1, sum(p.n_votes for p in pairs))


def _turned_views(flat: Views, poses: ViewPoses, turn: _Turn) -> np.ndarray:
    """Return [view] which views read the board turned against the first camera of their frame."""
    table = view_table(flat)
    n = flat.n_cameras
    found = [_turns_of_pair(poses, table, a, b, turn.R) for a in range(n) for b in range(a + 1, n)]
    order = sorted((p for p in found if p is not None), key=lambda p: -p.n_agree)
    is_turned = np.zeros(len(flat.camera), bool)
    for f in range(flat.n_frames):
        for c in _turned_cameras(order, np.flatnonzero(table[:, f] >= 0), f):
            is_turned[table[c, f]] = True
    return is_turned


def _applied(
    views: BoardViews,
    flat: Views,
    frames: np.ndarray,
    poses: ViewPoses,
    turn: _Turn,
    is_turned: np.ndarray,
    note: Diagnostic,
) -> tuple[BoardViews, Views, ViewPoses]:
    """Return views and poses with the turned ones turned back."""
    turned = np.flatnonzero(is_turned)
    at = (flat.camera[turned], frames[flat.frame[turned]])
    xy, flat_xy = views.xy_px.copy(), flat.xy_px.copy()
    xy[at] = xy[at][:, turn.order]
    flat_xy[turned] = flat_xy[turned][:, turn.order]
    R = np.where(is_turned[:, None, None, None], poses.R @ turn.R, poses.R)
    views = replace(views, xy_px=xy, diagnostics=(*views.diagnostics, note))
    return views, replace(flat, xy_px=flat_xy), replace(poses, R=R)


def _symmetric_note(board: BoardSpec, turned: np.ndarray) -> Diagnostic:
    return Diagnostic(
        "board-symmetric",
        Severity.INFO,
        f"A chessboard of {board.columns}x{board.rows} inner corners looks the same turned by 180 degrees. "
        f"{int(turned.sum())} of {len(turned)} views were turned so that the cameras agree; which end is the origin "
        "stays open. A board with an odd sum of columns and rows leaves nothing open.",
        {"n_turned": int(turned.sum()), "n_views": len(turned)},
    )


def _two_sided_note(views: BoardViews, flat: Views, turned: np.ndarray) -> Diagnostic:
    counts = np.bincount(flat.camera[turned], minlength=flat.n_cameras)
    backs = {n: int(k) for n, k in zip(views.camera_names, counts, strict=True) if k}
    listing = ", ".join(f"{n} {k}" for n, k in backs.items())
    return Diagnostic(
        "board-two-sided",
        Severity.WARNING,
        f"The board is printed on both sides: some views show its other side ({listing}). Both sides are taken to lie "
        "in one plane, back to back; a thick or shifted print costs accuracy.",
        {"n_back": backs},
    )


@dataclass(frozen=True, eq=False)
class _Turns:
    first: int
    second: int
    n_agree: int
    is_turned: dict[int, bool]
    """Frame to whether the second camera numbers the board from the other end than the first."""


def _turns_of_pair(poses: ViewPoses, table: np.ndarray, first: int, second: int, turn: np.ndarray) -> _Turns | None:
    """Return in which frames the cameras disagree; None where the frames support no relative pose."""
    shared = np.flatnonzero((table[first] >= 0) & (table[second] >= 0))
    a, b = table[first, shared], table[second, shared]
    finite = np.isfinite(poses.error_px[a, 0] + poses.error_px[b, 0])
    shared, a, b = shared[finite], a[finite], b[finite]
    if len(shared) < MIN_VOTES:
        return None
    # [frame side_a side_b turn]
    R_b = np.stack([poses.R[b], poses.R[b] @ turn], 2)
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


def agreed_with_rig(views: BoardViews, rig: CameraRig) -> BoardViews:
    """Return views of a symmetric board by calibrated cameras, its ends named alike by all cameras of each frame.

    Cameras that the rig lacks keep their numbers, as do boards whose ends differ.
    """
    known = [c for c, name in enumerate(views.camera_names) if name in rig.names]
    if not views.board.is_symmetric or len(known) < 2:
        return views
    flat, frames = flattened(views)
    flat = flat.select(np.isin(flat.camera, known))
    cameras = [rig[n] if n in rig.names else rig[0] for n in views.camera_names]
    poses = view_poses(
        flat, np.stack([packed(c.intrinsics) for c in cameras]), tuple(c.intrinsics.model for c in cameras)
    )
    half = _Turn(np.diag([-1.0, -1.0, 1.0]), np.arange(views.board.n_corners)[::-1])
    R_world_from_cam = np.stack([c.R_cam_from_world.T for c in cameras])[flat.camera]
    R = R_world_from_cam[:, None, None] @ np.stack([poses.R, poses.R @ half.R], 1)
    quat = matrix_to_quat(R)  # [view turn side 4]
    is_turned = np.zeros(len(flat.camera), bool)
    for f in np.unique(flat.frame):
        on = np.flatnonzero((flat.frame == f) & np.isfinite(poses.error_px[:, 0]))
        if len(on) < 2:
            continue
        # [view turn side reference]: cosines of half the angles to the first view's candidates.
        near = np.abs(np.einsum("vtsq,rq->vtsr", quat[on], quat[on[0], 0])).max(2)
        best = near.max(1).sum(0).argmax()
        is_turned[on[1:]] = near[1:, 1, best] > near[1:, 0, best]
    return _applied(views, flat, frames, poses, half, is_turned, _symmetric_note(views.board, is_turned))[0]


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
