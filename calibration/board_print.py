"""Boards as PDF pages at exact size, drawn as vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.board import BoardKind, BoardSpec
from calibration.board_detect_image import aruco_dictionary
from calibration.board_detect_layout import marker_places
from mocap.core.errors import SetupError
from mocap.core.publish import published

POINTS_PER_M = 72.0 / 0.0254
PAPERS_M = {
    "A4": (0.210, 0.297),
    "A3": (0.297, 0.420),
    "A2": (0.420, 0.594),
    "A1": (0.594, 0.841),
    "A0": (0.841, 1.189),
}
_MARGIN_M = 0.008
_NOTE_M = 0.014
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


def write_board(path: Path, board: BoardSpec) -> str:
    """Write the PDF and return the paper's name (or its size where no paper of the A series is large enough).

    Raises: SetupError output-not-writable.
    """
    quiet_m = board.square_m * 0.5 if board.is_inverted else 0.0
    width_m, height_m = (s + 2 * quiet_m for s in board.size_m)
    paper, (page_w, page_h) = _paper(width_m + 2 * _MARGIN_M, height_m + 2 * _MARGIN_M + _NOTE_M)
    left, top = (page_w - width_m) / 2.0, (page_h - _NOTE_M - height_m) / 2.0
    drawing: list[str] = []
    if board.is_inverted:
        drawing += ["0 g", _rectangle((left, top, width_m, height_m), page_h), "f", "1 g"]
    else:
        drawing.append("0 g")
    shift = np.array([left + quiet_m, top + quiet_m, 0.0, 0.0])
    drawing += [_rectangle(tuple(r + shift), page_h) for r in board_rectangles(board)]
    drawing += ["f", "0 g", *_notes(board, paper, left, page_w)]
    if not path.absolute().parent.is_dir():
        # A mistyped folder is told at once; the print would be looked for in vain.
        raise SetupError(
            "output-not-writable",
            f"{path}: there is no folder {path.absolute().parent}.",
            "Choose a folder that exists, is writable and has space.",
        )
    with published(path) as temporary:
        temporary.write_bytes(_pdf("\n".join(drawing), page_w, page_h))
    return paper


def _paper(width_m: float, height_m: float) -> tuple[str, tuple[float, float]]:
    for name, (short, long) in PAPERS_M.items():
        if width_m <= short and height_m <= long:
            return name, (short, long)
        if width_m <= long and height_m <= short:
            return f"{name} landscape", (long, short)
    return f"{width_m * 1000:.0f} x {height_m * 1000:.0f} mm", (width_m, height_m)


def _rectangle(r: tuple[float, ...], page_h: float) -> str:
    x, y, w, h = r
    values = (x, page_h - y - h, w, h)
    return " ".join(f"{v * POINTS_PER_M:.5f}" for v in values) + " re"


def _notes(board: BoardSpec, paper: str, left: float, page_w: float) -> list[str]:
    """Return a ruler of 100 mm (50 on small pages) and the board's own line of text."""
    ruler_m = 0.1 if page_w > 0.15 else 0.05
    base = _MARGIN_M
    lines = [f"{ruler_m * 1000:.0f} mm: measure it after printing; print at 100 %, not 'fit to page' ({paper})"]
    lines.append(f"{board.text}    (x right, y down from the upper left corner)")
    drawn = [_rectangle((left, -base, ruler_m, 0.0004), 0.0), _rectangle((left, -base - 0.002, 0.0004, 0.002), 0.0)]
    drawn += [_rectangle((left + ruler_m - 0.0004, -base - 0.002, 0.0004, 0.002), 0.0), "f"]
    for i, line in enumerate(lines):
        safe = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        x, y = left * POINTS_PER_M, (base + 0.004 + 0.0035 * i) * POINTS_PER_M
        drawn.append(f"BT /F1 6.5 Tf {x:.3f} {y:.3f} Td ({safe}) Tj ET")
    return drawn


def _pdf(content: str, page_w: float, page_h: float) -> bytes:
    """Return a PDF 1.4 file of one page (ISO 32000-1, section 7.5)."""
    box = f"0 0 {page_w * POINTS_PER_M:.5f} {page_h * POINTS_PER_M:.5f}"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = b"%PDF-1.4\n"
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode("latin-1")
    return out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode("latin-1")
