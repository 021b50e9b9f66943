"""Rotations against SciPy, group laws, and the angles where naive formulas break."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from mocap.kernels import rotations as rot

coordinate = st.floats(-1.0, 1.0, allow_subnormal=False)
directions = arrays(np.float64, (7, 3), elements=coordinate).filter(lambda v: (np.linalg.norm(v, axis=-1) > 1e-3).all())
angles = st.one_of(
    st.floats(-np.pi, np.pi),
    st.floats(0.0, 1e-7),  # near identity
    st.floats(np.pi - 1e-7, np.pi),  # near half a turn
)


@st.composite
def rotation_vectors(draw: st.DrawFn) -> np.ndarray:
    axis = draw(directions)
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis * np.array([draw(angles) for _ in axis])[:, None]


def same_rotation(a_wxyz: np.ndarray, b_wxyz: np.ndarray) -> float:
    """Return the largest difference of two batches of quaternions, up to sign."""
    return float(np.minimum(np.abs(a_wxyz - b_wxyz).max(-1), np.abs(a_wxyz + b_wxyz).max(-1)).max())


def random_quaternions(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    q = np.random.default_rng(seed).standard_normal((*shape, 4))
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def test_matrices_agree_with_scipy() -> None:
    q = random_quaternions((7,))
    np.testing.assert_allclose(rot.quat_to_matrix(q), Rotation.from_quat(q, scalar_first=True).as_matrix(), atol=1e-14)


def test_products_agree_with_scipy() -> None:
    a, b = random_quaternions((7,), 1), random_quaternions((7,), 2)
    expected = Rotation.from_quat(a, scalar_first=True) * Rotation.from_quat(b, scalar_first=True)
    assert same_rotation(rot.quat_multiply(a, b), expected.as_quat(scalar_first=True)) < 1e-14


@given(rotation_vectors())
def test_exponentials_agree_with_scipy_near_identity_and_half_turns(rotvec: np.ndarray) -> None:
    expected = Rotation.from_rotvec(rotvec).as_quat(scalar_first=True)
    assert same_rotation(rot.quat_exp(rotvec), expected) < 1e-12


@given(rotation_vectors())
def test_logarithm_undoes_the_exponential(rotvec: np.ndarray) -> None:
    # A half turn may come back about the opposite axis: compare as rotations.
    q = rot.quat_exp(rotvec)
    back = rot.quat_log(q)
    assert (np.linalg.norm(back, axis=-1) <= np.pi + 1e-12).all()
    assert same_rotation(rot.quat_exp(back), q) < 1e-12


@given(rotation_vectors())
def test_matrix_round_trip_keeps_the_rotation_at_every_angle(rotvec: np.ndarray) -> None:
    q = rot.quat_exp(rotvec)
    back = rot.matrix_to_quat(rot.quat_to_matrix(q))
    assert (back[..., 0] >= 0).all()
    assert same_rotation(back, q) < 1e-7


@given(rotation_vectors(), directions)
def test_rotating_by_a_quaternion_equals_its_matrix(rotvec: np.ndarray, v: np.ndarray) -> None:
    q = rot.quat_exp(rotvec)
    by_matrix = (rot.quat_to_matrix(q) @ v[..., None])[..., 0]
    np.testing.assert_allclose(rot.quat_rotate(q, v), by_matrix, atol=1e-14)


@given(rotation_vectors())
def test_a_rotation_times_its_inverse_is_identity(rotvec: np.ndarray) -> None:
    q = rot.quat_exp(rotvec)
    identity = np.array([1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(rot.quat_multiply(q, rot.quat_conjugate(q)), np.tile(identity, (7, 1)), atol=1e-14)


@given(directions, directions)
@settings(max_examples=60)
def test_the_rotation_between_two_directions_turns_one_into_the_other(a: np.ndarray, b: np.ndarray) -> None:
    turned = rot.quat_rotate(rot.rotation_between(a, b), a / np.linalg.norm(a, axis=-1, keepdims=True))
    np.testing.assert_allclose(turned, b / np.linalg.norm(b, axis=-1, keepdims=True), atol=2e-4)


def test_opposite_directions_are_joined_by_half_a_turn() -> None:
    a = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, -0.2, 0.9]])
    q = rot.rotation_between(a, -a)
    np.testing.assert_allclose(rot.quat_rotate(q, a), -a, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1.0)


def test_continuous_signs_remove_jumps_and_keep_the_rotations() -> None:
    angle = np.linspace(0, 4 * np.pi, 53)
    q = rot.quat_exp(angle[:, None] * np.array([0.0, 0.6, 0.8]))
    jumping = rot.matrix_to_quat(rot.quat_to_matrix(q))
    assert (jumping[1:] * jumping[:-1]).sum(-1).min() < 0
    smooth = rot.quat_continuous(jumping)
    assert (smooth[1:] * smooth[:-1]).sum(-1).min() > 0.9
    assert same_rotation(smooth, q) < 1e-7


def test_slerp_takes_the_short_way_at_constant_speed() -> None:
    a = rot.quat_exp(np.array([0.2, -0.1, 0.4]))
    b = rot.quat_multiply(a, rot.quat_exp(np.array([0.0, 0.0, 1.2])))
    halfway = rot.quat_slerp(a, -b, np.array(0.25))
    np.testing.assert_allclose(
        rot.quat_log(rot.quat_multiply(rot.quat_conjugate(a), halfway)), [0.0, 0.0, 0.3], atol=1e-12
    )


def test_skew_matrices_are_cross_products() -> None:
    rng = np.random.default_rng(5)
    v, x = rng.standard_normal((2, 7, 3))
    np.testing.assert_allclose((rot.skew(v) @ x[..., None])[..., 0], np.cross(v, x), atol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 2)])
def test_every_function_keeps_leading_axes(shape: tuple[int, ...]) -> None:
    q = random_quaternions(shape)
    assert rot.quat_to_matrix(q).shape == (*shape, 3, 3)
    assert rot.matrix_to_quat(rot.quat_to_matrix(q)).shape == (*shape, 4)
    assert rot.quat_log(q).shape == (*shape, 3)
    assert rot.quat_exp(rot.quat_log(q)).shape == (*shape, 4)
    assert rot.quat_rotate(q, np.ones((*shape, 3))).shape == (*shape, 3)
