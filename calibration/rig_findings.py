"""What can be wrong with a board recording, named with its cause and what to film next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.board_views import BoardViews
from calibration.lens import LensResult
from calibration.rig_covariance import Certainty
from calibration.rig_graph import Pair, groups, shift_between, view_table
from calibration.rig_poses import ViewPoses, homographies
from calibration.rig_solve import Solved
from calibration.rig_views import N_LENS, Views
from mocap.core.camera import LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

MIN_AGREE = 3
"""Shared frames that must agree before two cameras count as joined."""
GOOD_AGREE = 8
MAX_MISFIT = 0.04
"""Median misfit of views to any plane, as a share of the pattern's size in the picture."""
UNSYNCHRONISED_SHARE = 0.5
MAX_LAG_FRAMES = 45
GOOD_CENTER_SD_M = 0.005
USABLE_CENTER_SD_M = 0.03
GOOD_SIGMA_PX = 1.0
USABLE_SIGMA_PX = 2.5
SANE_CENTER_SD_M = 1.0
SANE_SIGMA_PX = 100.0
"""Figures beyond these say nothing but that there is no solution, and are not shown."""
DIFFERENT_VOTES = 12
"""Shared views of two cameras that must be asked before disagreement means different takes."""
ALIKE_SHARE = 0.7
"""Share of agreeing views of cameras that filmed one take."""


def require_views(views: BoardViews, flat: Views) -> None:
    """Raise unless two cameras see the board, and every camera does."""
    if len(views.camera_names) < 2:
        raise InputError(
            "rig-one-camera",
            f"A rig needs the videos of two cameras or more, got {', '.join(views.camera_names) or 'none'}.",
            "Give the videos of all cameras, or calibrate the lens alone.",
        )
    n_views = np.bincount(flat.camera, minlength=flat.n_cameras)
    blind = [n for n, k in zip(views.camera_names, n_views, strict=True) if k == 0]
    seeing = [n for n, k in zip(views.camera_names, n_views, strict=True) if k > 0]
    _require_focus(views, blind)
    if len(seeing) < 2:
        raise InputError(
            "board-one-camera",
            f"The board is seen by {seeing[0] if seeing else 'no camera'} alone, not by {', '.join(blind)}.",
            "Hold the board where two cameras see it at once, and film again.",
        )
    if blind:
        raise InputError(
            "rig-disconnected",
            f"The board is never seen by {', '.join(blind)}.",
            f"Hold the board where {blind[0]} and {seeing[0]} see it at once, and film again.",
        )


def _require_focus(views: BoardViews, blind: list[str]) -> None:
    """Raise where cameras that never see the board have blurred pictures: that is why."""
    blurs = {d.data["camera"]: d.data["blur_px"] for d in views.diagnostics if "blur_px" in d.data}
    blurred = {n: blurs[n] for n in blind if n in blurs}
    if blurred:
        listing = ", ".join(f"{n} by {b:.1f} px" for n, b in blurred.items())
        raise InputError(
            "board-blurred",
            f"The board is never found in {', '.join(blind)}: pictures are blurred ({listing}; sharp footage by less "
            "than 1).",
            f"Focus {', '.join(blurred)}, add light or shorten the exposure, and film again.",
        )


def require_planar(views: Views, name: str) -> None:
    """Raise where the corners of a camera's views lie on no plane in the order that the board says."""
    _, error = homographies(views.xy_px, views.corners_m[:, :2], n_reweight=2)
    seen = views.seen
    xy = np.where(seen[..., None], views.xy_px, np.nan)
    extent = np.nanmax(np.nanmax(xy, axis=1) - np.nanmin(xy, axis=1), axis=1)
    misfit = np.array([np.median(e[s]) for e, s in zip(error, seen, strict=True)]) / np.maximum(extent, 1.0)
    if np.median(misfit) > MAX_MISFIT:
        raise InputError(
            "board-does-not-fit",
            f"The corners that {name} sees are not laid out as the board says: typical misfit "
            f"{100 * np.median(misfit):.0f} % of its size in the picture, expected below 1 %.",
            "Check the board's columns, rows, dictionary and pattern (legacy or not) against the print.",
        )


