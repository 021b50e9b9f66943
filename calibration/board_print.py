"""Boards as PDF pages at exact size, drawn as vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board import BoardKind, BoardSpec
from calibration.board_detect_image import aruco_dictionary
from calibration.board_detect_layout import marker_places
from calibration.board_pdf import MARGIN_M, NOTE_M, rectangle, ruler, write_pdf

PAPERS_M = {
    "A4": (0.210, 0.297),
    "A3": (0.297, 0.420),
    "A2": (0.420, 0.594),
    "A1": (0.594, 0.841),
    "A0": (0.841, 1.189),
}
_OVERLAP_M = 2e-6
"""Neighbouring cells overlap by this much, so that no viewer shows a seam between them."""


def board_rectangles(board: BoardSpec) -> np.ndarray:
    """Return black rectangles [n 4] x y width height in metres, y down, from the pattern's upper left corner.

    Of an inverted board these are the white ones on black ground.
    """
    if board.is_grid:
        return np.concatenate([_marker(board, number, place) for number, place in marker_places(board).items()])
    if board.kind is BoardKind.CHARUCO:
        places = marker_places(board)
        white = {tuple(np.floor(p.mean(0) / board.square_m).astype(int)) for p in places.values()}
        cells = [(x, y) for y in range(board.rows) for x in range(board.columns) if (x, y) not in white]
        squares = _squares(cells, board.square_m)
        return np.concatenate([squares, *(_marker(board, number, place) for number, place in places.items())])
    # The square between the first four inner corners is black.
    cells = [(x, y) for y in range(board.rows + 1) for x in range(board.columns + 1) if (x + y) % 2 == 0]
    return _squares(cells, board.square_m)


def _squares(cells: list[tuple[int, int]], side_m: float) -> np.ndarray:
    return np.array([[x * side_m, y * side_m, side_m, side_m] for x, y in cells])


def _marker(board: BoardSpec, number: int, corners_m: np.ndarray) -> np.ndarray:
    """Return the black runs of one marker as rectangles; neighbouring rows overlap."""
    import cv2

    dictionary = aruco_dictionary(board.dictionary)
    n = int(dictionary.markerSize) + 2 * board.border_bits
    bits = cv2.aruco.generateImageMarker(dictionary, number, n, borderBits=board.border_bits)
    bits = np.rot90(np.asarray(bits), -board.corner_turn)
    cell = board.marker_m / n
    x0, y0 = corners_m.min(0)
    rows: list[list[float]] = []
    for y, row in enumerate(bits):
        edges = np.flatnonzero(np.diff(np.concatenate([[255], row, [255]]).astype(int)))
        for start, end in edges.reshape(-1, 2):
            rows.append([x0 + start * cell, y0 + y * cell, (end - start) * cell, cell + (y < n - 1) * _OVERLAP_M])
    return np.array(rows)


@dataclass(frozen=True, eq=False)
class Print:
    """What is printed of a board."""

    size_m: tuple[float, float]
    """Width and height, the black ground of an inverted board included."""
    layers: tuple[tuple[int, np.ndarray], ...]
    """Gray (0 black, 1 white) and rectangles [n 4] x y width height, y down from the upper left corner, in order."""


def board_print(board: BoardSpec) -> Print:
    """Return what is to be drawn of a board."""
    quiet_m = board.square_m * 0.5 if board.is_inverted else 0.0
    width_m, height_m = (s + 2 * quiet_m for s in board.size_m)
    pattern = board_rectangles(board) + [quiet_m, quiet_m, 0.0, 0.0]
    ground = np.array([[0.0, 0.0, width_m, height_m]])
    return Print((width_m, height_m), ((0, ground), (1, pattern)) if board.is_inverted else ((0, pattern),))


def write_board(path: Path, board: BoardSpec) -> str:
    """Write the PDF and return the paper's name (or its size where no paper of the A series is large enough).

    Raises: SetupError output-not-writable.
    """
    drawn = board_print(board)
    width_m, height_m = drawn.size_m
    paper, (page_w, page_h) = _paper(width_m + 2 * MARGIN_M, height_m + 2 * MARGIN_M + NOTE_M)
    left, top = (page_w - width_m) / 2.0, (page_h - NOTE_M - height_m) / 2.0
    drawing: list[str] = []
    for gray, rectangles in drawn.layers:
        drawing += [f"{gray} g", *(rectangle(r, page_h) for r in rectangles + [left, top, 0.0, 0.0]), "f"]
    lines = [f" ({paper})", f"{board.text}    (x right, y down from the upper left corner)"]
    write_pdf(path, [[*drawing, "0 g", *ruler(lines, left, MARGIN_M, page_w)]], page_w, page_h)
    return paper


def _paper(width_m: float, height_m: float) -> tuple[str, tuple[float, float]]:
    for name, (short, long) in PAPERS_M.items():
        if width_m <= short and height_m <= long:
            return name, (short, long)
        if width_m <= long and height_m <= short:
            return f"{name} landscape", (long, short)
    return f"{width_m * 1000:.0f} x {height_m * 1000:.0f} mm", (width_m, height_m)
