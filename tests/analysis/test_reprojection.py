"""Solved keypoints in the pictures of the cameras."""

from __future__ import annotations

import cv2
import numpy as np

from mocap.analysis.reprojection import project_world, residuals_px
from mocap.core.camera import Camera, Intrinsics, LensModel


def test_projection_agrees_with_opencv(new_camera):
    camera = new_camera("a", (3.0, 1.0, 1.4))
    points = np.random.default_rng(3).uniform([-1, -1, 0], [1, 1, 2], (11, 3))
    rvec, _ = cv2.Rodrigues(camera.R_cam_from_world)
    lens = camera.intrinsics
    expected, _ = cv2.projectPoints(points, rvec, camera.t_cam_from_world_m, lens.matrix, lens.distortion)
    assert np.allclose(project_world(camera, points), expected[:, 0], atol=1e-6)


def test_points_beyond_the_turn_of_the_distortion_are_not_folded_into_the_picture():
    lens = Intrinsics((1280, 720), np.full(2, 700.0), np.array([639.5, 359.5]), np.array([-0.3, 0.0, 0, 0, 0]))
    camera = Camera("a", lens, np.eye(3), np.zeros(3))
    turn = np.sqrt(1 / 0.9)  # 1 - 3 * 0.3 r^2 = 0
    near, far = project_world(camera, np.array([[0.9 * turn, 0, 1], [1.6 * turn, 0, 1]]))
    assert np.isfinite(near).all()
    assert np.isnan(far).all()


def test_a_fisheye_keeps_wide_angles_and_drops_what_is_behind():
    lens = Intrinsics((1280, 720), np.full(2, 400.0), np.array([639.5, 359.5]), np.zeros(4), LensModel.FISHEYE)
    camera = Camera("a", lens, np.eye(3), np.zeros(3))
    wide, behind = project_world(camera, np.array([[5.0, 0, 1], [0, 0, -1.0]]))
    assert np.allclose(wide, [639.5 + 400 * np.arctan(5.0), 359.5])
    assert np.isnan(behind).all()


def test_cameras_between_master_frames_are_compared_at_their_own_instants(new_take):
    # Wrists move at 2 m/s here: rounding to the nearest master frame would be wrong by several pixels.
    take = new_take(n_frames=23, camera_delay_s=0.0037)
    residual = residuals_px(take, take.keypoints)
    inner = (take.detections.time_s > take.keypoints.time_s[2]) & (take.detections.time_s < take.keypoints.time_s[-3])
    assert np.nanmax(residual[inner]) < 0.1


def test_frames_outside_the_timeline_have_no_residual(new_take):
    take = new_take(n_frames=7, camera_delay_s=0.01)
    late = take.detections.time_s > take.keypoints.time_s[-1] + 1e-6
    assert late.any()
    assert np.isnan(residuals_px(take, take.keypoints)[late]).all()


def test_the_virtual_shoot_reprojects_onto_its_own_pixels(shoot):
    take, _ = shoot
    residual = residuals_px(take, take.keypoints)
    assert np.nanmedian(residual) < 0.01
    assert np.nanmax(residual) < 0.5
