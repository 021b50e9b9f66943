"""Pictures of boards with known corners."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.board import BoardKind, BoardSpec
from calibration.board_print import board_rectangles

SIZE_PX = (480, 360)


def print_of(board: BoardSpec, pixels_per_m: float, margin_m: float) -> np.ndarray:
    """Return the print, seen straight on, with a white (inverted: black) margin."""
    width, height = (round((s + 2 * margin_m) * pixels_per_m) for s in board.size_m)
    picture = np.full((height, width), 255, np.uint8)
    for x, y, w, h in board_rectangles(board):
        x0, y0, x1, y1 = (round((v + margin_m) * pixels_per_m) for v in (x, y, x + w, y + h))
        picture[y0:y1, x0:x1] = 0
    return 255 - picture if board.is_inverted else picture


def picture_of(
    board: BoardSpec, seed: int, size_px: tuple[int, int] = SIZE_PX, share: float = 0.62
) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture [height width] of the tilted board and its true corners [corner 2] in pixels."""
    rng = np.random.default_rng(seed)
    ppm = 8.0 * max(size_px) / max(board.size_m)
    margin_m = 0.08 * max(board.size_m)
    flat = print_of(board, ppm, margin_m)
    height, width = flat.shape
    scale = share * min(size_px[0] / width, size_px[1] / height)
    middle = np.array(size_px) / 2 + rng.uniform(-0.08, 0.08, 2) * size_px
    turn = rng.uniform(-0.25, 0.25)
    R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    bent = (source - [width / 2, height / 2]) * scale * rng.uniform(0.85, 1.1, (4, 1))
    H = cv2.getPerspectiveTransform(source.astype(np.float32), (bent @ R.T + middle).astype(np.float32))
    # Area averaging: a print of four times the size, blurred, keeps corners where they are.
    seen = cv2.warpPerspective(cv2.GaussianBlur(flat, (0, 0), 0.45 / scale), H, size_px, borderValue=128)
    noisy = np.clip(0.8 * seen + 20 + rng.normal(0, 1.5, seen.shape), 0, 255).astype(np.uint8)
    origin_m = margin_m + (board.square_m if board.kind is BoardKind.CHESSBOARD else 0.0)
    corners = (board.corners_m[:, :2] + origin_m) * ppm - 0.5
    return noisy, cv2.perspectiveTransform(corners[None], H)[0]
