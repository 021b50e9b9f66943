"""What imperfect 2D detectors would report of synthetic performers, with the truth of every fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mocap.core.camera import Camera, CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.timeline import TimeMap
from mocap.kernels.projection import project
from mocap.synth.performer import Performer


@dataclass(frozen=True)
class Faults:
    """How bad the detections are. Shares are fractions in 0..1."""

    noise_px: float = 2.0
    """1 standard deviation per axis of every detection."""
    outlier_share: float = 0.0
    """Keypoints that land 40 to 200 px away."""
    dropout_share: float = 0.0
    """Keypoints that are missing."""
    swap_share: float = 0.0
    """Frames of a camera in which left and right of a person are exchanged, in runs of a few frames."""


@dataclass(frozen=True, eq=False)
class SyntheticDetections:
    """Detections with their truth. Axes: camera frame person keypoint."""

    keypoints: Keypoints2D
    true_xy_px: np.ndarray
    """[camera frame person keypoint 2] exact projections, outside the picture too; NaN behind the camera."""
    is_outlier: np.ndarray
    """[camera frame person keypoint] bool."""
    is_dropped: np.ndarray
    """[camera frame person keypoint] bool; keypoints outside the picture are missing but not dropped."""
    is_swapped: np.ndarray
    """[camera frame person] bool."""


def project_points(camera: Camera, points_world: np.ndarray) -> np.ndarray:
    """Return distorted pixels [... 2] of world points [... 3]; NaN behind the camera."""
    points_cam = points_world @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    lens = camera.intrinsics
    return project(points_cam, lens.focal_px, lens.center_px, lens.distortion)


def detect(
    performers: Sequence[Performer],
    rig: CameraRig,
    fps: Fraction,
    n_frames: int,
    rng: np.random.Generator,
    *,
    faults: Faults | None = None,
    time_maps: Mapping[str, TimeMap] | None = None,
) -> SyntheticDetections:
    """Return detections of all performers, of one keypoint set; person k of every camera is `performers[k]`.

    Frame k of a camera is at k / fps on its own clock; `time_maps` places that clock in master time (default: in
    step), and the performers are seen where they are at that instant.
    """
    faults = faults or Faults()
    keypoint_set = performers[0].keypoint_set
    maps = time_maps or {}
    camera_time_s = np.arange(n_frames) / float(fps)
    time_s = np.stack([maps.get(name, TimeMap()).master_time_s(camera_time_s) for name in rig.names])
    true_xy = np.stack(
        [
            np.stack([project_points(camera, p.points(time_s[c])) for p in performers], axis=1)
            for c, camera in enumerate(rig.cameras)
        ]
    )
    shape = true_xy.shape[:-1]
    xy = true_xy + faults.noise_px * rng.standard_normal(true_xy.shape)
    is_outlier = rng.random(shape) < faults.outlier_share
    angle = rng.uniform(0, 2 * np.pi, shape)
    away_px = rng.uniform(40, 200, shape)[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    xy = np.where(is_outlier[..., None], xy + away_px, xy)
    is_swapped = _runs(shape[:3], faults.swap_share, rng)
    mirror = list(keypoint_set.mirror)
    xy = np.where(is_swapped[..., None, None], xy[..., mirror, :], xy)
    is_outlier = np.where(is_swapped[..., None], is_outlier[..., mirror], is_outlier)
    is_dropped = rng.random(shape) < faults.dropout_share
    score = np.where(is_outlier, rng.uniform(0.3, 0.8, shape), np.clip(rng.normal(0.85, 0.07, shape), 0.4, 1.0))
    missing = is_dropped | ~_inside(xy, rig)
    keypoints = Keypoints2D(
        keypoint_set, rig.names, np.where(missing[..., None], np.nan, xy), np.where(missing, 0.0, score), time_s
    )
    return SyntheticDetections(keypoints, true_xy, is_outlier & ~missing, is_dropped, is_swapped)


def _inside(xy_px: np.ndarray, rig: CameraRig) -> np.ndarray:
    """Return whether pixels [camera frame person keypoint 2] lie in the picture; NaN does not."""
    size_px = np.array([camera.intrinsics.size_px for camera in rig.cameras])[:, None, None, None]
    inside: np.ndarray = (xy_px > -0.5) & (xy_px < size_px - 0.5)
    return inside[..., 0] & inside[..., 1]


def _runs(shape: tuple[int, ...], share: float, rng: np.random.Generator, length: int = 5) -> np.ndarray:
    """Return flags [camera frame person] set in runs of `length` frames that cover about `share` of all frames."""
    starts = rng.random(shape) < share / length
    flags = starts.copy()
    for shift in range(1, length):
        flags[:, shift:] |= starts[:, :-shift]
    return flags
