"""Continuous Euler angles."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from exporters.euler import continuous_zxy_deg


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 3.0))
def test_angles_rebuild_the_rotation_and_never_jump(seed: int, speed: float) -> None:
    rng = np.random.default_rng(seed)
    steps = Rotation.from_rotvec(speed * rng.normal(size=(47, 3)))
    R = [Rotation.random(random_state=seed)]
    for step in steps:
        R.append(R[-1] * step)
    R = np.stack([r.as_matrix() for r in R])[:, None]
    angles = continuous_zxy_deg(R)
    rebuilt = Rotation.from_euler("ZXY", angles[:, 0], degrees=True).as_matrix()
    np.testing.assert_allclose(rebuilt, R[:, 0], atol=1e-9)
    assert np.abs(np.diff(angles, axis=0)).max() <= 180.0 + 1e-9


def test_a_joint_swings_straight_through_the_gimbal_pole() -> None:
    truth = np.zeros((181, 3))
    truth[:, 0], truth[:, 1], truth[:, 2] = 20.0, np.arange(181.0), -35.0
    R = Rotation.from_euler("ZXY", truth, degrees=True).as_matrix()[:, None]
    np.testing.assert_allclose(continuous_zxy_deg(R)[:, 0], truth, atol=1e-6)


def test_full_turns_are_counted_on() -> None:
    truth = np.zeros((75, 3))
    truth[:, 2] = 10.0 * np.arange(75)
    R = Rotation.from_euler("ZXY", truth, degrees=True).as_matrix()[:, None]
    np.testing.assert_allclose(continuous_zxy_deg(R)[:, 0, 2], truth[:, 2], atol=1e-9)
