"""Bundle adjustment of lenses, camera poses and board poses; board poses eliminated by the Schur complement.

B. Triggs et al., "Bundle Adjustment - A Modern Synthesis", 1999: sections 6.1 (Schur complement), 4.3 (robust costs),
9 (gauge freedom). One iteration costs time linear in views; the reduced system has 15 unknowns per camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.cauchy import CAUCHY, squared_lengths
from calibration.rig_views import N_LENS, State, Views, adjoint, linearised, residuals_px

N_CAMERA = N_LENS + 6
SCALE_QUANTILE = 0.8
"""Quantile of the residuals' lengths that sets their scale. The median would let a fit explain half of the corners
exactly and call the rest outliers; real ones are far below a fifth."""
MIN_SIGMA_PX = 0.02


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of the lenses before the board is seen: a Gaussian on the 9 parameters of each."""

    mean: np.ndarray
    """[camera 9]"""
    information: np.ndarray
    """[camera 9 9] inverse covariance."""

    def cost(self, lens: np.ndarray) -> float:
        """Return half the squared distance of lenses [camera 9] from the mean."""
        gap = lens - self.mean
        return 0.5 * float(np.einsum("ci,cij,cj->", gap, self.information, gap))


@dataclass(frozen=True, eq=False)
class Free:
    """Which unknowns may move."""

    lens: np.ndarray
    """[camera 9] bool"""
    pose: np.ndarray
    """[camera] bool"""
    has_boards: bool = True
    """Whether the boards' poses are unknown too."""

    @property
    def mask(self) -> np.ndarray:
        """[camera * 15] bool."""
        return np.concatenate([self.lens, np.repeat(self.pose[:, None], 6, axis=1)], axis=1).ravel()


@dataclass(frozen=True, eq=False)
class Fit:
    """Where a bundle adjustment ended."""

    state: State
    sigma_px: float
    """Standard deviation of the residuals per axis, degrees of freedom allowed for."""
    residuals: np.ndarray
    """[view corner 2]"""
    cost: float
    n_iterations: int


def robust_sigma_px(residuals: np.ndarray, dof_share: float = 1.0) -> float:
    """Return the standard deviation per axis from a quantile of the lengths of residuals [... 2] (Rayleigh's law)."""
    length = np.linalg.norm(residuals, axis=-1)
    length = length[np.isfinite(length)]
    if not len(length):
        return 1.0
    of_unit = np.sqrt(-2.0 * np.log(1.0 - SCALE_QUANTILE))
    return max(MIN_SIGMA_PX, float(np.quantile(length, SCALE_QUANTILE)) / of_unit / np.sqrt(max(dof_share, 0.1)))


def robust_cost(squared: np.ndarray, sigma_px: float, cauchy: float | None) -> float:
    """Return the cost of squared lengths: Cauchy's of scale `cauchy` sigmas, or least squares where that is None."""
    if cauchy is None:
        return 0.5 * float(squared.sum()) / sigma_px**2
    return 0.5 * cauchy**2 * float(np.log1p(squared / (cauchy * sigma_px) ** 2).sum())


