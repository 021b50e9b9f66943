"""Re-solve where the cameras stand, from the keypoints of one person who moved through the take.

A rig is stale when a camera was touched or sagged after it was calibrated: half a degree is 15 pixels at a focal length
of 1700. The person's own keypoints, seen by several cameras over time, show it and mend it. Lenses stay as they are,
and the world stays where it was: see `refine_align.aligned`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from calibration.refine_align import aligned
from calibration.refine_bundle import Fit, Poses, adjust, residuals_px, triangulate_robust
from calibration.refine_certainty import CameraCertainty, certainty
from calibration.refine_clocks import MAX_OBSERVATIONS, TYPICAL_CORRELATION, ClockSolver
from calibration.refine_figures import CameraReprojection, error_correlation, overall_px, reprojection
from calibration.refine_judge import held_out_gain, is_fitted
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.clock_finding import clock_finding
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress
from mocap.kernels.rotations import matrix_to_quat, quat_log

MIN_SCORE = 0.3
MIN_POINTS = 150
MIN_PER_CAMERA = 60
MIN_STANDARD_ERRORS = 6.0
STALE_PX = 3.0
IMPLAUSIBLE_DEG = 12.0


@dataclass(frozen=True)
class CameraMove:
    """How far a refinement moved one camera."""

    turned_deg: float
    shifted_mm: float
    shift_px: float
    """Median distance that the person moved in this camera's picture."""
    time_s: float = 0.0
    """Correction to add to the camera's clock offset; 0 unless clocks were refined too."""


@dataclass(frozen=True, eq=False)
class RefineResult:
    """A rig that fits the person's keypoints, or the rig as given where there was nothing to gain."""

    rig: CameraRig
    is_refined: bool
    before: dict[str, CameraReprojection]
    after: dict[str, CameraReprojection]
    moved: dict[str, CameraMove]
    diagnostics: tuple[Diagnostic, ...]
    summary: dict[str, float] = field(default_factory=dict[str, float])
    """Figures over all cameras: before_median_px, after_median_px, held_out_before_px, held_out_after_px, n_points."""
    certainty: dict[str, CameraCertainty] = field(default_factory=dict[str, CameraCertainty])
    """How sure the refined cameras are, relative to the cameras on average; empty where nothing was refined."""


def refine_extrinsics(
    rig: CameraRig,
    detections: Keypoints2D,
    *,
    min_score: float = MIN_SCORE,
    free_time_offsets: bool = False,
    progress: Progress | None = None,
) -> RefineResult:
    """Return the rig with all camera poses re-solved from one person's keypoints over the take.

    Bundle adjustment over poses and points with a robust cost; the world does not move and metres stay metres. The
    result is taken only if parts of the take that were held out of the fit agree better with it, significantly; else
    the rig comes back unchanged with a diagnostic that says why. `free_time_offsets` lets each camera's clock shift;
    else a clock that is off by more than 20 ms is named (`camera-clock-off`), and the cameras are judged without that.
    Cost: linear in points, of which at most about 14000 observations, spread over the take, are used.

    Raises InputError `refine-needs-one-person` and `rig-camera-missing`.
    """
    if detections.n_persons != 1:
        raise InputError(
            "refine-needs-one-person",
            f"Refining the cameras needs one person per camera, got detections of {detections.n_persons}.",
            "Choose the performer first.",
        )
    rig_used = rig.in_order(detections.camera_names)
    progress = progress or NoProgress()
    obs = gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras)
    free = obs.seen.sum(1) >= MIN_PER_CAMERA
    if obs.xy_px.shape[1] < MIN_POINTS or free.sum() < 2:
        counts = dict(zip(rig_used.names, obs.seen.sum(1).tolist(), strict=True))
        why = f"only {obs.xy_px.shape[1]} keypoints are seen by two cameras, {MIN_POINTS} are needed"
        return _unchanged(rig, {}, "too-few", why, {"n_points": int(obs.xy_px.shape[1]), "per_camera": counts})
    progress.start("refining the cameras", None)
    try:
        work = _Work(rig, rig_used, obs, free, progress)
        solver = ClockSolver(rig_used, detections, min_score, free, progress.advance)
        if not free_time_offsets:
            work, found = _judged_clocks(work, solver)
            result = _refine(work, work.obs, Poses.of(rig_used), np.zeros(len(rig_used)), free_clocks=None)
            return replace(result, diagnostics=(*found, *result.diagnostics))
        timed = solver.solve()
        return _refine(work, timed.obs, timed.poses, timed.shift_s, free_clocks=free)
    finally:
        progress.finish()


