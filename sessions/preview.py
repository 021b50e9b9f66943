"""A take as it would have been seen while it was shot: every frame from what the cameras had shown by then.

Points of the frame, a One Euro filter over them, and the causal solve: for a look on set, not for delivery.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, KeypointSet, Source
from mocap.core.observations import observe
from mocap.core.performer import PerformerProfile
from mocap.core.timeline import Timeline
from mocap.reconstruct.causal import CausalPoints, FramePoints
from mocap.solve.carried import UNMEASURED_SIGMA_M
from mocap.solve.causal import Body, CausalSolve

MAX_LATENCY_S = 0.25
"""Beyond it nothing is live any more, and the whole take's solve is better."""
MAX_KNOWN_SIGMA_M = 0.15
"""A keypoint of the body that is less certain than this is given as unknown."""
_ROUNDING = 1e-6
"""Frames; rounding errors of timestamps make nothing late."""


class Following(Enum):
    """What is known of the performer in a frame."""

    FOLLOWED = "followed"
    PREDICTED = "predicted"
    """No two cameras agree on any keypoint at this instant: the body follows one view, or what it did before."""
    LOST = "lost"
    """There is no body: keypoints are points of the frame, or unknown."""


@dataclass(frozen=True, eq=False)
class PreviewFrame:
    """One frame of the preview. What is unknown is NaN, with source MISSING."""

    time_s: float
    following: Following
    points: FramePoints
    body: Body | None
    xyz_m: np.ndarray
    """[keypoint 3] final keypoints."""
    sigma_m: np.ndarray
    """[keypoint] standard deviation per axis."""
    source: np.ndarray
    """[keypoint] uint8, see `Source`."""


class Preview:
    """Makes preview frames of one performer while detections come in.

    `push` takes the next frame of the timeline: what was detected since the frame before, up to its instant. It returns
    the frame that lies `latency_s`, in whole frames, before it. The result never depends on what comes later, and the
    cost of a frame does not grow with time.

    Args:
        rig: the cameras, in the order of the detections.
        keypoint_set: of the detections.
        fps: frames per second of the result.
        start_s: master time of the first frame.
        performer: the performer's profile, if there is one.
        latency_s: how much later than a frame detections may still be used for it, 0 to MAX_LATENCY_S.
    """

    def __init__(
        self,
        rig: CameraRig,
        keypoint_set: KeypointSet,
        fps: Fraction,
        start_s: float = 0.0,
        performer: PerformerProfile | None = None,
        latency_s: float = 0.0,
    ) -> None:
        if not 0.0 <= latency_s <= MAX_LATENCY_S:
            raise ValueError(f"latency_s must lie between 0 and {MAX_LATENCY_S:g}, got {latency_s:g}")
        self.lag = int(latency_s * float(fps) + _ROUNDING)
        self._rig, self._timeline = rig, Timeline(fps, 0, start_s)
        self._points = CausalPoints(rig, float(fps))
        self._solve = CausalSolve(keypoint_set.landmarks, float(fps), performer, self.lag)
        self._waiting: deque[FramePoints] = deque()
        self._ever = np.zeros(len(keypoint_set), bool)
        self._n_pushed = 0

    def push(self, seen: Keypoints2D) -> PreviewFrame | None:
        """Take in what one person's detections came since the last frame; None while the latency lasts.

        Raises ValueError for detections later than the frame: a bug of the caller.
        """
        now_s = self._timeline.start_s + self._n_pushed / float(self._timeline.fps)
        observations = observe(seen, self._rig, replace(self._timeline, start_s=now_s))
        if np.nan_to_num(observations.frame, nan=-np.inf).max(initial=-np.inf) > _ROUNDING:
            raise ValueError(f"detections later than the frame at {now_s:.4f} s")
        # the last picture of every camera stands for the frame's instant
        points = self._points.push(replace(observations, frame=np.where(np.isfinite(observations.frame), 0.0, np.nan)))
        body = self._solve.push(observations, points.measured_m, points.sigma_m, points.noise_px)
        self._waiting.append(points)
        self._n_pushed += 1
        if len(self._waiting) <= self.lag:
            return None
        return self._frame(self._waiting.popleft(), body)

    def _frame(self, points: FramePoints, body: Body | None) -> PreviewFrame:
        measured = np.asarray(np.isfinite(points.measured_m).all(-1))
        self._ever |= measured
        # what the body does not carry (fingers, mouth) is as the frame's views say: the filter would be late
        xyz_m, sigma_m = points.measured_m.copy(), points.sigma_m.copy()
        source = np.where(measured, Source.MEASURED, Source.MISSING).astype(np.uint8)
        if body is not None:
            at = self._solve.index
            ever, here = self._ever[at], measured[at]
            xyz_m[at] = body.landmarks_m
            sigma_m[at] = np.where(ever, body.sigma_m, np.maximum(body.sigma_m, UNMEASURED_SIGMA_M))
            source[at] = np.where(here, Source.MEASURED, np.where(ever, Source.INTERPOLATED, Source.SOLVED))
            unknown = at[~(sigma_m[at] <= MAX_KNOWN_SIGMA_M)]
            xyz_m[unknown], sigma_m[unknown], source[unknown] = np.nan, np.nan, Source.MISSING
        n_frame = self._n_pushed - 1 - self.lag
        following = Following.LOST if body is None else Following.FOLLOWED if measured.any() else Following.PREDICTED
        time_s = self._timeline.start_s + n_frame / float(self._timeline.fps)
        return PreviewFrame(time_s, following, points, body, xyz_m, sigma_m, source)


def arriving(detections: Keypoints2D, timeline: Timeline) -> Iterator[Keypoints2D]:
    """Yield a take's detections as they come: for every frame of the timeline those since the one before."""
    frame = np.nan_to_num((detections.time_s - timeline.start_s) * float(timeline.fps), nan=np.inf)
    edges = np.arange(-1, timeline.n_frames) + _ROUNDING
    cuts = np.stack([np.searchsorted(row, edges, side="right") for row in frame])
    for low, high in zip(cuts[:, :-1].T, cuts[:, 1:].T, strict=True):
        yield detections.cut(low, high)
