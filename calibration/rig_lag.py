"""Whether the cameras were in step while the board moved: each camera's lag from one calibration with lags in it.

A camera that shows the board as it was a little earlier or later sees it shifted along its motion. Lenses and places
left free take such errors up as far as they can (a principal point far off, a long focal length), and what is left
looks like noise shared by all corners of a view. With x(f + d) = x(f) + d dx/df, each view gets a lag d of its own with
a Gaussian prior about its camera's; it enters linearly and is eliminated view by view, which lowers the view's normal
matrix by one rank (B. Triggs et al., 1999, section 6.1). The prior's width is that which the lags themselves show
(expectation maximisation).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.board_views import BoardViews
from calibration.rig_bundle import Normal
from calibration.rig_solve import Solved
from calibration.rig_views import N_LENS, State, Views, adjoint, linearised
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.kernels.rotations import matrix_to_quat, quat_log

N_ITERATIONS = 15
FIRST_JITTER = 0.05
"""Frames; where the search for the jitter of lags begins."""
STEADY_SHARE = 0.5
"""A board whose place is off the middle of its neighbours' by more than this share of its step, or of the usual one,
does not move evenly."""
MIN_VIEWS = 10
MIN_LAG_FRAMES = 0.15
MIN_LAG_SDS = 4.0
MIN_GAIN = 0.8
"""Lags must lower the residuals to this share of what they were without."""


@dataclass(frozen=True, eq=False)
class Lags:
    """How far cameras are out of step, in frames: picture f of a camera shows the board at f + lag."""

    frames: np.ndarray
    """[camera] against the camera in the middle."""
    sd_frames: np.ndarray
    """[camera] 1 sd."""
    jitter_frames: float
    """1 sd of the lags of single pictures about their camera's."""
    sigma_px: float
    """Standard deviation per axis of the residuals that the lags leave."""
    camera: np.ndarray
    """[view] camera of each view used."""
    frame: np.ndarray
    """[view] its frame."""
    shift_px: np.ndarray
    """[view corner 2] by which corners move to where the board was at the common instant; NaN where not known."""

    @property
    def is_late(self) -> np.ndarray:
        """[camera] whether the lag is more than jitter and chance."""
        return (np.abs(self.frames) > MIN_LAG_FRAMES) & (np.abs(self.frames) > MIN_LAG_SDS * self.sd_frames)


def clock_lags(solved: Solved, frame_idx: np.ndarray) -> Lags | None:
    """Return the cameras' lags; None where the board's motion is too little or too jumpy, or lags explain nothing.

    frame_idx: number of each of the views' frames in the recording; steps between them are even but for gaps.
    """
    views, sigma = solved.views, solved.fit.sigma_px
    state, n = solved.fit.state, views.n_cameras
    shift = np.full_like(views.xy_px, np.nan)
    jitter, lag = FIRST_JITTER, np.zeros(n)
    left, has = np.zeros(len(views.camera)), np.zeros(len(views.camera), bool)
    for _ in range(N_ITERATIONS):
        motion = _motion(views, state, frame_idx)
        has = np.asarray(np.isfinite(motion).all(-1))[views.frame]
        if min(np.bincount(views.camera[has], minlength=n)) < MIN_VIEWS:
            return None
        step = _step(solved, state, motion[views.frame], lag, jitter, sigma)
        shift = -step.speed_px * (lag[views.camera] + step.lag)[:, None, None]
        state, left, posterior, sigma = step.state, step.lag, step.variance, step.sigma_px
        # What a view alone says of its lag, and how well; generalised least squares of each camera's mean.
        precision = np.where(has, 1.0 / posterior - 1.0 / jitter**2, 0.0)
        alone = left / np.maximum(posterior * precision, 1e-12)
        weight = precision / (1.0 + precision * jitter**2)
        total = np.bincount(views.camera, weight, minlength=n)
        lag += np.bincount(views.camera, weight * np.where(has, alone, 0.0), minlength=n) / np.maximum(total, 1e-12)
        lag -= lag.mean()
        jitter = max(FIRST_JITTER, float(np.sqrt(np.mean((left**2 + posterior)[has]))))
    if sigma > MIN_GAIN * solved.fit.sigma_px:
        return None
    sd = jitter / np.sqrt(np.bincount(views.camera[has], minlength=n))
    return Lags(lag - np.median(lag), sd, jitter, sigma, views.camera, frame_idx[views.frame], shift)


