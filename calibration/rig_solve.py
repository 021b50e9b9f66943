"""From views of a board to cameras and boards in one frame: start, bundle adjustment, rejection of what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.lens_prior import LensPrior, information
from calibration.rig_bundle import Fit, Free, Prior, adjust, dof_share, robust_sigma_px, squared_lengths
from calibration.rig_graph import Pair, joined, placed_boards, view_table, vote
from calibration.rig_poses import MIN_CORNERS, ViewPoses
from calibration.rig_views import N_LENS, Views
from mocap.core.camera import LensModel

OUTLIER_SIGMAS = 5.0
"""Corners farther off, and as far from the rest of their view, are wrong, where residuals are Gaussian; where their
tails are heavier the limit is wider."""
GAUSSIAN_TAIL = 1.364
"""Ratio of the 95 % and 80 % quantiles of the length of a 2-vector of Gaussian components."""
OUTLIER_PX = 1.0
"""No corner is called wrong for less than this."""
BAD_VIEW_SIGMAS = 8.0
"""A view whose median residual exceeds this is dropped whole."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A calibration in the frame of its first camera."""

    views: Views
    """The views used, wrong corners blanked."""
    fit: Fit
    free: Free
    prior: Prior | None
    pairs: list[Pair]
    poses: ViewPoses
    """Candidates of the views that were given."""


def all_pairs(views: Views, poses: ViewPoses) -> list[Pair]:
    """Return the votes of all pairs of cameras that share a frame."""
    table = view_table(views)
    found = []
    for first in range(views.n_cameras):
        for second in range(first + 1, views.n_cameras):
            pair = vote(views, poses, table, first, second)
            if pair is not None:
                found.append(pair)
    return found


def solve(
    views: Views,
    poses: ViewPoses,
    pairs: list[Pair],
    lens: np.ndarray,
    models: tuple[LensModel, ...],
    priors: list[LensPrior],
) -> Solved:
    """Return the calibration of connected cameras; a prior with all sd 0 holds its lens."""
    cameras = joined(views.n_cameras, pairs)
    usable = np.isfinite(poses.error_px[:, 0])
    state = placed_boards(views.select(usable), _chosen(poses, usable), lens, models, cameras)
    used = views.select(usable)
    root = np.zeros(views.n_cameras, bool)
    root[_root(cameras)] = True
    held = Free(np.zeros((views.n_cameras, N_LENS), bool), ~root)
    is_open = np.stack([p.sd > 0 for p in priors])
    free = Free(is_open, ~root)
    known = information(priors, lens) if is_open.any() else None
    fit = adjust(used, state, held, max_iterations=4)
    fit = adjust(used, fit.state, free, prior=known, max_iterations=12, tolerance=1e-3)
    cleaned = _without_bad_views(used, fit)
    fit = adjust(cleaned, fit.state, free, prior=known, max_iterations=30, tolerance=1e-4)
    cleaned = _without_outliers(cleaned, fit, free)
    # Least squares from here on: with the gross errors gone it is the most certain, and its covariance is known.
    for tolerance in (1e-3, 1e-6) if known else (1e-6,):
        known = (
            information([p.relaxed(x) for p, x in zip(priors, fit.state.lens, strict=True)], fit.state.lens)
            if known
            else None
        )
        fit = adjust(cleaned, fit.state, free, prior=known, cauchy=None, max_iterations=30, tolerance=tolerance)
    return Solved(cleaned, fit, free, known, pairs, poses)


def _root(cameras: tuple[np.ndarray, np.ndarray]) -> int:
    """Return the camera that defines the frame."""
    turned = np.abs(cameras[0] - np.eye(3)).max((1, 2)) + np.abs(cameras[1]).max(1)
    return int(np.argmin(turned))


def _chosen(poses: ViewPoses, on: np.ndarray) -> ViewPoses:
    return ViewPoses(poses.R[on], poses.t_m[on], poses.error_px[on], poses.cost[on])


def _without_bad_views(views: Views, fit: Fit) -> Views:
    """Return the views without those that do not fit as a whole (a wrong frame).

    Where the board moved while cameras were not quite in step, all corners of a view are off together, by more the
    faster it moved: such views make the tail heavy, and stay.
    """
    length = np.sqrt(squared_lengths(fit.residuals, views.seen))
    median = np.nanmedian(np.where(views.seen, length, np.nan), axis=1)
    bad = median > max(BAD_VIEW_SIGMAS * _tail(median) * fit.sigma_px, 3.0 * OUTLIER_PX)
    return views.select(~bad)


def _tail(length: np.ndarray) -> float:
    """Return by how much a limit is widened for residuals whose lengths have heavier tails than Gaussian ones (1: not).

    Footage that is blurred or not quite of one instant has heavy tails that are no gross errors.
    """
    q80, q95 = np.quantile(length, [0.8, 0.95])
    return float(np.clip(q95 / q80 / GAUSSIAN_TAIL, 1.0, 1.6)) ** 2


def _without_outliers(views: Views, fit: Fit, free: Free) -> Views:
    """Return the views with wrong corners blanked, and without views left with too few.

    A wrong corner is far from where it should be and from what the rest of its view says: an error that a whole view
    shares (the board moved, the camera was late) is no reason to leave corners out.
    """
    residuals = fit.residuals
    assert residuals.shape[0] == len(views.camera)
    sigma = robust_sigma_px(residuals, dof_share(views, free))
    length = np.sqrt(squared_lengths(residuals, views.seen))
    limit = max(OUTLIER_SIGMAS * _tail(length[views.seen]) * sigma, OUTLIER_PX)
    common = np.nanmedian(np.where(views.seen[..., None], residuals, np.nan), axis=1, keepdims=True)
    alone = np.linalg.norm(residuals - common, axis=-1)
    far = (length > limit) & ~(alone <= limit)
    xy = np.where(far[..., None], np.nan, views.xy_px)
    cleaned = replace(views, xy_px=xy)
    return cleaned.select(cleaned.seen.sum(1) >= MIN_CORNERS)
