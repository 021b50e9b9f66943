"""OpenPose-style JSON: what other programs read 2D keypoints from (OpenPose documentation, "Output format")."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mocap.core.errors import InputError
from mocap.core.progress import NoProgress, Progress, track
from mocap.core.publish import disk_error
from mocap.pose2d.detections import CameraDetections


def write_openpose(
    folder: Path,
    detections: Mapping[str, CameraDetections],
    *,
    replace_existing: bool = False,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write `<camera>_json/<camera>_000000.json` for every camera and frame; return each camera's folder.

    As OpenPose does, a keypoint that was not found is 0, 0, 0, and a frame without people has an empty list. The person
    ids are this camera's tracks. A camera's folder appears whole or not at all.

    Raises: InputError output-exists (unless `replace_existing`); SetupError output-not-writable, output-full.
    """
    targets = check_targets(folder, detections, replace_existing)
    progress = progress or NoProgress()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for camera in track(detections, progress, "Writing JSON", len(detections)):
            _publish(targets[camera], camera, detections[camera])
    except OSError as error:
        raise disk_error(error, folder) from error
    return targets


def check_targets(folder: Path, cameras: Iterable[str], replace_existing: bool) -> dict[str, Path]:
    """Return each camera's folder. Raises InputError output-exists when one has files that may not be replaced."""
    targets = {camera: folder / f"{camera}_json" for camera in cameras}
    taken = [str(t) for t in targets.values() if t.exists() and (not t.is_dir() or any(t.iterdir()))]
    if taken and not replace_existing:
        raise InputError(
            "output-exists",
            f"There are files already at {', '.join(taken)}.",
            "Choose another output folder, or allow replacing them with --overwrite.",
        )
    return targets


def frame_json(detections: CameraDetections, frame: int) -> dict[str, object]:
    """Return one frame as OpenPose's JSON object."""
    people = []
    for p in range(detections.n_persons):
        xy, score = detections.xy_px[frame, p], detections.score[frame, p]
        if not np.isfinite(xy).any():
            continue
        rows = np.where(np.isfinite(xy).all(-1)[:, None], np.column_stack([xy, score]), 0.0)
        people.append({"person_id": [p], "pose_keypoints_2d": [round(float(v), 4) for v in rows.ravel()]})
    return {"version": 1.3, "people": people}


def _publish(target: Path, camera: str, detections: CameraDetections) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for frame in range(detections.n_frames):
            text = json.dumps(frame_json(detections, frame))
            (temporary / f"{camera}_{frame:06d}.json").write_text(text, encoding="utf-8")
        temporary.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            os.replace(target, old / target.name)
            os.replace(temporary, target)
            shutil.rmtree(old)
        else:
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
