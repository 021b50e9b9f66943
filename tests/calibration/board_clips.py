"""Videos of a board carried in front of cameras that stand in an arc, rendered, with the rig that filmed them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from calibration.board import BoardKind, BoardSpec
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.media.encode import write_video
from mocap.synth.rig import look_at
from tests.calibration.board_pictures import print_of

SIZE_PX = (800, 600)
FPS = Fraction(12)
N_FRAMES = 28
_PRINT_PX_PER_M = 700.0

Edit = Callable[[int, list[np.ndarray]], np.ndarray]
"""Frame and all pictures to the picture that is filmed."""


def arc_rig(n_cameras: int) -> CameraRig:
    """Return `cam1`, `cam2`, ...: pinholes 2.2 m from the origin, 35 degrees apart, at different heights."""
    cameras: list[Camera] = []
    for c in range(n_cameras):
        azimuth = np.deg2rad(35.0 * (c - (n_cameras - 1) / 2))
        place = np.array([2.2 * np.cos(azimuth), 2.2 * np.sin(azimuth), 1.2 + 0.25 * (c % 3)])
        lens = Intrinsics(SIZE_PX, np.full(2, 700.0 + 8 * c), np.array([401.0 + c, 298.0 - c]), np.zeros(5))
        cameras.append(Camera(f"cam{c + 1}", lens, *look_at(place, np.array([0.0, 0.0, 1.0]))))
    return CameraRig(tuple(cameras))


def board_path(board: BoardSpec, n_frames: int = N_FRAMES, roll_deg: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return R [frame 3 3], t [frame 3] of the board in the world: shown to the cameras, waved and turned smoothly.

    `roll_deg` turns it about its own normal all the while.
    """
    s = np.linspace(0.0, 1.0, n_frames)[:, None]
    swing = np.sin(2 * np.pi * (s * [2.3, 3.1, 1.7] + [0.0, 0.21, 0.4])) * np.deg2rad([32.0, 34.0, 25.0])
    # Right of the board is +Y, its down is -Z and into it is -X: it faces the cameras on +X.
    facing = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    roll = quat_to_matrix(quat_exp(np.array([0.0, 0.0, np.deg2rad(roll_deg)])))
    R = facing @ quat_to_matrix(quat_exp(swing)) @ roll
    center = np.sin(2 * np.pi * (s * [1.3, 1.9, 2.7] + [0.1, 0.5, 0.8])) * [0.3, 0.35, 0.25] + [0.0, 0.0, 1.05]
    return R, center - R @ np.array([*_middle(board), 0.0])


def film(
    file: Path, board: BoardSpec, camera: Camera, edit: Edit | None = None, n: int = N_FRAMES, roll_deg: float = 0.0
) -> Path:
    """Write the video of one camera and return its path; `edit` changes the pictures."""
    margin_m = 0.6 * board.square_m
    flat = cv2.GaussianBlur(print_of(board, _PRINT_PX_PER_M, margin_m), (0, 0), 1.0)
    R, t = board_path(board, n, roll_deg)
    pictures: list[np.ndarray] = []
    for f in range(n):
        H = _pixel_from_print(board, camera, R[f], t[f], margin_m)
        pictures.append(cv2.warpPerspective(flat, H, SIZE_PX, flags=cv2.INTER_AREA, borderValue=128))
    seen = pictures if edit is None else [edit(f, pictures) for f in range(n)]
    file.parent.mkdir(parents=True, exist_ok=True)
    return write_video(file, (np.repeat(g[..., None], 3, -1) for g in seen), FPS, SIZE_PX)


def _middle(board: BoardSpec) -> np.ndarray:
    return board.corners_m.mean(0)[:2]


def _pixel_from_print(board: BoardSpec, camera: Camera, R: np.ndarray, t: np.ndarray, margin_m: float) -> np.ndarray:
    """Return the homography [3 3] from pixels of the flat print to the camera's."""
    origin_m = margin_m + (board.square_m if board.kind is BoardKind.CHESSBOARD else 0.0)
    per_px = 1.0 / _PRINT_PX_PER_M
    plane = np.array([[per_px, 0, per_px / 2 - origin_m], [0, per_px, per_px / 2 - origin_m], [0, 0, 1.0]])
    cam = np.stack([*(camera.R_cam_from_world @ R).T[:2], camera.R_cam_from_world @ t + camera.t_cam_from_world_m], -1)
    return camera.intrinsics.matrix @ cam @ plane
