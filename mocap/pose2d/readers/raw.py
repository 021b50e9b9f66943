"""What a reader of 2D keypoint files returns, and how it says that a file is broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.errors import InputError

People = Sequence[Sequence[float]]
"""One flat list x0 y0 score0 x1 y1 score1 ... per person."""


@dataclass(frozen=True, eq=False)
class RawKeypoints:
    """One camera's detections as its files have them: a list of instances, frames by their own numbers."""

    frame_numbers: np.ndarray
    """[present] int64 numbers of all frames that the files hold, with or without people; sorted, unique."""
    frame: np.ndarray
    """[instance] int64 frame number of each instance."""
    person: np.ndarray
    """[instance] int64 place of the instance among its frame's people."""
    xys: np.ndarray
    """[instance keypoint 3] float32 x, y in pixels and score; missing as the file writes it."""
    names: tuple[str, ...] = ()
    """Keypoint names where the file gives them."""
    where: str = ""
    """A file that shows the keypoint count, for messages."""
    time_s: np.ndarray | None = None
    """[present] the camera's clock at `frame_numbers` where the file gives it; else the frame rate does."""
    hands: np.ndarray | None = None
    """[instance keypoint 3] float32 as `xys`, the left hand's 21 points and the right one's, where the files hold hands
    apart from the body; None where no hand was seen."""


def is_missing(xys: np.ndarray) -> np.ndarray:
    """[instance keypoint] whether nothing was detected: not finite, score 0 or less, or the coordinates 0, 0."""
    with np.errstate(invalid="ignore"):
        return ~np.isfinite(xys).all(-1) | ~(xys[..., 2] > 0) | (xys[..., :2] == 0).all(-1)


def broken(path: Path, reason: str) -> InputError:
    """Return the error for a file that cannot be understood."""
    return InputError(
        "keypoints-broken",
        f"{path}: not readable as 2D keypoints: {reason}.",
        "Write this file again with the program that made it, or remove it if the frame is not needed.",
    )


def load_json(path: Path) -> Any:
    """Return the parsed file. Raises InputError keypoints-broken."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise broken(path, "the file is empty" if path.stat().st_size == 0 else f"broken JSON ({error})") from error
    except OSError as error:
        raise broken(path, str(error.strerror or error)) from error


def last_number(text: str) -> int | None:
    """Return the last whole number in a name, or None: `cam01_000123.json` -> 123."""
    found = re.findall(r"\d+", text)
    return int(found[-1]) if found else None


def collect(frames: Iterable[tuple[int, People]], path: Path, names: tuple[str, ...] = ()) -> RawKeypoints:
    """Return the instances of a file that holds all frames of a camera.

    Raises: InputError keypoints-count when instances differ in length, keypoints-broken when a value is no number.
    """
    numbers: list[int] = []
    frame: list[int] = []
    person: list[int] = []
    rows: list[Sequence[float]] = []
    for number, people in frames:
        numbers.append(number)
        for p, flat in enumerate(people):
            if len(flat) % 3 or (rows and len(flat) != len(rows[0])):
                raise wrong_count(path, number, len(flat), len(rows[0]) if rows else None)
            frame.append(number)
            person.append(p)
            rows.append(flat)
    try:
        values = np.array(rows, np.float32).reshape(len(rows), -1, 3) if rows else np.zeros((0, 0, 3), np.float32)
    except (TypeError, ValueError) as error:
        raise broken(path, f"a keypoint value is not a number ({error})") from error
    return RawKeypoints(
        np.unique(np.array(numbers, np.int64)),
        np.array(frame, np.int64),
        np.array(person, np.int64),
        values,
        names,
        str(path),
    )


def wrong_count(path: Path, number: int, got: int, expected: int | None) -> InputError:
    """Return the error for a person with another number of values than the people before."""
    want = f"{expected // 3} keypoints as before ({expected} values)" if expected else "x, y and score per keypoint"
    return InputError(
        "keypoints-count",
        f"{path}, frame {number}: expected {want}, got {got} values ({got / 3:g} keypoints).",
        "Give files of one program and one model; detect again the frames that differ.",
    )
