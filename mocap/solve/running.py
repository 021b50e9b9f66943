"""What is learned of a motion while it goes on: how lively each degree of freedom is, and how noisy detections are."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.chain import error_variance, scatter
from mocap.kernels.robust import MAX_LAG_S, DetectionNoise, fit_detection_noise
from mocap.solve.fit import ROBUST_SCALE_SQUARED
from mocap.solve.motion_prior import FREE_RAD, MIN_RANGE_RAD, MotionPrior, within_range
from mocap.solve.pose import Freedom, Pose

FIRST_LEVEL = (6.0, 50.0)
"""Acceleration level before anything was seen: root m/s^2, joints rad/s^2; of a walking person, rounded up."""
FIRST_FRAMES = 10.0
"""How many frames that counts for."""
MEMORY_S = 10.0
"""Time over which what was learned fades; what is younger fades over its own age, because the first windows are solved
with levels that are not learned yet, and tell of these."""
NOISE_BLOCKS = 6
"""Windows whose residuals are kept."""
FIRST_INFLATION = 2.0
"""Variance under noise in runs against that under white noise, before residuals tell: about what they tell where half
of the noise's variance hangs together over ten frames."""
FILTER_BANDWIDTH = 4.0
"""Of the newest frame's estimate against that in the middle of a chain, whose gain is 1 / (1 + (w / w0)^4): noise
bandwidths 1.06 w0 (second-order filter, damping 0.71) and 0.265 w0. The chain's grows with the fourth root of the
curvature; with latency the estimate lies between the two, and sigma errs to the safe side less."""
NOTHING = 1e-12
"""Curvature of what data tell nothing about."""


class RunningPrior:
    """The prior of the motion, learned from the windows solved so far; fades over MEMORY_S."""

    def __init__(self, dof: Freedom, fps: float) -> None:
        first = np.repeat(FIRST_LEVEL, (N_TRANSLATION, len(dof.joint))) / fps**2
        self._dof, self._fps = dof, fps
        self._squared, self._known = FIRST_FRAMES * first**2, np.full(len(first), FIRST_FRAMES)
        self._share, self._age_s = np.ones(len(first)), 0.0
        self._n_angles, self._angle, self._angle_squared = 0.0, np.zeros(len(dof.joint)), np.zeros(len(dof.joint))

    def of(self, pose: Pose) -> MotionPrior:
        """Return the prior of a window's poses: usual levels of the past, adapted to the moment as in a whole take."""
        usual = within_range(np.sqrt(self._squared / self._known)[None], self._fps)[0]
        acceleration = pose.accelerations(self._dof)
        prior = MotionPrior(np.broadcast_to(usual, acceleration.shape), usual, *self._range_and_centre())
        known = np.broadcast_to(self._share, acceleration.shape)
        return replace(prior, level=prior.of_moment(acceleration, known, self._fps))

    def learn(self, pose: Pose, curvature: np.ndarray) -> None:
        """Learn from a window that was solved with data of this curvature [frame n n]; see `MotionPrior.learned`."""
        known = self.of(pose).with_evidence(curvature, self._fps).known
        assert known is not None
        length_s = len(pose.root_m) / self._fps
        self._age_s += length_s
        fade = np.exp(-length_s / min(MEMORY_S, self._age_s))
        self._squared = fade * self._squared + (pose.accelerations(self._dof) ** 2).sum(0)
        self._known = fade * self._known + known.sum(0)
        self._share = np.median(known, axis=0)
        angle = pose.angles(self._dof)
        self._n_angles = fade * self._n_angles + len(angle)
        self._angle = fade * self._angle + angle.sum(0)
        self._angle_squared = fade * self._angle_squared + (angle**2).sum(0)

    def whitened(self, curvature: np.ndarray) -> np.ndarray:
        """Return the window's mean curvature [frame n n] in units of the usual levels, as eigenvalues [n]."""
        usual = np.sqrt(self._squared / self._known)
        return np.maximum(np.linalg.eigvalsh(usual[:, None] * curvature.mean(0) * usual), NOTHING)

    def _range_and_centre(self) -> tuple[np.ndarray, np.ndarray]:
        prior_rad = self._dof.prior_rad
        if self._n_angles == 0:
            spread, centre = prior_rad, self._angle
        else:
            centre = self._angle / self._n_angles
            variance = np.maximum(self._angle_squared / self._n_angles - centre**2, 0.0)
            spread = np.minimum(np.maximum(np.sqrt(variance), MIN_RANGE_RAD), prior_rad)
        return np.where(prior_rad > FREE_RAD, np.inf, spread), centre


class RunningNoise:
    """The noise of detections by their score, and how it comes in runs, from the residuals of the last windows."""

    def __init__(self, fps: float) -> None:
        self._max_lag = round(MAX_LAG_S * fps)
        self._blocks: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=NOISE_BLOCKS)
        self._inflations: deque[float] = deque([FIRST_INFLATION], maxlen=NOISE_BLOCKS)
        self._noise: DetectionNoise | None = None

    def sigma_px(self, score: np.ndarray, usual_px: float) -> np.ndarray:
        """Return the noise of scores [camera frame keypoint]; `usual_px` before anything was learned."""
        return np.full(score.shape, usual_px) if self._noise is None else self._noise.sigma_px(score)

    @property
    def inflation(self) -> float:
        """Variance of an estimate under the noise as it comes, in runs, against that under white noise."""
        return float(np.median(self._inflations))

    def learn(self, residual_px: np.ndarray, score: np.ndarray, sigma_px: np.ndarray, curvature: np.ndarray) -> None:
        """Learn from a window: residuals [camera frame keypoint 2], NaN unseen; curvature [n] see `whitened`."""
        n_frames, n_keypoints = residual_px.shape[1:3]
        length = np.linalg.norm(residual_px, axis=-1)
        self._blocks.append((length.reshape(-1, n_keypoints), score.reshape(-1, n_keypoints)))
        lengths, scores = (np.concatenate(v)[None] for v in zip(*self._blocks, strict=True))
        if not np.isfinite(lengths).any():
            return
        self._noise = fit_detection_noise(lengths, scores)
        whitened = residual_px / sigma_px[..., None]
        noise = scatter(whitened, ROBUST_SCALE_SQUARED, min(self._max_lag, n_frames - 1)).noise(
            curvature[None], n_frames
        )
        wide = FILTER_BANDWIDTH**4 * curvature
        self._inflations.append(float(error_variance(wide, noise).sum() / error_variance(wide).sum()))
