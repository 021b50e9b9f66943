"""Letting single cameras go: what that explains of parts of a take that were held out of the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.cauchy import cauchy_cost
from calibration.clock_lag import likely_lag_s
from calibration.refine_bundle import Fit, Poses, adjust, polished, residuals_px, triangulate_robust
from calibration.refine_observations import Observations, Tracks, gather
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.kernels.rotations import matrix_to_quat, quat_log

N_BLOCKS = 10
MIN_T = 3.5
"""Paired t over held-out parts of the take above which something counts as real."""
MIN_GAIN = 0.004
"""Least relative drop of the held-out cost."""
MIN_SHIFT_PX = 2.0
MIN_TURN_DEG = 0.12
MIN_MOVE_MM = 12.0
"""Movements below all three are within what detectors do to an untouched camera."""
MIN_CLOCK_S = 0.006
SURE_CHANGE = 7.0
"""Drop of the cost, per correlated error, by which the old pose must be the better one before a change: a likelihood
ratio that chance reaches once in a thousand takes (A. Wald, "Sequential tests of statistical hypotheses", 1945)."""
N_ITERATIONS = 10
MOST_CONFIDENT = 0.9995
MIN_SEEN = 30
"""Keypoints of one camera that tell when it moved."""


@dataclass(frozen=True, eq=False)
class Freedom:
    """Which cameras may move and whose clocks may shift, each [camera] bool."""

    pose: np.ndarray
    clock: np.ndarray

    @classmethod
    def none(cls, n_cameras: int) -> Freedom:
        """Return all cameras held."""
        return cls(np.zeros(n_cameras, bool), np.zeros(n_cameras, bool))

    def also(self, camera: int, *, pose: bool = False, clock: bool = False) -> Freedom:
        """Return the same with one more camera let go."""
        at = np.arange(len(self.pose)) == camera
        return Freedom(self.pose | (at & pose), self.clock | (at & clock))


@dataclass(frozen=True, eq=False)
class Trial:
    """What some freedom explains of the parts of the take that were held out."""

    camera: int
    free: Freedom
    poses: Poses
    t: float
    gain: float
    """Relative drop of the cost."""
    lag_s: float = 0.0
    """What the camera's clock was put on by, beside what `poses` say."""

    @property
    def is_significant(self) -> bool:
        """Whether the gain is no chance."""
        return self.t >= MIN_T and self.gain >= MIN_GAIN

    @property
    def confidence(self) -> float:
        """0..1: the normal distribution's for the paired t, one-sided (Abramowitz and Stegun 7.1.26).

        Never certainty: with few parts of a take the tails are heavier than the normal distribution's.
        """
        x = max(self.t, 0.0) / np.sqrt(2.0)
        k = 1.0 / (1.0 + 0.3275911 * x)
        series = k * (0.254829592 + k * (-0.284496736 + k * (1.421413741 + k * (-1.453152027 + k * 1.061405429))))
        return min(float(1.0 - series * np.exp(-x * x)), MOST_CONFIDENT)


class Judge:
    """Tries freedoms on alternate parts of a take and scores them on the others, all from the same poses."""

    def __init__(self, obs: Observations, tracks: Tracks, rig: CameraRig, poses: Poses, correlation: float) -> None:
        first = int(obs.instant.min())
        part = (obs.instant - first) * 2 * N_BLOCKS // max(1, int(obs.instant.max()) + 1 - first)
        self._fitted = obs.select(part % 2 == 0)
        self._rest = obs.select(part % 2 == 1)
        self._part = part[part % 2 == 1]
        self._rig, self._tracks, self._poses, self._correlation = rig, tracks, poses, correlation
        self._start, self._points = (_points(o, poses, rig) for o in (self._fitted, self._rest))
        self._before = residuals_px(self._points, self._rest, poses, rig)

    def trial(self, camera: int, free: Freedom) -> Trial:
        """Return what a freedom, which a camera was given last, explains."""
        rest, rig = self._rest, self._rig
        poses = fitted(self._fitted, rig, self._poses, free, self._correlation, self._start).poses
        after = residuals_px(polished(self._points, rest, poses, rig), rest, poses, rig)
        return self._judged(camera, free, poses, (self._before, after), rest.seen)

    def lag(self, camera: int, free: Freedom) -> Trial | None:
        """Return what putting a camera's clock on or back by whole frames explains; None where it fits as it is."""
        rig, poses = self._rig, self._poses
        lag_s = likely_lag_s(self._fitted, self._tracks, camera, poses, rig)
        if lag_s == 0.0:
            return None
        moved = self._tracks.later(self._rest, camera, lag_s)
        # What is no longer seen at the other moment is no longer wrong either, and proves nothing.
        same = (moved.seen == self._rest.seen).all(0)
        if same.sum() < MIN_SEEN:
            return None
        moved, rest = moved.select(same), self._rest.select(same)
        after = residuals_px(_points(moved, poses, rig), moved, poses, rig)
        trial = self._judged(camera, free, poses, (self._before[:, same], after), rest.seen, self._part[same])
        return replace(trial, lag_s=lag_s)

    def _judged(
        self,
        camera: int,
        free: Freedom,
        poses: Poses,
        residuals: tuple[np.ndarray, np.ndarray],
        seen: np.ndarray,
        part: np.ndarray | None = None,
    ) -> Trial:
        """Return a trial by its residuals [camera point 2] before and after."""
        before, after = residuals
        part = self._part if part is None else part
        scale = max(float(np.nanmedian(np.linalg.norm(after, axis=-1))) / 1.1774, 0.3)
        cost = cauchy_cost(before, seen, scale).sum(0)
        drop = cost - cauchy_cost(after, seen, scale).sum(0)
        means = np.array([drop[part == p].mean() for p in np.unique(part)])
        t = float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-9)) if len(means) > 2 else 0.0
        return Trial(camera, free, poses, t, float(drop.sum() / max(cost.sum(), 1e-9)))


