"""Calibration boards: what they are, written as one line of text, and where their corners lie.

    charuco:COLUMNSxROWS:square=M:marker=M:dict=NAME[:inverted][:legacy]       columns and rows of squares
    chessboard:COLUMNSxROWS:square=M                                           columns and rows of inner corners
    aprilgrid:COLUMNSxROWS:marker=M:(gap=M | spacing=SHARE)[:dict=NAME][:first=ID][:border=BITS][:down]
    aruco:COLUMNSxROWS:marker=M:gap=M:dict=NAME[:first=ID][:inverted][:up]     columns and rows of markers

Lengths are metres. Board frame as OpenCV has it: x right, y down, z into the board, as one looks at the print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from mocap.core.errors import InputError

DICTIONARIES = (
    *(f"{bits}X{bits}_{n}" for bits in (4, 5, 6, 7) for n in (50, 100, 250, 1000)),
    "ARUCO_ORIGINAL",
    "ARUCO_MIP_36h12",
    *(f"APRILTAG_{name}" for name in ("16h5", "25h9", "36h10", "36h11")),
)
"""Marker dictionaries by OpenCV's names without `DICT_`."""
GRAMMAR = (
    "charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000[:inverted][:legacy], chessboard:7x4:square=0.060, "
    "aprilgrid:6x6:marker=0.088:gap=0.0264, or aruco:3x4:marker=0.1:gap=0.02:dict=4X4_50 (metres)"
)
MAX_LENGTH_M = 5.0
"""A longer square is a length in millimetres or centimetres."""
MAX_BOARD_M = 8.0
"""A longer board was described with lengths in centimetres or decimetres."""


class BoardKind(StrEnum):
    """What is printed."""

    CHARUCO = "charuco"
    CHESSBOARD = "chessboard"
    APRILGRID = "aprilgrid"
    ARUCO = "aruco"


