"""Which board is really in the pictures: inverted, mirrored, transposed, legacy, or another one altogether."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np

from calibration.board import DICTIONARIES, BoardKind, BoardSpec, dictionary_size
from calibration.board_detect_image import (
    BoardFinder,
    charuco_board,
    consistent,
    find_markers,
    marker_detector,
    prepared,
)

_CLEARLY = 1.5
"""Another board than the one asked for must explain this many times more markers."""
_LAYOUT_SHARE = 0.92
"""Share of the markers seen in a picture that must be in place."""
_MIN_FOUND = 8
"""Markers in place over all samples, from which a board counts as found."""
_FAMILIES = (
    *(f"{n}X{n}_1000" for n in (4, 5, 6, 7)),
    "ARUCO_ORIGINAL",
    "ARUCO_MIP_36h12",
    *(f"APRILTAG_{name}" for name in ("16h5", "25h9", "36h10", "36h11")),
)
_COMMON_CHESSBOARDS = ((9, 6), (8, 6), (8, 5), (7, 6), (7, 5), (7, 4), (6, 5), (6, 4), (5, 4), (10, 7), (11, 8), (4, 3))

Samples = Mapping[str, Sequence[np.ndarray]]
"""Camera name to some of its pictures [height width] uint8."""


@dataclass(frozen=True)
class Finding:
    """The board that fits the samples, and how each camera sees it."""

    board: BoardSpec
    n_front: dict[str, int]
    """Camera to markers (or chessboards) that were in place, seen from the front."""
    n_back: dict[str, int]
    """The same, seen mirrored."""

    @property
    def is_found(self) -> bool:
        """Whether any camera sees the board."""
        return any(self.n_front.values()) or any(self.n_back.values())

    def sides(self, camera: str) -> tuple[bool, ...]:
        """Return the values of `is_mirrored` to try in a camera's pictures, the likely one first."""
        front, back = self.n_front[camera], self.n_back[camera]
        if not any(self.n_back.values()):
            return (False,)
        return (back > front, back <= front)


@dataclass(frozen=True)
class Suggestion:
    """Another board that the pictures show."""

    dictionary: str
    ids: tuple[int, ...]
    board: BoardSpec | None
    """The board on which they lie in place, where one was found (with the lengths that were given)."""


def find_layout(samples: Samples, board: BoardSpec) -> Finding:
    """Return the board that fits best among the ways in which `board` is commonly misnamed or seen.

    The board as given is tried first, and the rest only where a camera does not see it so: exchanged columns and rows,
    ChArUco's two patterns, exchanged black and white, its mirrored back, and for grids the order of the numbers.
    """
    if not board.has_markers:
        return _find_chessboard(samples, board)
    with ThreadPoolExecutor(min(len(samples), 4)) as pool:
        counted = pool.map(lambda grays: _count(grays, board, is_mirrored=False)[board], samples.values())
        front = dict(zip(samples, counted, strict=True))
    back = dict.fromkeys(samples, 0)
    if samples and all(n >= _MIN_FOUND for n in front.values()):
        return Finding(board, front, back)
    if not any(front.values()):
        # Most boards that are named wrongly show in a few pictures; all are searched only where they do not.
        found = _search({c: grays[::2] for c, grays in samples.items()}, board, front)
        if found.is_found or shows_other_markers(samples, board):
            return found
    return _search(samples, board, front)


