"""Bringing the cameras' detections together on master time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.timeline import TimeMap
from mocap.pose2d.detections import CameraDetections


def assemble(detections: Mapping[str, CameraDetections], time_maps: Mapping[str, TimeMap]) -> Keypoints2D:
    """Return all cameras' detections as one array, cameras in the order of `detections`.

    Nothing is resampled: frame f of a camera stays its own frame f, with its own master time. Cameras with fewer
    frames or persons than others are padded with NaN (score 0, time NaN). A camera without a time map keeps its clock.

    Raises: InputError keypoint-sets-differ, no-detections.
    """
    if not detections:
        raise InputError("no-detections", "There are no 2D detections of any camera.", "Give at least one camera.")
    sets = {name: d.keypoint_set.name for name, d in detections.items()}
    if len(set(sets.values())) > 1:
        listing = ", ".join(f"{camera}: {name}" for camera, name in sets.items())
        raise InputError(
            "keypoint-sets-differ",
            f"All cameras must have the same keypoint set, got {listing}.",
            "Detect every camera with the same model.",
        )
    keypoint_set = next(iter(detections.values())).keypoint_set
    n_frames = max(d.n_frames for d in detections.values())
    n_persons = max([1, *(d.n_persons for d in detections.values())])
    shape = (len(detections), n_frames, n_persons, len(keypoint_set))
    xy_px = np.full((*shape, 2), np.nan, np.float32)
    score = np.zeros(shape, np.float32)
    time_s = np.full(shape[:2], np.nan)
    for c, (name, camera) in enumerate(detections.items()):
        xy_px[c, : camera.n_frames, : camera.n_persons] = camera.xy_px
        score[c, : camera.n_frames, : camera.n_persons] = camera.score
        time_s[c, : camera.n_frames] = time_maps.get(name, TimeMap()).master_time_s(camera.time_s)
    return Keypoints2D(keypoint_set, tuple(detections), xy_px, score, time_s)
