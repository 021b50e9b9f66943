"""The banded solver against a dense solve."""

from __future__ import annotations

import ctypes
import types

import numpy as np
import pytest

from mocap.kernels import banded
from mocap.kernels.banded import solve_banded, trailing_covariance


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


def test_several_right_sides_are_solved_at_once() -> None:
    dense, band = _system(211, 13)
    right = np.random.default_rng(8).normal(size=(5, 211))
    expected = np.linalg.solve(dense, right.T).T
    assert solve_banded(band, right) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("first", "count"), [(198, 13), (150, 7), (0, 3)])
def test_the_covariance_of_some_unknowns_is_the_inverses_block(first: int, count: int) -> None:
    dense, band = _system(211, 13)
    solve_banded(band, np.ones(211))
    expected = np.linalg.inv(dense)[first : first + count, first : first + count]
    assert trailing_covariance(band, first, count) == pytest.approx(expected, rel=1e-10, abs=1e-13)


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


def _unreadable(signature: str) -> types.SimpleNamespace:
    """Return a table of C functions whose entries say `signature`, as SciPy's does."""
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi)
    )
    capsules = {name: new(1, _NAMES.setdefault(signature, signature.encode()), None) for name in ("dpbtrf", "dpbtrs")}
    return types.SimpleNamespace(__pyx_capi__=capsules)


_NAMES: dict[str, bytes] = {}
"""Capsules do not own their names."""


@pytest.mark.parametrize(
    "table",
    [
        types.SimpleNamespace(),
        types.SimpleNamespace(__pyx_capi__={}),
        _unreadable("void (char *, int64_t *, int64_t *, double *, int64_t *, int64_t *)"),
        _unreadable("void (char *, int *, int *, double *, int *, int *, size_t)"),
    ],
)
def test_a_table_that_reads_otherwise_gives_the_same_result(
    table: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banded, "cython_lapack", table)
    banded._lapack.cache_clear()
    try:
        for n, width in ((1, 0), (5, 1), (211, 13)):
            dense, band = _system(n, width)
            right = np.random.default_rng(7).normal(size=n)
            expected = np.linalg.solve(dense, right)
            assert solve_banded(band, right) == pytest.approx(expected, rel=1e-12)
            assert right == pytest.approx(expected, rel=1e-12)
            assert trailing_covariance(band, n - 1, 1) == pytest.approx(np.linalg.inv(dense)[-1:, -1:])
            _, band = _system(n, width)
            both = np.random.default_rng(8).normal(size=(3, n))
            expected = np.linalg.solve(dense, both.T).T
            assert solve_banded(band, both) == pytest.approx(expected, rel=1e-10)
        _, band = _system(7, 2)
        band[4, 2] = -1.0
        with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
            solve_banded(band, np.ones(7))
    finally:
        banded._lapack.cache_clear()
