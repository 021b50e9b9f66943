"""The performer's shape while the take goes on: told after half a second, and better after two and eight."""

from __future__ import annotations

from collections import deque

import numpy as np

from mocap.core.performer import PerformerProfile
from mocap.solve.motion import MIN_KNOWN_SHARE
from mocap.solve.pose import Freedom, Pose, joined
from mocap.solve.profile import shape_of
from mocap.solve.shape import Shape, reference_shape
from mocap.solve.start import body_scale, fit_performer

SHAPE_AT_S = (0.5, 2.0, 8.0)
"""Time with a body in view after which the shape is fitted, to frames spread over it; then it stays as it is."""
MAX_SHAPE_FRAMES = 60
"""Frames that it is fitted to; fewer than a whole take's, because the preview waits for it."""


class RunningShape:
    """The shape as known so far. A profile's is used as it is, and stays.

    Until the first fit it is the reference body at the size of the first frame's points.
    """

    def __init__(self, names: tuple[str, ...], dof: Freedom, fps: float, performer: PerformerProfile | None) -> None:
        self._names, self._dof = names, dof
        self._shape = None if performer is None else shape_of(performer)
        self._due = deque([] if performer is not None else [round(s * fps) for s in SHAPE_AT_S])
        self._frames: list[tuple[Pose, np.ndarray, np.ndarray]] = []
        self._stride, self._n_seen = 1, 0

    @property
    def shape(self) -> Shape:
        """The shape; there is one once `start` was called or a profile given."""
        assert self._shape is not None
        return self._shape

    def start(self, measured_m: np.ndarray) -> Shape:
        """Return the shape for a first frame with points [landmark 3], NaN where unknown."""
        if self._shape is None:
            known = np.flatnonzero(np.isfinite(measured_m).all(-1))
            self._shape = reference_shape(body_scale(measured_m[None, known], tuple(self._names[k] for k in known)))
        return self._shape

    def add(self, pose: Pose, measured_m: np.ndarray, sigma_m: np.ndarray) -> bool:
        """Remember a frame's pose and points; return whether the shape was fitted anew."""
        if not self._due:
            return False
        if self._n_seen % self._stride == 0:
            self._frames.append((pose, measured_m, sigma_m))
        if len(self._frames) >= 2 * MAX_SHAPE_FRAMES:
            self._frames = self._frames[::2]
            self._stride *= 2
        self._n_seen += 1
        if self._n_seen < self._due[0]:
            return False
        self._due.popleft()
        return self._fit()

    def _fit(self) -> bool:
        at = np.unique(np.linspace(0, len(self._frames) - 1, MAX_SHAPE_FRAMES).astype(int))
        poses, known, sigma = zip(*[self._frames[i] for i in at], strict=True)
        known_m, sigma_m = np.stack(known), np.stack(sigma)
        share = np.isfinite(known_m).all(-1).mean(0)
        index = np.flatnonzero(share > MIN_KNOWN_SHARE)
        names = tuple(self._names[k] for k in index)
        if not {"LHip", "RHip", "LShoulder", "RShoulder"} <= set(names):
            return False
        self._shape = fit_performer(joined(poses), known_m[:, index], sigma_m[:, index], names, self._dof, None)
        if not self._due:
            self._frames.clear()
        return True
