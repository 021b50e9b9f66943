"""Whether the print is what its description says: the size of markers against that of squares, and further rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from calibration.board import BoardKind, BoardSpec, dictionary_size
from calibration.board_detect_image import find_markers, marker_detector, prepared
from calibration.board_detect_layout import Finding, Samples, marker_places, n_in_place
from mocap.core.diagnostics import Diagnostic, Severity

DEVIATION = (-0.08, 0.05)
"""Shares by which a marker may be smaller or larger than described. Its corners are found to half a pixel of 20, and a
little inside: right boards measure 2 to 3 % small."""
MIN_MARKER_PX = 16.0
_MIN_MARKERS = 6
_MIN_MEASURED = 24


def notes_on_print(samples: Samples, finding: Finding) -> list[Diagnostic]:
    """Return findings on a board with markers whose lengths or size contradict its description."""
    board = finding.board
    if not board.has_markers:
        return []
    is_mirrored = {c: finding.n_back[c] > finding.n_front[c] for c in samples}
    seen = list(_markers(samples, board, is_mirrored))
    notes: list[Diagnostic] = []
    if (text := _contradiction(board, seen)) is not None:
        notes.append(Diagnostic("board-lengths-contradict", Severity.QUALITY, text, {"board": board.text}))
    larger = _larger(board)
    if larger is not None and sum(n_in_place(larger, *m) >= n_in_place(board, *m) + 2 > 2 for m in seen) >= 2:
        message = (
            f"The print has more rows than the {board.rows} of {board.text}: only those are used, so its corners count "
            "for less than they could. Give --board with all rows."
        )
        notes.append(Diagnostic("board-has-more-rows", Severity.WARNING, message, {"rows": board.rows}))
    return notes


def lengths_contradict(samples: Samples, board: BoardSpec) -> str | None:
    """Return what is wrong with the lengths of a board whose markers are there, but not as large as described."""
    if not board.has_markers:
        return None
    return _contradiction(board, list(_markers(samples, board, dict.fromkeys(samples, False))))


def _markers(
    samples: Samples, board: BoardSpec, is_mirrored: Mapping[str, bool]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers and corners of the markers in some pictures of each camera that show enough of them."""
    detector = marker_detector(board.dictionary, board.border_bits, is_subpixel=True)
    for camera, grays in samples.items():
        for gray in list(grays)[::3]:
            ids, corners = find_markers(detector, prepared(gray, board.is_inverted, is_mirrored[camera]))
            if len(ids) >= _MIN_MARKERS:
                yield ids, corners


def _contradiction(board: BoardSpec, seen: list[tuple[np.ndarray, np.ndarray]]) -> str | None:
    """Return that markers are of another size against their distances than the board says."""
    sides = np.concatenate([_sides(board, ids, corners) for ids, corners in seen] or [np.zeros(0)])
    if len(sides) < _MIN_MEASURED:
        return None
    share, named = float(np.median(sides)) / board.square_m, board.marker_m / board.square_m
    if DEVIATION[0] <= share / named - 1.0 <= DEVIATION[1]:
        return None
    what = "the distance from one marker to the next" if board.is_grid else "a square's side"
    return (
        f"The markers of the print are about {share:.2f} of {what}, {board.text} says {named:.2f}: one of its two "
        "lengths is wrong, and with it perhaps the scale of everything. Measure both on the print."
    )


def _sides(board: BoardSpec, ids: np.ndarray, corners_px: np.ndarray) -> np.ndarray:
    """Return the side [marker] in metres of the markers, measured by the distances of their middles on the board."""
    import cv2

    places = marker_places(board)
    known = np.array([i for i, n in enumerate(ids) if int(n) in places], np.int64)
    if len(known) < _MIN_MARKERS:
        return np.zeros(0)
    corners = corners_px[known]
    size_px = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).mean(1)
    plane = np.array([places[int(ids[i])].mean(0) for i in known])
    if np.linalg.svd(plane - plane.mean(0), compute_uv=False)[1] < board.square_m:
        return np.zeros(0)
    H, inlier = cv2.findHomography(corners.mean(1), plane, cv2.RANSAC, 0.2 * board.square_m)
    good = np.zeros(len(known), bool) if H is None else inlier.ravel().astype(bool)
    if good.sum() < max(_MIN_MARKERS, 0.7 * len(known)) or not (good & (size_px > MIN_MARKER_PX)).any():
        return np.zeros(0)
    good &= size_px > MIN_MARKER_PX
    on_board = cv2.perspectiveTransform(corners[good].reshape(1, -1, 2), H)[0].reshape(-1, 4, 2)
    return np.linalg.norm(on_board - np.roll(on_board, 1, axis=1), axis=-1).mean(1)


def _larger(board: BoardSpec) -> BoardSpec | None:
    """Return the board with more rows, numbered alike where the dictionary has the numbers."""
    if board.is_legacy or board.is_rows_up:
        return None
    for more in (6, 4, 2):
        made = replace(board, rows=board.rows + more)
        if made.first_id + made.n_markers <= dictionary_size(board.dictionary) and (
            board.kind is not BoardKind.CHARUCO or made.rows <= 60
        ):
            return made
    return None