@dataclass(frozen=True, eq=False)
class _Work:
    """What a refinement starts from."""

    rig: CameraRig
    used: CameraRig
    """The cameras with detections, in their order."""
    obs: Observations
    """With the clocks as given."""
    free: np.ndarray
    progress: Progress


def _judged_clocks(work: _Work, solver: ClockSolver) -> tuple[_Work, tuple[Diagnostic, ...]]:
    """Return the work on clocks put right where they are wrong, and the finding that says so."""
    wrong_s = solver.wrong_s()
    if not wrong_s.any():
        return work, ()
    clocks = {n: float(s) for n, s in zip(work.used.names, wrong_s, strict=True) if s}
    more = " The cameras were judged as if that was done; mocap calibrate refine --clocks solves the clocks too."
    found = clock_finding(clocks, Severity.QUALITY, bool(work.free.sum() == 2), more=more)
    return replace(work, obs=solver.observed(wrong_s)), (found,)


def _refine(
    work: _Work, obs: Observations, start: Poses, shift_s: np.ndarray, free_clocks: np.ndarray | None
) -> RefineResult:
    """Fit one half of the take, judge it on the other, and fit the whole if that half agrees."""
    used, origin = work.used, Poses.of(work.used)
    points = triangulate_robust(work.obs, origin, used)
    residuals = residuals_px(points, work.obs, origin, used)
    half = adjust(
        obs.select(is_fitted(obs)),
        used,
        start,
        free=work.free,
        free_clocks=free_clocks,
        correlation=TYPICAL_CORRELATION,
        on_iteration=work.progress.advance,
        max_iterations=12,
    )
    # Residuals of the rig as given would not do: what a stale camera adds to them is constant in time.
    correlation = error_correlation(residuals_px(triangulate_robust(obs, half.poses, used), obs, half.poses, used), obs)
    before = reprojection(residuals, used, correlation)
    gain = held_out_gain((work.obs, origin), (obs, half.poses), used)
    if not gain["is_significant"]:
        why = (
            f"a fit to one half of the take changes the error of the other from {gain['before_px']:.2f} to "
            f"{gain['after_px']:.2f} px, which is no significant gain"
        )
        return _unchanged(work.rig, before, "no-gain", why, gain, _stale(before, {}))
    fit = adjust(
        obs,
        used,
        half.poses,
        free=work.free,
        free_clocks=free_clocks,
        correlation=correlation,
        on_iteration=work.progress.advance,
    )
    distance = float(np.nanmedian(np.linalg.norm(fit.points_world_m - origin.center_world_m[:, None], axis=-1)))
    poses, _, scale = aligned(fit.poses, origin, distance)
    first = int(np.argmax(work.free))
    clock_s = np.where(work.free, shift_s - poses.offset_s + poses.offset_s[first], 0.0)
    moved = _moves(poses, origin, points, used, clock_s)
    if max(m.turned_deg for m in moved.values()) > IMPLAUSIBLE_DEG or not 0.5 < scale < 2.0:
        worst = max(moved, key=lambda name: moved[name].turned_deg)
        why = f"the best fit turns camera {worst} by {moved[worst].turned_deg:.0f} degrees, too far to be a correction"
        return _unchanged(work.rig, before, "implausible", why, gain, _stale(before, {}))
    sure = certainty(fit.covariance, poses, distance, is_gauge_free=bool(work.free.all()))
    sure = dict(zip(used.names, sure, strict=True))
    return _accepted(work, obs, poses, fit, before, moved, gain, correlation, sure)


