"""Were cameras mixed up: two cameras' videos or keypoint folders exchanged, told from one person."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from calibration.cauchy import cauchy_cost
from calibration.refine_bundle import Poses, residuals_px, triangulate_robust
from calibration.refine_figures import CameraReprojection
from calibration.refine_observations import Observations, gather
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D

REDO_SHARE_OF_PICTURE = 20 / 1080
"""A camera whose median error is more than this part of its picture's shorter side does not fit the others: detectors
are off by 5 to 12 pixels at 1080 lines."""
_SUSPECT_SHARE = 4 / 1080
"""Errors below this part of the picture leave nothing for an exchange to explain, even of cameras side by side."""
_MAX_POINTS = 600
_MIN_POINTS = 100
_FEW_CAMERAS, _WIDTH = 4, 6
_MIN_SEEN = 30
_MIN_DROP = 0.5
"""An exchange must lower the worst camera's error to this share."""


def exchange_finding(rig: CameraRig, detections: Keypoints2D, min_score: float) -> Diagnostic | None:
    """Return the finding that cameras' keypoints are exchanged, naming those that fit; None where that is not so.

    detections: one person's, chosen in each camera by itself: a choice by the rig keeps what fits the wrong cameras.
    Pairs are exchanged one after another, the best first, while that lowers the robust cost. Cost: cubic in cameras
    over a few hundred points, and only where the cameras do not fit as named.
    """
    used = rig.in_order(detections.camera_names)
    obs = gather(detections, min_score, _MAX_POINTS)
    if obs.xy_px.shape[1] < _MIN_POINTS:
        return None
    poses = Poses.of(used)
    before = _misfit(obs, poses, used, np.arange(len(used)))
    best = before[0]
    if before[1] < _SUSPECT_SHARE:
        return None
    # With few cameras no exchange of two need help alone where three are in a circle: several are followed.
    width = _WIDTH if len(used) <= _FEW_CAMERAS else 1
    paths, tried = [np.arange(len(used))], {np.arange(len(used)).tobytes()}
    for _ in range(len(used) - 1):
        found: list[tuple[tuple[float, float], np.ndarray]] = []
        for a, b in combinations(range(len(used)), 2):
            for path in paths:
                order = path.copy()
                order[[a, b]] = order[[b, a]]
                if order.tobytes() not in tried:
                    tried.add(order.tobytes())
                    found.append((_misfit(obs, poses, used, order), order))
        found.sort(key=lambda f: f[0][0])
        fitting = [f for f in found if _fits(f[0], before)]
        if fitting:
            return _exchanged(fitting[0][1], before[1], fitting[0][0][1], used)
        if not found or (width == 1 and found[0][0][0] >= best):
            break
        best, paths = found[0][0][0], [order for _, order in found[:width]]
    return None


def require_not_exchanged(rig: CameraRig, detections: Keypoints2D, min_score: float) -> None:
    """Raise InputError `cameras-do-not-fit` where cameras' keypoints are exchanged: see `exchange_finding`."""
    finding = exchange_finding(rig, detections, min_score)
    if finding is not None:
        advice = "Name the keypoint folders or videos by their cameras."
        raise InputError("cameras-do-not-fit", finding.message, advice)


def misfit_share(cameras: Mapping[str, CameraReprojection], rig: CameraRig) -> float:
    """Return the worst camera's median error as a share of its picture's shorter side; 0 where nothing is seen."""
    shares = [cameras[c.name].median_px / min(c.intrinsics.size_px) for c in rig.cameras if c.name in cameras]
    return max((s for s in shares if np.isfinite(s)), default=0.0)


def _fits(after: tuple[float, float], before: tuple[float, float]) -> bool:
    return after[1] < REDO_SHARE_OF_PICTURE and after[1] < _MIN_DROP * before[1]


def _misfit(obs: Observations, poses: Poses, rig: CameraRig, order: np.ndarray) -> tuple[float, float]:
    """Return the robust cost, and the worst camera's median error as a share of its picture's shorter side.

    order [camera]: whose keypoints each camera is given.
    """
    mixed = Observations(obs.xy_px[order], obs.velocity_px_s[order], obs.instant, obs.keypoint, obs.time_s)
    r = residuals_px(triangulate_robust(mixed, poses, rig, n_iterations=1), mixed, poses, rig)
    size_px = np.array([min(c.intrinsics.size_px) for c in rig.cameras], float)
    r = r / size_px[:, None, None]
    seen = mixed.seen
    # A point behind its camera or projected nowhere is as far off as anything can be.
    length = np.where(seen, np.nan_to_num(np.linalg.norm(r, axis=-1), nan=1.0), np.nan)
    medians = [float(np.nanmedian(length[c])) for c in range(len(rig)) if seen[c].sum() >= _MIN_SEEN]
    cost = float(cauchy_cost(r, seen, 0.5 * REDO_SHARE_OF_PICTURE).sum())
    return cost, max(medians, default=0.0)


def _exchanged(order: np.ndarray, before: float, after: float, rig: CameraRig) -> Diagnostic:
    names = rig.names
    is_of = {names[c]: names[int(k)] for c, k in enumerate(order) if c != k}
    if len(is_of) == 2:
        a, b = is_of
        what = f"with the keypoints or videos of {a} and {b} exchanged"
    else:
        what = "if " + ", ".join(f"what is given as {a} is of {b}" for b, a in is_of.items())
    message = (
        f"The cameras do not fit the person as named (the worst is {100 * before:.1f} % of its picture's shorter side "
        f"off), but they do {what} ({100 * after:.1f} %). No camera need have moved; "
        "name the folders or videos by their cameras."
    )
    return Diagnostic("cameras-do-not-fit", Severity.QUALITY, message, {"given_as": is_of})


def misfit_finding(error_share: float, moved: tuple[str, ...]) -> Diagnostic:
    """Return the finding that the cameras do not fit the person, wherever single ones may have been moved to."""
    tried = f", even with {', '.join(moved)} where they fit best" if moved else ""
    message = (
        f"The cameras do not fit the person{tried}: the worst is {100 * error_share:.2f} % of its picture's "
        f"shorter side off, expected below {100 * REDO_SHARE_OF_PICTURE:.2f} %, and no exchange of cameras explains "
        "it. Cameras that were not started together look so: give their clocks (--times). Check that rig and lenses "
        "belong to this take; else calibrate again."
    )
    return Diagnostic("cameras-do-not-fit", Severity.QUALITY, message, {"error_share": error_share})