def require_connected(views: BoardViews, pairs: list[Pair]) -> None:
    """Raise where shared views do not join all cameras, naming the groups and what to film."""
    names = views.camera_names
    found = groups(len(names), pairs)
    if len(found) == 1:
        return
    text = "; ".join(", ".join(names[c] for c in g) for g in found)
    raise InputError(
        "rig-disconnected",
        f"The cameras fall into {len(found)} groups that never see the board at the same time: {text}.",
        f"Film the board also where {names[found[0][-1]]} and {names[found[1][0]]} see it at once, and calibrate "
        "again with both recordings.",
    )


def require_synchronous(flat: Views, poses: ViewPoses, pairs: list[Pair], views: BoardViews) -> None:
    """Raise where two cameras agree on where they stand only once their clips are shifted against each other."""
    table = view_table(flat)
    late: list[tuple[Pair, int, float]] = []
    for pair in pairs:
        if pair.n_votes >= 6 and pair.share < UNSYNCHRONISED_SHARE:
            lag, share = shift_between(flat, poses, pair, table, min(MAX_LAG_FRAMES, flat.n_frames // 3))
            if lag and share > max(0.6, 1.7 * pair.share):
                late.append((pair, lag, share))
    if not late:
        _require_one_take(flat, poses, pairs, views)
        return
    reference, behind = cameras_behind([(p.first, p.second, lag) for p, lag, _ in late], len(views.camera_names))
    period_s = _period_s(views)
    text = ", ".join(
        f"{views.camera_names[c]} is about {abs(n) * period_s:.2f} s {_side(n)}" for c, n in behind.items()
    )
    raise InputError(
        "clips-not-synchronous",
        f"The board clips do not show the same instants in the same frames: {text} {views.camera_names[reference]}.",
        "Find the clocks with `mocap sync VIDEO... --out sync.json` and give --times sync.json, or cut the clips so "
        "that they begin at one instant.",
    )


def _require_one_take(flat: Views, poses: ViewPoses, pairs: list[Pair], views: BoardViews) -> None:
    """Raise where the board as one camera saw it agrees with no other camera at any lag, as the others do."""
    asked = [p for p in pairs if p.n_votes >= DIFFERENT_VOTES]
    alike = {c for p in asked if p.share >= ALIKE_SHARE for c in (p.first, p.second)}
    n, table = flat.n_cameras, view_table(flat)
    odd: list[int] = []
    for c in sorted(set(range(n)) - alike):
        mine = [p for p in asked if c in (p.first, p.second)]
        # Of two cameras neither is the odd one; of more, others have to show that agreement was possible.
        if not mine or (n > 2 and not alike) or any(p.share >= UNSYNCHRONISED_SHARE for p in mine):
            continue
        lag = min(MAX_LAG_FRAMES, flat.n_frames // 3)
        if max(shift_between(flat, poses, p, table, lag)[1] for p in mine) < UNSYNCHRONISED_SHARE:
            odd.append(c)
    if not odd:
        return
    names = [views.camera_names[c] for c in odd]
    what = "each other" if n == 2 else "the other cameras"
    raise InputError(
        "clips-of-different-takes",
        f"The board moves otherwise in the video of {' and '.join(names)} than in those of {what}, however they are "
        "shifted in time: they are probably not of one take.",
        f"Give the video of {names[-1]} from the same take as the others, with all cameras where they stood.",
    )


def _side(n_frames: int) -> str:
    return "behind" if n_frames > 0 else "ahead of"


def _period_s(views: BoardViews) -> float:
    """Return the time between the instants that were looked at."""
    step = np.diff(views.time_s, axis=1)
    return float(np.nanmedian(step)) if np.isfinite(step).any() else float("nan")


def cameras_behind(late: list[tuple[int, int, int]], n_cameras: int) -> tuple[int, dict[int, int]]:
    """Return the camera in step with most others, of those asked about, and by how many instants which lag it.

    late: first and second camera and the instants by which the second lags.
    """
    lag = np.zeros((n_cameras, n_cameras), int)
    for first, second, n in late:
        lag[first, second], lag[second, first] = n, -n
    n_late = (lag != 0).sum(1)
    # A camera that was asked about with no late one says nothing of it.
    reference = int(np.argmin(np.where(n_late > 0, n_late, n_cameras)))
    return reference, {c: int(n) for c, n in enumerate(lag[reference]) if n}


def model_findings(lenses: Mapping[str, LensResult]) -> list[Diagnostic]:
    """Return how each lens model was chosen: one finding a camera where several were tried, one for all others.

    What single cameras say too little of is left to `lens_findings`: all cameras together say more.
    """
    chosen = {n: d for n, r in lenses.items() for d in r.diagnostics if d.code == "lens-model-chosen"}
    tried = [d for d in chosen.values() if d.data["held_out_px"]]
    models = {n: str(d.data["model"]) for n, d in chosen.items() if not d.data["held_out_px"]}
    kinds = {kind: [n for n in models if models[n] == kind] for kind in sorted(set(models.values()))}
    text = "; ".join(f"{kind} for {', '.join(names)}" for kind, names in kinds.items())
    found = Diagnostic("lens-model-chosen", Severity.INFO, f"Lens model: {text}.", {"models": models})
    return [*tried, found] if models else tried


def lens_findings(solved: Solved, views: BoardViews, sure: Certainty) -> list[Diagnostic]:
    """Return the finding of lens parameters that even all views together leave open."""
    if solved.prior is None:
        return []
    open_by_camera: dict[str, list[str]] = {}
    prior_sd = 1.0 / np.sqrt(np.maximum(np.einsum("cii->ci", solved.prior.information), 1e-30))
    for c, name in enumerate(views.camera_names):
        brown = solved.fit.state.models[c] is LensModel.BROWN
        labels = ["fx", "fy", "cx", "cy", *(["k1", "k2", "p1", "p2", "k3"] if brown else ["k1", "k2", "k3", "k4", ""])]
        free = solved.free.lens[c]
        held = [labels[i] for i in range(2, N_LENS) if free[i] and sure.lens_sd[c, i] > 0.8 * prior_sd[c, i]]
        if held:
            open_by_camera[name] = held
    if not open_by_camera:
        return []
    text = "; ".join(f"{name} {', '.join(held)}" for name, held in open_by_camera.items())
    message = (
        f"The recording says too little of some lens parameters, which stay near what is usual: {text}. Tilt the board "
        "more and film it in the corners of the pictures to measure them."
    )
    return [Diagnostic("lens-parameters-held", Severity.INFO, message, {"held": open_by_camera})]


def verdict_of(
    views: BoardViews, solved: Solved, sure: Certainty, rms_px: dict[str, float]
) -> tuple[str, tuple[str, ...]]:
    """Return good, usable or redo, and the reasons with what to film next."""
    names = views.camera_names
    advice: list[str] = []
    level = 0
    # A figure that is not a number is no figure that passed: the limits are asked the other way round.
    worst = int(np.argmax(np.where(np.isnan(sure.center_sd_m), np.inf, sure.center_sd_m)))
    sd_m = float(sure.center_sd_m[worst])
    if not sd_m <= GOOD_CENTER_SD_M:
        level = 1 if sd_m <= USABLE_CENTER_SD_M else 2
        place = f"stands within {1000 * sd_m:.0f} mm only" if sd_m < SANE_CENTER_SD_M else "has no certain place"
        advice.append(f"{names[worst]} {place}: film the board more where it sees it.")
    sigma = solved.fit.sigma_px
    if not sigma <= GOOD_SIGMA_PX:
        level = max(level, 1 if sigma <= USABLE_SIGMA_PX else 2)
        camera = max(rms_px, key=lambda n: np.nan_to_num(rms_px[n], nan=np.inf))
        by = f"{sigma:.1f} px (1 sd)" if sigma < SANE_SIGMA_PX else "an unknown amount"
        advice.append(
            f"Corners miss by {by}, most in {camera}: hold the board still for a moment at each place, with more light."
        )
    for c, name in enumerate(names):
        mine = [p for p in solved.pairs if c in (p.first, p.second)]
        best = max(mine, key=lambda p: p.n_agree)
        if best.n_agree < GOOD_AGREE:
            level = max(level, 2 if best.n_agree < MIN_AGREE else 1)
            other = names[best.second if best.first == c else best.first]
            advice.append(
                f"{name} shares only {best.n_agree} good views: film the board where {name} and {other} see it."
            )
    return ("good", "usable", "redo")[level], tuple(advice)
