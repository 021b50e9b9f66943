"""Poses of a planar board in single views, both of the two that a plane leaves possible.

Far away or nearly frontal, two poses of a plane look almost the same (G. Schweighofer and A. Pinz, "Robust pose
estimation from a planar target", PAMI 2006; T. Collins and A. Bartoli, "Infinitesimal plane-based pose estimation",
IJCV 2014). Which is right is decided where cameras share views, not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.cauchy import CAUCHY, squared_lengths
from calibration.rig_views import State, Views, linearised, residuals_px
from mocap.core.camera import N_DISTORTION, LensModel
from mocap.kernels.projection import undistort
from mocap.kernels.rotations import quat_exp, quat_to_matrix

MIN_CORNERS = 4
MIN_DROP = 1e-3
"""Relative drop of a view's cost below which its pose has arrived."""
MAX_DAMPING = 1e3


@dataclass(frozen=True, eq=False)
class ViewPoses:
    """Two candidate poses cam_from_board of each view, the better first."""

    R: np.ndarray
    """[view 2 3 3]"""
    t_m: np.ndarray
    """[view 2 3] of the board's middle."""
    error_px: np.ndarray
    """[view 2] median length of the residuals; inf where there is no pose."""
    cost: np.ndarray
    """[view 2] robust cost in sigmas of the whole."""