def _accepted(
    work: _Work,
    obs: Observations,
    poses: Poses,
    fit: Fit,
    before: dict[str, CameraReprojection],
    moved: dict[str, CameraMove],
    gain: dict[str, float | bool],
    correlation: float,
    sure: dict[str, CameraCertainty],
) -> RefineResult:
    """Return the result with the refined rig, its figures and what the user must hear."""
    rig, used = work.rig, work.used
    after = reprojection(residuals_px(triangulate_robust(obs, poses, used), obs, poses, used), used, correlation)
    refined = poses.rig(used)
    everything = CameraRig(tuple(refined[c.name] if c.name in refined.names else c for c in rig.cameras))
    summary = {
        "before_median_px": overall_px(before),
        "after_median_px": overall_px(after),
        "held_out_before_px": float(gain["before_px"]),
        "held_out_after_px": float(gain["after_px"]),
        "n_points": float(obs.xy_px.shape[1]),
        "sigma_px": fit.sigma_px,
    }
    text = ", ".join(f"{n} {m.turned_deg:.2f} deg {m.shifted_mm:.0f} mm" for n, m in moved.items())
    if clocks := ", ".join(f"{n} {1e3 * m.time_s:+.1f} ms" for n, m in moved.items() if m.time_s):
        text += f"; clocks: {clocks}"
    done = Diagnostic(
        "rig-refined",
        Severity.INFO,
        "The cameras were re-solved from the person's keypoints: median reprojection "
        f"{summary['before_median_px']:.1f} -> {summary['after_median_px']:.1f} px (moved: {text}).",
        {"summary": summary, "moved": {n: vars(m) for n, m in moved.items()}},
    )
    diagnostics = (*_stale(before, moved), done)
    return RefineResult(everything, True, before, after, moved, diagnostics, summary, sure)


def _unchanged(
    rig: CameraRig,
    before: dict[str, CameraReprojection],
    reason: str,
    why: str,
    data: dict[str, object] | dict[str, float | bool],
    more: tuple[Diagnostic, ...] = (),
) -> RefineResult:
    """Return the rig as given, with the reason."""
    severity = Severity.INFO if reason == "no-gain" else Severity.WARNING
    message = f"The cameras were left as they were calibrated: {why}."
    found = Diagnostic("rig-not-refined", severity, message, {"reason": reason, **data})
    overall = overall_px(before)
    summary = {"before_median_px": overall, "after_median_px": overall} if before else {}
    return RefineResult(rig, False, before, before, {}, (*more, found), summary)


def _moves(
    poses: Poses, origin: Poses, points: np.ndarray, rig: CameraRig, clock_s: np.ndarray
) -> dict[str, CameraMove]:
    """Return how far each camera moved, and the person in its picture."""
    turn = quat_log(matrix_to_quat(poses.R_cam_from_world @ origin.R_cam_from_world.transpose(0, 2, 1)))
    shift = np.linalg.norm(poses.center_world_m - origin.center_world_m, axis=-1)
    out: dict[str, CameraMove] = {}
    for c, camera in enumerate(rig.cameras):
        cam = points @ origin.R_cam_from_world[c].T + origin.t_cam_from_world_m[c]
        to = points @ poses.R_cam_from_world[c].T + poses.t_cam_from_world_m[c]
        focal = float(camera.intrinsics.focal_px.mean())
        with np.errstate(divide="ignore", invalid="ignore"):
            step = focal * np.linalg.norm(to[:, :2] / to[:, 2:] - cam[:, :2] / cam[:, 2:], axis=-1)
        step = step[np.isfinite(step) & (cam[:, 2] > 0)]
        out[camera.name] = CameraMove(
            float(np.rad2deg(np.linalg.norm(turn[c]))),
            1000.0 * float(shift[c]),
            float(np.median(step)) if len(step) else float("nan"),
            float(clock_s[c]),
        )
    return out


def _stale(before: dict[str, CameraReprojection], moved: dict[str, CameraMove]) -> tuple[Diagnostic, ...]:
    """Return a warning that names the cameras whose detections are shifted systematically, or nothing."""
    shifted: dict[str, CameraReprojection] = {}
    for name, camera in before.items():
        size = float(np.hypot(*camera.bias_px))
        if size > STALE_PX and size > MIN_STANDARD_ERRORS * camera.bias_sd_px:
            shifted[name] = camera
    if not shifted:
        return ()
    text = ", ".join(f"{n} by ({round(c.bias_px[0]):+d}, {round(c.bias_px[1]):+d}) px" for n, c in shifted.items())
    outcome = "The cameras were re-solved from the person." if moved else "The cameras were left as they are."
    return (
        Diagnostic(
            "rig-stale",
            Severity.WARNING,
            f"The calibration no longer fits the footage: projections are shifted in {text}. {outcome} "
            "Calibrate again if the cameras were moved.",
            {"bias_px": {n: list(c.bias_px) for n, c in shifted.items()}},
        ),
    )
