"""Cameras in metres from views of a board: lenses, places, how certain each is, and what to film next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from calibration.board_turns import agreed, require_unmirrored
from calibration.board_views import BoardViews
from calibration.lens import LensResult, flattened, lens_of_views
from calibration.lens_prior import LensPrior, general_prior
from calibration.rig_covariance import Certainty, certainty
from calibration.rig_findings import (
    lens_findings,
    model_findings,
    require_connected,
    require_planar,
    require_synchronous,
    require_views,
    verdict_of,
)
from calibration.rig_lag import Lags, clock_lags, in_step, lag_advice, lag_finding, no_lag_finding
from calibration.rig_poses import view_poses
from calibration.rig_solve import Solved, solve
from calibration.rig_views import N_LENS, State, Views, packed, unpacked
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.progress import NoProgress, Progress

MIN_LAG_RATIO = 3.0
"""Variance of whole views above that of independent corners from which cameras out of step are looked for."""


class Verdict(StrEnum):
    """What a calibration is good for."""

    GOOD = "good"
    USABLE = "usable"
    REDO = "redo"


@dataclass(frozen=True, eq=False)
class BoardPoses:
    """Where the board was, in the rig's frame."""

    frame: np.ndarray
    """[board] frame of the views."""
    R_world_from_board: np.ndarray
    """[board 3 3]"""
    t_world_from_board_m: np.ndarray
    """[board 3] place of the board's own origin."""


@dataclass(frozen=True, eq=False)
class RigResult:
    """A calibrated rig with its evidence."""

    rig: CameraRig
    """In metres, upright as far as the cameras tell: its floor and origin are not known yet."""
    views: BoardViews
    """The views as they were used: those of symmetric and two-sided boards turned so that the cameras agree."""
    board_poses: BoardPoses
    certainty: Certainty
    residuals_px: np.ndarray
    """[camera frame corner 2] projected minus observed of the corners used; NaN elsewhere."""
    is_rejected: np.ndarray
    """[camera frame corner] seen but not believed."""
    rms_px: dict[str, float]
    """Root mean square length of each camera's residuals."""
    sigma_px: float
    """1 sd per axis of all residuals."""
    n_shared: np.ndarray
    """[camera camera] instants at which both cameras see the board."""
    lenses: dict[str, LensResult]
    """Single-camera calibrations that the rig began from; empty where lenses were given."""
    diagnostics: tuple[Diagnostic, ...]
    verdict: Verdict
    advice: tuple[str, ...]
    """Why the verdict, and what to film next."""
    lags: Lags | None = None
    """How far the cameras were out of step, where that explains what is left of the residuals."""

    @property
    def covariance(self) -> np.ndarray:
        """[camera*15 camera*15] of (fx fy cx cy distortion, turn w, shift v) of all cameras: see `Certainty`."""
        return self.certainty.covariance


def calibrate_rig(
    views: BoardViews,
    lenses: Mapping[str, Intrinsics | LensPrior] | Sequence[Intrinsics | LensPrior] | None = None,
    *,
    model: str = "auto",
    allow_lags: bool = False,
    progress: Progress | None = None,
) -> RigResult:
    """Return the rig that explains synchronous views of a board by two cameras or more.

    Lenses given as `Intrinsics` are held, as `LensPrior` refined; cameras without one are calibrated blind, by `model`.
    Cameras a fraction of a frame out of step are named; `allow_lags` moves their corners to the common instants and
    calibrates again, so that the views of the result are in step.
    Raises InputError `rig-one-camera`, `board-one-camera`, `rig-disconnected`, `video-mirrored`,
    `clips-not-synchronous`, `clips-of-different-takes`, `board-does-not-fit` and what `calibrate_lens` raises.
    """
    progress = progress or NoProgress()
    progress.start("calibrating the cameras", None)
    try:
        known = _given(views, lenses)
        result = _calibrated(views, known, model, progress)
        if not allow_lags:
            return result
        if result.lags is None:
            return replace(result, diagnostics=(*result.diagnostics, no_lag_finding(result.views, result.sigma_px)))
        return _in_step(result, result.lags, known, model, progress)
    finally:
        progress.finish()


