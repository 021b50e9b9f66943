"""How certain a board calibration is.

The inverse of the cameras' reduced normal matrix, one camera held, says how certain the others are relative to it. For
pictures and comparisons the frame must not hang on one camera: `Certainty` is in the frame in which the camera centres
fit a given rig best (an S-transformation: W. Baarda, 1981; Triggs et al. 1999, section 9).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.rig_bundle import N_CAMERA, Normal, block_inverse
from calibration.rig_solve import Solved
from calibration.rig_views import N_LENS, State, linearised
from mocap.kernels.rotations import skew

ORIENTATION_WEIGHT = 1e-3
"""Weight of the cameras' orientations, beside their centres in metres, in what defines the frame: for two cameras."""


@dataclass(frozen=True, eq=False)
class Certainty:
    """Covariances of a rig whose frame is fitted to the camera centres (rigidly, scale from the board)."""

    covariance: np.ndarray
    """[camera*15 camera*15] of lens (9), and of turn w and shift v with x_cam -> exp(w) x_cam + v (6), per camera."""
    center_covariance_m2: np.ndarray
    """[camera 3 3] of the camera centres, in the world."""
    rotation_sd_deg: np.ndarray
    """[camera] 1 sd of the orientation about its least certain axis."""
    lens_sd: np.ndarray
    """[camera 9] 1 sd of fx fy cx cy and distortion; 0 where held."""
    frame_variance_ratio: float
    """By how much errors common to a view raise the variance above that of independent corners (1: not at all)."""

    @property
    def center_sd_m(self) -> np.ndarray:
        """[camera] 1 sd along the least certain direction."""
        return np.sqrt(np.linalg.eigvalsh(self.center_covariance_m2)[:, -1])


def certainty(solved: Solved, state: State) -> Certainty:
    """Return the covariances of a solved rig, `state` being its state in the frame wanted.

    Errors shared by all corners of a view (a camera that is a little late, blur) make views, not corners, the
    independent samples; the spread of the frames' own gradients shows it and scales the covariance.
    """
    n = len(state.lens)
    mask = solved.free.mask
    sigma = solved.fit.sigma_px
    views = solved.views
    normal = Normal.of(views, state, lambda squared: np.full_like(squared, 1.0 / sigma**2), True)
    ratio = _variance_ratio(normal, solved)
    S, _, _ = normal.reduced(solved.free, 0.0)
    S = S / ratio
    full = np.zeros((n * N_CAMERA, n * N_CAMERA))
    full[np.ix_(mask, mask)] = S
    if solved.prior is not None:
        for c in range(n):
            block = slice(c * N_CAMERA, c * N_CAMERA + N_LENS)
            full[block, block] += solved.prior.information[c]
    inner = full[np.ix_(mask, mask)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(inner), 1e-20))
    covariance = np.zeros_like(full)
    covariance[np.ix_(mask, mask)] = np.linalg.pinv(inner * scale[:, None] * scale, hermitian=True) * (
        scale[:, None] * scale
    )
    covariance = _in_own_frame(covariance, state)
    to_center = _center_jacobian(state)
    blocks = covariance.reshape(n, N_CAMERA, n, N_CAMERA)
    own = np.stack([blocks[c, :, c] for c in range(n)])
    pose = own[:, N_LENS:, N_LENS:]
    center = to_center @ pose @ to_center.swapaxes(1, 2)
    rotation = np.sqrt(np.maximum(np.linalg.eigvalsh(pose[:, :3, :3])[:, -1], 0.0))
    lens_sd = np.sqrt(np.maximum(np.einsum("cii->ci", own)[:, :N_LENS], 0.0))
    return Certainty(covariance, center, np.rad2deg(rotation), lens_sd, ratio)


def _variance_ratio(normal: Normal, solved: Solved) -> float:
    """Return the observed variance of the frames' gradients by the one expected of independent corners, 1 or more.

    At the optimum the gradients of frames, boards eliminated, are samples of mean 0 whose covariance is their
    information (the sandwich estimator: P. Huber, 1967), so g' I^-1 g summed over frames counts the unknowns.
    """
    mask = solved.free.mask
    n_frames = normal.W.shape[1]
    n_unknowns = int(mask.sum())
    if n_frames < 2 * max(1, n_unknowns // 15):
        return 1.0
    single = _frame_gradients(solved, normal)
    if single is None:
        return 1.0
    gradient, information = single
    expected = np.einsum("fii->i", information) if information.ndim == 3 else information.sum(0)
    observed = (gradient**2).sum(0)
    good = expected > 0
    return float(max(1.0, np.median(observed[good] / expected[good]))) if good.any() else 1.0


def _frame_gradients(solved: Solved, normal: Normal) -> tuple[np.ndarray, np.ndarray] | None:
    """Return each frame's gradient [frame m] by the cameras' poses and its information's diagonal [frame m].

    A board's own pose is optimal, so its elimination leaves the gradient as it is and lowers the information.
    """
    views, sigma = solved.views, solved.fit.sigma_px
    r, jac = linearised(views, solved.fit.state, with_lens=False)
    good = np.asarray(np.isfinite(r).all(-1))
    r, jac = np.where(good[..., None], r, 0.0), np.where(good[..., None, None], jac, 0.0)
    g = np.einsum("vnki,vnk->vi", jac, r) / sigma**2
    G = np.einsum("vnki,vnkj->vij", jac, jac) / sigma**2
    W = normal.W[views.camera, views.frame][:, N_LENS:]
    inverse = block_inverse(normal.U, 0.0)[views.frame]
    information = np.einsum("vii->vi", G) - np.einsum("vij,vjk,vik->vi", W, inverse, W)
    multi = np.bincount(views.frame, minlength=views.n_frames)[views.frame] > 1
    if multi.sum() < 6:
        return None
    return g[multi], np.maximum(information[multi], 0.0)


def _center_jacobian(state: State) -> np.ndarray:
    """Return d(centre) / d(w, v) [camera 3 6]: centre = -R' t, so w does not move it where t turns along."""
    back = -state.R_cam_from_world.swapaxes(1, 2)
    return np.concatenate([np.zeros_like(back), back], axis=2)


def _in_own_frame(covariance: np.ndarray, state: State) -> np.ndarray:
    """Return the covariance with the rigid motion removed that best fits the camera centres."""
    n = len(state.lens)
    R, t = state.R_cam_from_world, state.t_cam_from_world_m
    gauge = np.zeros((n, N_CAMERA, 6))
    # A rigid motion x_world -> x_world + a x x_world + b moves (w, v) of each camera by these.
    gauge[:, N_LENS : N_LENS + 3, :3] = R
    gauge[:, N_LENS + 3 :, :3] = skew(t) @ R
    gauge[:, N_LENS + 3 :, 3:] = R
    flat = gauge.reshape(-1, 6)
    rows = np.zeros((n, 6, n, N_CAMERA))
    for c in range(n):
        rows[c, :3, c, N_LENS:] = _center_jacobian(state)[c]
        rows[c, 3:, c, N_LENS : N_LENS + 3] = ORIENTATION_WEIGHT * np.eye(3)
    seen = rows.reshape(n * 6, -1)
    project = np.eye(len(flat)) - flat @ np.linalg.pinv(seen @ flat) @ seen
    return project @ covariance @ project.T
