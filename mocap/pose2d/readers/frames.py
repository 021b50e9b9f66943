"""A folder with one JSON file per frame: OpenPose (and what imitates it) and MMPose's per-image predictions."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.errors import InputError
from mocap.core.keypoints import N_HAND
from mocap.core.progress import Progress
from mocap.pose2d.readers.mmpose import is_mmpose, people_of
from mocap.pose2d.readers.openpose import openpose_hands, openpose_people
from mocap.pose2d.readers.raw import People, RawKeypoints, broken, load_json, wrong_count

_TICK = 200
"""Files per progress step: a call per file would cost as much as reading it."""


def json_files(folder: Path) -> list[str]:
    """Return the names of the folder's JSON files, sorted."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name.endswith(".json") and not e.name.startswith("."))


def read_frames(folder: Path, names: Sequence[str], progress: Progress) -> RawKeypoints:
    """Return the detections of a folder with one file per frame; the frame's number is the one in its name.

    Raises: InputError keypoints-broken, keypoints-count, keypoints-format-unknown, keypoints-frame-numbers.
    """
    numbers = frame_numbers(folder, names)
    parse: Callable[[Any], People] | None = None
    frame: list[int] = []
    person: list[int] = []
    flat: list[float] = []
    hands: dict[int, list[float]] = {}
    width = 0
    where = ""
    prefix = str(folder) + os.sep
    for i, (name, number) in enumerate(zip(names, numbers, strict=True)):
        if i % _TICK == _TICK - 1:
            progress.advance(_TICK)
        path = prefix + name
        document = load_json(Path(path)) if parse is None else _load_fast(path)
        parse = parse or parser_of(document, Path(path))
        try:
            people = parse(document)
            if parse is openpose_people:
                seen = enumerate(openpose_hands(document, path), len(frame))
                hands |= {instance: both for instance, both in seen if both}
            for p, values in enumerate(people):
                if len(values) != width:
                    if width or len(values) % 3:
                        raise wrong_count(Path(path), number, len(values), width or None)
                    width, where = len(values), path
                flat.extend(values)
                frame.append(number)
                person.append(p)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise broken(Path(path), f"unexpected content ({type(error).__name__}: {error})") from error
    progress.advance(len(names) % _TICK)
    return RawKeypoints(
        np.unique(np.array(numbers, np.int64)),
        np.array(frame, np.int64),
        np.array(person, np.int64),
        _as_array(flat, width, folder, names),
        where=where,
        hands=_hands(hands, len(frame), folder, names),
    )


def _load_fast(path: str) -> Any:
    """Parse a file; `load_json` without the cost of a Path, which is a third of the time per small file."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except (ValueError, RecursionError, OSError):
        return load_json(Path(path))


def _as_array(flat: list[float], width: int, folder: Path, names: Sequence[str]) -> np.ndarray:
    """Return [instance keypoint 3] float32; null counts as missing."""
    try:
        return np.array(flat, np.float32).reshape(-1, max(width, 3) // 3, 3)
    except (TypeError, ValueError) as error:
        raise broken(folder / names[0], f"a value in this or a later file is not a number ({error})") from error


def _hands(seen: dict[int, list[float]], n: int, folder: Path, names: Sequence[str]) -> np.ndarray | None:
    """Return the hands of `n` instances [instance keypoint 3], zeros where they were not seen; None without any."""
    if not seen:
        return None
    out = np.zeros((n, 2 * N_HAND, 3), np.float32)
    flat = [v for both in seen.values() for v in both]
    out[list(seen)] = _as_array(flat, 3 * 2 * N_HAND, folder, names)
    return out


def parser_of(document: Any, path: Path) -> Callable[[Any], People]:
    """Return the function that takes the people out of a document like this one."""
    if isinstance(document, dict) and "people" in document:
        return openpose_people
    if is_mmpose(document):
        return people_of
    raise InputError(
        "keypoints-format-unknown",
        f"{path}: neither OpenPose (`people`) nor MMPose (`keypoints`, `keypoint_scores`) JSON of one frame.",
        "Give OpenPose-style JSON, one file per frame, or another of the supported formats.",
    )


def frame_numbers(folder: Path, names: Sequence[str]) -> list[int]:
    """Return each file's frame number: of the number fields in its name, the last one that counts frames.

    Raises: InputError keypoints-frame-numbers when names have no number or two files claim one frame.
    """
    fields = [re.findall(r"\d+", name.removesuffix(".json")) for name in names]
    n_fields = {len(f) for f in fields}
    if n_fields == {0} and len(names) == 1:
        return [0]
    if len(n_fields) == 1:
        # `pose_000012_2d.json`: the last field is not the one that counts.
        for i in reversed(range(n_fields.pop())):
            numbers = [int(f[i]) for f in fields]
            if len(set(numbers)) == len(numbers):
                return numbers
    elif 0 not in n_fields:
        numbers = [int(f[-1]) for f in fields]
        if len(set(numbers)) == len(numbers):
            return numbers
    raise InputError(
        "keypoints-frame-numbers",
        f"{folder}: the frame numbers of {len(names)} files cannot be read off their names "
        f"(first {names[0]}, last {names[-1]}): expected one number that differs in every file.",
        "Name the files like cam01_000000.json, cam01_000001.json.",
    )