def in_step(views: BoardViews, lags: Lags) -> BoardViews:
    """Return the views with the corners where the board was at the instants that the frames stand for.

    Views of a board whose motion is not known (the first of a clip, one before a gap) are left out.
    """
    xy = np.full_like(views.xy_px, np.nan)
    xy[lags.camera, lags.frame] = views.xy_px[lags.camera, lags.frame] + lags.shift_px
    return replace(views, xy_px=xy)


def lag_finding(
    lags: Lags, views: BoardViews, *, is_allowed: bool = False, held: Collection[str] = ()
) -> Diagnostic | None:
    """Return the finding that cameras are out of step, or what was done about it; None where neither is so.

    held: cameras whose lenses were given, which lags cannot bias.
    """
    if not lags.is_late.any() and not is_allowed:
        return None
    period_s = _period_s(views)
    late = [views.camera_names[c] for c in np.flatnonzero(lags.is_late)]
    text = _late_text(lags, views, period_s)
    if not late:
        text = f"No camera is out of step; single pictures are by {1000 * lags.jitter_frames * period_s:.0f} ms (1 sd)"
    if is_allowed:
        effect = "Corners were moved to where the board was at the common instants."
    else:
        effect = _effect(list(views.camera_names) if len(views.camera_names) == 2 else late, held)
    return Diagnostic(
        "board-clips-lag",
        Severity.INFO if is_allowed else Severity.WARNING,
        f"{text}. {effect}",
        {
            "lag_s": {n: float(f) * period_s for n, f in zip(views.camera_names, lags.frames, strict=True)},
            "sd_s": {n: float(f) * period_s for n, f in zip(views.camera_names, lags.sd_frames, strict=True)},
            "sigma_px": lags.sigma_px,
        },
    )


def no_lag_finding(views: BoardViews, sigma_px: float) -> Diagnostic:
    """Return the finding that lags were to be allowed for and none could be told; sigma_px: the residuals as filmed."""
    message = "No lags were told from the board's motion, so that there was nothing to allow for."
    unknown = dict.fromkeys(views.camera_names)
    data = {"lag_s": unknown, "sd_s": unknown, "sigma_px": sigma_px}
    return Diagnostic("board-clips-lag", Severity.INFO, message, data)


def lag_advice(lags: Lags, views: BoardViews) -> str:
    """Return how to take the lags out, for the verdict."""
    names = views.camera_names
    late = [names[c] for c in np.flatnonzero(lags.is_late)]
    if len(names) == 2:
        return f"Run again with --allow-lags, which brings {names[0]} and {names[1]} in step."
    return f"Run again with --allow-lags, which brings {', '.join(late)} in step with the others."


def _period_s(views: BoardViews) -> float:
    return float(np.nanmedian(np.diff(views.time_s, axis=1)))


def _late_text(lags: Lags, views: BoardViews, period_s: float) -> str:
    """Return `cam3 is 126 ms late (...)`, of two cameras `cam1 is 105 ms behind cam0 (...)`.

    A camera whose pictures are older than the others' is late. Of two, either may be.
    """
    names = views.camera_names
    if len(names) == 2:
        behind, ahead = np.argsort(lags.frames)
        apart = float(np.ptp(lags.frames))
        return f"{names[behind]} is {1000 * apart * period_s:.0f} ms behind {names[ahead]} ({apart:.2f} frames)"
    late = [(names[c], float(lags.frames[c])) for c in np.flatnonzero(lags.is_late)]
    return ", ".join(
        f"{name} is {abs(1000 * f * period_s):.0f} ms {'late' if f < 0 else 'early'} ({abs(f):.2f} frames)"
        for name, f in late
    )


def _effect(late: Sequence[str], held: Collection[str]) -> str:
    """Return what cameras out of step are biased in: places, and focal lengths of lenses that were not held."""
    what = "its place" if len(late) == 1 else "their places"
    free = [name for name in late if name not in held]
    if not free:
        return f"That biases {what}."
    lengths = "focal length" if len(late) == 1 else "focal lengths"
    return f"That biases {what} and {lengths}" + (f" ({', '.join(free)})." if len(free) < len(late) else ".")


