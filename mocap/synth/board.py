"""A flat board carried through a rig's volume, as corner detectors would report it, with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix

MIN_FACING = 0.34
"""Cosine of the steepest view of the board that a detector still reads."""
MIN_VISIBLE = 6
OUTLIER_PX = (5.0, 60.0)


@dataclass(frozen=True, eq=False)
class BoardShoot:
    """Detections of a board and where it truly was. Axes: camera frame corner."""

    xy_px: np.ndarray
    """[camera frame corner 2]; NaN where not seen."""
    R_world_from_board: np.ndarray
    """[frame 3 3]"""
    t_world_from_board_m: np.ndarray
    """[frame 3] place of the board's origin."""
    is_outlier: np.ndarray
    """[camera frame corner] bool."""


def shoot_board(
    rig: CameraRig,
    corners_m: np.ndarray,
    n_frames: int,
    rng: np.random.Generator,
    *,
    noise_px: float = 0.35,
    outlier_share: float = 0.02,
    radius_m: float = 1.5,
    is_two_sided: bool = False,
) -> BoardShoot:
    """Return the board turned and carried about the origin: every frame elsewhere, facing outwards and tilted.

    corners_m [corner 3] in the board's frame (z into the board). Cameras see its printed side unless `is_two_sided`.
    """
    R, t = _path(corners_m, n_frames, rng, radius_m)
    world = np.einsum("fij,nj->fni", R, corners_m) + t[:, None]
    middle = world.mean(1)
    xy = np.full((len(rig), *world.shape[:2], 2), np.nan)
    for c, camera in enumerate(rig.cameras):
        lens = camera.intrinsics
        cam = world @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        pixels = project(cam, lens.focal_px, lens.center_px, lens.distortion)
        size = np.array(lens.size_px)
        with np.errstate(invalid="ignore"):
            inside = ((pixels > 4) & (pixels < size - 5)).all(-1)
        sight = middle - camera.center_world_m
        facing = (sight * R[:, :, 2]).sum(-1) / np.linalg.norm(sight, axis=-1)
        facing = np.abs(facing) if is_two_sided else facing
        seen = inside & (facing > MIN_FACING)[:, None]
        seen &= seen.sum(1, keepdims=True) >= MIN_VISIBLE
        xy[c] = np.where(seen[..., None], pixels + noise_px * rng.standard_normal(pixels.shape), np.nan)
    is_outlier = np.isfinite(xy).all(-1) & (rng.random(xy.shape[:-1]) < outlier_share)
    angle = rng.uniform(0, 2 * np.pi, xy.shape[:-1])
    jump = np.stack([np.cos(angle), np.sin(angle)], -1) * rng.uniform(*OUTLIER_PX, (*xy.shape[:-1], 1))
    return BoardShoot(np.where(is_outlier[..., None], xy + jump, xy), R, t, is_outlier)


def _path(
    corners_m: np.ndarray, n_frames: int, rng: np.random.Generator, radius_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return R [frame 3 3], t [frame 3]: z (into the board) points inwards, x down the side, tilted up to 40 deg."""
    azimuth = rng.uniform(0, 2 * np.pi, n_frames)
    into = np.stack([-np.cos(azimuth), -np.sin(azimuth), np.zeros(n_frames)], -1)
    down = np.tile([0.0, 0.0, -1.0], (n_frames, 1))
    base = np.stack([np.cross(down, into), down, into], -1)
    tilt = rng.standard_normal((n_frames, 3))
    tilt *= np.deg2rad(rng.uniform(0, 40, (n_frames, 1))) / np.linalg.norm(tilt, axis=-1, keepdims=True)
    R = base @ quat_to_matrix(quat_exp(tilt))
    place = rng.uniform(0, 2 * np.pi, n_frames)
    distance = radius_m * np.sqrt(rng.random(n_frames))
    center = np.stack([distance * np.cos(place), distance * np.sin(place), rng.uniform(0.5, 2.0, n_frames)], -1)
    return R, center - R @ corners_m.mean(0)
