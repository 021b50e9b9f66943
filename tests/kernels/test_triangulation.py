"""Linear triangulation: exact on clean data, equivariant, and honest about what it cannot know."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.kernels.triangulation import triangulate_dlt
from mocap.synth.rig import ring_rig

N_FRAMES, N_KEYPOINTS = 7, 11


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(1))


def extrinsics(rig: CameraRig) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([c.R_cam_from_world for c in rig.cameras]), np.stack([c.t_cam_from_world_m for c in rig.cameras])


def scene(rig: CameraRig, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points [frame keypoint 3], normalised rays [camera frame keypoint 2] and weights."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1, -1, 0], [1, 1, 2], (N_FRAMES, N_KEYPOINTS, 3))
    R, t = extrinsics(rig)
    in_camera = np.einsum("cij,fkj->cfki", R, points) + t[:, None, None]
    return points, in_camera[..., :2] / in_camera[..., 2:], rng.uniform(0.2, 1.0, in_camera.shape[:-1])


def test_clean_rays_meet_in_the_true_point(rig: CameraRig) -> None:
    points, rays, weight = scene(rig, 1)
    np.testing.assert_allclose(triangulate_dlt(rays, weight, *extrinsics(rig)), points, atol=1e-9)


def test_two_views_agree_with_opencv_on_clean_rays(rig: CameraRig) -> None:
    _, rays, weight = scene(rig, 2)
    R, t = extrinsics(rig)
    P = np.concatenate([R, t[..., None]], -1)
    flat = rays[:2].reshape(2, -1, 2)
    homogeneous = cv2.triangulatePoints(P[0], P[1], flat[0].T, flat[1].T)
    expected = (homogeneous[:3] / homogeneous[3]).T.reshape(N_FRAMES, N_KEYPOINTS, 3)
    np.testing.assert_allclose(triangulate_dlt(rays[:2], weight[:2], R[:2], t[:2]), expected, atol=1e-7)


def test_one_view_or_none_is_nan_and_others_are_not_disturbed(rig: CameraRig) -> None:
    points, rays, weight = scene(rig, 3)
    rays[1:, 2, 3] = np.nan
    weight[:, 4, 5] = 0.0
    result = triangulate_dlt(rays, weight, *extrinsics(rig))
    unknown = np.zeros((N_FRAMES, N_KEYPOINTS), bool)
    unknown[2, 3] = unknown[4, 5] = True
    np.testing.assert_array_equal(np.isnan(result).all(-1), unknown)
    np.testing.assert_allclose(result[~unknown], points[~unknown], atol=1e-9)


def test_missing_weights_leave_observations_out(rig: CameraRig) -> None:
    points, rays, weight = scene(rig, 4)
    rays[0] += 0.5
    weight[0] = np.nan
    np.testing.assert_allclose(triangulate_dlt(rays, weight, *extrinsics(rig)), points, atol=1e-9)


def test_nothing_seen_gives_nothing(rig: CameraRig) -> None:
    _, rays, weight = scene(rig, 5)
    assert np.isnan(triangulate_dlt(np.full_like(rays, np.nan), weight, *extrinsics(rig))).all()


def test_parallel_rays_are_nan_instead_of_a_point_far_away() -> None:
    R = np.tile(np.eye(3), (2, 1, 1))
    t = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    rays = np.zeros((2, 1, 2))
    assert np.isnan(triangulate_dlt(rays, np.ones((2, 1)), R, t)).all()


def test_the_order_of_cameras_does_not_matter(rig: CameraRig) -> None:
    _, rays, weight = scene(rig, 6)
    rays += 0.003 * np.random.default_rng(7).standard_normal(rays.shape)
    R, t = extrinsics(rig)
    order = [3, 0, 4, 2, 1]
    np.testing.assert_allclose(
        triangulate_dlt(rays[order], weight[order], R[order], t[order]), triangulate_dlt(rays, weight, R, t), atol=1e-9
    )


def test_moving_world_and_cameras_together_moves_the_points(rig: CameraRig) -> None:
    points, rays, weight = scene(rig, 8)
    rays += 0.003 * np.random.default_rng(9).standard_normal(rays.shape)
    R, t = extrinsics(rig)
    turn = cv2.Rodrigues(np.array([0.3, -0.8, 0.5]))[0]
    shift = np.array([2.0, -1.0, 0.5])
    before = triangulate_dlt(rays, weight, R, t)
    R2 = R @ turn.T
    after = triangulate_dlt(rays, weight, R2, t - R2 @ shift)
    np.testing.assert_allclose(after, before @ turn.T + shift, atol=1e-9)
    assert np.linalg.norm(before - points, axis=-1).max() > 1e-4  # noisy on purpose


def test_a_heavier_view_pulls_the_point_towards_its_ray(rig: CameraRig) -> None:
    points, rays, _ = scene(rig, 10)
    R, t = extrinsics(rig)
    rays[0] += 0.01

    def distance_to_ray_0(weight_0: float) -> float:
        weight = np.ones(rays.shape[:-1])
        weight[0] = weight_0
        in_camera = triangulate_dlt(rays, weight, R, t) @ R[0].T + t[0]
        return float(np.abs(in_camera[..., :2] / in_camera[..., 2:] - rays[0]).mean())

    assert distance_to_ray_0(3.0) < 0.5 * distance_to_ray_0(0.3)
    assert points.shape == (N_FRAMES, N_KEYPOINTS, 3)
