"""Has a camera moved since the rig was calibrated, or during the take: told from the keypoints of one person.

One camera that moved makes every camera's projections disagree a little, since all of them triangulate. So each camera
in turn is let go while the others stay: the one whose freedom explains most, on parts of the take that were held out,
has moved. It then stays free and the next is looked for. Detectors place keypoints differently from different sides,
which looks like a small movement of every camera; only movements beyond that are named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.refine_bundle import Fit, Poses, adjust, cauchy_cost, residuals_px, triangulate_robust
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress
from mocap.kernels.rotations import matrix_to_quat, quat_log

MIN_SCORE = 0.3
MAX_OBSERVATIONS = 7000
MIN_POINTS = 150
MIN_PER_CAMERA = 60
N_BLOCKS = 10
CORRELATION = 10.0
"""Successive detections that carry the information of one."""
MIN_T = 3.5
"""Paired t over held-out parts of the take above which a movement counts as real."""
MIN_SHIFT_PX = 2.0
MIN_TURN_DEG = 0.12
MIN_MOVE_MM = 12.0
"""Movements below all three are within what detectors do to an untouched camera."""
WINDOWS = (1.0, 0.4)
"""Shares of the take, up to its end, in which movements are looked for."""
MIN_GAIN = 0.004
"""Least relative drop of the held-out cost."""


@dataclass(frozen=True)
class CameraCheck:
    """What the take says of one camera."""

    has_moved: bool
    turned_deg: float
    moved_mm: float
    shift_px: float
    """Median distance by which the person is displaced in this camera's picture."""
    confidence: float
    """0..1 that the camera stands elsewhere than calibrated."""
    since_frame: int | None
    """Frame of the camera at which the movement happened; 0: before the take; None: not moved."""


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Findings per camera."""

    cameras: dict[str, CameraCheck]
    rig: CameraRig
    """The rig with the moved cameras where the take says they are now."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """Return the cameras that moved."""
        return tuple(name for name, c in self.cameras.items() if c.has_moved)


@dataclass(frozen=True, eq=False)
class _Trial:
    """One camera let go."""

    camera: int
    fit: Fit
    t: float
    gain: float


def check_rig(
    rig: CameraRig, detections: Keypoints2D, *, min_score: float = MIN_SCORE, progress: Progress | None = None
) -> CheckResult:
    """Return which cameras have moved, by how much, with what confidence and since which frame.

    detections: one person's, on cameras of the rig. At most half of the cameras can be told to have moved; with two,
    that one of them did, not which. Raises InputError `rig-camera-missing`, `check-needs-one-person` and
    `check-too-few`.
    """
    used = _used(rig, detections)
    progress = progress or NoProgress()
    obs = gather(detections, min_score, MAX_OBSERVATIONS // detections.n_cameras)
    ready = obs.seen.sum(1) >= MIN_PER_CAMERA
    if obs.xy_px.shape[1] < MIN_POINTS or ready.sum() < 2:
        raise InputError(
            "check-too-few",
            f"Only {obs.xy_px.shape[1]} keypoints are seen by two cameras, {MIN_POINTS} are needed to check the rig.",
            "Give a take in which one person moves about where two cameras see them.",
        )
    progress.start("checking the cameras", float(len(rig)))
    try:
        return _checked(rig, used, obs, ready, detections, progress)
    finally:
        progress.finish()


def _used(rig: CameraRig, detections: Keypoints2D) -> CameraRig:
    """Return the rig's cameras in the detections' order."""
    if detections.n_persons != 1:
        raise InputError(
            "check-needs-one-person",
            f"Checking the cameras needs one person per camera, got detections of {detections.n_persons}.",
            "Choose the performer first.",
        )
    missing = [name for name in detections.camera_names if name not in rig.names]
    if missing:
        raise InputError(
            "rig-camera-missing",
            f"The keypoints are of camera {', '.join(missing)}, which the rig lacks; it has {', '.join(rig.names)}.",
            "Give the rig that these keypoints were recorded with.",
        )
    return CameraRig(tuple(rig[name] for name in detections.camera_names))


def _checked(
    rig: CameraRig,
    used: CameraRig,
    obs: Observations,
    ready: np.ndarray,
    detections: Keypoints2D,
    progress: Progress,
) -> CheckResult:
    """Return the result: cameras are let go one after another while that explains more."""
    origin = Poses.of(used)
    poses, moved, confidence = origin, dict[int, float](), np.zeros(len(used))
    # A camera knocked late in the take fits better calibrated than moved on the whole, and worse at the end.
    for share in WINDOWS:
        part = obs.select(obs.instant >= (1.0 - share) * obs.n_instants)
        if part.xy_px.shape[1] < MIN_POINTS:
            break
        poses, moved, sure = _moved_in(part, used, origin, ready, progress)
        confidence = np.maximum(confidence, sure)
        if moved:
            break
    free = np.isin(np.arange(len(used)), list(moved))
    since = {c: _since(c, obs, used, origin, poses) for c in moved}
    late = {c: k for c, k in since.items() if k > 0}
    if late and len(moved) == 1:
        # The part before the movement would pull the estimate back.
        after = obs.select(obs.instant >= min(late.values()))
        poses = adjust(after, used, poses, free=free, free_offsets=False, correlation=CORRELATION).poses
    cameras = _findings(used, obs, origin, poses, moved, confidence, since, detections)
    result = poses.rig(used)
    whole = CameraRig(tuple(result[c.name] if c.name in result.names else c for c in rig.cameras))
    return CheckResult(cameras, whole, _diagnostics(cameras, len(used)))


def _moved_in(
    obs: Observations, rig: CameraRig, origin: Poses, ready: np.ndarray, progress: Progress
) -> tuple[Poses, dict[int, float], np.ndarray]:
    """Return poses, moved cameras with confidence, and every camera's confidence: let go one after another."""
    poses, moved = origin, dict[int, float]()
    free, confidence = np.zeros(len(rig), bool), np.zeros(len(rig))
    for _ in range(max(1, len(rig) // 2)):
        trials = []
        for c in np.flatnonzero(ready & ~free):
            trials.append(_trial(int(c), obs, rig, poses, free))
            progress.advance()
        best = max(trials, key=lambda trial: trial.gain, default=None)
        if best is None:
            break
        if not moved:
            confidence[best.camera] = _probability(best.t)
        if best.t < MIN_T or best.gain < MIN_GAIN or not _is_large(best, origin, rig):
            break
        free[best.camera] = True
        moved[best.camera] = _probability(best.t)
        poses = best.fit.poses
    return poses, moved, confidence


def _trial(camera: int, obs: Observations, rig: CameraRig, poses: Poses, free: np.ndarray) -> _Trial:
    """Return what letting one more camera go explains of parts of the take that it was not fitted to."""
    now_free = free.copy()
    now_free[camera] = True
    first = int(obs.instant.min())
    part = (obs.instant - first) * 2 * N_BLOCKS // max(1, int(obs.instant.max()) + 1 - first)
    fitted = part % 2 == 0
    half = adjust(
        obs.select(fitted), rig, poses, free=now_free, free_offsets=False, correlation=CORRELATION, max_iterations=10
    )
    rest = obs.select(~fitted)
    before = residuals_px(triangulate_robust(rest, poses, rig), rest, poses, rig)
    after = residuals_px(triangulate_robust(rest, half.poses, rig), rest, half.poses, rig)
    scale = max(float(np.nanmedian(np.linalg.norm(after, axis=-1))) / 1.1774, 0.3)
    cost_before = cauchy_cost(before, rest.seen, scale).sum(0)
    drop = cost_before - cauchy_cost(after, rest.seen, scale).sum(0)
    means = np.array([drop[part[~fitted] == p].mean() for p in np.unique(part[~fitted])])
    t = float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-9)) if len(means) > 2 else 0.0
    whole = adjust(obs, rig, half.poses, free=now_free, free_offsets=False, correlation=CORRELATION, max_iterations=10)
    return _Trial(camera, whole, t, float(drop.sum() / max(cost_before.sum(), 1e-9)))


