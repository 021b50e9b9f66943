"""Projection against OpenCV, and undistortion as its inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocap.kernels.projection import distort, project, undistort

FOCAL_PX = np.array([913.0, 907.0])
CENTER_PX = np.array([641.5, 355.25])
BROWN = np.array([-0.12, 0.07, 0.0011, -0.0007, -0.015])
FISHEYE = np.array([0.045, -0.012, 0.006, -0.0015])
NONE = np.zeros(5)
MATRIX = np.array([[FOCAL_PX[0], 0, CENTER_PX[0]], [0, FOCAL_PX[1], CENTER_PX[1]], [0, 0, 1.0]])


def points_in_view(n: int, seed: int, spread: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    depth_m = rng.uniform(0.5, 8.0, n)
    return np.column_stack([rng.uniform(-spread, spread, (n, 2)) * depth_m[:, None], depth_m])


def test_brown_projection_agrees_with_opencv() -> None:
    points = points_in_view(53, 1)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), MATRIX, BROWN)
    np.testing.assert_allclose(project(points, FOCAL_PX, CENTER_PX, BROWN), expected[:, 0], atol=1e-8)


def test_fisheye_projection_agrees_with_opencv() -> None:
    points = points_in_view(53, 2, spread=3.0)
    expected, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), MATRIX, FISHEYE)
    np.testing.assert_allclose(project(points, FOCAL_PX, CENTER_PX, FISHEYE), expected[:, 0], atol=1e-8)


@pytest.mark.parametrize("distortion", [NONE, BROWN, FISHEYE], ids=["pinhole", "brown", "fisheye"])
def test_undistortion_undoes_projection(distortion: np.ndarray) -> None:
    points = points_in_view(101, 3)
    pixels = project(points, FOCAL_PX, CENTER_PX, distortion)
    np.testing.assert_allclose(
        undistort(pixels, FOCAL_PX, CENTER_PX, distortion), points[:, :2] / points[:, 2:], atol=1e-9
    )


@given(st.floats(-1.4, 1.4), st.floats(0, 2 * np.pi))
def test_a_fisheye_is_inverted_up_to_eighty_degrees(angle_rad: float, azimuth_rad: float) -> None:
    xy = np.tan(angle_rad) * np.array([[np.cos(azimuth_rad), np.sin(azimuth_rad)]])
    pixels = distort(xy, FISHEYE) * FOCAL_PX + CENTER_PX
    back = undistort(pixels, FOCAL_PX, CENTER_PX, FISHEYE)
    np.testing.assert_allclose(np.arctan(back), np.arctan(xy), atol=1e-7)


def test_a_point_behind_the_camera_has_no_pixel() -> None:
    points = np.array([[0.1, 0.2, -3.0], [0.0, 0.0, 0.0], [0.1, 0.2, 3.0]])
    visible = np.isfinite(project(points, FOCAL_PX, CENTER_PX, BROWN)).all(-1)
    np.testing.assert_array_equal(visible, [False, False, True])


def test_missing_pixels_stay_missing_and_do_not_disturb_others() -> None:
    pixels = project(points_in_view(7, 4), FOCAL_PX, CENTER_PX, BROWN)
    expected = undistort(pixels, FOCAL_PX, CENTER_PX, BROWN)
    pixels[3] = np.nan
    result = undistort(pixels, FOCAL_PX, CENTER_PX, BROWN)
    assert np.isnan(result[3]).all()
    np.testing.assert_array_equal(np.delete(result, 3, 0), np.delete(expected, 3, 0))


def test_all_missing_pixels_come_back_missing() -> None:
    assert np.isnan(undistort(np.full((5, 7, 2), np.nan), FOCAL_PX, CENTER_PX, BROWN)).all()


def test_a_pixel_outside_the_lens_model_is_nan_and_never_a_wrong_direction() -> None:
    # With strong barrel distortion the model folds back: no direction projects this far out.
    barrel = np.array([-0.3, 0.0, 0.0, 0.0, 0.0])
    far = CENTER_PX + np.array([[2.0, 0.0]]) * FOCAL_PX
    assert np.isnan(undistort(far, FOCAL_PX, CENTER_PX, barrel)).all()


def test_projection_is_the_same_for_a_point_twice_as_far() -> None:
    points = points_in_view(7, 6)
    np.testing.assert_allclose(
        project(points, FOCAL_PX, CENTER_PX, BROWN), project(2 * points, FOCAL_PX, CENTER_PX, BROWN), atol=1e-10
    )


def test_leading_axes_are_kept() -> None:
    points = points_in_view(5 * 7 * 11, 7).reshape(5, 7, 11, 3)
    pixels = project(points, FOCAL_PX, CENTER_PX, FISHEYE)
    assert pixels.shape == (5, 7, 11, 2)
    assert undistort(pixels, FOCAL_PX, CENTER_PX, FISHEYE).shape == (5, 7, 11, 2)
