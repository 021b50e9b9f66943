"""Boards that single pictures leave open: symmetric ones, prints on both sides, and mirrored videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.board import BoardSpec, parse_board
from calibration.board_detect import detect_board
from calibration.board_turns import agreed_with_rig
from calibration.board_views import BoardViews
from calibration.rig import RigResult, calibrate_rig
from calibration.world_board import world_from_board
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.synth.board import shoot_board
from mocap.synth.rig import ring_rig

CHARUCO = parse_board("charuco:8x5:square=0.1:marker=0.075:dict=4X4_50")
SYMMETRIC = parse_board("chessboard:7x5:square=0.1")
CHESSBOARD = parse_board("chessboard:7x4:square=0.1")


def shoot(board: BoardSpec, n_cameras: int = 5, is_two_sided: bool = False) -> tuple[CameraRig, BoardViews]:
    """Return a rig around a board that turns every way, and what it sees."""
    rng = np.random.default_rng(11)
    rig = ring_rig(n_cameras, rng, radius_m=3.0)
    xy = shoot_board(rig, board.corners_m, 83, rng, noise_px=0.2, is_two_sided=is_two_sided).xy_px
    n, n_frames = xy.shape[:2]
    size = tuple(c.intrinsics.size_px for c in rig.cameras)
    time_s = np.tile(np.arange(n_frames) / 10.0, (n, 1))
    return rig, BoardViews(board, rig.names, size, xy, time_s, np.full((n, n_frames), 0.5), np.zeros(n, bool))


def lattice(board: BoardSpec) -> np.ndarray:
    columns, rows = board.inner_shape
    return np.arange(columns * rows).reshape(rows, columns)


def reordered(views: BoardViews, on: np.ndarray, order: np.ndarray) -> BoardViews:
    """Return the views with the corners of some [camera frame] numbered otherwise."""
    return replace(views, xy_px=np.where(on[..., None, None], views.xy_px[:, :, order.ravel()], views.xy_px))


def flipped(views: BoardViews, camera: int) -> BoardViews:
    """Return the views with one camera's pictures mirrored left to right."""
    xy = views.xy_px.copy()
    xy[camera, ..., 0] = views.size_px[camera][0] - 1 - xy[camera, ..., 0]
    return replace(views, xy_px=xy)


def is_from_behind(views: BoardViews) -> np.ndarray:
    """Return [camera frame] whether the board's x to y turns against the clock in the picture."""
    place = lattice(views.board)
    u = views.xy_px[:, :, place[:, 1:]] - views.xy_px[:, :, place[:, :-1]]
    v = views.xy_px[:, :, place[1:]] - views.xy_px[:, :, place[:-1]]
    seen = np.isfinite(u).any((2, 3, 4)) & np.isfinite(v).any((2, 3, 4))
    u, v = (np.nansum(d, axis=(2, 3)) for d in (u, v))
    return seen & (u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0] < 0)


def worst_mm(result: RigResult, truth: CameraRig) -> float:
    """Return the largest error of the distance between two cameras."""
    a, b = (np.stack([c.center_world_m for c in r.cameras]) for r in (result.rig, truth))
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (a, b)]
    return float(1000 * np.abs(apart[0] - apart[1]).max())


def solved(rig: CameraRig, views: BoardViews) -> RigResult:
    return calibrate_rig(views, {c.name: c.intrinsics for c in rig.cameras})


def codes(result: RigResult) -> set[str]:
    return {d.code for d in result.diagnostics}


def test_a_symmetric_board_numbered_from_either_end_at_random_gives_the_rig() -> None:
    rig, views = shoot(SYMMETRIC)
    turned = np.random.default_rng(2).random(views.xy_px.shape[:2]) < 0.5
    result = solved(rig, reordered(views, turned, lattice(SYMMETRIC)[::-1, ::-1]))
    assert worst_mm(result, rig) < 6.0
    assert "board-symmetric" in codes(result)
    # All cameras of a frame agree afterwards: their common number is the truth's, or its other end for all.
    same = np.isclose(result.views.xy_px, views.xy_px, equal_nan=True).all((2, 3)) | ~views.is_seen.any(-1)
    other = ~same | ~views.is_seen.any(-1)
    assert (same.all(0) | other.all(0)).mean() > 0.97


