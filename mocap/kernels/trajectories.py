"""Smooth trajectories through uncertain points: banded least squares, cost linear in frames.

Model: a point moves with white-noise acceleration of given standard deviation (the discrete form of the cubic smoothing
spline; P. Eilers, "A perfect smoother", Anal. Chem. 2003, with second differences) and is seen with a 3x3 information
matrix per frame.
"""

from __future__ import annotations

import numpy as np

from mocap.kernels.banded import solve_banded
from mocap.kernels.chain import WHITE, Noise, curvature_of_variance, error_variance
from mocap.kernels.reprojection import SYMMETRIC, unpack_symmetric

_BAND = 6  # second differences couple frames two apart: 2 * 3 coordinates
_ON_FRAME = 1e-9  # frames; rounding errors of timestamps are no fraction of a frame
_TINY = 1e-6  # 1/m^2; keeps frames that nothing sees from making the system singular


def smooth_step(
    points: np.ndarray,
    information: np.ndarray,
    gradient: np.ndarray,
    acceleration_weight: np.ndarray,
    velocity_weight: float,
) -> np.ndarray:
    """Return points [frame keypoint 3] after one Gauss-Newton step of data plus smoothness.

    information [frame keypoint 6] and gradient [frame keypoint 3] of the data at `points`; acceleration_weight
    [frame-2 keypoint] multiplies squared second differences, velocity_weight squared first differences (weak: it only
    keeps long gaps from being extrapolated away). Needs three frames or more.
    """
    n_frames, n_keypoints = points.shape[:2]
    out = np.empty_like(points)
    for k in range(n_keypoints):
        band = np.zeros((n_frames, 3, _BAND + 1))
        for n, (i, j) in enumerate(SYMMETRIC):
            band[:, j, _BAND + i - j] = information[:, k, n]
        diagonals = _difference_diagonals(acceleration_weight[:, k], velocity_weight, n_frames)
        for lag, diagonal in enumerate(diagonals):
            band[lag:, :, _BAND - 3 * lag] += diagonal[:, None]
        band[..., _BAND] += _TINY
        slope = gradient[:, k] + _difference_gradient(points[:, k], acceleration_weight[:, k], velocity_weight)
        step = solve_banded(band.reshape(-1, _BAND + 1), -slope.ravel())
        out[:, k] = points[:, k] + step.reshape(n_frames, 3)
    return out


def _difference_diagonals(
    weight: np.ndarray, velocity_weight: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the main, first and second diagonals of D2' W D2 + w1 D1' D1."""
    main, first, second = np.zeros(n), np.zeros(n - 1), weight.copy()
    main[:-2] += weight
    main[1:-1] += 4 * weight
    main[2:] += weight
    first[:-1] -= 2 * weight
    first[1:] -= 2 * weight
    main[:-1] += velocity_weight
    main[1:] += velocity_weight
    first -= velocity_weight
    return main, first, second


def _difference_gradient(x: np.ndarray, weight: np.ndarray, velocity_weight: float) -> np.ndarray:
    """Return (D2' W D2 + w1 D1' D1) x of a trajectory x [frame 3]."""
    out = np.zeros_like(x)
    second = weight[:, None] * (x[2:] - 2 * x[1:-1] + x[:-2])
    out[:-2] += second
    out[1:-1] -= 2 * second
    out[2:] += second
    first = velocity_weight * (x[1:] - x[:-1])
    out[:-1] -= first
    out[1:] += first
    return out


def fill_gaps_linearly(points: np.ndarray) -> np.ndarray:
    """Return points [frame keypoint 3] with NaN bridged linearly (held at the ends); all-NaN keypoints stay NaN."""
    out = points.copy()
    frames = np.arange(len(points))
    for k in range(points.shape[1]):
        ok = np.isfinite(points[:, k]).all(-1)
        if ok.any() and not ok.all():
            for axis in range(3):
                out[:, k, axis] = np.interp(frames, frames[ok], points[ok, k, axis])
    return out


def mean_around(values: np.ndarray, frames: np.ndarray, length: int) -> np.ndarray:
    """Return the mean of values [frame ...] over the `length` frames around each of `frames`, ends held."""
    out = np.zeros((len(frames), *values.shape[1:]))
    for offset in range(-(length // 2), length - length // 2):
        out += values[np.clip(frames + offset, 0, len(values) - 1)]
    return out / length


def sample_cubic(values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return values [frame ...] at fractional frames [n], by Catmull-Rom interpolation, clamped to the first and last.

    E. Catmull and R. Rom, 1974; error of the order of the fourth derivative, 0.2 mm on a sprinting foot at 60 Hz.
    """
    n = len(values)
    frame = np.clip(np.nan_to_num(frame, nan=0.0), 0, n - 1)
    whole = np.rint(frame)
    if np.abs(frame - whole).max(initial=0.0) < _ON_FRAME:
        return values[whole.astype(int)]
    i = np.minimum(frame.astype(int), max(n - 2, 0))
    u = (frame - i).reshape(-1, *[1] * (values.ndim - 1))
    p0, p1 = values[np.maximum(i - 1, 0)], values[i]
    p2, p3 = values[np.minimum(i + 1, n - 1)], values[np.minimum(i + 2, n - 1)]
    return p1 + 0.5 * u * (p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0)))