@dataclass(frozen=True, eq=False)
class Normal:
    """Gauss-Newton system in blocks: cameras A, boards U, both W."""

    A: np.ndarray  # [camera 15 15]
    U: np.ndarray  # [frame 6 6]
    W: np.ndarray  # [camera frame 15 6]
    g_camera: np.ndarray  # [camera 15]
    g_board: np.ndarray  # [frame 6]

    @classmethod
    def of(cls, views: Views, state: State, weight_of: Callable[[np.ndarray], np.ndarray], with_lens: bool) -> Normal:
        """Linearise; `weight_of` maps squared lengths [view corner] to weights in 1 / px^2."""
        r, jac = linearised(views, state, with_lens=with_lens)
        good = np.isfinite(r).all(-1)
        r[~good] = 0.0
        jac[~good] = 0.0
        root = np.sqrt(np.where(good, weight_of((r**2).sum(-1)), 0.0))[..., None]
        n_views, n = len(r), jac.shape[-1]
        jac *= root[..., None]
        flat = jac.reshape(n_views, -1, n)
        transposed = np.ascontiguousarray(flat.swapaxes(1, 2))
        G = np.zeros((n_views, N_CAMERA, N_CAMERA))
        g = np.zeros((n_views, N_CAMERA))
        G[:, N_CAMERA - n :, N_CAMERA - n :] = transposed @ flat
        g[:, N_CAMERA - n :] = (transposed @ (r * root).reshape(n_views, -1, 1))[..., 0]
        return cls.gathered(views, G, g, adjoint(*state.view_poses(views)))

    @classmethod
    def gathered(cls, views: Views, G: np.ndarray, g: np.ndarray, to_board: np.ndarray) -> Normal:
        """Sum the normal equations of views, G [view 15 15] and g [view 15], over cameras and over frames."""
        c, f, shape = views.camera, views.frame, (views.n_cameras, views.n_frames)
        W = np.zeros((*shape, N_CAMERA, 6))
        W[c, f] = G[:, :, N_LENS:] @ to_board
        board_t = to_board.swapaxes(1, 2)
        by_frame = np.zeros((*shape, 6, 7))
        by_frame[c, f, :, :6] = board_t @ (G[:, N_LENS:, N_LENS:] @ to_board)
        by_frame[c, f, :, 6] = (board_t @ g[:, N_LENS:, None])[..., 0]
        summed = by_frame.sum(0)
        order = np.argsort(c, kind="stable")
        A, g_camera = np.zeros((shape[0], N_CAMERA, N_CAMERA)), np.zeros((shape[0], N_CAMERA))
        present, start = np.unique(c[order], return_index=True)
        A[present] = np.add.reduceat(G[order], start, axis=0)
        g_camera[present] = np.add.reduceat(g[order], start, axis=0)
        return cls(A, summed[..., :6], W, g_camera, summed[..., 6])

    def with_prior(self, prior: Prior | None, lens: np.ndarray) -> Normal:
        """Return the system with a prior on the lenses [camera 9]."""
        if prior is None:
            return self
        A, g = self.A.copy(), self.g_camera.copy()
        A[:, :N_LENS, :N_LENS] += prior.information
        g[:, :N_LENS] += np.einsum("cij,cj->ci", prior.information, lens - prior.mean)
        return Normal(A, self.U, self.W, g, self.g_board)

    def reduced(self, free: Free, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the system of the cameras alone S [m m], its right side [m], and the inverse blocks of U."""
        mask = free.mask
        n_cameras = len(self.W)
        S = np.zeros((n_cameras, N_CAMERA, n_cameras, N_CAMERA))
        diagonal = np.einsum("cii->ci", self.A)
        damped = self.A + damping * np.einsum("ci,ij->cij", diagonal, np.eye(N_CAMERA))
        S[np.arange(n_cameras), :, np.arange(n_cameras), :] = damped
        S = S.reshape(n_cameras * N_CAMERA, -1)
        right = self.g_camera.ravel().copy()
        inverse = block_inverse(self.U, damping) if free.has_boards else np.zeros_like(self.U)
        if free.has_boards:
            W = self.W.transpose(0, 2, 1, 3).reshape(n_cameras * N_CAMERA, -1)[mask]
            W_inverse = (self.W @ inverse).transpose(0, 2, 1, 3).reshape(n_cameras * N_CAMERA, -1)[mask]
            return (
                S[np.ix_(mask, mask)] - W_inverse @ W.T,
                right[mask] - W_inverse @ self.g_board.ravel(),
                inverse,
            )
        return S[np.ix_(mask, mask)], right[mask], inverse

    def step(self, free: Free, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the Levenberg-Marquardt step of cameras [camera 15] and boards [frame 6]."""
        S, right, inverse = self.reduced(free, damping)
        camera = np.zeros(self.g_camera.size)
        if len(S):
            camera[free.mask] = -_solve_scaled(S, right)
        camera = camera.reshape(self.g_camera.shape)
        if not free.has_boards:
            return camera, np.zeros_like(self.g_board)
        left = self.g_board + np.tensordot(camera, self.W, axes=([0, 1], [0, 2]))
        return camera, -(inverse @ left[..., None])[..., 0]


def block_inverse(U: np.ndarray, damping: float) -> np.ndarray:
    """Return inverses of symmetric blocks [... 6 6], damped on their diagonals; 0 where there is no information."""
    diagonal = np.einsum("...ii->...i", U)
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-12))
    scaled = U * scale[..., :, None] * scale[..., None, :]
    empty = diagonal.max(-1) <= 0
    scaled = scaled + (damping + 1e-10) * np.eye(6)
    scaled[empty] = np.eye(6)
    inverse = np.linalg.inv(scaled) * scale[..., :, None] * scale[..., None, :]
    inverse[empty] = 0.0
    return inverse


