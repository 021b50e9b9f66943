"""Central differences check every Jacobian of the reprojection residual."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.residuals import reprojection
from mocap.core.camera import Intrinsics, LensModel
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix

LENSES = {
    LensModel.BROWN: np.array([-0.21, 0.09, 0.002, -0.003, 0.017]),
    LensModel.FISHEYE: np.array([0.04, -0.02, 0.006, -0.001]),
}


@pytest.mark.parametrize("model", list(LensModel))
def test_jacobians_agree_with_central_differences(model: LensModel) -> None:
    rng = np.random.default_rng(5)
    lens = Intrinsics((1920, 1080), np.array([940.0, 951.0]), np.array([955.0, 533.0]), LENSES[model], model)
    R, t = quat_to_matrix(quat_exp(np.array([0.3, -0.8, 0.5]))), np.array([0.2, -0.1, 4.0])
    points = rng.uniform(-1.5, 1.5, (11, 3))

    def residual(w: np.ndarray, v: np.ndarray, shift: np.ndarray) -> np.ndarray:
        turn = quat_to_matrix(quat_exp(w))
        cam = ((points + shift) @ R.T + t) @ turn.T + v
        return project(cam, lens.focal_px, lens.center_px, lens.distortion)

    r, to_pose, to_point = reprojection(points, np.zeros((11, 2)), lens, R, t)
    np.testing.assert_allclose(r, residual(np.zeros(3), np.zeros(3), np.zeros(3)), atol=1e-9)
    step = 1e-6
    for k in range(3):
        e = step * np.eye(3)[k]
        zero = np.zeros(3)
        for analytic, plus, minus in (
            (to_pose[..., k], residual(e, zero, zero), residual(-e, zero, zero)),
            (to_pose[..., 3 + k], residual(zero, e, zero), residual(zero, -e, zero)),
            (to_point[..., k], residual(zero, zero, e), residual(zero, zero, -e)),
        ):
            np.testing.assert_allclose(analytic, (plus - minus) / (2 * step), rtol=1e-5, atol=1e-3)


def test_a_point_behind_the_camera_is_nan_not_a_wrong_number() -> None:
    lens = Intrinsics((640, 480), np.array([500.0, 500.0]), np.array([320.0, 240.0]), np.zeros(5))
    r, to_pose, _ = reprojection(np.array([[0.0, 0.0, -1.0]]), np.zeros((1, 2)), lens, np.eye(3), np.zeros(3))
    assert np.isnan(r).all()
    assert np.isnan(to_pose[..., 3]).all()