@dataclass(frozen=True, eq=False)
class _Step:
    """One Gauss-Newton step, and what holds at the state before it."""

    state: State
    lag: np.ndarray
    """[view] about its camera's, frames."""
    variance: np.ndarray
    """[view] of that."""
    speed_px: np.ndarray
    """[view corner 2] per frame."""
    sigma_px: float


def _step(solved: Solved, state: State, motion: np.ndarray, lag: np.ndarray, jitter: float, sigma: float) -> _Step:
    """Return a step; motion [view 6] of the board, in its own frame, per frame of the recording."""
    views, n = solved.views, len(solved.views.camera)
    r, jac = linearised(views, state, with_lens=True)
    # Views of boards whose motion is not known say nothing here: taken as still, they would speak against any lag.
    good = np.isfinite(r).all(-1) & np.asarray(np.isfinite(motion).all(-1))[:, None]
    motion = np.nan_to_num(motion)
    to_board = adjoint(*state.view_poses(views))
    speed = np.einsum("vnki,vi->vnk", jac[..., N_LENS:], np.einsum("vij,vj->vi", to_board, motion))
    r = np.where(good[..., None], r + speed * lag[views.camera][:, None, None], 0.0).reshape(n, -1) / sigma
    u = np.where(good[..., None], speed, 0.0).reshape(n, -1) / sigma
    J = np.where(good[..., None, None], jac, 0.0).reshape(n, r.shape[1], -1) / sigma
    posterior = 1.0 / (1.0 / jitter**2 + (u**2).sum(1))
    Ju, ur = np.einsum("vai,va->vi", J, u), (u * r).sum(1)
    left = -ur * posterior
    G = J.swapaxes(1, 2) @ J - Ju[:, :, None] * Ju[:, None] * posterior[:, None, None]
    g = np.einsum("vai,va->vi", J, r) - Ju * (ur * posterior)[:, None]
    normal = Normal.gathered(views, G, g, to_board).with_prior(solved.prior, state.lens)
    squared = ((r + u * left[:, None]) ** 2).sum() * sigma**2
    n_known = len(np.unique(views.frame[good.any(1)]))
    unknowns = 6 * n_known + int(solved.free.mask.sum()) + 0.5 * int(good.any(1).sum())
    share = max(2.0 * good.sum() - unknowns, 0.2 * good.sum())
    moved = state.moved(*normal.step(solved.free, 1e-6))
    return _Step(moved, left, posterior, np.where(good[..., None], speed, np.nan), float(np.sqrt(squared / share)))


def _motion(views: Views, state: State, frame_idx: np.ndarray) -> np.ndarray:
    """Return the motion (w, v) [frame 6] of each board per frame, in its own frame; NaN where it is not steady."""
    n = views.n_frames
    out = np.full((n, 6), np.nan)
    has = np.zeros(n, bool)
    has[views.frame] = True
    gap = np.diff(frame_idx)
    usual = np.median(gap) if len(gap) else 1
    even = np.zeros(n, bool)
    even[1:-1] = has[:-2] & has[1:-1] & has[2:] & (gap[:-1] <= 1.5 * usual) & (gap[1:] <= 1.5 * usual)
    f = np.flatnonzero(even)
    if not len(f):
        return out
    R, t = state.R_world_from_board, state.t_world_from_board_m
    span = (frame_idx[f + 1] - frame_idx[f - 1])[:, None]
    turn = quat_log(matrix_to_quat(R[f - 1].swapaxes(1, 2) @ R[f + 1])) / span
    shift = t[f + 1] - t[f - 1]
    bend = np.linalg.norm(t[f] - 0.5 * (t[f + 1] + t[f - 1]), axis=-1)
    length = np.linalg.norm(shift, axis=-1)
    steady = bend < STEADY_SHARE * np.maximum(length, np.median(length))
    own = (R[f].swapaxes(1, 2) @ shift[..., None])[..., 0] / span
    out[f[steady]] = np.concatenate([turn, own], 1)[steady]
    return out
