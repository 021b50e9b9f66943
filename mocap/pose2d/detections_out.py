"""Detections as one file per camera: COCO annotations, and arrays for NumPy that keep everything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mocap.core.coco import SEEN, UNLABELLED, CocoView, coco_document
from mocap.core.errors import InputError
from mocap.core.jsontext import dumps, write_text
from mocap.core.publish import published_set
from mocap.pose2d.detections import CameraDetections

SUFFIXES = {"coco": ".coco.json", "npz": ".npz"}


def check_files(folder: Path, cameras: Mapping[str, object], kind: str, replace_existing: bool) -> dict[str, Path]:
    """Return each camera's file. Raises InputError output-exists when one is there that may not be replaced."""
    files = {camera: folder / f"{camera}{SUFFIXES[kind]}" for camera in cameras}
    taken = [str(f) for f in files.values() if f.exists()]
    if taken and not replace_existing:
        raise InputError(
            "output-exists",
            f"There are files already at {', '.join(taken)}.",
            "Choose another output folder, or allow replacing them with --overwrite.",
        )
    return files


def write_files(folder: Path, detections: Mapping[str, CameraDetections], kind: str) -> dict[str, Path]:
    """Write `<camera>.coco.json` or `<camera>.npz` for every camera, all or none, and return the files.

    The archive holds `keypoint_set`, `names`, `xy_px` [frame person keypoint 2] (NaN where not detected), `score`
    [frame person keypoint], `time_s` [frame] on the camera's clock, and `size_px`. Raises SetupError
    output-not-writable, output-full.
    """
    with published_set(folder) as staging:
        for camera, d in detections.items():
            file = staging / f"{camera}{SUFFIXES[kind]}"
            if kind == "coco":
                visibility = np.where(d.score > 0, SEEN, UNLABELLED)
                view = CocoView(camera, d.size_px, d.xy_px, d.score, visibility)
                write_text(file, dumps(coco_document(d.keypoint_set, [view]), indent=None))
            else:
                np.savez(
                    file,
                    keypoint_set=d.keypoint_set.name,
                    names=np.array(d.keypoint_set.names),
                    xy_px=d.xy_px,
                    score=d.score,
                    time_s=d.time_s,
                    size_px=np.array(d.size_px),
                )
    return {camera: folder / f"{camera}{SUFFIXES[kind]}" for camera in detections}