def _in_step(result: RigResult, lags: Lags, given: dict[str, LensPrior], model: str, progress: Progress) -> RigResult:
    """Return the calibration of the views brought in step, with the finding of what the lags were."""
    again = _calibrated(in_step(result.views, lags), given, model, progress)
    finding = lag_finding(lags, result.views, is_allowed=True)
    return replace(again, lags=lags, diagnostics=(*again.diagnostics, *((finding,) if finding else ())))


def _given(
    views: BoardViews, lenses: Mapping[str, Intrinsics | LensPrior] | Sequence[Intrinsics | LensPrior] | None
) -> dict[str, LensPrior]:
    """Return what is known of lenses, by camera."""
    if lenses is None:
        return {}
    named = lenses if isinstance(lenses, Mapping) else dict(zip(views.camera_names, lenses, strict=True))
    return {
        name: lens if isinstance(lens, LensPrior) else LensPrior(lens, np.zeros(N_LENS), 0.0)
        for name, lens in named.items()
    }


def _calibrated(views: BoardViews, given: dict[str, LensPrior], model: str, progress: Progress) -> RigResult:
    """Return the result: lenses, start over the graph of shared views, bundle adjustment, findings."""
    flat, frames = flattened(views)
    require_views(views, flat)
    lens_results: dict[str, LensResult] = {}
    lens, priors = np.zeros((flat.n_cameras, N_LENS)), []
    for c, name in enumerate(views.camera_names):
        prior = given.get(name)
        if prior is None or (prior.sd > 0).any():
            require_planar(flat.of_camera(c), name)
            found = lens_of_views(flat.of_camera(c), views.size_px[c], model, prior, name, is_first_step=True)
            lens_results[name] = found
            lens[c] = packed(found.intrinsics)
            # All cameras together say more of a lens than its own views: what was held alone may move here.
            prior = prior or general_prior(views.size_px[c], found.intrinsics.model)
        else:
            lens[c] = packed(prior.intrinsics)
        priors.append(prior)
        progress.advance()
    models = tuple(p.intrinsics.model for p in priors)
    poses = view_poses(flat, lens, models)
    views, flat, poses, pairs = agreed(views, flat, frames, poses)
    require_unmirrored(views, flat, pairs, lens, models)
    require_synchronous(flat, poses, pairs, views)
    require_connected(views, pairs)
    solved = solve(flat, poses, pairs, lens, models, priors)
    progress.advance()
    return _result(views, flat, frames, solved, lens_results, models)


def _result(
    views: BoardViews,
    flat: Views,
    frames: np.ndarray,
    solved: Solved,
    lenses: dict[str, LensResult],
    models: tuple[LensModel, ...],
) -> RigResult:
    """Return the result in an upright frame, with figures and findings."""
    state = upright(solved.fit.state)
    fit = solved.fit
    rig = rig_of(state, models, views)
    residuals = np.full(views.xy_px.shape, np.nan)
    used = solved.views
    residuals[used.camera, frames[used.frame]] = np.where(used.seen[..., None], fit.residuals, np.nan)
    length = np.linalg.norm(residuals, axis=-1)
    kept = np.isfinite(length)
    rms = {
        n: float(np.sqrt(np.mean(length[c][kept[c]] ** 2))) if kept[c].any() else float("nan")
        for c, n in enumerate(views.camera_names)
    }
    sure = certainty(solved, state)
    is_rejected = views.is_seen & ~kept & (views.is_seen.sum(-1) >= 4)[..., None]
    diagnostics = [*views.diagnostics, *model_findings(lenses), *lens_findings(solved, views, sure)]
    if is_rejected.sum():
        diagnostics.append(_rejected(is_rejected, views))
    # Corners of a view that err alike are the mark of cameras out of step; independent ones need no closer look.
    lags = clock_lags(solved, frames) if sure.frame_variance_ratio > MIN_LAG_RATIO else None
    held = [name for name in views.camera_names if name not in lenses]
    if lags is not None and (finding := lag_finding(lags, views, held=held)) is not None:
        diagnostics.append(finding)
    verdict, advice = verdict_of(views, solved, sure, rms)
    if lags is not None and lags.is_late.any():
        # Figures of residuals do not show the bias, so that no such result is good.
        verdict, advice = "usable" if verdict == "good" else verdict, (lag_advice(lags, views), *advice)
    return RigResult(
        rig,
        views,
        _boards(state, views, used, frames),
        sure,
        residuals,
        is_rejected,
        rms,
        fit.sigma_px,
        views.n_shared(),
        lenses,
        tuple(diagnostics),
        Verdict(verdict),
        advice,
        lags,
    )


