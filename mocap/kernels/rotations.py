"""Rotations: quaternions are wxyz and unit; matrices act on column vectors. All functions broadcast over leading axes.

Formulas: J. Sola, "Quaternion kinematics for the error-state Kalman filter", arXiv:1711.02508.
"""

from __future__ import annotations

import numpy as np

_SMALL = 1e-8


def quat_multiply(a_wxyz: np.ndarray, b_wxyz: np.ndarray) -> np.ndarray:
    """Return the Hamilton product a * b: rotate by b first, then by a (Sola eq. 13)."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a_wxyz), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b_wxyz), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quat_conjugate(q_wxyz: np.ndarray) -> np.ndarray:
    """Return the inverse of unit quaternions."""
    return np.asarray(q_wxyz) * np.array([1.0, -1.0, -1.0, -1.0])


def quat_rotate(q_wxyz: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return vectors [... 3] rotated by quaternions [... 4]."""
    q = np.asarray(q_wxyz)
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * np.cross(u, v)
    return v + w * t + np.cross(u, t)


def quat_to_matrix(q_wxyz: np.ndarray) -> np.ndarray:
    """Return rotation matrices [... 3 3] (Sola eq. 115)."""
    w, x, y, z = np.moveaxis(np.asarray(q_wxyz, np.float64), -1, 0)
    m = np.empty((*w.shape, 3, 3))
    m[..., 0, 0] = 1 - 2 * (y * y + z * z)
    m[..., 0, 1] = 2 * (x * y - w * z)
    m[..., 0, 2] = 2 * (x * z + w * y)
    m[..., 1, 0] = 2 * (x * y + w * z)
    m[..., 1, 1] = 1 - 2 * (x * x + z * z)
    m[..., 1, 2] = 2 * (y * z - w * x)
    m[..., 2, 0] = 2 * (x * z - w * y)
    m[..., 2, 1] = 2 * (y * z + w * x)
    m[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return m


def matrix_to_quat(m: np.ndarray) -> np.ndarray:
    """Return unit quaternions [... 4] with w >= 0 of rotation matrices [... 3 3].

    The largest of the four squared components comes first (S. W. Shepperd, 1978), so no angle is ill-conditioned.
    """
    m = np.asarray(m, np.float64)
    d = np.diagonal(m, axis1=-2, axis2=-1)
    trace = d.sum(-1)
    k = np.argmax(np.concatenate([trace[..., None], d], -1), -1)
    q: np.ndarray = np.empty((*m.shape[:-2], 4))
    for case in range(4):
        on = k == case
        if not on.any():
            continue
        r = m[on]
        if case == 0:
            q[on] = np.stack(
                [1 + trace[on], r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], -1
            )
            continue
        i = case - 1
        j, k2 = (i + 1) % 3, (i + 2) % 3
        v = np.empty((len(r), 4))
        v[:, 0] = r[:, k2, j] - r[:, j, k2]
        v[:, 1 + i] = 1 + r[:, i, i] - r[:, j, j] - r[:, k2, k2]
        v[:, 1 + j] = r[:, j, i] + r[:, i, j]
        v[:, 1 + k2] = r[:, k2, i] + r[:, i, k2]
        q[on] = v
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def quat_exp(rotvec: np.ndarray) -> np.ndarray:
    """Return the quaternions of rotation vectors [... 3] in radians (Sola eq. 101)."""
    rotvec = np.asarray(rotvec, np.float64)
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    half = 0.5 * angle
    scale = np.where(angle < _SMALL, 0.5, np.sin(half) / np.where(angle < _SMALL, 1.0, angle))
    return np.concatenate([np.cos(half), scale * rotvec], -1)


def quat_log(q_wxyz: np.ndarray) -> np.ndarray:
    """Return the shortest rotation vectors [... 3], in radians, of unit quaternions (Sola eq. 103)."""
    q = np.asarray(q_wxyz, np.float64)
    q = np.where(q[..., :1] < 0, -q, q)
    norm = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(norm, q[..., :1])
    return np.where(norm < _SMALL, 2.0, angle / np.where(norm < _SMALL, 1.0, norm)) * q[..., 1:]


def quat_continuous(q_wxyz: np.ndarray) -> np.ndarray:
    """Return the same rotations [frame ... 4] with signs chosen so that consecutive frames are closest."""
    q = np.array(q_wxyz, np.float64)
    flips = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    q[1:] *= np.cumprod(flips, axis=0)[..., None]
    return q


def quat_slerp(a_wxyz: np.ndarray, b_wxyz: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the rotation a fraction u [...] of the shortest way from a to b (K. Shoemake, 1985)."""
    step = quat_log(quat_multiply(quat_conjugate(a_wxyz), b_wxyz))
    return quat_multiply(a_wxyz, quat_exp(np.asarray(u)[..., None] * step))


def skew(v: np.ndarray) -> np.ndarray:
    """Return [... 3 3] matrices S with S @ x = v x x."""
    v = np.asarray(v, np.float64)
    m = np.zeros((*v.shape[:-1], 3, 3))
    m[..., 0, 1], m[..., 0, 2], m[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    m[..., 1, 0], m[..., 2, 0], m[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return m


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the shortest rotations [... 4] that turn directions a [... 3] into b; opposite ones about any normal."""
    a = np.asarray(a, np.float64) / np.linalg.norm(a, axis=-1, keepdims=True)
    b = np.asarray(b, np.float64) / np.linalg.norm(b, axis=-1, keepdims=True)
    w = 1.0 + (a * b).sum(-1, keepdims=True)
    other = np.where(np.abs(a[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    q = np.concatenate([w, np.where(w < 1e-9, np.cross(a, other), np.cross(a, b))], -1)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)
