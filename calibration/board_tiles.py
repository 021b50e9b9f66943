"""A board larger than the printer's paper, on several sheets that are cut and glued together at exact size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.board import BoardSpec
from calibration.board_pdf import NOTE_M, rectangle, ruler, write_pdf
from calibration.board_print import Print, board_print

SHEETS_M = {"a4": (0.210, 0.297), "a3": (0.297, 0.420), "letter": (0.2159, 0.2794)}
"""Papers of common printers."""
OVERLAP_M = 0.010
"""Neighbouring sheets both show this strip, so that one is glued onto the other."""
_MARGIN_M = 0.012
"""Printers leave about 5 mm of a sheet white; the marks lie in what is left."""
_MARK_M, _LINE_M = 0.006, 0.0002
_MIN_M = 1e-9


@dataclass(frozen=True)
class Tiles:
    """How a board is laid out on sheets."""

    columns: int
    rows: int
    sheet_m: tuple[float, float]
    window_m: tuple[float, float]
    """What one sheet shows of the board, the overlap with the next one included."""

    @property
    def step_m(self) -> tuple[float, float]:
        """From where one sheet's part begins to where the next one's does."""
        return self.window_m[0] - OVERLAP_M, self.window_m[1] - OVERLAP_M

    @property
    def text(self) -> str:
        """Columns, rows and paper."""
        return f"{self.columns} x {self.rows} sheets of {self.sheet_m[0] * 1000:.0f} x {self.sheet_m[1] * 1000:.0f} mm"


def write_tiles(path: Path, board: BoardSpec, sheet: str) -> Tiles:
    """Write the PDF, one page a sheet row by row, upright or lying, whichever needs fewer, and return the layout.

    Raises: SetupError output-not-writable.
    """
    short, long = SHEETS_M[sheet]
    drawn = board_print(board)
    tiles = min((_layout(drawn.size_m, s) for s in ((short, long), (long, short))), key=lambda t: t.columns * t.rows)
    # What the sheets show beyond the board is left white on all sides alike.
    total = np.array([n * s + OVERLAP_M for n, s in zip((tiles.columns, tiles.rows), tiles.step_m, strict=True)])
    shift = (total - drawn.size_m) / 2.0
    pages = [_page(drawn, shift, tiles, c, r, board) for r in range(tiles.rows) for c in range(tiles.columns)]
    write_pdf(path, pages, *tiles.sheet_m)
    return tiles


def _layout(size_m: tuple[float, float], sheet_m: tuple[float, float]) -> Tiles:
    window = sheet_m[0] - 2 * _MARGIN_M, sheet_m[1] - 2 * _MARGIN_M - NOTE_M
    columns, rows = (
        max(1, int(np.ceil((size - OVERLAP_M) / (w - OVERLAP_M) - 1e-9)))
        for size, w in zip(size_m, window, strict=True)
    )
    return Tiles(columns, rows, sheet_m, window)


def _page(drawn: Print, shift: np.ndarray, tiles: Tiles, column: int, row: int, board: BoardSpec) -> list[str]:
    page_w, page_h = tiles.sheet_m
    step = np.array(tiles.step_m)
    first = np.array([column, row]) * step
    out: list[str] = []
    for gray, rectangles in drawn.layers:
        shown = _clipped(rectangles + np.r_[shift - first, 0.0, 0.0], tiles.window_m)
        if len(shown):
            out += [f"{gray} g", *(rectangle(r + np.r_[_MARGIN_M, _MARGIN_M, 0.0, 0.0], page_h) for r in shown), "f"]
    out += ["0 g", *_marks(tiles, column, row), *_plan(tiles, column, row)]
    number = row * tiles.columns + column + 1
    lines = [
        f"; sheet {number} of {tiles.columns * tiles.rows}: column {column + 1}, row {row + 1}",
        _how(tiles, column, row),
        board.text,
    ]
    # Beside the mark at the window's lower left corner, which would run through the text.
    return out + ruler(lines, _MARGIN_M + 0.002, _MARGIN_M * 0.6, page_w)


def _clipped(rectangles: np.ndarray, window_m: tuple[float, float]) -> np.ndarray:
    """Return the parts [n 4] of rectangles within 0, 0 to the window."""
    low = np.maximum(rectangles[:, :2], 0.0)
    high = np.minimum(rectangles[:, :2] + rectangles[:, 2:], window_m)
    inside = np.asarray((high - low > _MIN_M).all(-1))
    return np.concatenate([low, high - low], -1)[inside]


def _how(tiles: Tiles, column: int, row: int) -> str:
    cuts = [side for side, on in (("left", column > 0), ("top", row > 0)) if on]
    if tiles.columns * tiles.rows == 1:
        return "The whole board is on this sheet."
    if not cuts:
        return "This sheet stays whole; the next ones are glued onto it with their edges at its marks."
    onto = " and ".join(
        where for where, on in (("the sheet on its left", column > 0), ("the sheet above", row > 0)) if on
    )
    return f"Cut at the {' and '.join(cuts)} marks, and glue the edge onto {onto}, at the marks there."


def _marks(tiles: Tiles, column: int, row: int) -> list[str]:
    """Return ticks beside the window where this sheet is cut and where the next one's edge comes to lie."""
    page_h, (w, h) = tiles.sheet_m[1], tiles.window_m
    xs = [0.0] * (column > 0) + [tiles.step_m[0]] * (column + 1 < tiles.columns)
    ys = [0.0] * (row > 0) + [tiles.step_m[1]] * (row + 1 < tiles.rows)
    near, far = _MARGIN_M - 0.001 - _MARK_M, 0.001
    half = _LINE_M / 2.0
    out = [
        rectangle((_MARGIN_M + x - half, y, _LINE_M, _MARK_M), page_h) for x in xs for y in (near, _MARGIN_M + h + far)
    ]
    out += [
        rectangle((x, _MARGIN_M + y - half, _MARK_M, _LINE_M), page_h) for y in ys for x in (near, _MARGIN_M + w + far)
    ]
    return [*out, "f"] if out else []


def _plan(tiles: Tiles, column: int, row: int) -> list[str]:
    """Return a small plan of the sheets at the page's lower right, this one filled."""
    page_w, page_h = tiles.sheet_m
    cell = 0.003
    left, top = page_w - _MARGIN_M - tiles.columns * cell, page_h - _MARGIN_M * 0.6 - tiles.rows * cell
    cells = [(left + c * cell, top + r * cell, cell, cell) for r in range(tiles.rows) for c in range(tiles.columns)]
    here = (left + column * cell, top + row * cell, cell, cell)
    return ["0.3 w", *(rectangle(c, page_h) for c in cells), "S", rectangle(here, page_h), "f"]