def _probability(t: float) -> float:
    """Return a confidence for a paired t: that of the normal distribution, one-sided (Abramowitz and Stegun 7.1.26)."""
    x = max(t, 0.0) / np.sqrt(2.0)
    k = 1.0 / (1.0 + 0.3275911 * x)
    series = k * (0.254829592 + k * (-0.284496736 + k * (1.421413741 + k * (-1.453152027 + k * 1.061405429))))
    return float(1.0 - series * np.exp(-x * x))


def _movement(
    camera: int, points: np.ndarray, origin: Poses, poses: Poses, rig: CameraRig
) -> tuple[float, float, float]:
    """Return by how much a camera turned (deg) and moved (mm), and displaced points in its picture (px)."""
    turn = poses.R_cam_from_world[camera] @ origin.R_cam_from_world[camera].T
    deg = float(np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(turn)))))
    mm = 1000.0 * float(np.linalg.norm(poses.center_world_m[camera] - origin.center_world_m[camera]))
    a = points @ origin.R_cam_from_world[camera].T + origin.t_cam_from_world_m[camera]
    b = points @ poses.R_cam_from_world[camera].T + poses.t_cam_from_world_m[camera]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.linalg.norm(b[:, :2] / b[:, 2:] - a[:, :2] / a[:, 2:], axis=-1)
    gap = gap[np.isfinite(gap) & (a[:, 2] > 0)] * float(rig.cameras[camera].intrinsics.focal_px.mean())
    return deg, mm, float(np.median(gap)) if len(gap) else 0.0


