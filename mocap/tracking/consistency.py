"""Do detections in different views show one person? Rays, how near they pass each other, and points from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.camera import CameraRig
from mocap.kernels.projection import undistort
from mocap.kernels.triangulation import triangulate_dlt
from mocap.tracking.tracklets import masked_median

MISS_LIMIT = 0.12
"""Rays of one person pass within this share of the person's height; half a degree of staleness is a third of it."""
MISS_SCALE = 0.06
MISS_CAP = 0.6
MIN_ANGLE_SIN = 0.1
"""Rays that are nearly parallel say nothing about each other's distance."""
MIN_COMMON = 4
HEIGHT_RANGE_M = (0.5, 3.0)
SIZE_PENALTY = 0.12
"""Miss that one unit of log ratio between the heights seen by two views counts as."""
RAY_SCALE = 0.015
"""Scale of the robust triangulation: tangent of the angle between a ray and its point."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Detections at some instants. Axes: camera sample person keypoint."""

    xy_normalised: np.ndarray
    """[camera sample person keypoint 2] undistorted x/z, y/z; NaN where not seen."""
    size_normalised: np.ndarray
    """[camera sample person] person size over focal length."""
    label: np.ndarray
    """[camera sample person] tracklet, -1 for none."""


def normalised(xy_px: np.ndarray, rig: CameraRig) -> np.ndarray:
    """Return undistorted x/z, y/z of pixels [camera ... 2]."""
    out = np.full(xy_px.shape, np.nan)
    for c, camera in enumerate(rig.cameras):
        k = camera.intrinsics
        seen = np.isfinite(xy_px[c]).all(-1)
        out[c][seen] = undistort(xy_px[c][seen].astype(np.float64), k.focal_px, k.center_px, k.distortion)
    return out


def evidence(sampled: Sampled, rig: CameraRig, n_tracklets: int) -> np.ndarray:
    """Return [tracklet tracklet] summed evidence that two tracklets of different views are one person.

    Per sample between -2 (surely not) and 1; 0 where nothing can be said. For every pair of views the rays of each
    keypoint are intersected; the median miss, in person heights, and the difference of the heights that the two views
    give decide. Cost: quadratic in cameras, linear in samples.
    """
    total = np.zeros((n_tracklets, n_tracklets))
    for i in range(len(rig)):
        for j in range(i + 1, len(rig)):
            value = _pair(sampled, rig, i, j)
            a = np.broadcast_to(sampled.label[i][:, :, None], value.shape)
            b = np.broadcast_to(sampled.label[j][:, None, :], value.shape)
            on = (a >= 0) & (b >= 0) & np.isfinite(value)
            np.add.at(total, (a[on], b[on]), value[on])
    return total + total.T


def _pair(sampled: Sampled, rig: CameraRig, i: int, j: int) -> np.ndarray:
    """Return the evidence [sample person_i person_j] between two views; NaN where nothing can be said."""
    u, v = (_rays(sampled.xy_normalised[c], rig, c) for c in (i, j))
    u, v = u[:, :, None], v[:, None, :]
    base = rig.cameras[j].center_world_m - rig.cameras[i].center_world_m
    normal = np.cross(u, v)
    sin = np.linalg.norm(normal, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        miss = np.abs(normal @ base) / sin
        cos = (u * v).sum(-1)
        depth_i = (u @ base - cos * (v @ base)) / sin**2
        depth_j = (cos * (u @ base) - v @ base) / sin**2
    informative = np.isfinite(miss) & (sin > MIN_ANGLE_SIN)
    ahead = (depth_i > 0.2) & (depth_j > 0.2)
    n = informative.sum(-1)
    depth = [masked_median(np.where(informative, d, np.nan), n) for d in (depth_i, depth_j)]
    height_i = np.maximum(depth[0], 0.0) * sampled.size_normalised[i][:, :, None]
    height_j = np.maximum(depth[1], 0.0) * sampled.size_normalised[j][:, None, :]
    height = np.clip(0.5 * (height_i + height_j), *HEIGHT_RANGE_M)
    share = np.where(ahead, np.minimum(miss / height[..., None], MISS_CAP), MISS_CAP)
    median = masked_median(np.where(informative, share, np.nan), n)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(np.log(np.maximum(height_i, 0.05) / np.maximum(height_j, 0.05)))
    value = np.clip((MISS_LIMIT - median - SIZE_PENALTY * np.maximum(ratio - 0.15, 0.0)) / MISS_SCALE, -2.0, 1.0)
    low, high = HEIGHT_RANGE_M
    absurd = (np.minimum(height_i, height_j) < low) | (np.maximum(height_i, height_j) > high)
    return np.where(n >= MIN_COMMON, np.where(absurd, -2.0, value), np.nan)


def _rays(xy: np.ndarray, rig: CameraRig, c: int) -> np.ndarray:
    """Return unit directions in the world [... 3] of normalised coordinates [... 2]."""
    rays = np.concatenate([xy, np.ones((*xy.shape[:-1], 1))], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return rays @ rig.cameras[c].R_cam_from_world


def triangulate(xy_normalised: np.ndarray, rig: CameraRig, n_iterations: int = 3) -> np.ndarray:
    """Return points [... 3] from views [camera ... 2], re-weighted so that a view that disagrees counts little.

    Weights are Cauchy's on the distance between ray and point in the normalised plane; NaN with fewer than two views.
    """
    R = np.stack([c.R_cam_from_world for c in rig.cameras])
    t = np.stack([c.t_cam_from_world_m for c in rig.cameras])
    weight = np.asarray(np.isfinite(xy_normalised).all(-1), np.float64)
    points = triangulate_dlt(xy_normalised, weight, R, t)
    for _ in range(n_iterations):
        off = deviation(points, xy_normalised, rig)
        weight = np.asarray(np.where(np.isfinite(off), 1.0 / np.sqrt(1.0 + (off / RAY_SCALE) ** 2), 0.0))
        points = triangulate_dlt(xy_normalised, weight, R, t)
    return points


def deviation(points_world: np.ndarray, xy_normalised: np.ndarray, rig: CameraRig) -> np.ndarray:
    """Return how far [camera ...] points [... 3] are from views [camera ... 2] in normalised planes; inf if behind."""
    out = np.empty(xy_normalised.shape[:-1])
    for c, camera in enumerate(rig.cameras):
        cam = points_world @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        z = cam[..., 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.linalg.norm(cam[..., :2] / z[..., None] - xy_normalised[c], axis=-1)
        out[c] = np.where(z <= 0.05, np.where(np.isfinite(xy_normalised[c, ..., 0]), np.inf, np.nan), off)
    return out
