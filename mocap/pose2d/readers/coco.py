"""One JSON file per camera: AlphaPose, COCO result lists and COCO annotation files.

AlphaPose default and COCO results: a list of `{"image_id", "keypoints": [x, y, score, ...]}`. AlphaPose
`--format open`: `{image: {"people": [...]}}`, `--format cmu`: `{image: {"bodies": [{"joints": [...]}]}}`. COCO
annotations: `{"images", "annotations", "categories"}` with visibility 0, 1, 2 in the third place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mocap.core.errors import InputError
from mocap.pose2d.readers.frames import frame_numbers
from mocap.pose2d.readers.openpose import openpose_people
from mocap.pose2d.readers.raw import RawKeypoints, broken, collect

_VISIBILITY = {0: 0.0, 1: 0.5, 2: 1.0}
"""COCO: 0 not labelled, 1 labelled but hidden, 2 seen; as a score."""


_EXPORT_HASH = re.compile(r"\.rf\.[0-9a-zA-Z]+$")
"""Roboflow's exports end each image name with a hash, whose digits count nothing."""


def is_coco(document: Any) -> bool:
    """Say whether a parsed file is one of the layouts above."""
    if isinstance(document, list):
        return bool(document) and isinstance(document[0], dict) and {"image_id", "keypoints"} <= document[0].keys()
    if not isinstance(document, dict) or not document:
        return False
    first = next(iter(document.values()))
    return {"images", "annotations"} <= document.keys() or (isinstance(first, dict) and _people_key(first) is not None)


def read_coco(document: Any, path: Path) -> RawKeypoints:
    """Return the detections of one camera.

    Raises: InputError keypoints-broken, keypoints-count, keypoints-frame-numbers.
    """
    try:
        if isinstance(document, list):
            number_of = _numbers([e["image_id"] for e in document], path)
            return collect(_by_frame((number_of[e["image_id"]], e["keypoints"]) for e in document), path)
        if "annotations" in document:
            return _annotations(document, path)
        number_of = _numbers(list(document), path)
        frames = [(number_of[image], _bodies(entry)) for image, entry in document.items()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, f"unexpected content ({type(error).__name__}: {error})") from error
    return collect(frames, path)


def _people_key(entry: dict[str, Any]) -> str | None:
    return next((k for k in ("people", "bodies") if k in entry), None)


def _bodies(entry: dict[str, Any]) -> list[list[float]]:
    if "people" in entry:
        return [list(p) for p in openpose_people(entry)]
    return [body["joints"] for body in entry["bodies"]]


def _numbers(images: Iterable[Any], path: Path) -> dict[Any, int]:
    """Return the frame number of each image id or file name.

    Raises: InputError keypoints-frame-numbers when names have no number or two images claim one frame.
    """
    different = list(dict.fromkeys(images))
    if all(isinstance(image, int) for image in different):
        return {image: image for image in different}
    stems = [_EXPORT_HASH.sub("", PurePath(str(image)).stem) for image in different]
    if bare := [stem for stem in stems if not re.search(r"\d", stem)]:
        raise ValueError(f"no frame number in image name {bare[0]!r}")
    return dict(zip(different, frame_numbers(path, stems), strict=True))


def _by_frame(instances: Iterable[tuple[int, list[float]]]) -> list[tuple[int, list[list[float]]]]:
    frames: dict[int, list[list[float]]] = {}
    for number, flat in instances:
        frames.setdefault(number, []).append(flat)
    return list(frames.items())


def _annotations(document: dict[str, Any], path: Path) -> RawKeypoints:
    images = {e["id"]: e.get("file_name", e["id"]) for e in document["images"]}
    if len(set(images.values())) < len(images):
        raise InputError(
            "keypoints-frame-numbers", f"{path}: two images have one name.", "Give each frame's image its own name."
        )
    number_of = _numbers(images.values(), path)
    numbers = {i: number_of[name] for i, name in images.items()}
    frames: dict[int, list[list[float]]] = {number: [] for number in numbers.values()}
    people: dict[int, list[int | None]] = {number: [] for number in numbers.values()}
    for entry in document["annotations"]:
        flat = list(entry["keypoints"])
        # Scores and tracks are what this program adds to the format.
        flat[2::3] = entry.get("keypoint_scores") or [_VISIBILITY.get(v, v) for v in flat[2::3]]
        frames[numbers[entry["image_id"]]].append(flat)
        people[numbers[entry["image_id"]]].append(entry.get("person"))
    categories = document.get("categories") or [{}]
    raw = collect(frames.items(), path, tuple(categories[0].get("keypoints", ())))
    tracks = [p for of_frame in people.values() for p in of_frame]
    return replace(raw, person=np.array(tracks, np.int64)) if tracks and None not in tracks else raw