def _is_large(trial: _Trial, origin: Poses, rig: CameraRig) -> bool:
    """Return whether a movement is more than what detectors do to an untouched camera."""
    deg, mm, px = _movement(trial.camera, trial.fit.points_world_m, origin, trial.fit.poses, rig)
    return px > MIN_SHIFT_PX and (deg > MIN_TURN_DEG or mm > MIN_MOVE_MM)


def _since(camera: int, obs: Observations, rig: CameraRig, origin: Poses, poses: Poses) -> int:
    """Return the instant from which the new pose fits a camera better than the calibrated one; 0: from the start.

    The likeliest single change: the sum of cost differences from it to the end is greatest (E. Page's CUSUM, 1954).
    """
    on = obs.seen[camera]
    others = obs.xy_px.copy()
    others[camera] = np.nan
    alone = Observations(others, obs.velocity_px_s, obs.instant, obs.keypoint, obs.n_instants)
    keep = on & (alone.seen.sum(0) >= 2)
    if keep.sum() < MIN_PER_CAMERA:
        return 0
    some = obs.select(keep)
    points = triangulate_robust(alone.select(keep), poses, rig)
    cost = []
    for at in (origin, poses):
        r = residuals_px(points, some, at, rig)[camera]
        scale = max(float(np.nanmedian(np.linalg.norm(r, axis=-1))) / 1.1774, 1.0) if not cost else cost[0][1]
        cost.append((cauchy_cost(r, np.ones(len(r), bool), scale), scale))
    gain = np.bincount(some.instant, cost[0][0] - cost[1][0], minlength=obs.n_instants)
    tail = np.cumsum(gain[::-1])[::-1]
    best = int(np.argmax(tail))
    # A take that favours the old pose at first by chance is no change: it must do so clearly.
    return best if best > 0 and tail[best] - tail[0] > 20.0 * CORRELATION / 10.0 else 0


def _findings(
    rig: CameraRig,
    obs: Observations,
    origin: Poses,
    poses: Poses,
    moved: dict[int, float],
    confidence: np.ndarray,
    since: dict[int, int],
    detections: Keypoints2D,
) -> dict[str, CameraCheck]:
    """Return the findings per camera."""
    points = triangulate_robust(obs, poses, rig)
    out: dict[str, CameraCheck] = {}
    for c, name in enumerate(rig.names):
        if c not in moved:
            out[name] = CameraCheck(False, 0.0, 0.0, 0.0, float(min(confidence[c], 0.5)), None)
            continue
        deg, mm, px = _movement(c, points, origin, poses, rig)
        stride = detections.n_frames / max(1, obs.n_instants)
        out[name] = CameraCheck(True, deg, mm, px, moved[c], round(since[c] * stride))
    return out


def _diagnostics(cameras: dict[str, CameraCheck], n_cameras: int) -> tuple[Diagnostic, ...]:
    """Return what the user must hear."""
    moved = {name: c for name, c in cameras.items() if c.has_moved}
    if not moved:
        return (Diagnostic("cameras-unmoved", Severity.INFO, "No camera has moved since the calibration.", {}),)
    text = "; ".join(
        f"{name} turned by {c.turned_deg:.2f} degrees and moved by {c.moved_mm:.0f} mm "
        + ("before the take" if not c.since_frame else f"at about frame {c.since_frame}")
        for name, c in moved.items()
    )
    doubt = " With two cameras it may be the other one." if n_cameras == 2 else ""
    return (
        Diagnostic(
            "camera-moved",
            Severity.QUALITY,
            f"The calibration no longer holds: {text}.{doubt} Calibrate again, or refine the rig from this take.",
            {name: vars(c) for name, c in moved.items()},
        ),
    )