def _search(samples: Samples, board: BoardSpec, front: dict[str, int]) -> Finding:
    missing = {c: grays for c, grays in samples.items() if front[c] < _MIN_FOUND}
    seen_somewhere = len(missing) < len(samples)
    counts: dict[tuple[BoardSpec, bool], dict[str, int]] = {}
    inversions = (board.is_inverted,) if seen_somewhere else (board.is_inverted, not board.is_inverted)
    borders = (
        (board.border_bits,) if seen_somewhere or not board.is_grid else (board.border_bits, 3 - board.border_bits)
    )
    for is_inverted, border_bits, is_mirrored in product(inversions, borders, (False, True)):
        base = replace(board, is_inverted=is_inverted, border_bits=max(border_bits, 1))
        count = partial(_count, board=base, is_mirrored=is_mirrored, is_free=not seen_somewhere)
        with ThreadPoolExecutor(min(len(missing), 4)) as pool:
            for camera, found in zip(missing, pool.map(count, missing.values()), strict=True):
                for made, n in found.items():
                    counts.setdefault((made, is_mirrored), dict.fromkeys(samples, 0))[camera] = n
    totals: dict[BoardSpec, int] = {}
    for (made, _), by_camera in counts.items():
        totals[made] = totals.get(made, 0) + sum(by_camera.values())
    best = board
    if not seen_somewhere:
        winner = max(totals, key=lambda b: totals[b])
        if totals[winner] > max(_CLEARLY * totals.get(board, 0), _MIN_FOUND - 1):
            best = winner
    none = dict.fromkeys(samples, 0)
    n_front = {c: max(counts.get((best, False), none)[c], front[c] if best == board else 0) for c in samples}
    n_back = counts.get((best, True), none)
    is_real = {c: n >= _MIN_FOUND and n > n_front[c] for c, n in n_back.items()}
    return Finding(best, n_front, {c: n if is_real[c] else 0 for c, n in n_back.items()})


def _count(
    grays: Sequence[np.ndarray], board: BoardSpec, is_mirrored: bool, is_free: bool = False
) -> dict[BoardSpec, int]:
    """Return how many markers lie in place, for the board and (`is_free`) its other layouts."""
    detector = marker_detector(board.dictionary, board.border_bits)
    boards = list(dict.fromkeys(layouts(board) if is_free else [board]))
    totals = dict.fromkeys(boards, 0)
    for gray in grays:
        ids, corners = find_markers(detector, prepared(gray, board.is_inverted, is_mirrored))
        for made in boards:
            totals[made] += n_in_place(made, ids, corners)
        if max(totals.values()) >= 2 * _MIN_FOUND:
            break
    return totals


def layouts(board: BoardSpec) -> Iterator[BoardSpec]:
    """Yield the board and those it is commonly taken for."""
    yield board
    if board.kind is BoardKind.CHARUCO:
        for made, is_legacy in product((board, board.transposed()), (False, True)):
            # With an odd number of rows both patterns are one; the plain name is kept.
            yield replace(made, is_legacy=is_legacy if made.rows % 2 == 0 else board.is_legacy)
    elif board.is_grid:
        for made, is_up, turn in product(
            (board, board.transposed()), (board.is_rows_up, not board.is_rows_up), range(4)
        ):
            yield replace(made, is_rows_up=is_up, corner_turn=turn)


def n_in_place(board: BoardSpec, ids: np.ndarray, corners_px: np.ndarray) -> int:
    """Return how many of the markers [marker 4 2] lie together as on the board; fewer than three say nothing."""
    places = marker_places(board)
    numbers, counts = np.unique(ids, return_counts=True)
    known = [i for i, n in enumerate(ids) if int(n) in places and counts[numbers == n][0] == 1]
    if len(known) < min(3, board.n_markers):
        return 0
    plane = np.concatenate([places[int(ids[i])] for i in known])
    good = consistent(corners_px[known].reshape(-1, 2), plane, board.square_m)
    # ChArUco's other pattern leaves all but one in each two rows in place (odd columns): 16 of 20 with five.
    return int(good.reshape(-1, 4).all(-1).sum()) if good.mean() > _LAYOUT_SHARE else 0


@cache
def marker_places(board: BoardSpec) -> dict[int, np.ndarray]:
    """Return marker number to its corners [4 2] in the board frame, in the order in which they are detected."""
    if board.kind is BoardKind.CHARUCO:
        made = charuco_board(board)
        numbers = np.asarray(made.getIds()).ravel()
        return {int(n): np.asarray(p)[:, :2] for n, p in zip(numbers, made.getObjPoints(), strict=True)}
    corners = board.corners_m[:, :2].reshape(-1, 4, 2)
    return {board.first_id + i: np.roll(c, -board.corner_turn, axis=0) for i, c in enumerate(corners)}