def homographies(xy: np.ndarray, plane: np.ndarray, n_reweight: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return H [view 3 3] with xy ~ H (X, Y, 1), and residuals [view corner], robust to a few wrong corners.

    xy [view corner 2] with NaN where unseen, plane [corner 2]. Normalised DLT (R. Hartley and A. Zisserman, Multiple
    View Geometry, algorithm 4.2), re-weighted by Cauchy's weights of the transfer error at each view's own scale.
    """
    seen = np.asarray(np.isfinite(xy).all(-1))
    count = np.maximum(seen.sum(1), 1)[:, None]
    filled = np.where(seen[..., None], xy, 0.0)
    middle = filled.sum(1) / count
    centred = np.where(seen[..., None], xy - middle[:, None], 0.0)
    spread = np.sqrt((centred**2).sum((1, 2)) / count[:, 0]) + 1e-12
    u = centred / spread[:, None, None]
    size = np.sqrt((plane**2).sum(-1).mean())
    X = np.concatenate([plane / size, np.ones((len(plane), 1))], 1)
    rows = np.zeros((*u.shape, 9))
    rows[..., 0, :3] = rows[..., 1, 3:6] = X
    rows[..., 6:] = -u[..., None] * X[:, None, :]
    weight = seen.astype(float)
    H = np.zeros((len(xy), 3, 3))
    error = np.full(seen.shape, np.nan)
    for _ in range(n_reweight):
        flat = (rows * weight[..., None, None]).reshape(len(xy), -1, 9)
        _, vectors = np.linalg.eigh(flat.swapaxes(1, 2) @ flat)
        H = vectors[:, :, 0].reshape(-1, 3, 3)
        mapped = np.einsum("vij,nj->vni", H, X)
        depth = np.where(np.abs(mapped[..., 2:]) > 1e-9, mapped[..., 2:], np.nan)
        error = np.where(seen, np.linalg.norm(mapped[..., :2] / depth - u, axis=-1), np.nan)
        error = np.where(seen & ~np.isfinite(error), 1e6, error)
        scale = _row_median(error) / 1.1774 + 1e-9
        normal = 1.0 / np.abs(depth[..., 0])
        weight = np.where(seen, np.nan_to_num(normal) / np.sqrt(1.0 + (error / (CAUCHY * scale[:, None])) ** 2), 0.0)
    to_px = np.zeros((len(xy), 3, 3))
    to_px[:, 0, 0] = to_px[:, 1, 1] = spread
    to_px[:, :2, 2], to_px[:, 2, 2] = middle, 1.0
    return to_px @ H @ np.diag([1 / size, 1 / size, 1.0]), error * spread[:, None]


def _row_median(values: np.ndarray) -> np.ndarray:
    """Return medians [row] of values [row column] without NaN; 0 for rows of NaN alone."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(values).sum(1)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[:, None] // 2, axis=1)[:, 0]
    return np.where(count > 0, middle, 0.0)


def pose_of_homography(H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R [view 3 3], t [view 3] of homographies from a plane z = 0 to normalised coordinates, in front."""
    poor = ~np.isfinite(H).all((1, 2)) | (np.abs(H[:, 2, 2]) < 1e-9)
    H = np.where(poor[:, None, None], np.eye(3), H)
    scale = 0.5 * (np.linalg.norm(H[:, :, 0], axis=-1) + np.linalg.norm(H[:, :, 1], axis=-1)) + 1e-12
    # The middle of the board is in front of the camera, whichever side is seen.
    sign = np.where(H[:, 2, 2] < 0, -1.0, 1.0)
    M = H * (sign / scale)[:, None, None]
    columns = np.stack([M[:, :, 0], M[:, :, 1], np.cross(M[:, :, 0], M[:, :, 1])], -1)
    u, _, vt = np.linalg.svd(columns)
    fix = np.ones((len(H), 3))
    fix[:, 2] = np.sign(np.linalg.det(u @ vt))
    return (u * fix[:, None, :]) @ vt, M[:, :, 2]


def other_pose(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the rotations [view 3 3] that look the same from far away: the plane's depth mirrored about its middle."""
    d = t / np.linalg.norm(t, axis=-1, keepdims=True)
    first, second = (R[:, :, i] - 2.0 * d * (d * R[:, :, i]).sum(-1, keepdims=True) for i in (0, 1))
    return np.stack([first, second, np.cross(first, second)], -1)


def normalised(views: Views, lens: np.ndarray, models: tuple[LensModel, ...]) -> np.ndarray:
    """Return undistorted coordinates [view corner 2] by lenses [camera 9]."""
    out = np.full_like(views.xy_px, np.nan)
    for c in np.unique(views.camera):
        on = views.camera == c
        k = lens[c]
        out[on] = undistort(views.xy_px[on], k[:2], k[2:4], k[4 : 4 + N_DISTORTION[models[c]]])
    return out


def view_poses(views: Views, lens: np.ndarray, models: tuple[LensModel, ...], n_iterations: int = 10) -> ViewPoses:
    """Return both candidate poses of each view, refined on pixels with a robust cost."""
    n = len(views.camera)
    xy = normalised(views, lens, models)
    H, _ = homographies(xy, views.corners_m[:, :2])
    R, t = pose_of_homography(H)
    first = _refined(views, lens, models, R, t, n_iterations)
    second = _refined(views, lens, models, other_pose(*first[:2]), first[1], n_iterations)
    R2, t2, error, residuals = (np.stack([a, b], 1) for a, b in zip(first, second, strict=True))
    finite = error[np.isfinite(error).all(1)].min(1)
    # One scale for both candidates and all views: their costs are compared.
    scale = np.full(n, (np.median(finite) if len(finite) else 1.0) / 1.1774 + 1e-3)
    cost = np.stack([_cost(residuals[:, k], views.seen, scale) for k in (0, 1)], 1)
    error[(views.seen.sum(1) < MIN_CORNERS) | (np.isfinite(xy).all(-1).sum(1) < MIN_CORNERS)] = np.inf
    cost[~np.isfinite(error)] = np.inf
    order = np.argsort(cost, axis=1)
    return ViewPoses(
        *(np.take_along_axis(a, order.reshape(n, 2, *[1] * (a.ndim - 2)), 1) for a in (R2, t2, error, cost))
    )


def _refined(
    views: Views, lens: np.ndarray, models: tuple[LensModel, ...], R: np.ndarray, t: np.ndarray, n_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return R, t, median error and residuals of each view after damped Gauss-Newton steps of its own pose."""
    n, m = len(views.camera), len(models)
    R, t, damping = R.copy(), t.copy(), np.full(n, 1e-3)
    still = np.tile(np.eye(3), (m, 1, 1)), np.zeros((m, 3))
    seen = views.seen
    residuals = np.empty_like(views.xy_px)
    on = np.arange(n)
    for iteration in range(n_iterations):
        few = Views(views.camera[on], np.arange(len(on)), views.xy_px[on], views.corners_m, m, len(on))
        state = State(models, lens, *still, R[on], t[on])
        r, jac = linearised(few, state, with_lens=False)
        if iteration == 0:
            residuals = r.copy()
        scale = _scale(r, seen[on])
        step = _pose_step(r, jac, scale, damping[on])
        turn = quat_to_matrix(quat_exp(step[:, :3]))
        trial_t = (turn @ t[on][..., None])[..., 0] + step[:, 3:]
        trial = State(models, lens, *still, turn @ R[on], trial_t)
        trial_residuals = residuals_px(few, trial)
        before, after = _cost(r, seen[on], scale), _cost(trial_residuals, seen[on], scale)
        better = after < before
        moved = on[better]
        R[moved], t[moved] = trial.R_world_from_board[better], trial_t[better]
        residuals[moved] = trial_residuals[better]
        damping[on] *= np.where(better, 0.1, 30.0)
        on = on[np.where(better, before - after > MIN_DROP * before, damping[on] < MAX_DAMPING)]
        if not len(on):
            break
    length = np.sqrt(squared_lengths(residuals, seen))
    error = _row_median(np.where(seen, length, np.nan))
    return R, t, error, residuals


def _pose_step(r: np.ndarray, jac: np.ndarray, scale: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """Return the re-weighted Levenberg-Marquardt steps (w, v) [view 6] of residuals at their views' scales."""
    n = len(r)
    good = np.asarray(np.isfinite(r).all(-1))
    weight = np.where(good, 1.0 / (scale[:, None] ** 2 + (np.nan_to_num(r) ** 2).sum(-1) / CAUCHY**2), 0.0)
    root = np.sqrt(weight)[..., None]
    flat = (np.where(good[..., None, None], jac, 0.0) * root[..., None]).reshape(n, -1, 6)
    G = flat.swapaxes(1, 2) @ flat
    g = flat.swapaxes(1, 2) @ (np.where(good[..., None], r, 0.0) * root).reshape(n, -1, 1)
    diagonal = np.einsum("vii->vi", G)
    G = G + (damping[:, None] * diagonal + 1e-9)[:, :, None] * np.eye(6)
    return -np.linalg.solve(G, g)[..., 0]


def _scale(residuals: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the residuals' scale [view] per axis."""
    length = np.sqrt(squared_lengths(residuals, seen))
    return np.maximum(_row_median(np.where(seen, length, np.nan)) / 1.1774, 0.05)


def _cost(residuals: np.ndarray, seen: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return robust costs [view]."""
    squared = squared_lengths(residuals, seen) / (CAUCHY * scale[:, None]) ** 2
    return 0.5 * CAUCHY**2 * np.log1p(squared).sum(1)
