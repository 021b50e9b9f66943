"""One camera's lens from pictures of a board: the model chosen by the error on pictures held out of the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board_views import BoardViews
from calibration.lens_fit import fit_lens, kind_prior, lens_covariance, may_move, observable, packed_views, start
from calibration.lens_prior import LensPrior, information, spread_views
from calibration.rig_bundle import Fit, Free, adjust, squared_lengths
from calibration.rig_views import N_LENS, State, Views, unpacked, view_points
from mocap.core.camera import Intrinsics
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

MODELS = ("auto", "pinhole", "brown", "fisheye")
MIN_VIEWS = 5
MIN_LENS_CORNERS = 6
N_CHOICE_VIEWS = 40
"""Views on which the model is chosen."""
MIN_BEND = 0.9
"""Ratio of distorted and undistorted distance from the axis below which a fisheye is tried."""
MAX_BROWN_SIGMA_PX = 1.5
MIN_GAIN = 0.01
"""Relative gain in held-out error for which a richer model is taken."""


@dataclass(frozen=True, eq=False)
class LensResult:
    """A lens with its uncertainty, and the evidence for its model."""

    intrinsics: Intrinsics
    covariance: np.ndarray
    """[9 9] of fx fy cx cy, distortion; 0 for what was held."""
    is_free: np.ndarray
    """[9] which parameters the views could move."""
    rms_px: float
    """Root mean square length of the residuals of inlying corners."""
    held_out_px: dict[str, float]
    """Error of each model on views that it was not fitted to (robust root mean square, px)."""
    n_views: int
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def prior(self) -> LensPrior:
        """Return this result as what is known of the lens before another calibration."""
        return LensPrior(self.intrinsics, np.sqrt(np.diag(self.covariance)), aspect_sd=float("inf"))


def calibrate_lens(views: BoardViews, model: str = "auto", prior: LensPrior | None = None) -> LensResult:
    """Return the lens that explains one camera's views of a board.

    model: auto, pinhole, brown or fisheye; a prior (a preset) sets the model and is refined. Raises InputError
    `lens-too-few-views`, `lens-model-unknown` and `board-does-not-fit`.
    """
    if model not in MODELS:
        raise InputError(
            "lens-model-unknown",
            f"There is no lens model {model!r}; there are {', '.join(MODELS)}.",
            "Choose one of them, or auto.",
        )
    if len(views.camera_names) != 1:
        raise ValueError(f"a lens is calibrated from one camera's views, got {views.camera_names}")
    flat = flattened(views)[0]
    _require_views(flat, views.camera_names[0])
    return lens_of_views(flat, views.size_px[0], model, prior, views.camera_names[0])


def flattened(views: BoardViews, min_corners: int = MIN_LENS_CORNERS) -> tuple[Views, np.ndarray]:
    """Return the views with at least `min_corners` corners, and the original number of each frame that remains."""
    corners = views.board.corners_m - views.board.corners_m.mean(0)
    count = views.is_seen.sum(-1)
    camera, frame = np.nonzero(count >= min(min_corners, views.board.n_corners))
    frames, index = np.unique(frame, return_inverse=True)
    flat = Views(camera, index, views.xy_px[camera, frame], corners, len(views.camera_names), len(frames))
    return flat, frames


def _require_views(views: Views, name: str) -> None:
    """Raise unless there are views enough, of a plane."""
    if len(views.camera) < MIN_VIEWS:
        raise InputError(
            "lens-too-few-views",
            f"Camera {name} sees the board in {len(views.camera)} pictures well enough to use, "
            f"{MIN_VIEWS} are the least and 20 are good.",
            f"Film the board in front of {name} from 20 different angles and distances, corners of the picture too.",
        )


def lens_of_views(
    views: Views,
    size_px: tuple[int, int],
    model: str,
    prior: LensPrior | None,
    name: str = "camera",
    *,
    is_first_step: bool = False,
) -> LensResult:
    """Return the lens of one camera's flattened views: see `calibrate_lens`.

    `is_first_step`: only a start for a rig is wanted; fewer views, and a fisheye only where it fits better.
    """
    if is_first_step:
        views = packed_views(views, spread_views(views, N_CHOICE_VIEWS))
    known = {prior.intrinsics.model.value: prior} if prior else {}
    if not known:
        kinds = ("brown", "fisheye") if is_first_step else ("pinhole", "brown", "fisheye")
        known = {kind: kind_prior(kind, size_px) for kind in (kinds if model == "auto" else (model,))}
    fits: dict[str, Fit] = {}
    few = views
    if len(known) > 1 and not is_first_step:
        few = packed_views(views, spread_views(views, N_CHOICE_VIEWS))
    if is_first_step and len(known) > 1:
        fits = _fits(few, size_px, {"brown": known["brown"]})
        if _bends_little(few, fits["brown"]):
            known = {"brown": known["brown"]}
    if not fits or len(known) > 1:
        fits |= _fits(few, size_px, {k: p for k, p in known.items() if k not in fits})
    held_out: dict[str, float] = {}
    best = next(iter(known))
    if len(known) > 1:
        errors = {kind: _held_out(few, known[kind], fits[kind]) for kind in known}
        best = _simplest(errors)
        held_out = {kind: float(np.sqrt(e.mean())) for kind, e in errors.items()}
    chosen = known[best]
    fit = fits[best] if few is views else fit_lens(views, chosen, fits[best].state.lens[0])
    free = observable(views, fit, chosen)
    inlying = squared_lengths(fit.residuals, views.seen)[views.seen]
    inlying = inlying[inlying < (5.0 * fit.sigma_px) ** 2]
    return LensResult(
        unpacked(fit.state.lens[0], chosen.intrinsics.model, size_px),
        lens_covariance(views, fit, chosen),
        free,
        float(np.sqrt(inlying.mean())) if len(inlying) else float("nan"),
        held_out,
        len(views.camera),
        _findings(name, best, held_out, free, chosen),
    )


def _bends_little(views: Views, fit: Fit) -> bool:
    """Return whether a fit leaves no reason to try a fisheye: seen corners near the axis, or hardly moved inwards."""
    R, t = fit.state.view_poses(views)
    points = view_points(views, R, t)
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = (points[..., :2] / points[..., 2:])[views.seen]
    lens = fit.state.lens[0]
    straight = np.linalg.norm(xy, axis=-1)
    bent = np.linalg.norm((views.xy_px[views.seen] - lens[2:4]) / lens[:2], axis=-1)
    far = straight > np.quantile(straight, 0.9)
    return bool(fit.sigma_px < MAX_BROWN_SIGMA_PX and np.median(bent[far] / straight[far]) > MIN_BEND)


def _fits(views: Views, size_px: tuple[int, int], known: dict[str, LensPrior]) -> dict[str, Fit]:
    """Return a fit per kind of lens; a pinhole begins where the lens with distortion ended."""
    fits: dict[str, Fit] = {}
    for kind in sorted(known, key=lambda k: k == "pinhole"):
        if kind == "pinhole" and "brown" in fits:
            lens = fits["brown"].state.lens[0].copy()
            lens[4:] = 0.0
        else:
            lens = start(views, size_px, known[kind])
        fits[kind] = fit_lens(views, known[kind], lens)
    return fits


def _held_out(views: Views, prior: LensPrior, fit: Fit) -> np.ndarray:
    """Return the robust mean square error [view] of every view under a lens fitted to the other half of the views."""
    half = np.arange(len(views.camera)) % 2 == 0
    out = np.zeros(len(views.camera))
    known = information([prior], fit.state.lens)
    free = Free(may_move(prior)[None], np.array([False]))
    boards_only = Free(np.zeros((1, N_LENS), bool), np.array([False]))
    for fold in (half, ~half):
        fitted = adjust(
            packed_views(views, np.flatnonzero(fold)), _part(fit.state, fold), free, prior=known, max_iterations=8
        )
        rest = replace(_part(fit.state, ~fold), lens=fitted.state.lens)
        test = packed_views(views, np.flatnonzero(~fold))
        found = adjust(test, rest, boards_only, sigma_px=fitted.sigma_px, max_iterations=5)
        limit = (5.0 * max(fit.sigma_px, 0.2)) ** 2
        squared = np.minimum(squared_lengths(found.residuals, test.seen), limit)
        out[~fold] = squared.sum(1) / test.seen.sum(1)
    return out


def _part(state: State, on: np.ndarray) -> State:
    """Return the state of some of the boards."""
    return replace(
        state, R_world_from_board=state.R_world_from_board[on], t_world_from_board_m=state.t_world_from_board_m[on]
    )


def _simplest(errors: dict[str, np.ndarray]) -> str:
    """Return the first model that no later one beats: by more than 1 % of the error and two standard errors.

    A fisheye has no more parameters than Brown's model, so against it one standard error is evidence enough.
    """
    best, *others = errors
    for kind in others:
        gain = errors[best] - errors[kind]
        needed = 1.0 if (best, kind) == ("brown", "fisheye") else 2.0
        certain = gain.mean() > needed * gain.std() / np.sqrt(len(gain))
        if certain and np.sqrt(errors[kind].mean()) < (1.0 - MIN_GAIN) * np.sqrt(errors[best].mean()):
            best = kind
    return best


def _findings(
    name: str, kind: str, held_out: dict[str, float], free: np.ndarray, prior: LensPrior
) -> tuple[Diagnostic, ...]:
    """Return what the user should hear of the choice."""
    labels = np.array(["fx", "fy", "cx", "cy", "k1", "k2", *(("p1", "p2", "k3") if prior.sd[8] else ("k3", "k4", ""))])
    held = [str(x) for x, moves, may in zip(labels, free, may_move(prior), strict=True) if may and not moves]
    text = ", ".join(f"{k} {v:.2f} px" for k, v in held_out.items())
    found = [
        Diagnostic(
            "lens-model-chosen",
            Severity.INFO,
            f"Camera {name}: {kind} lens" + (f" by the error on held-out views ({text})." if text else "."),
            {"model": kind, "held_out_px": held_out},
        )
    ]
    if held:
        found.append(
            Diagnostic(
                "lens-parameters-held",
                Severity.INFO,
                f"Camera {name}: the views say too little of {', '.join(held)}, which stay near what is usual. "
                "Tilt the board more and film it in the corners of the picture to measure them.",
                {"held": held},
            )
        )
    return tuple(found)