def _points(obs: Observations, poses: Poses, rig: CameraRig) -> np.ndarray:
    """Return points [point 3] as good as those of a trial: else a trial that changes nothing would seem to gain."""
    return polished(triangulate_robust(obs, poses, rig), obs, poses, rig, n_iterations=8)


def fitted(
    obs: Observations,
    rig: CameraRig,
    start: Poses,
    free: Freedom,
    correlation: float,
    points: np.ndarray | None = None,
) -> Fit:
    """Return the fit of what is free; so many errors in a row count as one."""
    return adjust(
        obs,
        rig,
        start,
        free=free.pose,
        free_clocks=free.clock,
        correlation=correlation,
        points=points,
        max_iterations=N_ITERATIONS,
    )


def movement(
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


def is_large(camera: int, fit: Fit, origin: Poses, rig: CameraRig) -> bool:
    """Return whether a movement is more than what detectors do to an untouched camera.

    A detector errs alike from one side for as long as a pose lasts: by a part of its noise. A person who stands still
    turns that into any turn and shift that nearly cancel, so what counts is by how much the person is displaced.
    """
    deg, mm, px = movement(camera, fit.points_world_m, origin, fit.poses, rig)
    return px > max(MIN_SHIFT_PX, fit.sigma_px) and (deg > MIN_TURN_DEG or mm > MIN_MOVE_MM)


def change_time_s(
    camera: int,
    detections: Keypoints2D,
    min_score: float,
    obs: Observations,
    rig: CameraRig,
    origin: Poses,
    poses: Poses,
    correlation: float,
) -> float | None:
    """Return the time from which the new pose fits a camera better than the calibrated one; None: from the start.

    The likeliest single change: the sum of cost differences from it to the end is greatest (E. Page, "Continuous
    inspection schemes", 1954). It is found among the thinned instants, then among all frames around that.
    """
    tail = _tail(camera, obs, rig, origin, poses)
    if tail is None:
        return None
    best = int(np.argmax(tail))
    # A take that favours the old pose at first by chance is no change: it must do so clearly.
    if best == 0 or tail[best] - tail[0] <= SURE_CHANGE * correlation:
        return None
    step_s = float(np.median(np.diff(obs.time_s)))
    near = np.abs(detections.time_s - obs.time_s[best]) <= 2.0 * step_s
    around = gather(replace(detections, time_s=np.where(near, detections.time_s, np.nan)), min_score, 10**9)
    fine = _tail(camera, around, rig, origin, poses)
    return float(obs.time_s[best] if fine is None else around.time_s[int(np.argmax(fine))])


def _tail(camera: int, obs: Observations, rig: CameraRig, origin: Poses, poses: Poses) -> np.ndarray | None:
    """Return [instant] how much better the new pose explains one camera from there to the end; None: too little."""
    alone = obs.without(camera)
    keep = obs.seen[camera] & (alone.seen.sum(0) >= 2)
    if keep.sum() < MIN_SEEN:
        return None
    some = obs.select(keep)
    points = triangulate_robust(alone.select(keep), poses, rig)
    at_origin, at_poses = (residuals_px(points, some, at, rig)[camera] for at in (origin, poses))
    scale = max(float(np.nanmedian(np.linalg.norm(at_origin, axis=-1))) / 1.1774, 1.0)
    seen = np.ones(len(points), bool)
    gain = cauchy_cost(at_origin, seen, scale) - cauchy_cost(at_poses, seen, scale)
    return np.cumsum(np.bincount(some.instant, gain, minlength=obs.n_instants)[::-1])[::-1]
