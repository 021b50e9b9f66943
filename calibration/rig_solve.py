"""From views of a board to cameras and boards in one frame: start, bundle adjustment, rejection of what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.lens_prior import LensPrior, information
from calibration.rig_bundle import Fit, Free, Prior, adjust, dof_share, robust_sigma_px, squared_lengths
from calibration.rig_graph import Pair, groups, joined, placed_boards, view_table, vote
from calibration.rig_poses import MIN_CORNERS, ViewPoses, view_poses
from calibration.rig_views import N_LENS, Views
from mocap.core.camera import LensModel

OUTLIER_SIGMAS = 5.0
"""Corners farther off are wrong, where residuals are Gaussian; where their tails are heavier the limit is wider."""
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
    n_rejected: int
    """Corners blanked."""
    rejected_views: np.ndarray
    """Indices of given views that were dropped whole."""


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


def usable_groups(views: Views, pairs: list[Pair]) -> list[list[int]]:
    """Return the groups of cameras that shared views join."""
    return groups(views.n_cameras, pairs)


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
    cleaned, dropped = _without_bad_views(used, fit)
    fit = adjust(cleaned, fit.state, free, prior=known, max_iterations=30, tolerance=1e-4)
    cleaned = _without_outliers(cleaned, fit, free)
    # Least squares from here on: with the gross errors gone it is the most certain, and its covariance is known.
    fit = adjust(cleaned, fit.state, free, prior=known, cauchy=None, max_iterations=30, tolerance=1e-6)
    n_rejected = int(used.seen.sum() - cleaned.seen.sum())
    return Solved(cleaned, fit, free, known, pairs, poses, n_rejected, np.flatnonzero(usable)[dropped])


def _root(cameras: tuple[np.ndarray, np.ndarray]) -> int:
    """Return the camera that defines the frame."""
    turned = np.abs(cameras[0] - np.eye(3)).max((1, 2)) + np.abs(cameras[1]).max(1)
    return int(np.argmin(turned))


def _chosen(poses: ViewPoses, on: np.ndarray) -> ViewPoses:
    return ViewPoses(poses.R[on], poses.t_m[on], poses.error_px[on], poses.cost[on])


def _without_bad_views(views: Views, fit: Fit) -> tuple[Views, np.ndarray]:
    """Return the views without those that do not fit as a whole (a wrong frame), and which they were."""
    length = np.sqrt(squared_lengths(fit.residuals, views.seen))
    length = np.where(views.seen, length, np.nan)
    median = np.nanmedian(length, axis=1)
    bad = median > max(BAD_VIEW_SIGMAS * fit.sigma_px, 3.0 * OUTLIER_PX)
    return views.select(~bad), bad


def _without_outliers(views: Views, fit: Fit, free: Free) -> Views:
    """Return the views with wrong corners blanked, and without views left with too few."""
    residuals = fit.residuals
    assert residuals.shape[0] == len(views.camera)
    sigma = robust_sigma_px(residuals, dof_share(views, free))
    length = np.sqrt(squared_lengths(residuals, views.seen))
    q80, q95 = np.quantile(length[views.seen], [0.8, 0.95])
    # Footage that is blurred or not quite of one instant has heavy tails that are no gross errors.
    tail = float(np.clip(q95 / q80 / GAUSSIAN_TAIL, 1.0, 1.6)) ** 2
    far = length > max(OUTLIER_SIGMAS * tail * sigma, OUTLIER_PX)
    xy = np.where(far[..., None], np.nan, views.xy_px)
    cleaned = replace(views, xy_px=xy)
    return cleaned.select(cleaned.seen.sum(1) >= MIN_CORNERS)


def blind_start(views: Views, lens: np.ndarray, models: tuple[LensModel, ...]) -> tuple[ViewPoses, list[Pair]]:
    """Return candidate poses and votes under given lenses."""
    poses = view_poses(views, lens, models)
    return poses, all_pairs(views, poses)
