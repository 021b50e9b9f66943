"""The solve while the take goes on: every frame's body from what was seen up to it, or up to a set latency after."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap.core.observations import Observations
from mocap.core.performer import PerformerProfile
from mocap.solve.contacts import contacts
from mocap.solve.fit import fit_pose, to_points
from mocap.solve.hand import body_landmarks, sides_with_fingers
from mocap.solve.horizon import Horizon, Seen
from mocap.solve.pose import Pose, first_pose, freedom
from mocap.solve.running import RunningNoise, RunningPrior
from mocap.solve.running_shape import RunningShape
from mocap.solve.shape import Shape
from mocap.solve.uncertainty import BODY_SIGMA_M

WINDOW_S = 0.5
"""Frames that are solved together; half of it changes the error by a hundredth."""
LEARN_S = 0.5
"""Levels and noise are learned anew this often."""
LOST_S = 0.5
"""A performer of whom no camera shows MIN_LANDMARKS landmarks for longer is lost."""
MIN_LANDMARKS = 4
ASTRAY_M, ASTRAY_S = 0.25, 0.2
"""A body that lies this far (median) from the points of the moment for longer has gone astray: it starts anew."""
TORSO = ("LHip", "RHip", "LShoulder", "RShoulder")


@dataclass(frozen=True, eq=False)
class Body:
    """The body in one frame."""

    pose: Pose
    """One frame."""
    shape: Shape
    landmarks_m: np.ndarray
    """[landmark 3] of `CausalSolve.names`."""
    sigma_m: np.ndarray
    """[landmark] standard deviation per axis; grows without limit where nothing is seen."""
    contact: np.ndarray
    """[contact] bool, joints of `contacts.CONTACT_JOINTS`."""


class CausalSolve:
    """Follows one performer frame by frame.

    Starts where hips and shoulders are measured, predicts where nothing is seen, gives up after LOST_S, and starts
    again. Cost per frame does not grow with time.

    Args:
        landmarks: landmark of each keypoint, '' for none.
        fps: frames per second.
        performer: the performer's profile; without one the shape is fitted on the way (`RunningShape`).
        lag: how many frames after the one that is asked for may be used.
    """

    def __init__(
        self, landmarks: tuple[str, ...], fps: float, performer: PerformerProfile | None = None, lag: int = 0
    ) -> None:
        of_body = body_landmarks(sides_with_fingers(landmarks))
        self.index = np.array([k for k, n in enumerate(landmarks) if n in of_body], int)
        self.names = tuple(landmarks[k] for k in self.index)
        self._dof, self._fps, self._lag = freedom(self.names), fps, lag
        self._prior, self._noise = RunningPrior(self._dof, fps), RunningNoise(fps)
        self._shape = RunningShape(self.names, self._dof, fps, performer)
        self._horizon: Horizon | None = None
        self._n_unlearned = self._n_unseen = self._n_astray = 0

    def push(
        self, observations: Observations, measured_m: np.ndarray, sigma_m: np.ndarray, noise_px: float
    ) -> Body | None:
        """Take one more frame in; return the body `lag` frames before it, None where there is none.

        Args:
            observations: of all keypoints, since the last frame, counted from the new one (frame 0 or before).
            measured_m: [keypoint 3] points triangulated in the new frame, NaN where unknown.
            sigma_m: [keypoint] of these.
            noise_px: of detections, before the residuals of the solve tell it.
        """
        new = self._of_landmarks(observations, noise_px)
        measured_m, sigma_m = measured_m[self.index], sigma_m[self.index]
        is_seen = new.observations.seen.sum(2).max(initial=0) >= MIN_LANDMARKS
        self._n_unseen = 0 if is_seen else self._n_unseen + 1
        self._n_astray = self._n_astray + 1 if self._is_astray(measured_m) else 0
        if self._n_unseen > LOST_S * self._fps or self._n_astray > ASTRAY_S * self._fps:
            self._horizon, self._n_astray = None, 0
        if self._horizon is None:
            self._horizon = self._started(new, measured_m, sigma_m)
        else:
            self._horizon.push(new, measured_m, self._shape.shape, self._prior)
        if self._horizon is None:
            return None
        self._learn(self._horizon, measured_m, sigma_m)
        return self._body(self._horizon)

    def _of_landmarks(self, observations: Observations, noise_px: float) -> Seen:
        o = observations
        xy, px_per_unit, score = (v[:, :, self.index] for v in (o.xy, o.px_per_unit, o.score))
        return Seen(replace(o, xy=xy, px_per_unit=px_per_unit, score=score), self._noise.sigma_px(score, noise_px))

    def _started(self, new: Seen, measured_m: np.ndarray, sigma_m: np.ndarray) -> Horizon | None:
        place = {n: p[None] for n, p in zip(self.names, measured_m, strict=True) if np.isfinite(p).all()}
        if any(n not in place for n in TORSO):
            return None
        data = to_points(measured_m[None], sigma_m[None])
        pose = fit_pose(first_pose(place), self._shape.start(measured_m), self.names, self._dof, data)
        n_frames = max(round(WINDOW_S * self._fps), self._lag + 3)
        return Horizon(pose, self.names, self._dof, self._fps, n_frames, new.part(0, 1))

    def _is_astray(self, measured_m: np.ndarray) -> bool:
        """Return whether the body of the last frame lies far from the new frame's points."""
        if self._horizon is None or self._horizon.placed is None:
            return False
        off = np.linalg.norm(self._horizon.placed.landmarks_m[-1] - measured_m, axis=-1)
        off = off[np.isfinite(off)]
        return len(off) >= MIN_LANDMARKS and float(np.median(off)) > ASTRAY_M

    def _learn(self, horizon: Horizon, measured_m: np.ndarray, sigma_m: np.ndarray) -> None:
        if self._n_unseen == 0 and self._shape.add(horizon.pose.frames(slice(-1, None)), measured_m, sigma_m):
            horizon.solve(self._shape.shape, self._prior)
        self._n_unlearned += 1
        is_due = self._n_unlearned >= LEARN_S * self._fps
        if is_due and self._n_unseen == 0 and len(horizon) == horizon.n_frames:
            self._n_unlearned = 0
            horizon.teach(self._prior, self._noise)

    def _body(self, horizon: Horizon) -> Body | None:
        at, placed = len(horizon) - 1 - self._lag, horizon.placed
        if at < 0 or placed is None:
            return None
        sigma_m = np.hypot(np.sqrt(self._noise.inflation) * horizon.spread_m(at), BODY_SIGMA_M)
        on_floor = contacts(placed.soles_m, horizon.pose.root_m, self._fps)
        pose = horizon.pose.frames(slice(at, at + 1))
        return Body(pose, self._shape.shape, placed.landmarks_m[at], sigma_m, on_floor[at])