def _find_chessboard(samples: Samples, board: BoardSpec) -> Finding:
    finder = BoardFinder(board)
    front = {c: sum(bool(np.isfinite(finder.find(g)).any()) for g in grays) for c, grays in samples.items()}
    return Finding(board, front, dict.fromkeys(samples, 0))


def _some(samples: Samples, n: int) -> list[np.ndarray]:
    """Return about n pictures, from the middle of each camera's."""
    each = max(1, n // max(len(samples), 1))
    return [g for grays in samples.values() for g in list(grays)[len(grays) // 3 :: 2][:each]]


def suggest(samples: Samples, board: BoardSpec) -> Suggestion | None:
    """Return the markers that the pictures do show, and the board they lie on; for when `board` is not there."""
    best: tuple[str, np.ndarray, np.ndarray] | None = None
    for is_mirrored, family in product((False, True), _FAMILIES):
        detector = marker_detector(family, is_any_polarity=True)
        for gray in _some(samples, 8):
            ids, corners = find_markers(detector, prepared(gray, False, is_mirrored))
            if len(set(ids.tolist())) >= 4 and (best is None or len(ids) > len(best[1])):
                best = (family, ids, corners)
        if best is not None and len(best[1]) >= _MIN_FOUND:
            break
    if best is None:
        return None
    family, ids, corners = best
    name = _smallest_dictionary(family, int(ids.max()), board.dictionary)
    return Suggestion(name, tuple(sorted(set(ids.tolist()))), _suggest_size(board, name, ids, corners))


def shows_other_markers(samples: Samples, board: BoardSpec) -> bool:
    """Return whether the pictures show so many markers of another board that searching them more is in vain."""
    shown = suggest(samples, board)
    if shown is None or len(shown.ids) < _MIN_FOUND:
        return False
    return shown.dictionary != board.dictionary or shown.board is not None


def _smallest_dictionary(family: str, last_id: int, wanted: str) -> str:
    """Return a dictionary of the family that has the number: the one asked for, else the smallest."""
    stem = family.rpartition("_")[0]
    fitting = [d for d in DICTIONARIES if d.rpartition("_")[0] == stem and dictionary_size(d) > last_id]
    if family.startswith(("ARUCO", "APRILTAG")):
        fitting = [family]
    return wanted if wanted in fitting else fitting[0]


def _suggest_size(board: BoardSpec, dictionary: str, ids: np.ndarray, corners_px: np.ndarray) -> BoardSpec | None:
    if not board.has_markers:
        return None
    share = board.marker_m / board.square_m
    best: tuple[int, int, BoardSpec] | None = None
    for columns, rows, is_legacy in product(range(3, 15), range(3, 15), (False, True)):
        made = replace(board, columns=columns, rows=rows, dictionary=dictionary, is_legacy=is_legacy, square_m=1.0)
        made = replace(made, marker_m=share, first_id=0)
        is_large = board.first_id + made.n_markers > int(ids.max())
        if not is_large or (is_legacy and (made.is_grid or rows % 2)):
            continue
        n = n_in_place(made, ids, corners_px)
        if n >= 3 and (best is None or (n, -made.n_markers) > best[:2]):
            best = (n, -made.n_markers, made)
    if best is None or best[0] < 0.7 * len(ids):
        return None
    return replace(best[2], square_m=board.square_m, marker_m=board.marker_m)


def suggest_chessboard(samples: Samples, board: BoardSpec) -> BoardSpec | None:
    """Return a chessboard of a common size that the pictures show."""
    for columns, rows in _COMMON_CHESSBOARDS:
        made = replace(board, columns=columns, rows=rows)
        finder = BoardFinder(made)
        if any(np.isfinite(finder.find(g)).any() for g in _some(samples, 4)):
            return made
    return None