def trajectory_variance(information: np.ndarray, acceleration_weight: np.ndarray, noise: Noise = WHITE) -> np.ndarray:
    """Return the variance per axis [frame keypoint] of the errors of smoothed trajectories, mean of the three axes.

    information [frame keypoint 6] and acceleration_weight [frame-2 keypoint] as in `smooth_step`. The diagonal of the
    inverse of the banded normal matrix by a forward and a backward information filter over pairs of frames: state
    (x_t, x_t+1) per keypoint, all keypoints at once. Two-filter formula: D. Fraser and J. Potter, "The optimum linear
    smoother as a combination of two optimum linear filters", IEEE TAC 1969. The three axes of a frame count by the
    mean of their variances; noise in runs is worth as much white data as gives a steady chain the same error.
    """
    eigenvalues = np.linalg.eigvalsh(unpack_symmetric(information))
    axes = np.maximum(eigenvalues, 1e-12)
    # a chain's variance falls with the 3/4th power of its data
    data = (axes**-0.75).mean(-1) ** (-4 / 3)
    weight = np.concatenate([acceleration_weight[:1], acceleration_weight, acceleration_weight[-1:]])
    if noise is not WHITE:
        data = curvature_of_variance(error_variance(data / weight, noise)) * weight
    return chain_posterior(data, acceleration_weight)


def chain_posterior(
    data: np.ndarray, acceleration_weight: np.ndarray, velocity_weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the posterior variance [frame chain] of scalar chains of white data [frame chain], exact, gaps and all.

    acceleration_weight [frame-2 chain] on squared second differences, velocity_weight [chain] on squared first ones.
    """
    data = data + _TINY
    rate = np.zeros(data.shape[1]) if velocity_weight is None else velocity_weight
    forward = _filtered_information(data, acceleration_weight, rate)
    backward = _filtered_information(data[::-1], acceleration_weight[::-1], rate)[::-1]
    # both filters count the data of the pair's two frames, and what ties the two
    joint = forward + backward[..., ::-1, ::-1]
    joint[..., 0, 0] -= data[:-1] + rate
    joint[..., 1, 1] -= data[1:] + rate
    off_diagonal = joint[..., 0, 1] + rate
    determinant = joint[..., 0, 0] * joint[..., 1, 1] - off_diagonal**2
    first, second = joint[..., 1, 1] / determinant, joint[..., 0, 0] / determinant
    return np.concatenate([first, second[-1:]])


def _filtered_information(data: np.ndarray, weight: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Return the information [frame-1 keypoint 2 2] of (x_t, x_t+1) given the data [frame keypoint] up to t+1."""
    out = np.zeros((len(data) - 1, data.shape[1], 2, 2))
    a, b, c = data[0] + rate, -rate, data[1] + rate
    for t in range(len(data) - 1):
        out[t, :, 0, 0], out[t, :, 0, 1], out[t, :, 1, 0], out[t, :, 1, 1] = a, b, b, c
        if t < len(weight):
            w = weight[t]
            gone = a + w
            cross = b - 2 * w
            a = c + 4 * w - cross**2 / gone + rate
            b = -2 * w - cross * w / gone - rate
            c = w + data[t + 2] - w**2 / gone + rate
    return out
