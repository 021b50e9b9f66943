# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From calibrated cameras to Blender's: lens, shift, pixel aspect, footage distortion and timing. Needs NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene_file import SceneCamera

SENSOR_WIDTH_MM = 36.0
MAX_LATE_FRAMES = 0.75
"""A constant frame offset is kept while footage and scene are no further apart (half a frame is unavoidable)."""


@dataclass(frozen=True)
class BlenderLens:
    """Settings of a Blender camera with sensor fit 'HORIZONTAL', and of the render that it needs."""

    lens_mm: float
    shift_x: float
    shift_y: float
    pixel_aspect_x: float
    pixel_aspect_y: float


@dataclass(frozen=True)
class ClipLens:
    """Brown distortion as a movie clip has it (k1..k4, p1, p2 with y up), and how well it says what the camera does."""

    k: tuple[float, float, float, float]
    p: tuple[float, float]
    residual_px: float


@dataclass(frozen=True)
class FootageSync:
    """Which frame of the footage belongs to which frame of the take."""

    offset: int
    """Footage frame minus take frame (both from 0), constant part."""
    change: np.ndarray
    """[frame] what to add to `offset`; all zero unless rates or clocks differ."""
    residual_s: float
    """Largest time between a frame of the take and the footage frame shown for it."""


def blender_lens(camera: SceneCamera) -> BlenderLens:
    """Return the settings with which Blender projects as the undistorted camera does.

    Blender's image plane is continuous with the corner of the corner pixel at 0, ours has pixel centres at whole
    numbers: hence the half pixel. Blender has one focal length; fy differs from fx through the pixel aspect
    (fx / fy = aspect_y / aspect_x).
    """
    (width, height), (fx, fy), (cx, cy) = camera.size_px, camera.focal_px, camera.center_px
    ratio = fx / fy
    return BlenderLens(
        lens_mm=fx * SENSOR_WIDTH_MM / width,
        shift_x=(width / 2 - (cx + 0.5)) / width,
        shift_y=((cy + 0.5) - height / 2) * ratio / width,
        pixel_aspect_x=max(1.0, 1.0 / ratio),
        pixel_aspect_y=max(1.0, ratio),
    )


def distort(camera: SceneCamera, xy: np.ndarray) -> np.ndarray:
    """Return distorted normalised coordinates [... 2] (OpenCV's Brown-Conrady and fisheye models)."""
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    if camera.model == "brown":
        k1, k2, p1, p2, k3 = camera.distortion
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )
    return xy * _fisheye_scale(camera.distortion, np.sqrt(r2))[..., None]


def _fisheye_scale(distortion: np.ndarray, r: np.ndarray) -> np.ndarray:
    theta = np.arctan(r)
    t2 = theta * theta
    k1, k2, k3, k4 = distortion
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) / np.maximum(r, 1e-12)


def _grid(camera: SceneCamera) -> np.ndarray:
    """Return normalised pinhole coordinates [n 2] over the image."""
    (width, height), (fx, fy), (cx, cy) = camera.size_px, camera.focal_px, camera.center_px
    u, v = np.meshgrid(np.linspace(0, width - 1, 25), np.linspace(0, height - 1, 25))
    return np.stack([(u.ravel() - cx) / fx, (v.ravel() - cy) / fy], -1)


def departure_px(camera: SceneCamera) -> float:
    """Return the largest distance over the image between the pinhole and the real lens."""
    xy = _grid(camera)
    return float(np.linalg.norm((distort(camera, xy) - xy) * camera.focal_px, axis=-1).max())


def clip_lens(camera: SceneCamera) -> ClipLens:
    """Return the movie clip's Brown coefficients.

    Brown lenses are exact: Blender's p1, p2 are OpenCV's p2 and, as its y axis points up, -p1. A fisheye is
    approximated by the radial polynomial k1..k4 that fits it best over the image; `residual_px` says how well.
    """
    if camera.model == "brown":
        k1, k2, p1, p2, k3 = (float(v) for v in camera.distortion)
        return ClipLens((k1, k2, k3, 0.0), (p2, -p1), 0.0)
    xy = _grid(camera)
    r = np.linalg.norm(xy, axis=-1)
    powers = np.stack([r ** (2 * n) for n in (1, 2, 3, 4)], -1)
    target = _fisheye_scale(camera.distortion, r) - 1
    k = np.linalg.lstsq(powers * r[:, None], target * r, rcond=None)[0]
    error = (powers @ k - target)[:, None] * xy * camera.focal_px
    return ClipLens(tuple(float(v) for v in k), (0.0, 0.0), float(np.linalg.norm(error, axis=-1).max()))


def footage_sync(camera: SceneCamera, fps: float, start_s: float, n_frames: int) -> FootageSync | None:
    """Return the frame offset of the footage, or None when the times of fewer than two of its frames are known."""
    n = len(camera.time_s)
    if n < 2:
        return None
    index = np.arange(n, dtype=np.float64)
    rate, at_zero = np.polyfit(camera.time_s - camera.time_s[0], index, 1)
    master_s = start_s + np.arange(n_frames) / fps
    inside = np.interp(master_s, camera.time_s, index)
    # Before and after the known frames the footage goes on at its own mean rate.
    outside = (master_s < camera.time_s[0]) | (master_s > camera.time_s[-1])
    wanted = np.where(outside, at_zero + rate * (master_s - camera.time_s[0]), inside)
    apart = wanted - np.arange(n_frames)
    offset = int(np.round(np.median(apart)))
    change = np.zeros(n_frames, np.int64)
    if np.abs(apart - offset).max() > MAX_LATE_FRAMES:
        change = np.round(apart).astype(np.int64) - offset
    return FootageSync(offset, change, float(np.abs(apart - offset - change).max() / rate))