def _solve_scaled(S: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return S^-1 right with unknowns scaled to unit curvature; least squares where S is singular."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(S), 1e-12))
    scaled = S * scale[:, None] * scale[None, :]
    try:
        return np.linalg.solve(scaled, right * scale) * scale
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(scaled, right * scale, rcond=1e-10)[0] * scale


def adjust(
    views: Views,
    state: State,
    free: Free,
    *,
    prior: Prior | None = None,
    cauchy: float | None = CAUCHY,
    sigma_px: float | None = None,
    max_iterations: int = 30,
    tolerance: float = 1e-5,
    on_iteration: Callable[[], None] | None = None,
) -> Fit:
    """Return the state of least robust cost near `state`: Levenberg-Marquardt, weights renewed in every iteration.

    The residuals' scale is measured as the fit goes unless `sigma_px` gives it. `tolerance`: relative drop of cost that
    ends the fit.
    """
    seen = views.seen
    share = dof_share(views, free)
    residuals = residuals_px(views, state)
    sigma, damping, n = 1.0, 1e-4, 0
    with_lens = bool(free.lens.any())
    for _ in range(max_iterations):
        n += 1
        sigma = sigma_px or robust_sigma_px(residuals, share)
        squared = squared_lengths(residuals, seen)
        cost = robust_cost(squared, sigma, cauchy) + (prior.cost(state.lens) if prior else 0.0)
        normal = Normal.of(views, state, _weights(sigma, cauchy), with_lens).with_prior(prior, state.lens)
        drop = 0.0
        trial, trial_residuals = state, residuals
        while damping < 1e8:
            trial = state.moved(*normal.step(free, damping))
            trial_residuals = residuals_px(views, trial)
            if (trial.lens[:, :2] > 0).all():
                after = robust_cost(squared_lengths(trial_residuals, seen), sigma, cauchy)
                drop = cost - after - (prior.cost(trial.lens) if prior else 0.0)
                if drop > 0:
                    break
            if damping > 1e-2 and abs(drop) < 1e-3 * tolerance * cost:
                break
            damping = max(10.0 * damping, 1e-4)
        if not drop > 0:
            break
        state, residuals = trial, trial_residuals
        damping = max(0.1 * damping, 1e-9)
        if on_iteration:
            on_iteration()
        if drop < tolerance * cost:
            break
    squared = squared_lengths(residuals, seen)
    return Fit(state, sigma, residuals, robust_cost(squared, sigma, cauchy), n)


def _weights(sigma_px: float, cauchy: float | None) -> Callable[[np.ndarray], np.ndarray]:
    """Return the map from squared lengths to weights of the iteratively re-weighted fit."""
    if cauchy is None:
        return lambda squared: np.full_like(squared, 1.0 / sigma_px**2)
    return lambda squared: 1.0 / (sigma_px**2 + squared / cauchy**2)


def dof_share(views: Views, free: Free) -> float:
    """Return residuals left over per residual: 1 - unknowns / measurements."""
    n = 2 * int(views.seen.sum())
    unknowns = int(free.mask.sum()) + (6 * len(np.unique(views.frame)) if free.has_boards else 0)
    return max(0.1, 1.0 - unknowns / max(n, 1))


def camera_information(views: Views, fit: Fit, free: Free, cauchy: float | None = CAUCHY) -> np.ndarray:
    """Return the information [camera*15 camera*15] of the cameras' unknowns, boards eliminated; 0 for what was held.

    Robust weights enter as they stand, scaled so that Gaussian residuals give their plain least squares information.
    """
    weight = _weights(fit.sigma_px, cauchy)
    gain = 1.0 if cauchy is None else _mean_weight_inverse(fit, views, cauchy)
    normal = Normal.of(views, fit.state, lambda squared: gain * weight(squared), bool(free.lens.any()))
    S, _, _ = normal.reduced(free, 0.0)
    mask = free.mask
    out = np.zeros((len(mask), len(mask)))
    out[np.ix_(mask, mask)] = S
    return out


def _mean_weight_inverse(fit: Fit, views: Views, cauchy: float) -> float:
    """Return 1 / mean relative weight of the inlying corners."""
    squared = squared_lengths(fit.residuals, views.seen)[views.seen]
    inlying = squared[squared < (4.0 * fit.sigma_px) ** 2]
    relative = 1.0 / (1.0 + inlying / (cauchy * fit.sigma_px) ** 2)
    return 1.0 / float(relative.mean()) if len(relative) else 1.0
