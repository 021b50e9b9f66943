"""Symmetric positive definite banded systems, solved in place.

LAPACK's pbtrf and pbtrs, called through the table of C functions that SciPy publishes (`scipy.linalg.cython_lapack`):
SciPy's own wrapper keeps the interpreter to itself while it solves, so that windows of a take in threads would wait for
each other, and it copies bands that do not lie column after column. A SciPy whose table reads otherwise, such as one
of 64-bit integers, is asked through that wrapper: slower, and the same result.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, cython_lapack, solve_triangular


def solve_banded(band: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x of A x = right for a symmetric positive definite A; right becomes x, and the band A's factor.

    band [n width+1] holds the upper triangle column after column, band[j, width + i - j] = A[i, j] for i <= j (LAPACK
    users' guide, section "Band Storage", UPLO = U); what lies left of the first column is not read. float64, C order.
    Cholesky's factor U of A = U'U is stored likewise, for `trailing_covariance`. right [n], or [side n] for several
    right sides at once.
    Raises numpy's LinAlgError where A is not positive definite.
    """
    n, rows = band.shape
    if not all(a.dtype == np.float64 and a.flags.c_contiguous for a in (band, right)) or right.shape[-1] != n:
        raise ValueError(f"expected C-ordered float64 [{n} {rows}] and [... {n}], got right {right.shape}")
    factor, substitute = _lapack("dpbtrf"), _lapack("dpbtrs")
    if factor is None or substitute is None:
        return _by_wrapper(band, right)
    width, info = _int(rows - 1), ctypes.c_int()
    at_band, at_right = band.ctypes.data, right.ctypes.data
    factor(b"U", _int(n), width, at_band, _int(rows), ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"the leading minor of order {info.value} is not positive definite")
    sides = _int(right.size // max(n, 1))
    substitute(b"U", _int(n), width, sides, at_band, _int(rows), at_right, _int(max(n, 1)), ctypes.byref(info))
    return right


def _by_wrapper(band: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve as `solve_banded` does, through SciPy's public functions."""
    factor = cholesky_banded(band.T, check_finite=False)
    right[:] = cho_solve_banded((factor, False), right.T, check_finite=False).T
    band[:] = factor.T
    return right


def trailing_covariance(factor: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return the block [count count] of A's inverse for unknowns first..first+count-1, of a band that was solved.

    With A = U'U it is Y'Y where U'Y = E and E holds those columns of the identity: forward substitution, which begins
    at `first`. Cost and memory grow with the square of what lies behind; meant for the last unknowns of a long chain.
    """
    n, rows = factor.shape
    size = n - first
    upper = np.zeros((size, size))
    for lag in range(min(rows, size)):
        np.einsum("ii->i", upper[: size - lag, lag:])[:] = factor[first + lag :, rows - 1 - lag]
    wanted = np.zeros((size, count))
    np.einsum("ii->i", wanted[:count])[:] = 1.0
    half = solve_triangular(upper, wanted, trans="T", check_finite=False)
    return half.T @ half


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))


_SIGNATURES = {
    "dpbtrf": re.compile(rb"void \(char \*, int \*, int \*, \w+ \*, int \*, int \*\)"),
    "dpbtrs": re.compile(rb"void \(char \*, int \*, int \*, int \*, \w+ \*, int \*, \w+ \*, int \*, int \*\)"),
}
"""What the table says of a routine; its name for a double differs from version to version."""


@cache
def _lapack(name: str) -> Callable[..., None] | None:
    """Return a LAPACK routine of SciPy's table, None where the table has another; arguments are pointers.

    The interpreter is let go while it runs.
    """
    capsule: Any = vars(cython_lapack).get("__pyx_capi__", {}).get(name)
    if capsule is None:
        return None
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    signature = name_of(capsule)
    if not _SIGNATURES[name].fullmatch(signature):
        return None
    n_arguments = signature.count(b"*")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address_of(capsule, signature))
