"""Validated, read-only arrays for the frozen core types."""

from __future__ import annotations

from typing import Any

import numpy as np


def frozen(values: Any, dtype: Any, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """Return a read-only array of `dtype`, checked against `shape` (None: any size along that axis).

    Raises ValueError naming `what`, the expected and the actual shape: a wrong shape here is a bug of the caller.
    """
    array = np.ascontiguousarray(values, dtype=dtype)
    if array.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, array.shape, strict=False)):
        raise ValueError(f"{what}: expected shape {shape} (None = any), got {array.shape}")
    if array is values or array.base is not None:
        array = array.copy()
    array.setflags(write=False)
    return array
