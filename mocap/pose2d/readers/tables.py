"""One CSV file per camera: DeepLabCut and SLEAP.

DeepLabCut: header rows `scorer`, `individuals` (several animals only), `bodyparts`, `coords` (x, y, likelihood), then
one row per frame. SLEAP analysis CSV: columns `track, frame_idx, instance.score, NODE.x, NODE.y, NODE.score, ...`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from mocap.core.errors import InputError
from mocap.pose2d.readers.raw import RawKeypoints, broken, last_number

COORDINATES = ("x", "y", "likelihood")
"""Of each body part in DeepLabCut's tables, in this order."""
MAX_TRACKS = 20
"""More tracks than this are fragments: people are then numbered within each frame."""


def read_table(path: Path) -> RawKeypoints:
    """Return the detections of one camera. Raises InputError keypoints-broken, keypoints-frame-numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise broken(path, str(error)) from error
    if not rows:
        raise broken(path, "the file is empty")
    try:
        if rows[0][0] == "scorer":
            return _deeplabcut(rows, path)
        if "frame_idx" in rows[0]:
            return _sleap(rows, path)
    except (ValueError, IndexError, KeyError) as error:
        raise broken(path, f"unexpected content ({error})") from error
    raise broken(path, "expected a DeepLabCut (first cell `scorer`) or SLEAP (column `frame_idx`) table")


def _value(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _deeplabcut(rows: list[list[str]], path: Path) -> RawKeypoints:
    n_header = [row[0] for row in rows].index("coords") + 1
    head = {row[0]: row for row in rows[:n_header]}
    used = [i for i, c in enumerate(head["coords"]) if c in COORDINATES]
    individuals = head.get("individuals", [""] * len(head["coords"]))
    columns = [(individuals[i], head["bodyparts"][i], head["coords"][i]) for i in used]
    table = np.array([[_value(row[i]) for i in used] for row in rows[n_header:]], np.float32)
    numbers = np.array([_row_number(row[used[0] - 1]) for row in rows[n_header:]], np.int64)
    if len(np.unique(numbers)) < len(numbers):
        twice = next(n for n in numbers.tolist() if (numbers == n).sum() > 1)
        raise InputError(
            "keypoints-frame-numbers",
            f"{path}: two rows claim frame {twice}.",
            "Leave one row per frame, numbered in its first column.",
        )
    return deeplabcut_points(columns, numbers, table, path)


def _row_number(cell: str) -> int:
    """Return a row's frame: a whole number, one that a table program wrote as `10.0`, or the last of an image name."""
    try:
        return int(float(cell))
    except ValueError:
        number = last_number(PurePath(cell).stem)
        if number is None:
            raise ValueError("a row has no frame number") from None
        return number


def deeplabcut_points(
    columns: Sequence[tuple[str, str, str]], frame: np.ndarray, table: np.ndarray, path: Path
) -> RawKeypoints:
    """Return the detections of a table [row column] whose columns are (individual, body part, coordinate).

    Raises ValueError when a body part lacks x, y or likelihood.
    """
    if len(columns) % 3 or any(
        tuple(c[2] for c in columns[i : i + 3]) != COORDINATES for i in range(0, len(columns), 3)
    ):
        raise ValueError("expected columns x, y, likelihood for each body part")
    parts = [(individual, name) for individual, name, _ in columns[::3]]
    people = list(dict.fromkeys(who for who, _ in parts if who != "single"))
    names = tuple(name for who, name in parts if who == people[0])
    of_person = [[k for k, (w, _) in enumerate(parts) if w == who] for who in people]
    values = np.stack([table.reshape(len(table), -1, 3)[:, index] for index in of_person], 1).astype(np.float32)
    n, p, k = values.shape[:3]
    return RawKeypoints(
        np.unique(frame), np.repeat(frame, p), np.tile(np.arange(p), n), values.reshape(n * p, k, 3), names, str(path)
    )


def _sleap(rows: list[list[str]], path: Path) -> RawKeypoints:
    head = rows[0]
    names = tuple(c.removesuffix(".x") for c in head if c.endswith(".x"))
    columns = [head.index(f"{name}.{part}") for name in names for part in ("x", "y", "score")]
    at = head.index("frame_idx")
    track_at = head.index("track") if "track" in head else at
    frame = np.array([int(float(row[at])) for row in rows[1:]], np.int64)
    values = np.array([[_value(row[i]) for i in columns] for row in rows[1:]], np.float32)
    tracks = list(dict.fromkeys(row[track_at] for row in rows[1:]))
    named = all(tracks) and len(tracks) <= MAX_TRACKS
    person = np.array([tracks.index(row[track_at]) for row in rows[1:]], np.int64) if named else order_in_frame(frame)
    return RawKeypoints(np.unique(frame), frame, person, values.reshape(len(frame), -1, 3), names, str(path))


def order_in_frame(frame: np.ndarray) -> np.ndarray:
    """[instance] place of each instance among those of its frame."""
    seen: dict[int, int] = {}
    return np.array([seen.update({f: seen.get(f, -1) + 1}) or seen[f] for f in frame.tolist()], np.int64)
