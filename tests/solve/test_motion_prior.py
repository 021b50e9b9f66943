"""What the prior of motion learns of a take."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve

from mocap.kernels.articulated import N_TRANSLATION
from mocap.solve.body import LANDMARKS
from mocap.solve.motion_prior import ACCELERATION_RANGE, BRIDGES_S, MotionPrior, first_prior
from mocap.solve.pose import Pose, bind_pose, freedom

FPS = 60.0
DOF = freedom(tuple(n for n in LANDMARKS if n != "Hip"))
N = N_TRANSLATION + len(DOF.joint)
KNEE = int(np.flatnonzero(DOF.prior_rad == np.radians(90.0))[-1])
"""A hinge whose angles add up."""


def _turned(angle: np.ndarray) -> Pose:
    step = np.zeros((len(angle), N))
    step[:, N_TRANSLATION + KNEE] = angle
    return bind_pose(len(angle)).moved(step, DOF)


def _prior(n_frames: int, level: float, spread: float = 0.4) -> MotionPrior:
    return MotionPrior(
        np.full((n_frames - 2, N), level), np.full(N, level), np.full(len(DOF.joint), spread), np.zeros(len(DOF.joint))
    )


def _smoothed(noisy: np.ndarray, level: np.ndarray, information: float) -> np.ndarray:
    second = np.diff(np.eye(len(noisy)), 2, axis=0)
    return solve(information * np.eye(len(noisy)) + second.T @ (level[:, None] ** -2.0 * second), information * noisy)


def test_the_level_of_white_accelerations_is_found_again_from_noisy_angles() -> None:
    rng = np.random.default_rng(61)
    n, true, noise = 1200, 40.0 / FPS**2, 0.02
    # a walk that goes back, so that the angle stays small
    x = np.zeros(n)
    for t in range(2, n):
        x[t] = 1.9 * x[t - 1] - 0.905 * x[t - 2] + true * rng.normal()
    hessian = np.tile(np.eye(N) * noise**-2.0, (n, 1, 1))
    prior = _prior(n, 0.2 * true)
    noisy = x + noise * rng.normal(size=n)
    at = N_TRANSLATION + KNEE
    for _ in range(6):
        prior = prior.with_evidence(hessian, FPS)
        prior = prior.learned(_turned(_smoothed(noisy, prior.level[:, at], noise**-2.0)), DOF, FPS)
    assert prior.usual[at] == pytest.approx(true, rel=0.25)


def test_a_strike_is_given_room_and_stillness_is_not() -> None:
    t = np.arange(600) / FPS
    angle = 0.5 * np.sin(2 * np.pi * 3 * (t - 5)) * np.exp(-(((t - 5) / 0.2) ** 2))
    prior = _prior(600, 20.0 / FPS**2).with_evidence(np.tile(np.eye(N) * 1e4, (600, 1, 1)), FPS)
    level = prior.learned(_turned(angle), DOF, FPS).level[:, N_TRANSLATION + KNEE] * FPS**2
    assert level[300] > 5 * level[100]
    assert level.min() >= ACCELERATION_RANGE[1][0]


def test_what_nothing_tells_keeps_the_usual_level() -> None:
    angle = 0.3 * np.sin(2 * np.pi * np.arange(600) / 40)
    hessian = np.tile(np.eye(N) * 1e4, (600, 1, 1))
    hessian[250:350] = 0.0
    angle[250:350] = np.interp(np.arange(250, 350), [249, 350], angle[[249, 350]])
    prior = _prior(600, 20.0 / FPS**2).with_evidence(hessian, FPS).learned(_turned(angle), DOF, FPS)
    at = N_TRANSLATION + KNEE
    assert prior.level[300, at] == pytest.approx(prior.usual[at], rel=0.25)


def test_gaps_are_as_uncertain_as_the_bridges_that_the_take_can_check() -> None:
    angle = 0.5 * np.sin(2 * np.pi * np.arange(900) / 60)
    prior = _prior(900, 5.0 / FPS**2).with_evidence(np.tile(np.eye(N) * 1e6, (900, 1, 1)), FPS)
    gap = prior.over_gaps(_turned(angle), DOF, FPS)
    at, speed = N_TRANSLATION + KNEE, np.diff(angle)
    needed = []
    for half in (round(0.5 * s * FPS) for s in BRIDGES_S):
        n = len(speed) - 2 * half
        ends = [angle[1:][k : k + n] for k in (0, 2 * half)]
        bridge = sum(ends) / 2 + half / 4 * (speed[:n] - speed[2 * half :])
        missed = np.mean((angle[1:][half : half + n] - bridge) ** 2)
        needed.append(missed * 192 / (2 * half) ** 3)
    assert gap.usual[at] ** 2 == pytest.approx(max(needed), rel=0.05)
    assert gap.usual[at] > prior.usual[at]


def test_first_differences_and_the_pull_are_the_slope_of_their_cost() -> None:
    rng = np.random.default_rng(62)
    angle, h = 0.2 * rng.normal(size=7), 1e-5
    prior = first_prior(_turned(angle), DOF, FPS)
    at = N_TRANSLATION + KNEE
    by_rate, by_place = (w[at] for w in prior.weights)

    def cost(x: np.ndarray) -> float:
        return float(
            0.5 * by_rate * (np.diff(x) ** 2).sum() + 0.5 * by_place * ((x - prior.centre_rad[KNEE]) ** 2).sum()
        )

    hessian, slope = np.zeros((7, N, N)), np.zeros((7, N))
    coupling = prior.add(hessian, slope, _turned(angle), DOF)
    for f in range(7):
        step = h * (np.arange(7) == f)
        assert slope[f, at] == pytest.approx((cost(angle + step) - cost(angle - step)) / (2 * h), rel=1e-4, abs=1e-9)
    assert hessian[:, at, at].sum() + 2 * coupling[:, at, at].sum() == pytest.approx(7 * by_place)


def test_the_process_strays_by_the_range_of_its_degree() -> None:
    prior = _prior(4000, 30.0 / FPS**2, 0.3)
    by_rate, by_place = (w[N_TRANSLATION + KNEE] for w in prior.weights)
    n = 800
    first, second = np.diff(np.eye(n), axis=0), np.diff(np.eye(n), 2, axis=0)
    information = by_place * np.eye(n) + by_rate * first.T @ first + prior.usual[-1] ** -2.0 * second.T @ second
    assert np.sqrt(np.linalg.inv(information)[n // 2, n // 2]) == pytest.approx(0.3, rel=0.05)


def test_a_degree_that_stops_moving_has_a_level_all_the_same() -> None:
    """A running sum of squares rounds to less than nothing behind large ones."""
    angle = np.zeros(400)
    angle[:150] = 0.7 * np.sin(np.arange(150) / 3.0) + 0.3 * np.random.default_rng(8).normal(size=150)
    prior = first_prior(_turned(angle), DOF, FPS)
    assert np.isfinite(prior.level).all()
    moment = prior.of_moment(_turned(angle).accelerations(DOF), np.full((398, N), 1e-9), FPS)
    assert np.isfinite(moment).all()