def _rejected(is_rejected: np.ndarray, views: BoardViews) -> Diagnostic:
    """Return the finding of how many corners and whole frames were not believed."""
    per_camera = {n: int(is_rejected[c].sum()) for c, n in enumerate(views.camera_names) if is_rejected[c].any()}
    total = int(views.is_seen.sum())
    n = sum(per_camera.values())
    text = ", ".join(f"{k} {v}" for k, v in per_camera.items())
    severity = Severity.WARNING if n > 0.1 * total else Severity.INFO
    return Diagnostic(
        "board-corners-rejected",
        severity,
        f"{n} of {total} corners do not fit the others and were left out ({text}).",
        {"rejected": per_camera, "n": total},
    )


def rig_of(state: State, models: tuple[LensModel, ...], views: BoardViews) -> CameraRig:
    """Return the cameras of a state."""
    return CameraRig(
        tuple(
            Camera(
                name,
                unpacked(state.lens[c], models[c], views.size_px[c]),
                _orthonormal(state.R_cam_from_world[c]),
                state.t_cam_from_world_m[c],
            )
            for c, name in enumerate(views.camera_names)
        )
    )


def _orthonormal(R: np.ndarray) -> np.ndarray:
    """Return the nearest rotation: many small steps leave rounding behind."""
    u, _, vt = np.linalg.svd(R)
    return u @ vt


def _boards(state: State, views: BoardViews, used: Views, frames: np.ndarray) -> BoardPoses:
    """Return the boards' poses, of the board's own origin instead of its middle."""
    on = np.unique(used.frame)
    middle = views.board.corners_m.mean(0)
    R = state.R_world_from_board[on]
    return BoardPoses(frames[on], R, state.t_world_from_board_m[on] - R @ middle)


def upright(state: State) -> State:
    """Return the state in a frame whose Z points up as the cameras, on average, are held, origin below the boards.

    Only a guess until a floor is seen: cameras mounted on their side or on the ceiling mislead it.
    """
    R = state.R_cam_from_world
    up = -R[:, 1].sum(0)
    if np.linalg.norm(up) < 0.2 * len(R):
        up = -R[0, 1]
    up = up / np.linalg.norm(up)
    side = R[0, 0] - up * (R[0, 0] @ up)
    if np.linalg.norm(side) < 1e-3:
        side = R[0, 2] - up * (R[0, 2] @ up)
    side /= np.linalg.norm(side)
    turn = np.stack([side, np.cross(up, side), up])
    origin = np.median(state.t_world_from_board_m, axis=0)
    R_cam = R @ turn.T
    return State(
        state.models,
        state.lens,
        R_cam,
        state.t_cam_from_world_m + np.einsum("cij,j->ci", R, origin),
        turn @ state.R_world_from_board,
        (state.t_world_from_board_m - origin) @ turn.T,
    )
