"""Re-solve where the cameras stand, from the keypoints of one person who moved through the take.

A rig is stale when a camera was touched or sagged after it was calibrated: half a degree is 15 pixels at a focal length
of 1700. The person's own keypoints, seen by several cameras over time, show it and mend it. Lenses stay as they are,
and the world stays where it was: see `refine_bundle.aligned`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.refine_bundle import Fit, Poses, adjust, aligned, cauchy_cost, residuals_px, triangulate_robust
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress
from mocap.kernels.rotations import matrix_to_quat, quat_log

MIN_SCORE = 0.3
MAX_OBSERVATIONS = 14000
MIN_POINTS = 150
MIN_PER_CAMERA = 60
N_BLOCKS = 8
"""Parts of the take, alternately fitted and held out: neighbouring frames share their errors, parts hardly do."""
TYPICAL_CORRELATION = 10.0
"""Successive detections that carry the information of one, until it is measured."""
MIN_GAIN = 0.02
"""Smallest relative gain in the held-out median error that is worth moving the cameras for."""
MIN_STANDARD_ERRORS = 6.0
STALE_PX = 3.0
IMPLAUSIBLE_DEG = 12.0


@dataclass(frozen=True)
class CameraReprojection:
    """How one camera's detections agree with the points that all cameras triangulate."""

    median_px: float
    p95_px: float
    bias_px: tuple[float, float]
    """Median of projected minus detected, x and y: where this camera's picture of the world is shifted to."""
    bias_sd_px: float
    """Standard error of the bias, the correlation of the errors in time allowed for."""
    n: int
    """Observations."""


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
    the rig comes back unchanged with a diagnostic that says why. `free_time_offsets` lets each camera's clock shift.
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
    max_points = MAX_OBSERVATIONS // detections.n_cameras
    obs = gather(detections, min_score, max_points, with_velocity=free_time_offsets)
    free = obs.seen.sum(1) >= MIN_PER_CAMERA
    if obs.xy_px.shape[1] < MIN_POINTS or free.sum() < 2:
        counts = dict(zip(rig_used.names, obs.seen.sum(1).tolist(), strict=True))
        why = f"only {obs.xy_px.shape[1]} keypoints are seen by two cameras, {MIN_POINTS} are needed"
        return _unchanged(rig, {}, "too-few", why, {"n_points": int(obs.xy_px.shape[1]), "per_camera": counts})
    progress.start("refining the cameras", None)
    try:
        return _refine(rig, rig_used, obs, free, free_time_offsets, progress)
    finally:
        progress.finish()


