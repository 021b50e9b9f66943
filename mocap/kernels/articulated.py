"""Jacobians of points on an articulated body, and the banded take-level Gauss-Newton step over its joint angles.

A body is a joint tree with degrees of freedom; degree d turns joint `dof_joint[d]` about the unit axis `dof_axis[d]` of
that joint's own frame, by right multiplication R <- R exp(axis * step). The root's translation comes first.
Formula: the geometric Jacobian, axis x (point - joint) (K. Lynch and F. Park, Modern Robotics, section 5.1.2).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mocap.kernels.banded import solve_banded
from mocap.kernels.reprojection import SYMMETRIC

N_TRANSLATION = 3
_RIDGE = 1e-11
"""Share of the band's diagonal that is added to it. Cholesky's method runs through where the least eigenvalue, of the
matrix scaled to a diagonal of ones, is above about size^2 rounding errors, size that of the blocks it works on (N.
Higham, Accuracy and Stability of Numerical Algorithms, 2002, theorem 10.7): 2e-12 for 140 rows of a band."""


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


def articulated_terms(
    R_world: np.ndarray,
    joints: np.ndarray,
    points: np.ndarray,
    dof_joint: np.ndarray,
    dof_axis: np.ndarray,
    moves: np.ndarray,
    information: np.ndarray,
    gradient: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `gauss_newton_terms` returns for the Jacobian J of `point_jacobian`, without forming it.

    information [frame point 6] packed as SYMMETRIC, gradient [frame point 3]; the other arguments as there. A degree is
    a twist (v, w) that moves the points it moves by v + w x p. Of two degrees that move the same points one moves no
    others, so J'AJ holds twist' I twist with I the 6x6 information of those points under twists, summed (the
    composite-rigid-body algorithm; R. Featherstone, Rigid Body Dynamics Algorithms, 2008, section 6.2).
    """
    sets, of_dof, share = _moved_alike(moves.tobytes(), moves.shape)
    n_frames, n = len(points), len(of_dof)
    hessian, slope = np.empty((n_frames, n, n)), np.empty((n_frames, n))
    for low in range(0, n_frames, _CHUNK_FRAMES):
        part = slice(low, low + _CHUNK_FRAMES)
        twist = _twists(R_world[part], joints[part], dof_joint, dof_axis if dof_axis.ndim == 2 else dof_axis[part])
        moved = (_under_twists(points[part], information[part], gradient[part]) @ sets.astype(float))[..., of_dof]
        force = np.empty_like(twist)
        for i in range(6):
            np.sum(moved[_PLACE[i]] * twist, axis=0, out=force[i])
        pairs = (force.transpose(1, 2, 0) @ twist.transpose(1, 0, 2)) * share
        np.add(pairs, pairs.transpose(0, 2, 1), out=hessian[part])
        np.sum(moved[len(_PAIRS) :] * twist, axis=0, out=slope[part])
    return hessian, slope


