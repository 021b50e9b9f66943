"""MMPose's predictions as JSON: one list of instances per image, or all frames of a video in one file.

Layouts (MMPose 1.x, `MMPoseInferencer` with `pred_out_dir` and the demo scripts with `--save-predictions`):
`[{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]` per image (sometimes nested in one more list);
`[{"frame_id": n, "instances": [...]}, ...]` per video; `{"meta_info": {...}, "instance_info": [the same]}`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mocap.pose2d.readers.raw import People, RawKeypoints, broken, collect


def is_mmpose(document: Any) -> bool:
    """Say whether a parsed file is one image's or one video's predictions of MMPose."""
    if isinstance(document, dict):
        return "instance_info" in document or "keypoint_scores" in document
    if not isinstance(document, list):
        return False
    first = document[0] if document else None
    if isinstance(first, list):
        return not first or is_mmpose(first)
    return first is None or (isinstance(first, dict) and ("keypoint_scores" in first or "instances" in first))


def people_of(instances: Any) -> People:
    """Return the people of one image."""
    if isinstance(instances, dict):
        instances = [instances]
    if instances and isinstance(instances[0], list):
        instances = instances[0]
    people: list[list[float]] = []
    for instance in instances:
        scores = instance["keypoint_scores"]
        points = instance["keypoints"]
        if len(points) != len(scores):
            raise ValueError(f"{len(points)} keypoints with {len(scores)} scores")
        people.append([v for (x, y, *_), s in zip(points, scores, strict=True) for v in (x, y, s)])
    return people


def read_video(document: Any, path: Path) -> RawKeypoints:
    """Return the detections of a file with all frames of one camera. Raises InputError keypoints-broken."""
    names: tuple[str, ...] = ()
    try:
        if isinstance(document, dict):
            names = _names(document.get("meta_info", {}))
            document = document["instance_info"]
        frames = [(int(entry["frame_id"]), people_of(entry["instances"])) for entry in document]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, f"unexpected content ({type(error).__name__}: {error})") from error
    return collect(frames, path, names)


def _names(meta: Any) -> tuple[str, ...]:
    """Return the keypoint names of a `meta_info`, () when it has none."""
    table = meta.get("keypoint_id2name") or {}
    return tuple(table[str(i)] for i in range(len(table))) if all(str(i) in table for i in range(len(table))) else ()
