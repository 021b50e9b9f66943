"""Jacobians of points on an articulated body, and the banded take-level Gauss-Newton step over its joint angles.

A body is a joint tree with degrees of freedom; degree d turns joint `dof_joint[d]` about the unit axis `dof_axis[d]` of
that joint's own frame, by right multiplication R <- R exp(axis * step). The root's translation comes first.
Formula: the geometric Jacobian, axis x (point - joint) (K. Lynch and F. Park, Modern Robotics, section 5.1.2).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

N_TRANSLATION = 3


def point_jacobian(
    R_world: np.ndarray,
    joints: np.ndarray,
    points: np.ndarray,
    dof_joint: np.ndarray,
    dof_axis: np.ndarray,
    moves: np.ndarray,
) -> np.ndarray:
    """Return d points / d (root translation, degrees of freedom) [frame point 3 3+dof].

    R_world [frame joint 3 3], joints [frame joint 3], points [frame point 3]; dof_axis [dof 3], or [frame dof 3] where
    axes change with the pose; moves [point dof] tells whether the
    degree's joint is the point's own or an ancestor of it.
    """
    axis_world = (R_world[:, dof_joint] @ dof_axis[..., None])[..., 0]
    moment = np.cross(joints[:, dof_joint], axis_world)  # axis x (p - o) = axis x p + o x axis
    n_frames, n_points = points.shape[:2]
    out = np.zeros((n_frames, n_points, 3, N_TRANSLATION + len(dof_joint)))
    out[..., :, :N_TRANSLATION] = np.eye(3)
    for row, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        lever = axis_world[:, None, :, i] * points[..., j, None] - axis_world[:, None, :, j] * points[..., i, None]
        out[..., row, N_TRANSLATION:] = (lever + moment[:, None, :, row]) * moves
    return out


def gauss_newton_terms(
    jacobian: np.ndarray, information: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return per frame J'AJ [frame dof dof] and J'g [frame dof] of points with information A and gradient g."""
    n_frames, n_points, _, n_dof = jacobian.shape
    flat = jacobian.reshape(n_frames, n_points * 3, n_dof)
    weighted = (information @ jacobian).reshape(flat.shape)
    transposed = flat.transpose(0, 2, 1)
    return transposed @ weighted, (transposed @ gradient.reshape(n_frames, n_points * 3, 1))[..., 0]


def banded_step(
    hessian: np.ndarray,
    slope: np.ndarray,
    acceleration_weight: np.ndarray,
    acceleration: np.ndarray,
    coupling: np.ndarray | None = None,
) -> np.ndarray:
    """Return the step [frame dof] that minimises the quadratic data terms plus weighted squared second differences.

    hessian [frame dof dof], slope [frame dof]; acceleration_weight and acceleration [frame-2 dof]: weight and present
    value of each degree's second difference; coupling [frame-1 dof dof]: the Hessian's blocks between each frame (rows)
    and the next (columns), from terms that tie two frames. Cholesky of a band of 2 dof + 1: cost linear in frames.
    """
    n_frames, n_dof = slope.shape
    width = 2 * n_dof
    band = np.zeros((width + 1, n_frames, n_dof))
    for lag in range(n_dof):
        band[width - lag, :, lag:] = np.diagonal(hessian, offset=lag, axis1=1, axis2=2)
    w = acceleration_weight
    band[width, :-2] += w
    band[width, 1:-1] += 4 * w
    band[width, 2:] += w
    band[width - n_dof, 1:-1] -= 2 * w
    band[width - n_dof, 2:] -= 2 * w
    band[0, 2:] += w
    if coupling is not None:
        for lag in range(1, width):
            diagonal = np.diagonal(coupling, offset=lag - n_dof, axis1=1, axis2=2)
            first = max(lag - n_dof, 0)
            band[width - lag, 1:, first : first + diagonal.shape[1]] += diagonal
    rhs = slope.copy()
    push = w * acceleration
    rhs[:-2] += push
    rhs[1:-1] -= 2 * push
    rhs[2:] += push
    step = solveh_banded(
        band.reshape(width + 1, -1), -rhs.ravel(), overwrite_ab=True, overwrite_b=True, check_finite=False
    )
    return step.reshape(n_frames, n_dof)
