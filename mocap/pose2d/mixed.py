"""Cameras whose detections have different keypoint sets, brought to one set by the landmarks they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import KeypointSet
from mocap.pose2d.detections import CameraDetections

MIN_COMMON = 4
"""Landmarks that a camera must share with the common set: fewer say nothing about a body."""


def common_set(sets: Mapping[str, KeypointSet]) -> KeypointSet:
    """Return the set, of those in use by camera, with most landmarks that two cameras have; else with most landmarks.

    A keypoint that only one camera has cannot be triangulated, so a richer set of a single camera gains nothing.
    """
    used: dict[tuple[str, ...], list[KeypointSet]] = {}
    for keypoint_set in sets.values():
        used.setdefault(keypoint_set.names, []).append(keypoint_set)
    shared = [same for same in used.values() if len(same) > 1] or list(used.values())
    return max(shared, key=lambda same: (sum(map(bool, same[0].landmarks)), len(same)))[0]


def in_common_set(
    detections: Mapping[str, CameraDetections],
) -> tuple[dict[str, CameraDetections], list[Diagnostic]]:
    """Return all cameras' detections in one set, and what had to be left out for it.

    Keypoints are the same where their landmark is; those without a landmark are dropped unless the sets are the same,
    and what a camera's set lacks is missing there. Raises InputError `keypoint-sets-differ` when a camera shares fewer
    than MIN_COMMON landmarks.
    """
    target = common_set({camera: d.keypoint_set for camera, d in detections.items()})
    others = {c: d.keypoint_set for c, d in detections.items() if d.keypoint_set.names != target.names}
    if not others:
        return dict(detections), []
    out = {c: _in_set(c, d, target) if c in others else d for c, d in detections.items()}
    listing = ", ".join(f"{c}: {s.name} ({_n_common(s, target)} in common)" for c, s in others.items())
    message = (
        f"The cameras have different keypoint sets; all are read as {target.name}, by landmark ({listing}). "
        "Models place a landmark differently by a centimetre or two, most at the hips."
    )
    data = {"keypoint_set": target.name, "cameras": {c: s.name for c, s in others.items()}}
    return out, [Diagnostic("keypoint-sets-mixed", Severity.WARNING, message, data)]


def _n_common(own: KeypointSet, target: KeypointSet) -> int:
    return len({n for n in own.landmarks if n} & set(target.landmarks))


def _in_set(camera: str, detections: CameraDetections, target: KeypointSet) -> CameraDetections:
    own = detections.keypoint_set
    if _n_common(own, target) < MIN_COMMON:
        raise InputError(
            "keypoint-sets-differ",
            f"{camera}: its keypoints ({own.name}: {', '.join(own.names)}) share fewer than {MIN_COMMON} landmarks "
            f"with those of the other cameras ({target.name}).",
            "Detect every camera with the same model.",
        )
    shape = (*detections.xy_px.shape[:2], len(target))
    xy_px, score = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    for k, landmark in enumerate(target.landmarks):
        at = own.index(landmark) if landmark else None
        if at is not None:
            xy_px[:, :, k], score[:, :, k] = detections.xy_px[:, :, at], detections.score[:, :, at]
    return replace(detections, keypoint_set=target, xy_px=xy_px, score=score)
