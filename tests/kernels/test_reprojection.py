"""Reprojection residuals and normal equations against central differences, and their degenerate cases."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.reprojection import normal_equations, residuals_px, robust_terms, unpack_symmetric
from mocap.kernels.robust import geman_mcclure
from mocap.kernels.rotations import quat_exp, quat_to_matrix

N_CAMERAS, N_FRAMES, N_KEYPOINTS = 5, 7, 11


@pytest.fixture
def scene() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    shape = (N_CAMERAS, N_FRAMES, N_KEYPOINTS)
    return {
        "points": rng.normal(scale=0.5, size=shape[1:] + (3,)),
        "xy": rng.normal(scale=0.2, size=(*shape, 2)),
        "px_per_unit": rng.uniform(700, 1100, shape),
        "R": quat_to_matrix(quat_exp(rng.normal(scale=0.3, size=(N_CAMERAS, 3)))),
        "t": rng.normal(scale=0.3, size=(N_CAMERAS, 3)) + [0.0, 0.0, 5.0],
        "weight": rng.uniform(0.1, 2.0, shape),
    }


def _cost(s: dict[str, np.ndarray], points: np.ndarray) -> np.ndarray:
    residual = residuals_px(points, s["xy"], s["px_per_unit"], s["R"], s["t"])
    return 0.5 * (s["weight"] * (residual**2).sum(-1)).sum(0)


def test_the_gradient_agrees_with_central_differences(scene: dict[str, np.ndarray]) -> None:
    _, gradient = normal_equations(
        scene["points"], scene["xy"], scene["px_per_unit"], scene["weight"], scene["R"], scene["t"]
    )
    h = 1e-6
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = h
        numeric = (_cost(scene, scene["points"] + step) - _cost(scene, scene["points"] - step)) / (2 * h)
        assert gradient.sum(0)[..., axis] == pytest.approx(numeric, rel=1e-5, abs=1e-2)


def test_the_information_is_the_hessian_where_residuals_vanish(scene: dict[str, np.ndarray]) -> None:
    cam = np.einsum("cij,fkj->cfki", scene["R"], scene["points"]) + scene["t"][:, None, None]
    scene["xy"] = cam[..., :2] / cam[..., 2:]
    information, gradient = normal_equations(
        scene["points"], scene["xy"], scene["px_per_unit"], scene["weight"], scene["R"], scene["t"]
    )
    assert gradient == pytest.approx(np.zeros_like(gradient), abs=1e-6)
    step = 1e-4 * np.array([0.3, -0.5, 0.8])
    predicted = 0.5 * step @ unpack_symmetric(information.sum(0)) @ step
    assert predicted == pytest.approx(_cost(scene, scene["points"] + step), rel=1e-2)


def test_unseen_and_behind_the_camera_are_nan_and_weigh_nothing(scene: dict[str, np.ndarray]) -> None:
    scene["px_per_unit"][0, :, 2] = 0.0
    scene["points"][:, 3] = -scene["R"][1].T @ scene["t"][1] - 2.0 * scene["R"][1][2]  # two metres behind camera 1
    residual = residuals_px(scene["points"], scene["xy"], scene["px_per_unit"], scene["R"], scene["t"])
    assert np.isnan(residual[0, :, 2]).all()
    assert np.isnan(residual[1, :, 3]).all()
    information, _ = normal_equations(
        scene["points"], scene["xy"], scene["px_per_unit"], scene["weight"], scene["R"], scene["t"]
    )
    assert (information[1, :, 3] == 0).all()


def test_robust_terms_are_normal_equations_with_robust_weights(scene: dict[str, np.ndarray]) -> None:
    px_per_unit, points = scene["px_per_unit"], scene["points"]
    px_per_unit[0, 2, 3] = 0.0  # unseen
    points[4, 5] = scene["R"][0].T @ ([0.0, 0.0, -1.0] - scene["t"][0])  # behind the first camera
    sigma = np.random.default_rng(8).uniform(2.0, 60.0, px_per_unit.shape)
    residual = residuals_px(points, scene["xy"], px_per_unit, scene["R"], scene["t"])
    squared = (residual**2).sum(-1) / sigma**2
    weight = np.where(np.isfinite(squared), geman_mcclure(np.nan_to_num(squared), 12.0), 0.0)
    expected = normal_equations(points, scene["xy"], px_per_unit, weight / sigma**2, scene["R"], scene["t"])
    assert weight[N_CAMERAS - 1, 2, 3] > 0
    for c in range(N_CAMERAS):
        of_camera = (scene["xy"][c], px_per_unit[c], sigma[c])
        information, gradient, found = robust_terms(points, *of_camera, 12.0, scene["R"][c], scene["t"][c])
        assert found == pytest.approx(weight[c], abs=1e-12)
        assert np.moveaxis(information, 0, -1) == pytest.approx(expected[0][c], rel=1e-9, abs=1e-9)
        assert np.moveaxis(gradient, 0, -1) == pytest.approx(expected[1][c], rel=1e-9, abs=1e-9)
    assert weight[0, 2, 3] == weight[0, 4, 5] == 0.0
