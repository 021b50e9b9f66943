"""Solved keypoints in the pictures of the cameras, at each camera's own instants."""

from __future__ import annotations

import numpy as np

from mocap.analysis.sampling import sample_at
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.keypoints import Keypoints2D, Points3D
from mocap.core.take import SolvedTake
from mocap.kernels.projection import MIN_DEPTH, project


def project_world(camera: Camera, points_world_m: np.ndarray) -> np.ndarray:
    """Return distorted pixels [... 2] of world points [... 3] in `camera`; NaN behind it or outside the lens model."""
    lens = camera.intrinsics
    points_cam = points_world_m @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    xy_px = project(points_cam, lens.focal_px, lens.center_px, lens.distortion)
    depth_m = np.where(points_cam[..., 2] > MIN_DEPTH, points_cam[..., 2], np.nan)
    radius = np.linalg.norm(points_cam[..., :2], axis=-1) / depth_m
    # Beyond the radius where a distortion polynomial turns round it folds points from outside back into the picture.
    return np.where((radius <= _largest_radius(lens))[..., None], xy_px, np.nan)


def _largest_radius(lens: Intrinsics) -> float:
    """Return the undistorted radius (x/z) up to which the lens model grows; infinity when it never turns round."""
    if lens.model is LensModel.BROWN:
        k1, k2, _, _, k3 = lens.distortion
        coefficients = [7 * k3, 5 * k2, 3 * k1, 1.0]
    else:
        k1, k2, k3, k4 = lens.distortion
        coefficients = [9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0]
    roots = np.roots(coefficients)
    turns = np.sqrt(roots.real[(np.abs(roots.imag) < 1e-12) & (roots.real > 0)])
    if len(turns) == 0:
        return float("inf")
    first = float(turns.min())
    if lens.model is LensModel.BROWN:
        return first
    return float(np.tan(first)) if first < np.pi / 2 else float("inf")


def reprojections(take: SolvedTake, points: Points3D) -> np.ndarray:
    """Return [camera frame keypoint 2] pixels of `points` in every camera of the detections at its own frame times."""
    return _reprojections(take.rig, take.detections, points)


def residuals_px(take: SolvedTake, points: Points3D) -> np.ndarray:
    """Return [camera frame keypoint] distances between detections and reprojected `points`; NaN where either lacks."""
    return detection_residuals_px(take.rig, take.detections, points)


def detection_residuals_px(rig: CameraRig, detections: Keypoints2D, points: Points3D) -> np.ndarray:
    """Return [camera frame keypoint] what `residuals_px` does, of one person's detections before there is a take."""
    return np.linalg.norm(_reprojections(rig, detections, points) - detections.xy_px[:, :, 0], axis=-1)


def _reprojections(rig: CameraRig, detections: Keypoints2D, points: Points3D) -> np.ndarray:
    out = np.full((detections.n_cameras, detections.n_frames, len(detections.keypoint_set), 2), np.nan)
    for c, name in enumerate(detections.camera_names):
        if name in rig.names:
            xyz_m = sample_at(points.time_s, points.xyz_m, detections.time_s[c])
            out[c] = project_world(rig[name], xyz_m)
    return out
