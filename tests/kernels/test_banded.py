"""The banded solver against a dense solve."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.banded import solve_banded


def _system(n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a random positive definite banded matrix [n n] and its band."""
    rng = np.random.default_rng(n)
    half = np.triu(np.tril(rng.normal(size=(n, n)), width))
    dense = np.triu(np.tril(half @ half.T, width), -width) + 4 * width * np.eye(n)
    band = np.full((n, width + 1), np.nan)
    for j in range(n):
        for i in range(max(j - width, 0), j + 1):
            band[j, width + i - j] = dense[i, j]
    return dense, band


@pytest.mark.parametrize(("n", "width"), [(1, 0), (5, 2), (211, 13)])
def test_a_banded_system_equals_the_dense_one(n: int, width: int) -> None:
    dense, band = _system(n, width)
    right = np.random.default_rng(7).normal(size=n)
    expected = np.linalg.solve(dense, right)
    assert solve_banded(band, right) == pytest.approx(expected, rel=1e-12)


def test_an_indefinite_matrix_is_refused_and_named() -> None:
    _, band = _system(7, 2)
    band[4, 2] = -1.0
    with pytest.raises(np.linalg.LinAlgError, match="order 5"):
        solve_banded(band, np.ones(7))


def test_arrays_of_another_kind_are_refused() -> None:
    _, band = _system(7, 2)
    with pytest.raises(ValueError, match="float64"):
        solve_banded(band.astype(np.float32), np.ones(7))
    with pytest.raises(ValueError, match="right"):
        solve_banded(band, np.ones(6))
