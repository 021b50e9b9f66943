"""Symmetric positive definite banded systems, solved in place.

LAPACK's pbtrf and pbtrs, called through the table of C functions that SciPy publishes (`scipy.linalg.cython_lapack`):
SciPy's own wrapper keeps the interpreter to itself while it solves, so that windows of a take in threads would wait for
each other, and it copies bands that do not lie column after column.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack


def solve_banded(band: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return x [n] of A x = right for a symmetric positive definite A; both arguments are overwritten.

    band [n width+1] holds the upper triangle column after column, band[j, width + i - j] = A[i, j] for i <= j (LAPACK
    users' guide, section "Band Storage", UPLO = U); what lies left of the first column is not read. float64, C order.
    Raises numpy's LinAlgError where A is not positive definite.
    """
    n, rows = band.shape
    if not all(a.dtype == np.float64 and a.flags.c_contiguous for a in (band, right)) or right.shape != (n,):
        raise ValueError(f"expected C-ordered float64 [{n} {rows}] and [{n}], got right {right.shape}")
    width, info = _int(rows - 1), ctypes.c_int()
    at_band, at_right = band.ctypes.data, right.ctypes.data
    _lapack("dpbtrf", 6)(b"U", _int(n), width, at_band, _int(rows), ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"the leading minor of order {info.value} is not positive definite")
    _lapack("dpbtrs", 9)(
        b"U", _int(n), width, _int(1), at_band, _int(rows), at_right, _int(max(n, 1)), ctypes.byref(info)
    )
    return right


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))


@cache
def _lapack(name: str, n_arguments: int) -> Callable[..., None]:
    """Return a LAPACK routine of SciPy's table; the interpreter is let go while it runs. All arguments are pointers."""
    capsule: Any = vars(cython_lapack)["__pyx_capi__"][name]
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    signature = name_of(capsule)
    if signature.count(b"*") != n_arguments or signature.count(b"int *") != {6: 4, 9: 6}[n_arguments]:
        raise ImportError(f"SciPy's {name} is not called as expected: {signature!r}")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(address_of(capsule, signature))
