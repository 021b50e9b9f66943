"""Synthetic camera rigs."""

from __future__ import annotations

import numpy as np

from mocap.core.camera import N_DISTORTION, Camera, CameraRig, Intrinsics, LensModel

TYPICAL_DISTORTION = {
    LensModel.BROWN: np.array([-0.11, 0.06, 0.0008, -0.0005, -0.012]),
    LensModel.FISHEYE: np.array([0.045, -0.012, 0.006, -0.0015]),
}
"""Coefficients of the size that action cameras and phones have."""
WORLD_UP = np.array([0.0, 0.0, 1.0])


def look_at(center_world_m: np.ndarray, target_world_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R_cam_from_world [3 3] and t_cam_from_world_m [3] of an upright camera at a place, aimed at a target."""
    forward = np.asarray(target_world_m, np.float64) - center_world_m
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, WORLD_UP)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return R, -R @ np.asarray(center_world_m, np.float64)


def ring_rig(
    n_cameras: int,
    rng: np.random.Generator,
    *,
    radius_m: float = 4.0,
    height_m: float = 1.7,
    size_px: tuple[int, int] = (1280, 720),
    model: LensModel = LensModel.BROWN,
    distortion_scale: float = 1.0,
) -> CameraRig:
    """Return cameras `cam1`, `cam2`, ... on an uneven ring around the origin, aimed at chest height.

    No two cameras share their lens, height or distance, so mixing them up shows. `distortion_scale` 0 gives pure
    pinholes (or an equidistant fisheye).
    """
    cameras = []
    for c in range(n_cameras):
        azimuth = 2 * np.pi * (c + rng.uniform(-0.2, 0.2)) / n_cameras
        distance_m = radius_m * rng.uniform(0.9, 1.1)
        center_m = np.array(
            [distance_m * np.cos(azimuth), distance_m * np.sin(azimuth), height_m * rng.uniform(0.7, 1.3)]
        )
        R, t = look_at(center_m, np.array([*rng.uniform(-0.15, 0.15, 2), 0.95]))
        cameras.append(Camera(f"cam{c + 1}", _lens(size_px, model, distortion_scale, rng), R, t))
    return CameraRig(tuple(cameras))


def _lens(size_px: tuple[int, int], model: LensModel, scale: float, rng: np.random.Generator) -> Intrinsics:
    width_px, height_px = size_px
    focal_px = 0.72 * width_px * rng.uniform(0.95, 1.05)
    return Intrinsics(
        size_px=size_px,
        focal_px=np.array([focal_px, focal_px * rng.uniform(0.998, 1.002)]),
        center_px=np.array([width_px, height_px]) / 2 + rng.uniform(-6.0, 6.0, 2),
        distortion=scale * TYPICAL_DISTORTION[model] * rng.uniform(0.8, 1.2, N_DISTORTION[model]),
        model=model,
    )