@lru_cache(maxsize=16)
def _moved_alike(moves: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sets [point set] of points that degrees move, each degree's set, and how pairs of degrees count.

    moves holds [point dof] bool; the translations, first, move all. The same for every frame and step of a take.
    """
    moved = np.frombuffer(moves, bool).reshape(shape)
    everything = np.ones((len(moved), N_TRANSLATION), bool)
    sets, of_dof = np.unique(np.concatenate([everything, moved], axis=1), axis=1, return_inverse=True)
    of_dof = of_dof.ravel()
    common = (sets.T.astype(int) @ sets)[np.ix_(of_dof, of_dof)]
    size = sets.sum(0)[of_dof]
    # each pair is counted from the degree that moves fewer points, or half from either where both move the same
    share = np.where(common == size[:, None], 1.0, 0.0) * np.where(size[:, None] == size[None], 0.5, 1.0)
    return sets, of_dof, share


_CHUNK_FRAMES = 125
"""Frames whose intermediate results stay in the processor's cache."""
_PAIRS = tuple((i, j) for i in range(6) for j in range(i, 6))
_PLACE = [[_PAIRS.index((min(i, j), max(i, j))) for j in range(6)] for i in range(6)]


def _twists(R_world: np.ndarray, joints: np.ndarray, dof_joint: np.ndarray, dof_axis: np.ndarray) -> np.ndarray:
    """Return each degree as a twist about the world's origin [6 frame 3+dof], velocity first."""
    axis = (R_world[:, dof_joint] @ dof_axis[..., None])[..., 0].transpose(2, 0, 1)
    at = joints[:, dof_joint].transpose(2, 0, 1)
    out = np.zeros((6, len(joints), N_TRANSLATION + len(dof_joint)))
    for i in range(3):
        out[i, :, i] = 1.0
        j, k = (i + 1) % 3, (i + 2) % 3
        out[i, :, N_TRANSLATION:] = at[j] * axis[k] - at[k] * axis[j]
        out[3 + i, :, N_TRANSLATION:] = axis[i]
    return out


def _under_twists(points: np.ndarray, information: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the points' information with respect to twists, the 21 pairs of _PAIRS, then their gradient's six.

    [27 frame point]; a twist moves a point by v + w x p = S (v, w), and these are S'AS and S'g.
    """
    p, g = np.ascontiguousarray(points.transpose(2, 0, 1)), np.ascontiguousarray(gradient.transpose(2, 0, 1))
    A = np.empty((3, 3, *p.shape[1:]))
    for n, (i, j) in enumerate(SYMMETRIC):
        A[i, j] = A[j, i] = information[..., n]
    lower, corner = np.empty_like(A), np.empty_like(A)  # p x each column of A, and then p x each row of that
    out = np.empty((len(_PAIRS) + 6, *p.shape[1:]))
    out[-6:-3] = g
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        lower[i] = p[j] * A[k] - p[k] * A[j]
        out[i - 3] = p[j] * g[k] - p[k] * g[j]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        corner[:, i] = p[j] * lower[:, k] - p[k] * lower[:, j]
    for n, (i, j) in enumerate(_PAIRS):
        out[n] = A[i, j] if j < 3 else (lower[j - 3, i] if i < 3 else corner[i - 3, j - 3])
    return out


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
    and the next (columns), from terms that tie two frames. Cholesky of a band of 2 dof + 1: cost linear in frames. What
    neither data nor differences hold, such as the place of a body that nobody sees, is held where it is.
    """
    band, right = banded_system(hessian, slope, acceleration_weight, acceleration, coupling)
    return solve_banded(band, right).reshape(slope.shape)


def banded_system(
    hessian: np.ndarray,
    slope: np.ndarray,
    acceleration_weight: np.ndarray,
    acceleration: np.ndarray,
    coupling: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the system of `banded_step` as `solve_banded` takes it: band [frame*dof 2*dof+1] and right side."""
    n_frames, n_dof = slope.shape
    width = 2 * n_dof
    band = np.zeros((n_frames, n_dof, width + 1))
    for low in range(0, n_frames, _CHUNK_FRAMES):
        high = min(low + _CHUNK_FRAMES, n_frames)
        for d in range(n_dof):
            band[low:high, d, width - d :] = hessian[low:high, d, : d + 1]
        if coupling is not None:
            before = max(low, 1)
            columns = coupling[before - 1 : high - 1].transpose(0, 2, 1).copy()
            for d in range(n_dof):
                band[before:high, d, n_dof - d : width - d] = columns[:, d]
    w = acceleration_weight
    band[:-2, :, width] += w
    band[1:-1, :, width] += 4 * w
    band[2:, :, width] += w
    band[1:-1, :, n_dof] -= 2 * w
    band[2:, :, n_dof] -= 2 * w
    band[2:, :, 0] += w
    band[..., width] *= 1 + _RIDGE
    right = -slope
    push = w * acceleration
    right[:-2] -= push
    right[1:-1] += 2 * push
    right[2:] -= push
    return band.reshape(-1, width + 1), right.ravel()
