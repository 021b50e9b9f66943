"""The rigid motion that fits points best."""

from __future__ import annotations

import numpy as np


def rigid_fit(source: np.ndarray, target: np.ndarray, sign: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return R, t with target ~ R source + t in least squares, points [n 3] (W. Kabsch, 1976).

    sign: determinant of R; -1 gives the best mirror image.
    """
    a, b = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((source - a).T @ (target - b))
    turn = np.diag([1.0, 1.0, sign * np.sign(np.linalg.det(vt.T @ u.T))])
    R = vt.T @ turn @ u.T
    return R, b - R @ a