def _refine(
    rig: CameraRig, used: CameraRig, obs: Observations, free: np.ndarray, free_offsets: bool, progress: Progress
) -> RefineResult:
    """Fit one half of the take, judge it on the other, and fit the whole if that half agrees."""
    origin = Poses.of(used)
    points = triangulate_robust(obs, origin, used)
    residuals = residuals_px(points, obs, origin, used)
    fitted = (obs.instant * N_BLOCKS // max(1, obs.n_instants)) % 2 == 0
    half = adjust(
        obs.select(fitted),
        used,
        origin,
        free=free,
        free_offsets=free_offsets,
        correlation=TYPICAL_CORRELATION,
        on_iteration=progress.advance,
        max_iterations=12,
    )
    # Residuals of the rig as given would not do: what a stale camera adds to them is constant in time.
    correlation = _correlation(residuals_px(triangulate_robust(obs, half.poses, used), obs, half.poses, used), obs)
    before = _reprojection(residuals, used, correlation)
    gain = _held_out(obs.select(~fitted), used, origin, half.poses)
    if not gain["is_significant"]:
        why = (
            f"a fit to one half of the take changes the error of the other from {gain['before_px']:.2f} to "
            f"{gain['after_px']:.2f} px, which is no significant gain"
        )
        return _unchanged(rig, before, "no-gain", why, gain, _stale(before, {}))
    fit = adjust(
        obs,
        used,
        half.poses,
        free=free,
        free_offsets=free_offsets,
        correlation=correlation,
        on_iteration=progress.advance,
    )
    distance = float(np.nanmedian(np.linalg.norm(fit.points_world_m - origin.center_world_m[:, None], axis=-1)))
    poses, _, scale = aligned(fit.poses, origin, distance)
    moved = _moves(poses, origin, points, used)
    if max(m.turned_deg for m in moved.values()) > IMPLAUSIBLE_DEG or not 0.5 < scale < 2.0:
        worst = max(moved, key=lambda name: moved[name].turned_deg)
        why = f"the best fit turns camera {worst} by {moved[worst].turned_deg:.0f} degrees, too far to be a correction"
        return _unchanged(rig, before, "implausible", why, gain, _stale(before, {}))
    return _accepted(rig, used, obs, poses, fit, before, moved, gain, correlation)


def _accepted(
    rig: CameraRig,
    used: CameraRig,
    obs: Observations,
    poses: Poses,
    fit: Fit,
    before: dict[str, CameraReprojection],
    moved: dict[str, CameraMove],
    gain: dict[str, float | bool],
    correlation: float,
) -> RefineResult:
    """Return the result with the refined rig, its figures and what the user must hear."""
    after = _reprojection(residuals_px(triangulate_robust(obs, poses, used), obs, poses, used), used, correlation)
    refined = poses.rig(used)
    everything = CameraRig(tuple(refined[c.name] if c.name in refined.names else c for c in rig.cameras))
    summary = {
        "before_median_px": _overall(before),
        "after_median_px": _overall(after),
        "held_out_before_px": float(gain["before_px"]),
        "held_out_after_px": float(gain["after_px"]),
        "n_points": float(obs.xy_px.shape[1]),
        "sigma_px": fit.sigma_px,
    }
    text = ", ".join(f"{n} {m.turned_deg:.2f} deg {m.shifted_mm:.0f} mm" for n, m in moved.items())
    done = Diagnostic(
        "rig-refined",
        Severity.INFO,
        "The cameras were re-solved from the person's keypoints: median reprojection "
        f"{summary['before_median_px']:.1f} -> {summary['after_median_px']:.1f} px (moved: {text}).",
        {"summary": summary, "moved": {n: vars(m) for n, m in moved.items()}},
    )
    diagnostics = (*_stale(before, moved), done)
    return RefineResult(everything, True, before, after, moved, diagnostics, summary)


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
    overall = _overall(before)
    summary = {"before_median_px": overall, "after_median_px": overall} if before else {}
    return RefineResult(rig, False, before, before, {}, (*more, found), summary)


def _correlation(residuals: np.ndarray, obs: Observations) -> float:
    """Return how many successive residuals carry the information of one independent one.

    (1 + rho) / (1 - rho) of a first-order process, rho from the medians of products of signs, so outliers do not count:
    for Gaussian residuals E[sign sign'] = 2/pi asin(rho).
    """
    seen = np.asarray(np.isfinite(residuals).all(-1))
    centred = residuals.copy()
    for c in np.nonzero(seen.any(-1))[0]:
        centred[c] -= np.median(residuals[c, seen[c]], axis=0)
    order = np.lexsort((obs.instant, obs.keypoint))
    follows = (np.diff(obs.keypoint[order]) == 0) & (np.diff(obs.instant[order]) == 1)
    product = np.sign(centred[:, order[:-1]]) * np.sign(centred[:, order[1:]])
    product = product[:, follows]
    product = product[np.isfinite(product)]
    if len(product) < 50:
        return 1.0
    rho = float(np.sin(0.5 * np.pi * np.clip(product.mean(), 0.0, 0.97)))
    return float(np.clip((1.0 + rho) / (1.0 - rho), 1.0, 60.0))


def _reprojection(residuals: np.ndarray, rig: CameraRig, correlation: float) -> dict[str, CameraReprojection]:
    """Return figures per camera from residuals [camera point 2]."""
    out: dict[str, CameraReprojection] = {}
    for c, name in enumerate(rig.names):
        r = residuals[c][np.isfinite(residuals[c]).all(-1)]
        if not len(r):
            nan = float("nan")
            out[name] = CameraReprojection(nan, nan, (nan, nan), nan, 0)
            continue
        length = np.linalg.norm(r, axis=-1)
        bias = np.median(r, axis=0)
        spread = 1.4826 * float(np.median(np.abs(r - bias)))
        # 1.2533: the median is that much less certain than the mean.
        sd = 1.2533 * spread / np.sqrt(max(1.0, len(r) / correlation))
        out[name] = CameraReprojection(
            float(np.median(length)),
            float(np.percentile(length, 95)),
            (float(bias[0]), float(bias[1])),
            float(sd),
            len(r),
        )
    return out


def _overall(cameras: dict[str, CameraReprojection]) -> float:
    """Return the mean of the cameras' medians, by their numbers of observations."""
    n = np.array([c.n for c in cameras.values()], float)
    median = np.array([c.median_px for c in cameras.values()])
    return float(np.nansum(n * median) / n.sum()) if n.sum() else float("nan")


def _held_out(obs: Observations, rig: CameraRig, before: Poses, after: Poses) -> dict[str, float | bool]:
    """Return whether `after` explains observations better that it was not fitted to.

    Each part of the take counts as one sample: a paired t statistic of the robust cost, one scale for both.
    """
    if obs.xy_px.shape[1] < MIN_POINTS // 4:
        return {"before_px": float("nan"), "after_px": float("nan"), "t": 0.0, "is_significant": False}
    r_before = residuals_px(triangulate_robust(obs, before, rig), obs, before, rig)
    r_after = residuals_px(triangulate_robust(obs, after, rig), obs, after, rig)
    median_before, median_after = (float(np.nanmedian(np.linalg.norm(r, axis=-1))) for r in (r_before, r_after))
    scale = max(median_before / 1.1774, 0.1)
    drop = (cauchy_cost(r_before, obs.seen, scale) - cauchy_cost(r_after, obs.seen, scale)).sum(0)
    part = obs.instant * 4 * N_BLOCKS // max(1, obs.n_instants)
    means = np.array([drop[part == p].mean() for p in np.unique(part)])
    t = float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-9)) if len(means) > 2 else 0.0
    significant = t > 3.0 and median_after < (1.0 - MIN_GAIN) * median_before
    return {"before_px": median_before, "after_px": median_after, "t": t, "is_significant": bool(significant)}


def _moves(poses: Poses, origin: Poses, points: np.ndarray, rig: CameraRig) -> dict[str, CameraMove]:
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
            -float(poses.offset_s[c]),
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
