"""Derivatives of reprojection by the cameras' own unknowns, against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.camera_terms import DRIFT, N_UNKNOWNS, OFFSET, SHIFT, TURN, camera_jacobian, camera_terms
from mocap.kernels.robust import geman_mcclure
from mocap.kernels.rotations import quat_exp, quat_to_matrix

N_FRAMES, N_KEYPOINTS = 7, 11
H = 1e-6


class _Scene:
    """Points on straight paths before one camera."""

    def __init__(self) -> None:
        rng = np.random.default_rng(71)
        shape = (N_FRAMES, N_KEYPOINTS)
        self.points = rng.normal(scale=0.5, size=(*shape, 3))
        self.velocity = rng.normal(scale=2.0, size=(*shape, 3))
        self.time_s = np.linspace(-3.0, 4.0, N_FRAMES)
        self.px_per_unit = rng.uniform(700, 1100, shape)
        self.sigma_px = rng.uniform(1.0, 4.0, shape)
        self.R = quat_to_matrix(quat_exp(np.array([0.3, -0.2, 0.1])))
        self.t = np.array([0.2, -0.1, 5.0])
        self.xy = self.projected(np.zeros(N_UNKNOWNS)) + rng.normal(scale=0.004, size=(*shape, 2))

    def projected(self, unknowns: np.ndarray) -> np.ndarray:
        later_s = unknowns[OFFSET] + unknowns[DRIFT] * self.time_s
        points = self.points + self.velocity * later_s[:, None, None]
        turn = quat_to_matrix(quat_exp(unknowns[TURN]))
        cam = (points @ self.R.T + self.t) @ turn.T + unknowns[SHIFT]
        return cam[..., :2] / cam[..., 2:]

    def cost(self, unknowns: np.ndarray) -> float:
        off = (self.projected(unknowns) - self.xy) * (self.px_per_unit / self.sigma_px)[..., None]
        weight = geman_mcclure(
            ((self.projected(np.zeros(N_UNKNOWNS)) - self.xy) ** 2).sum(-1) * (self.px_per_unit / self.sigma_px) ** 2,
            12.0,
        )
        return float(0.5 * (weight * (off**2).sum(-1)).sum())

    def geometry(self) -> tuple[np.ndarray, np.ndarray]:
        return self.R, self.t


def test_the_jacobian_agrees_with_central_differences() -> None:
    s = _Scene()
    xy, by_point, by_camera = camera_jacobian(s.points, s.velocity, s.time_s, s.px_per_unit, *s.geometry())
    assert xy == pytest.approx(s.projected(np.zeros(N_UNKNOWNS)), abs=1e-12)
    for n in range(N_UNKNOWNS):
        step = np.zeros(N_UNKNOWNS)
        step[n] = H
        numeric = (s.projected(step) - s.projected(-step)) / (2 * H) * s.px_per_unit[..., None]
        assert by_camera[..., n] == pytest.approx(numeric, rel=1e-5, abs=1e-3)
    # a clock that is late sees points further on their way
    assert by_camera[..., OFFSET] == pytest.approx((by_point @ s.velocity[..., None])[..., 0])


def test_the_slope_is_the_gradient_and_the_hessian_that_of_the_weighted_squares() -> None:
    s = _Scene()
    hessian, slope, coupling = camera_terms(
        s.points, s.velocity, s.time_s, s.xy, s.px_per_unit, s.sigma_px, 12.0, *s.geometry()
    )
    for n in range(N_UNKNOWNS):
        step = np.zeros(N_UNKNOWNS)
        step[n] = H
        assert slope[n] == pytest.approx((s.cost(step) - s.cost(-step)) / (2 * H), rel=1e-4, abs=1e-2)
    assert hessian == pytest.approx(hessian.T)
    assert np.linalg.eigvalsh(hessian).min() > 0
    # moving all points with the camera's shift changes nothing: the coupling holds what the camera's own block does
    assert np.einsum("ij,fkjn->in", s.R, coupling)[:, SHIFT] == pytest.approx(hessian[SHIFT, SHIFT], abs=1e-6)


def test_what_is_not_seen_or_lies_behind_the_camera_says_nothing() -> None:
    s = _Scene()
    s.px_per_unit[:, 2] = 0.0
    s.points[:, 3] = -s.R.T @ (s.t + [0.0, 0.0, 2.0])
    hessian, slope, coupling = camera_terms(
        s.points, s.velocity, s.time_s, s.xy, s.px_per_unit, s.sigma_px, 12.0, *s.geometry()
    )
    assert np.isfinite(hessian).all()
    assert np.isfinite(slope).all()
    assert (coupling[:, [2, 3]] == 0).all()
    assert (coupling[:, 4] != 0).any()