@pytest.mark.parametrize("axis", [0, 1])
def test_a_board_printed_on_both_sides_is_recognised(axis: int) -> None:
    rig, views = shoot(CHARUCO, is_two_sided=True)
    behind = is_from_behind(views)
    assert 0.2 < behind.sum() / views.is_seen.any(-1).sum() < 0.8
    result = solved(rig, reordered(views, behind, np.flip(lattice(CHARUCO), axis=axis)))
    assert worst_mm(result, rig) < 6.0
    assert "board-two-sided" in codes(result)


@pytest.mark.parametrize("is_two_sided", [False, True])
def test_a_plain_board_and_a_transparent_one_are_left_as_they_are(is_two_sided: bool) -> None:
    rig, views = shoot(CHARUCO, is_two_sided=is_two_sided)
    result = solved(rig, replace(views, is_mirrored=np.array([is_two_sided, *4 * [False]])))
    assert worst_mm(result, rig) < 6.0
    assert not {"board-two-sided", "board-symmetric"} & codes(result)
    np.testing.assert_array_equal(result.views.xy_px, views.xy_px)


def test_a_mirrored_video_of_markers_is_named() -> None:
    rig, views = shoot(CHARUCO)
    with pytest.raises(InputError, match="The video of cam3 is mirrored") as error:
        solved(rig, replace(flipped(views, 2), is_mirrored=np.arange(5) == 2))
    assert error.value.code == "video-mirrored"


@pytest.mark.parametrize("board", [CHESSBOARD, SYMMETRIC], ids=["plain", "symmetric"])
def test_a_mirrored_video_of_a_chessboard_is_named(board: BoardSpec) -> None:
    rig, views = shoot(board)
    # A mirror image of a chessboard is read as a chessboard, rows or columns in the other order.
    order = lattice(board)[::-1] if board.rows % 2 == 0 else lattice(board)[:, ::-1]
    on = np.zeros(views.xy_px.shape[:2], bool)
    on[3] = True
    with pytest.raises(InputError, match="The video of cam4 is mirrored"):
        solved(rig, reordered(flipped(views, 3), on, order))


def test_a_symmetric_board_on_the_floor_is_numbered_alike_by_cameras_on_all_sides() -> None:
    rig = ring_rig(5, np.random.default_rng(3), radius_m=3.0)
    floor = SYMMETRIC.corners_m * [1.0, -1.0, 0.0] + [0.2, 0.3, 0.0]
    xy = np.full((5, 3, SYMMETRIC.n_corners, 2), np.nan)
    for c, camera in enumerate(rig.cameras):
        lens = camera.intrinsics
        seen = project(
            floor @ camera.R_cam_from_world.T + camera.t_cam_from_world_m,
            lens.focal_px,
            lens.center_px,
            lens.distortion,
        )
        # As detectors do: from the upper left of the picture.
        xy[c] = seen[::-1] if seen[-1].sum() < seen[0].sum() else seen
    n = tuple(c.intrinsics.size_px for c in rig.cameras)
    views = BoardViews(SYMMETRIC, rig.names, n, xy, np.zeros((5, 3)), np.full((5, 3), 0.5), np.zeros(5, bool))
    with pytest.raises(InputError, match="fits the calibrated cameras"):
        world_from_board(rig, views)
    found = world_from_board(rig, agreed_with_rig(views, rig)).rig
    for a, b in zip(found.cameras, rig.cameras, strict=True):
        # The origin is one end or the other of the board.
        assert a.center_world_m[2] == pytest.approx(b.center_world_m[2], abs=0.002)
    apart = [np.linalg.norm(r[0].center_world_m - r[3].center_world_m) for r in (found, rig)]
    assert apart[0] == pytest.approx(apart[1], abs=1e-6)
    assert agreed_with_rig(replace(views, board=CHESSBOARD, xy_px=xy[:, :, :28]), rig).diagnostics == ()


@pytest.mark.parametrize(("session", "camera"), [("post_optimization", 2), ("4_cam_recording", 1)])
def test_a_mirrored_real_video_is_named_also_of_the_camera_behind_a_transparent_board(
    session: str, camera: int, shared: Callable[[str], Path]
) -> None:
    folder = shared(f"data/caliscope_charuco/{session}/calibration/extrinsic")
    board = parse_board("charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted")
    views = detect_board({f"cam_{i}": folder / f"cam_{i}.mp4" for i in range(4)}, board)
    is_mirrored = views.is_mirrored.copy()
    is_mirrored[camera] = not is_mirrored[camera]
    with pytest.raises(InputError, match=f"The video of cam_{camera} is mirrored"):
        calibrate_rig(replace(flipped(views, camera), is_mirrored=is_mirrored))
