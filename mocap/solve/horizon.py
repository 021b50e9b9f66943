"""The last moments of a motion, solved together again with every new frame.

Moving-horizon estimation (C. Rao, J. Rawlings and D. Mayne, "Constrained state estimation for nonlinear discrete-time
systems", IEEE TAC 2003) with a fixed number of Gauss-Newton steps a frame from where the last frame left it (the
real-time iteration; M. Diehl, H. Bock and J. Schloeder, SIAM J. Control Optim. 43, 2005). Terms, prior and banded
system are those of the whole take's solve. What lies before the window is forgotten: it is worth little by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap.core.observations import Observations
from mocap.kernels.articulated import N_TRANSLATION, banded_system, point_jacobian
from mocap.kernels.banded import solve_banded, trailing_covariance
from mocap.kernels.reprojection import residuals_px
from mocap.kernels.rotations import quat_conjugate, quat_multiply
from mocap.solve.contacts import standing
from mocap.solve.fit import (
    FOOT_LANDMARKS,
    ROBUST_SCALE_SQUARED,
    add_contacts,
    body_points,
    damp,
    limited,
    moves_matrix,
    pose_terms,
)
from mocap.solve.motion import SLIP_M_S
from mocap.solve.pose import Freedom, Pose, joined, without_twist
from mocap.solve.running import RunningNoise, RunningPrior
from mocap.solve.shape import Shape

TAIL_S = 0.12
"""The newest frames, which move most, take a step of their own before that of all. Without it the error trebles."""
TAIL_SCALE_SQUARED = 25.0
"""Squared scale of the robust loss in that step: a prediction may be off."""
WIDE_SCALE_SQUARED = 900.0
"""The same of a step before it where predictions keep missing what is measured: a loss that takes right detections for
gross errors would never let them in again."""
MISSED_M, MISSED_LANDMARKS, MISSED_FRAMES = 0.1, 2, 3
"""That is so where they miss as many landmarks by as much for as many frames; single points of one are often off."""
HELD = 1e9
"""Weight on the two frames before the tail, which that step leaves where they are."""
MIN_FRAMES = 3
"""Second differences need three frames."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Detections of a window, counted from its first frame, and how noisy each is."""

    observations: Observations
    sigma_px: np.ndarray
    """[camera frame keypoint]"""

    def part(self, low: int, high: int) -> Seen:
        """Return the detections nearest to frames low..high-1, counted from low."""
        part, index = self.observations.window(low, high)
        return Seen(part, self.sigma_px[np.arange(len(index))[:, None], np.maximum(index, 0)])

    def with_more(self, more: Seen) -> Seen:
        """Return these detections and `more`, counted from the same frame."""
        a, b = self.observations, more.observations
        both = {
            name: np.concatenate([getattr(a, name), getattr(b, name)], axis=1)
            for name in ("xy", "px_per_unit", "score", "frame")
        }
        return Seen(replace(a, **both), np.concatenate([self.sigma_px, more.sigma_px], axis=1))


@dataclass(frozen=True, eq=False)
class Placed:
    """The body of every frame of the window in the world."""

    R_world: np.ndarray
    """[frame joint 3 3]"""
    joints_m: np.ndarray
    """[frame joint 3]"""
    landmarks_m: np.ndarray
    """[frame landmark 3]"""
    soles_m: np.ndarray
    """[frame sole 3] FOOT_LANDMARKS"""


