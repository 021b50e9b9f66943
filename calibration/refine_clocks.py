"""Clocks of a take whose cameras are re-solved: solved with the cameras, or only noticed where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from calibration.check_trials import Freedom, Judge
from calibration.clock_lag import precise_lag_s
from calibration.refine_bundle import Poses, adjust
from calibration.refine_judge import held_out_gain, is_fitted
from calibration.refine_observations import Observations, Tracks, gather
from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D

MAX_OBSERVATIONS = 14000
TYPICAL_CORRELATION = 10.0
"""Successive detections that carry the information of one, until it is measured."""
CLOCK_ROUNDS = 6
CLOCK_DONE_S = 0.001
"""Clocks are moved and tracks sampled anew until no clock moves by more: velocities hold for a small shift only."""
SEEDED_ROUNDS = 2
"""Rounds that begin by trying other moments: with the cameras as calibrated, and once they stand better."""
MIN_WRONG_S = 0.02
"""Clocks that were not solved are called wrong beyond this: cameras without genlock are within half a frame."""


@dataclass(frozen=True, eq=False)
class Clocked:
    """A take on clocks that were solved together with the cameras' poses, on the half of it that is fitted."""

    obs: Observations
    poses: Poses
    """Their clocks are not shifted: that is in the observations."""
    shift_s: np.ndarray
    """[camera] what the clocks were put on by. The first camera that takes part keeps its clock."""


@dataclass(frozen=True, eq=False)
class ClockSolver:
    """Solves the clocks of one person's detections, on the cameras of a rig in their order."""

    rig: CameraRig
    detections: Keypoints2D
    min_score: float
    free: np.ndarray
    """[camera] bool: those that take part."""
    on_iteration: Callable[[], None]

    def observed(self, shift_s: np.ndarray) -> Observations:
        """Return the observations with the clocks put on by so much [camera]."""
        moved = replace(self.detections, time_s=self.detections.time_s + shift_s[:, None])
        return gather(moved, self.min_score, MAX_OBSERVATIONS // moved.n_cameras, with_velocity=True)

    def solve(self) -> Clocked:
        """Return the take on the clocks that fit best together with the cameras' poses.

        A common shift cannot be told: the first camera that takes part keeps its clock.
        """
        first = int(np.argmax(self.free))
        shift_s, poses, obs = np.zeros(len(self.rig)), Poses.of(self.rig), self.observed(np.zeros(len(self.rig)))
        for n in range(CLOCK_ROUNDS):
            if n < SEEDED_ROUNDS:
                shift_s = self._seeded(shift_s, poses)
            obs = self.observed(shift_s)
            fit = self._fitted(obs, poses, has_clocks=True)
            step_s = np.where(self.free, fit.offset_s, 0.0)
            shift_s = shift_s - step_s
            poses = replace(fit, offset_s=np.zeros(len(self.rig)))
            if np.abs(step_s - step_s[first]).max() < CLOCK_DONE_S:
                break
        shift_s = np.where(self.free, shift_s - shift_s[first], 0.0)
        return Clocked(self.observed(shift_s), poses, shift_s)

    def wrong_s(self) -> np.ndarray:
        """Return what clocks [camera] are to be put on by that are wrong, 0 for the others.

        They are where cameras with clocks explain the held-out half of the take better than cameras alone, and by how
        much they differ from the middle one. With two cameras the second is named.
        """
        held = self.observed(np.zeros(len(self.rig)))
        alone = self._fitted(held, Poses.of(self.rig), has_clocks=False)
        clocked = self.solve()
        gain = held_out_gain((held, alone), (clocked.obs, clocked.poses), self.rig)
        if not gain["is_significant"]:
            return np.zeros(len(self.rig))
        of_free = clocked.shift_s[self.free]
        off_s = clocked.shift_s - (np.median(of_free) if len(of_free) > 2 else 0.0)
        return np.where(self.free & (np.abs(off_s) > MIN_WRONG_S), off_s, 0.0)

    def _fitted(self, obs: Observations, start: Poses, *, has_clocks: bool) -> Poses:
        return adjust(
            obs.select(is_fitted(obs)),
            self.rig,
            start,
            free=self.free,
            free_clocks=self.free if has_clocks else None,
            correlation=TYPICAL_CORRELATION,
            on_iteration=self.on_iteration,
            max_iterations=8,
        ).poses

    def _seeded(self, shift_s: np.ndarray, poses: Poses) -> np.ndarray:
        """Return the clocks [camera] with those put right that are off by frames, the clearest first.

        A camera that a movement of it explains better keeps its clock.
        """
        none = Freedom.none(len(self.rig))
        for _ in range(len(self.rig) - 1):
            obs, moved = self.observed(shift_s), self.detections.time_s + shift_s[:, None]
            obs = obs.select(is_fitted(obs))
            tracks = Tracks.of(replace(self.detections, time_s=moved), self.min_score)
            judge = Judge(obs, tracks, self.rig, poses, TYPICAL_CORRELATION)
            trials = [judge.lag(int(c), none.also(int(c), clock=True)) for c in np.flatnonzero(self.free)]
            best = max((t for t in trials if t is not None), key=lambda t: t.gain, default=None)
            if best is None or not best.is_significant:
                break
            if judge.trial(best.camera, none.also(best.camera, pose=True)).gain > best.gain:
                break
            lag_s = precise_lag_s(obs, tracks, best.camera, poses, self.rig)
            shift_s = shift_s + np.where(np.arange(len(self.rig)) == best.camera, lag_s, 0.0)
        return shift_s