@dataclass(frozen=True)
class BoardSpec:
    """A printed board."""

    kind: BoardKind
    columns: int
    """Squares (charuco), inner corners (chessboard) or markers (aprilgrid, aruco) along x."""
    rows: int
    """The same along y."""
    square_m: float
    """Side of a square; for grids of markers the distance from one marker to the next."""
    marker_m: float = 0.0
    """Side of a marker; 0 for a chessboard."""
    dictionary: str = ""
    """Marker dictionary by OpenCV's name without `DICT_`; empty for a chessboard."""
    is_inverted: bool = False
    """Black and white are exchanged."""
    is_legacy: bool = False
    """ChArUco pattern of OpenCV before 4.6 (differs where the number of rows is even)."""
    first_id: int = 0
    """Number of the first marker of a grid."""
    border_bits: int = 1
    """Width of a marker's black border in bits; Kalibr prints 2."""
    is_rows_up: bool = False
    """Marker numbers of a grid grow from the lowest row upwards, as Kalibr prints them."""
    corner_turn: int = 0
    """Quarter turns by which a grid's markers are printed turned against OpenCV's."""

    @property
    def is_grid(self) -> bool:
        """Whether the corners are those of markers, four each."""
        return self.kind in (BoardKind.APRILGRID, BoardKind.ARUCO)

    @property
    def has_markers(self) -> bool:
        """Whether corners have numbers of their own, so that parts of the board can be used."""
        return self.kind is not BoardKind.CHESSBOARD

    @property
    def n_corners(self) -> int:
        """Number of corners."""
        return len(self.corners_m)

    @property
    def n_markers(self) -> int:
        """Number of markers printed."""
        if self.is_grid:
            return self.columns * self.rows
        return self.columns * self.rows // 2 if self.kind is BoardKind.CHARUCO else 0

    @property
    def inner_shape(self) -> tuple[int, int]:
        """Columns and rows of the lattice of corners; grids: of markers."""
        if self.kind is BoardKind.CHARUCO:
            return self.columns - 1, self.rows - 1
        return self.columns, self.rows

    @property
    def corners_m(self) -> np.ndarray:
        """[corner 3] in the board frame, z = 0.

        Lattice boards: row by row, x fastest; the origin is the board's outer corner (charuco) or the first inner
        corner (chessboard). Grids: four per marker in order of its number, clockwise from the upper left of the print;
        the origin is the upper left corner of the upper left marker.
        """
        columns, rows = self.inner_shape
        y, x = np.mgrid[:rows, :columns].astype(np.float64)
        if self.is_grid:
            xy = np.stack([x.ravel(), y[::-1].ravel() if self.is_rows_up else y.ravel()], -1) * self.square_m
            square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * self.marker_m
            xy = (xy[:, None] + square).reshape(-1, 2)
        else:
            first = 1.0 if self.kind is BoardKind.CHARUCO else 0.0
            xy = (np.stack([x.ravel(), y.ravel()], -1) + first) * self.square_m
        return np.concatenate([xy, np.zeros((len(xy), 1))], -1)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the pattern."""
        if self.is_grid:
            gap = self.square_m - self.marker_m
            return self.columns * self.square_m - gap, self.rows * self.square_m - gap
        extra = 0 if self.kind is BoardKind.CHARUCO else 1
        return (self.columns + extra) * self.square_m, (self.rows + extra) * self.square_m

    @property
    def is_symmetric(self) -> bool:
        """Whether the board looks the same turned by 180 degrees, so that cameras can disagree about it."""
        return self.kind is BoardKind.CHESSBOARD and (self.columns + self.rows) % 2 == 0

    @property
    def text(self) -> str:
        """The line that `parse_board` reads back as this board."""
        parts = [str(self.kind), f"{self.columns}x{self.rows}"]
        if self.is_grid:
            parts += [f"marker={self.marker_m:.6g}", f"gap={self.square_m - self.marker_m:.6g}"]
        else:
            parts.append(f"square={self.square_m:.6g}")
        if self.kind is BoardKind.CHARUCO:
            parts.append(f"marker={self.marker_m:.6g}")
        parts += [f"dict={self.dictionary}"] if self.dictionary else []
        parts += [f"first={self.first_id}"] if self.first_id else []
        parts += [f"border={self.border_bits}"] if self.border_bits != 1 else []
        parts += [f"turn={self.corner_turn}"] if self.corner_turn else []
        parts += ["inverted"] if self.is_inverted else []
        parts += ["legacy"] if self.is_legacy else []
        if self.is_grid and self.is_rows_up != (self.kind is BoardKind.APRILGRID):
            parts.append("up" if self.is_rows_up else "down")
        return ":".join(parts)

    def transposed(self) -> BoardSpec:
        """Return the board with columns and rows exchanged."""
        return replace(self, columns=self.rows, rows=self.columns)


def parse_board(text: str) -> BoardSpec:
    """Return the board that a line of text describes (grammar above).

    Raises: InputError board-spec-invalid, board-dictionary-unknown.
    """
    kind_text, _, rest = text.strip().partition(":")
    if kind_text not in set(BoardKind):
        raise _invalid(text, f"there is no kind of board {kind_text!r}")
    kind = BoardKind(kind_text)
    fields = rest.split(":")
    size = re.fullmatch(r"(\d+)x(\d+)", fields[0].lower())
    if size is None:
        raise _invalid(text, f"expected COLUMNSxROWS, e.g. 4x5, got {fields[0]!r}")
    values, flags = _fields(fields[1:], kind, text)
    board = _board(kind, int(size[1]), int(size[2]), values, flags, text)
    _check(board, text)
    return board


_VALUES = {
    BoardKind.CHARUCO: {"square", "marker", "dict"},
    BoardKind.CHESSBOARD: {"square"},
    BoardKind.APRILGRID: {"marker", "gap", "spacing", "dict", "first", "border", "turn"},
    BoardKind.ARUCO: {"marker", "gap", "spacing", "dict", "first", "border", "turn"},
}
_FLAGS = {
    BoardKind.CHARUCO: {"inverted", "legacy"},
    BoardKind.CHESSBOARD: {"inverted"},
    BoardKind.APRILGRID: {"inverted", "up", "down"},
    BoardKind.ARUCO: {"inverted", "up", "down"},
}


def _fields(fields: list[str], kind: BoardKind, text: str) -> tuple[dict[str, str], set[str]]:
    values: dict[str, str] = {}
    flags: set[str] = set()
    for field in fields:
        name, is_value, value = field.partition("=")
        if name not in (_VALUES[kind] if is_value else _FLAGS[kind]):
            known = [*(f"{v}=" for v in sorted(_VALUES[kind])), *sorted(_FLAGS[kind])]
            raise _invalid(text, f"{field!r} is none of {', '.join(known)}")
        if is_value:
            values[name] = value
        else:
            flags.add(name)
    return values, flags


def _board(kind: BoardKind, columns: int, rows: int, values: dict[str, str], flags: set[str], text: str) -> BoardSpec:
    marker_m = 0.0 if kind is BoardKind.CHESSBOARD else _length_m(values, "marker", text)
    if kind in (BoardKind.APRILGRID, BoardKind.ARUCO):
        gap_m = marker_m * _number(values, "spacing", text) if "spacing" in values else _length_m(values, "gap", text)
        square_m = round(marker_m + gap_m, 9)
    else:
        square_m = _length_m(values, "square", text)
    default = "APRILTAG_36h11" if kind is BoardKind.APRILGRID else ""
    return BoardSpec(
        kind=kind,
        columns=columns,
        rows=rows,
        square_m=square_m,
        marker_m=marker_m,
        dictionary=_dictionary(values.get("dict", default), kind, text),
        is_inverted="inverted" in flags,
        is_legacy="legacy" in flags,
        first_id=_count(values, "first", 0, text),
        border_bits=_count(values, "border", 1, text),
        is_rows_up="up" in flags or (kind is BoardKind.APRILGRID and "down" not in flags),
        corner_turn=_count(values, "turn", 0, text) % 4,
    )


def _number(values: dict[str, str], name: str, text: str) -> float:
    if name not in values:
        raise _invalid(text, f"{name}= is missing")
    try:
        number = float(values[name])
    except ValueError:
        number = float("nan")
    if not number > 0 or not np.isfinite(number):
        raise _invalid(text, f"{name}={values[name]} is not a number above 0")
    return number


def _length_m(values: dict[str, str], name: str, text: str) -> float:
    length_m = _number(values, name, text)
    if length_m > MAX_LENGTH_M:
        raise _invalid(text, f"{name}={values[name]} would be {length_m:g} metres; lengths are metres")
    return length_m


def _count(values: dict[str, str], name: str, default: int, text: str) -> int:
    value = values.get(name, str(default))
    if not value.isdigit():
        raise _invalid(text, f"{name}={value} is not a whole number")
    return int(value)


def _dictionary(name: str, kind: BoardKind, text: str) -> str:
    if kind is BoardKind.CHESSBOARD:
        return ""
    if not name:
        raise _invalid(text, "dict= is missing")
    plain = re.sub(r"^DICT_", "", name, flags=re.IGNORECASE).lower()
    for known in DICTIONARIES:
        if plain in (known.lower(), known.lower().removeprefix("apriltag_")):
            return known
    raise InputError(
        "board-dictionary-unknown",
        f"{text}: there is no marker dictionary {name!r}; known: {', '.join(DICTIONARIES)}.",
        "Name the dictionary that the board was printed with.",
    )


def _check(board: BoardSpec, text: str) -> None:
    smallest = {BoardKind.CHARUCO: (2, 3), BoardKind.CHESSBOARD: (3, 3)}.get(board.kind, (1, 1))
    if sorted((board.columns, board.rows)) < list(smallest) or max(board.columns, board.rows) > 60:
        raise _invalid(text, f"a {board.kind} has between {smallest[0]}x{smallest[1]} and 60x60 parts")
    if board.kind is BoardKind.CHARUCO and not board.marker_m < board.square_m:
        raise _invalid(text, f"markers of {board.marker_m:g} m do not fit into squares of {board.square_m:g} m")
    if max(board.size_m) > MAX_BOARD_M:
        raise _invalid(text, f"the board would be {max(board.size_m):g} metres long; lengths are metres")
    n_ids = dictionary_size(board.dictionary) if board.dictionary else board.n_markers
    if board.first_id + board.n_markers > n_ids:
        last = board.first_id + board.n_markers - 1
        raise _invalid(text, f"the board needs markers up to number {last}, {board.dictionary} has {n_ids}")


def dictionary_size(name: str) -> int:
    """Return how many markers a dictionary has."""
    sizes = {
        "ARUCO_ORIGINAL": 1024,
        "ARUCO_MIP_36h12": 250,
        "APRILTAG_16h5": 30,
        "APRILTAG_25h9": 35,
        "APRILTAG_36h10": 2320,
        "APRILTAG_36h11": 587,
    }
    return sizes.get(name) or int(name.rpartition("_")[2])


def _invalid(text: str, why: str) -> InputError:
    return InputError(
        "board-spec-invalid",
        f"The board {text!r} is not understood: {why}.",
        f"Write the board like {GRAMMAR}.",
    )
