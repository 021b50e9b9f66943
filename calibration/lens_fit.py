"""One camera's lens of a given model fitted to its views of a board: start, fit, and what the views know of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.lens_prior import LensPrior, general_prior, information, seeds, spread_views
from calibration.rig_bundle import CAUCHY, Fit, Free, Prior, adjust, camera_information, squared_lengths
from calibration.rig_poses import view_poses
from calibration.rig_views import N_LENS, State, Views, packed
from mocap.core.camera import LensModel

N_FIRST_VIEWS = 20
N_SEEDS = 2
FIRST_SIGMA_PX = 1.0
"""Scale of residuals that the search for a start assumes: lens errors of a wrong start are larger."""
HELD_INFORMATION = 1.0
"""A parameter moves where the views alone know it better than its prior does, by this factor in standard deviation."""


def kind_prior(kind: str, size_px: tuple[int, int]) -> LensPrior:
    """Return what is known beforehand of a lens of some kind; a pinhole has no distortion."""
    prior = general_prior(size_px, LensModel.FISHEYE if kind == "fisheye" else LensModel.BROWN)
    if kind == "pinhole":
        sd = prior.sd.copy()
        sd[4:] = 0.0
        prior = replace(prior, sd=sd)
    return prior


def may_move(prior: LensPrior) -> np.ndarray:
    """Return which of the nine parameters the prior leaves open."""
    return prior.sd > 0


def packed_views(views: Views, chosen: np.ndarray) -> Views:
    """Return some of one camera's views, frames renumbered."""
    return views.select(chosen).of_camera(0)


def _state(views: Views, lens: np.ndarray, model: LensModel) -> State:
    """Return a state with each view's board at its likelier pose."""
    poses = view_poses(views, lens[None], (model,))
    return State((model,), lens[None], np.eye(3)[None], np.zeros((1, 3)), poses.R[:, 0], poses.t_m[:, 0])


def start(views: Views, size_px: tuple[int, int], prior: LensPrior) -> np.ndarray:
    """Return a lens [9] to begin from: the best of several focal lengths, each fitted with its first distortion."""
    model = prior.intrinsics.model
    if prior.sd[0] < 0.1 * prior.intrinsics.focal_px[0]:
        return packed(prior.intrinsics)
    chosen = spread_views(views, N_FIRST_VIEWS)
    first = np.stack(seeds(views, size_px, model)[:N_SEEDS])
    m, n = len(first), len(chosen)
    # One camera per start, all in one fit.
    which = np.repeat(np.arange(m), n)
    few = Views(which, np.arange(n * m), np.tile(views.xy_px[chosen], (m, 1, 1)), views.corners_m, m, n * m)
    poses = view_poses(few, first, (model,) * m)
    still = np.tile(np.eye(3), (m, 1, 1)), np.zeros((m, 3))
    state = State((model,) * m, first, *still, poses.R[:, 0], poses.t_m[:, 0])
    open_lens = np.zeros((m, N_LENS), bool)
    open_lens[:, :2] = True
    open_lens[:, 4] = prior.sd[4] > 0
    free = Free(open_lens, np.zeros(m, bool))
    fit = adjust(few, state, free, prior=information([prior] * m, first), sigma_px=FIRST_SIGMA_PX, max_iterations=8)
    squared = squared_lengths(fit.residuals, few.seen) / FIRST_SIGMA_PX**2
    cost = np.bincount(which, np.log1p(squared / CAUCHY**2).sum(1), minlength=m)
    return fit.state.lens[int(np.argmin(cost))]


def fit_lens(views: Views, prior: LensPrior, lens: np.ndarray) -> Fit:
    """Return the fit of one camera's views from a start [9]."""
    model = prior.intrinsics.model
    free = Free(may_move(prior)[None], np.array([False]))
    fit = None
    # A better lens tells the two poses of a plane apart better: poses are found anew once.
    for n_iterations in (8, 20):
        state = _state(views, lens, model)
        known = information([prior], lens[None])
        fit = adjust(views, state, free, prior=known, max_iterations=n_iterations, tolerance=1e-4)
        lens = fit.state.lens[0]
    assert fit is not None
    return fit


def observable(views: Views, fit: Fit, prior: LensPrior) -> np.ndarray:
    """Return which parameters [9] the views know better than the prior."""
    free = Free(may_move(prior)[None], np.array([False]))
    information_of_views = camera_information(views, fit, free)[:N_LENS, :N_LENS]
    sd = prior.sd
    unit = np.where((sd > 0) & np.isfinite(sd), np.minimum(sd, 0.05 * fit.state.lens[0, 0] + 1.0), 1.0)
    on = free.lens[0]
    scaled = information_of_views * unit[:, None] * unit[None, :]
    covariance = np.linalg.pinv(scaled[np.ix_(on, on)] + 1e-9 * np.eye(int(on.sum())))
    known = np.zeros(N_LENS, bool)
    known[on] = np.sqrt(np.diag(covariance)) < HELD_INFORMATION
    return known


def lens_covariance(views: Views, fit: Fit, prior: LensPrior) -> np.ndarray:
    """Return the posterior covariance [9 9] of the lens."""
    known: Prior = information([prior], fit.state.lens)
    on = may_move(prior)
    total = camera_information(views, fit, Free(on[None], np.array([False])))[:N_LENS, :N_LENS] + known.information[0]
    out = np.zeros((N_LENS, N_LENS))
    out[np.ix_(on, on)] = np.linalg.pinv(total[np.ix_(on, on)], hermitian=True)
    return out