class Horizon:
    """The poses of the last `n_frames`; grows by one with every frame and forgets the oldest."""

    def __init__(self, pose: Pose, names: tuple[str, ...], dof: Freedom, fps: float, n_frames: int, seen: Seen) -> None:
        self.pose, self.n_frames = pose, n_frames
        self._names, self._dof, self._fps, self._seen = names, dof, fps, seen
        self._n_missed = np.zeros(len(names), int)
        self._contact = np.zeros((len(pose.root_m), len(FOOT_LANDMARKS)), bool)
        self._placed: Placed | None = None
        self._factor, self._curvature = np.zeros((0, 0)), np.zeros((0, 0, 0))

    def __len__(self) -> int:
        return len(self.pose.root_m)

    @property
    def placed(self) -> Placed | None:
        """The body as the last step left it; None before the first."""
        return self._placed

    def push(self, new: Seen, measured_m: np.ndarray, shape: Shape, prior: RunningPrior) -> None:
        """Append a frame with what was seen since the last, counted from the new frame, and solve.

        measured_m [landmark 3] points triangulated in the new frame, NaN where unknown: they tell whether the
        prediction is near.
        """
        drop = max(len(self) + 1 - self.n_frames, 0)
        at_end = replace(new.observations, frame=new.observations.frame + len(self))
        self._seen = self._seen.with_more(Seen(at_end, new.sigma_px)).part(drop, len(self) + 1)
        self.pose = joined([self.pose.frames(slice(drop, None)), predicted(self.pose, self._dof)])
        self._contact = np.concatenate([self._contact[drop:], np.zeros((1, len(FOOT_LANDMARKS)), bool)])
        expected = body_points(self.pose.frames(slice(-1, None)), shape, self._names)[2][0]
        missed = np.linalg.norm(expected - measured_m, axis=-1) > MISSED_M
        self._n_missed = np.where(
            missed, self._n_missed + 1, np.where(np.isfinite(measured_m).all(-1), 0, self._n_missed)
        )
        is_far = (self._n_missed >= MISSED_FRAMES).sum() >= MISSED_LANDMARKS
        self.solve(shape, prior, is_far=bool(is_far))

    def solve(self, shape: Shape, prior: RunningPrior, *, is_far: bool = False) -> None:
        """Move the poses: a step of the newest frames alone, or two where the prediction is far, then one of all."""
        if len(self) < MIN_FRAMES:
            return
        tail = _tail(self._fps)
        before_tail = max(len(self) - tail - 2, 0)
        for scale_squared in (WIDE_SCALE_SQUARED, TAIL_SCALE_SQUARED)[0 if is_far else 1 :]:
            self._step(shape, prior, before_tail, scale_squared)
        self._step(shape, prior, 0, ROBUST_SCALE_SQUARED)
        R_world, joints, points = body_points(self.pose, shape, (*self._names, *FOOT_LANDMARKS))
        n = len(self._names)
        self._placed = Placed(R_world, joints, points[:, :n], points[:, n:])
        # told while nothing held them, and kept when they are
        self._contact[-tail:] = standing(self._placed.soles_m, self.pose.root_m, self._fps)[-tail:]

    def _step(self, shape: Shape, prior: RunningPrior, low: int, scale_squared: float) -> None:
        """Take a Gauss-Newton step of the frames from `low` on; where some lie before, the first two of these stay."""
        pose = self.pose.frames(slice(low, None))
        seen = self._seen if low == 0 else self._seen.part(low, len(self))

        def data(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return seen.observations.robust_terms(points, seen.sigma_px, scale_squared)[:2]

        # limits cost as much as the data; the step of all frames has them
        terms = {"has_pull": False, "has_limits": low == 0}
        hessian, slope = pose_terms(pose, shape, self._names, self._dof, data, **terms)
        if low == 0:
            self._curvature = hessian.copy()
        motion = prior.of(pose)
        coupling = motion.add(hessian, slope, pose, self._dof)
        contact = self._contact.copy()
        contact[-_tail(self._fps) :] = False
        # the tail is free: a foot that is held would stand for ever
        if low == 0 and contact.any():
            coupling += add_contacts(hessian, slope, pose, shape, self._dof, contact, SLIP_M_S / self._fps)
        damp(hessian)
        if low:
            hessian[:2] += HELD * np.eye(hessian.shape[1])
        band, right = banded_system(hessian, slope, motion.level**-2.0, pose.accelerations(self._dof), coupling)
        step = solve_banded(band, right).reshape(slope.shape)
        moved = pose.moved(limited(step), self._dof)
        self._factor, self.pose = band, joined([self.pose.frames(slice(low)), moved])

    def spread_m(self, frame: int) -> np.ndarray:
        """Return the posterior spread per axis [landmark] in a frame, under white noise, as the last step had it.

        One number for three axes as `uncertainty.keypoint_sigma` has it.
        """
        assert self._placed is not None
        n = N_TRANSLATION + len(self._dof.joint)
        covariance = trailing_covariance(self._factor, frame * n, n)
        at = slice(frame, frame + 1)
        body, axes = self._placed, self.pose.frames(at).axes(self._dof)
        moves = moves_matrix(self._names, self._dof)
        place = (body.R_world[at], body.joints_m[at], body.landmarks_m[at])
        jacobian = point_jacobian(*place, self._dof.joint, axes, moves)[0]
        of_points = jacobian @ covariance @ jacobian.swapaxes(1, 2)
        return np.sqrt(np.sqrt((of_points**2).sum((1, 2)) / 3))

    def teach(self, prior: RunningPrior, noise: RunningNoise) -> None:
        """Let prior and noise learn from the window."""
        assert self._placed is not None
        o = self._seen.observations
        at = o.at_own_times(self._placed.landmarks_m)
        residual = residuals_px(at, o.xy, o.px_per_unit, o.R_cam_from_world, o.t_cam_from_world_m)
        prior.learn(self.pose, self._curvature)
        noise.learn(residual, o.score, self._seen.sigma_px, prior.whitened(self._curvature))


def _tail(fps: float) -> int:
    return max(MIN_FRAMES, round(TAIL_S * fps))


def predicted(pose: Pose, dof: Freedom) -> Pose:
    """Return the frame after the last: by the last two frames' velocity, or the last again where it is alone."""
    last = pose.frames(slice(-1, None))
    if len(pose.root_m) == 1:
        return last
    before = pose.frames(slice(-2, -1))
    turn = quat_multiply(quat_conjugate(before.local_wxyz), last.local_wxyz)
    return Pose(2 * last.root_m - before.root_m, without_twist(quat_multiply(last.local_wxyz, turn), dof))
