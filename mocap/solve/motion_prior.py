"""How the body moves, told by the take itself: how strongly each degree of freedom accelerates, and how far it strays.

Each degree is a Matern process of order 3/2: x'' + 2 a x' + a^2 x = white noise (P. Whittle, "Stochastic processes in
several dimensions", 1963; J. Hartikainen and S. Sarkka, "Kalman filtering and smoothing solutions to temporal Gaussian
process regression models", MLSP 2010, section 4). Within data it is the cubic smoothing spline; where nothing is seen
it goes back to where the degree mostly is within about 1 / a, instead of flying on. Its squared terms are second
differences over level^2, first differences times 2 a^2 / level^2 and distance from the centre times a^4 / level^2.
Once a whole take was solved, `usual_poses` says instead where degrees go back to, all together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from mocap.core.windows import in_parts
from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.chain import smooth_share
from mocap.kernels.trajectories import mean_around
from mocap.solve.pose import Freedom, Pose
from mocap.solve.usual_poses import UsualPoses

ACCELERATION_RANGE = ((0.5, 60.0), (3.0, 300.0))
"""Least and greatest acceleration level: root m/s^2, joints rad/s^2."""
LOCAL_S = 0.25
"""Time over which a level is taken to last: a strike."""
SHRINKAGE = 3.0
"""How many independent samples the take's own level counts for against those of the moment."""
STEADY_S = 0.15
"""Evidence is averaged over this time: about what the smoothness ties together."""
STEP_FRAMES = 15
"""Shares of evidence are found for every 15th frame and interpolated."""
BRIDGES_S = (0.2, 0.3, 0.5, 0.8)
"""Lengths of gaps whose bridges are tried on what is seen."""
OBSERVED, LEAST_OBSERVED = 0.1, 1e-3
"""Share of its usual evidence that a degree has where it is observed, and of any."""
MIN_RANGE_RAD = 0.1
PART_FRAMES = 1500
FREE_RAD = 3.0
"""A degree whose pull towards the bind pose is weaker than this turns all the way round: it has no centre."""


@dataclass(frozen=True, eq=False)
class MotionPrior:
    """What the solve expects of the motion, per degree of freedom."""

    level: np.ndarray
    """[frame-2 3+dof] standard deviation of second differences, per frame^2."""
    usual: np.ndarray
    """[3+dof] the same over the whole take."""
    range_rad: np.ndarray
    """[dof] standard deviation about the centre; infinite where there is none."""
    centre_rad: np.ndarray
    """[dof] where the degree mostly is."""
    known: np.ndarray | None = None
    """[frame-2 3+dof] share of each second difference that the data determined, 0 to 1; None before any solve."""
    poses: UsualPoses | None = None
    """How the degrees vary together; None before the whole take was solved."""

    def frames(self, part: slice) -> MotionPrior:
        """Return the prior of some frames of the take, with the take's own levels, centres and ranges."""
        second = slice(part.start, part.stop - 2)
        return replace(self, level=self.level[second], known=None if self.known is None else self.known[second])

    @property
    def rate(self) -> np.ndarray:
        """[3+dof] a, per frame: of a Matern process of variance range^2 and driving noise level^2 = 4 a^3 range^2."""
        rate = np.cbrt(self.usual[N_TRANSLATION:] ** 2 / (4 * self.range_rad**2))
        return np.concatenate([np.zeros(N_TRANSLATION), rate])

    @property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """[3+dof] weights of squared first differences, and of the squared distance from the centre."""
        a = self.rate if self.poses is None else np.zeros(len(self.usual))
        return 2 * a**2 / self.usual**2, a**4 / self.usual**2

    @property
    def observed(self) -> np.ndarray:
        """[frame-2 3+dof] where data tell of a degree."""
        if self.known is None:
            return np.zeros(self.level.shape, bool)
        return self.known > np.maximum(OBSERVED * np.median(self.known, axis=0), LEAST_OBSERVED)

    def over_gaps(self, pose: Pose, dof: Freedom, fps: float) -> MotionPrior:
        """Return the prior that gaps of the solved `pose` obey: accelerations last, so they lead further astray.

        As far as cubic bridges over stretches that are seen miss their middle. Of a bridge over L frames, clamped at
        both ends, white accelerations of variance q make that miss q L^3 / 192 (the clamped beam of that load's
        covariance); each degree takes the greatest q over BRIDGES_S.
        """
        moved = pose.velocities(dof)
        observed = self.observed
        place = np.cumsum(moved, axis=0)
        power = self.usual**2
        for half in (round(0.5 * bridge_s * fps) for bridge_s in BRIDGES_S):
            if not 0 < 2 * half < len(observed):
                continue
            first, middle, last = (slice(n, len(observed) - 2 * half + n) for n in (0, half, 2 * half))
            bridge = (place[first] + place[last]) / 2 + half / 4 * (moved[first] - moved[last])
            seen = observed[first] & observed[middle] & observed[last]
            missed = np.where(seen, place[middle] - bridge, 0.0) ** 2
            power = np.maximum(power, missed.sum(0) / np.maximum(seen.sum(0), 1) * 192 / (2 * half) ** 3)
        usual = np.sqrt(power)
        return replace(self, level=np.broadcast_to(usual, observed.shape), usual=usual)

    def add(self, hessian: np.ndarray, slope: np.ndarray, pose: Pose, dof: Freedom) -> np.ndarray:
        """Add first differences and pulls to hessian and slope, in place; return the blocks between frames."""
        if self.poses is not None:
            self.poses.add(hessian, slope, pose, dof)
        by_rate, by_place = self.weights
        velocity = pose.velocities(dof) * by_rate
        diagonal = np.einsum("fii->fi", hessian)
        diagonal += by_place
        diagonal[:-1] += by_rate
        diagonal[1:] += by_rate
        slope[:, N_TRANSLATION:] += by_place[N_TRANSLATION:] * (pose.angles(dof) - self.centre_rad)
        slope[:-1] -= velocity
        slope[1:] += velocity
        coupling = np.zeros((len(hessian) - 1, *hessian.shape[1:]))
        np.einsum("fii->fi", coupling)[...] = -by_rate
        return coupling

    def learned(self, pose: Pose, dof: Freedom, fps: float) -> MotionPrior:
        """Return the prior with the levels that the solved `pose` speaks for, given the evidence it was solved with.

        A degree's squared second differences over the number of them that the data determine (D. MacKay, "Bayesian
        interpolation", Neural Computation 1992, equation 4.8: effective number of parameters), for each moment, with
        the whole take's as conjugate prior. Strikes stay sharp, stillness stays still, gaps take the usual level.
        """
        if self.known is None:
            return self
        acceleration = pose.accelerations(dof)
        usual = np.sqrt((acceleration**2).sum(0) / np.maximum(self.known.sum(0), 1e-9))
        learned = replace(self, usual=within_range(usual[None], fps)[0])
        return replace(learned, level=learned.of_moment(acceleration, self.known, fps))

    def of_moment(self, acceleration: np.ndarray, known: np.ndarray, fps: float) -> np.ndarray:
        """Return the level [frame-2 3+dof] that accelerations of so much known share speak for, with the usual one."""
        length = max(3, round(LOCAL_S * fps))
        # running sums round to a little less than nothing, hence the limits
        power, share = (uniform_filter1d(v, length, axis=0, mode="nearest") for v in (acceleration**2, known))
        above = np.maximum(power, 0.0) * length + SHRINKAGE * self.usual**2
        below = np.maximum(share, 0.0) * length + SHRINKAGE
        return within_range(np.sqrt(above / below), fps)

    def with_evidence(self, hessian: np.ndarray, fps: float) -> MotionPrior:
        """Return the prior with the shares of second differences that data of this curvature determine."""
        n = len(self.level)
        at = np.unique(np.append(np.arange(0, n, STEP_FRAMES), n - 1))
        steady, level = mean_around(hessian, at + 1, max(3, round(STEADY_S * fps))), self.level[at]
        curvature, axes = np.linalg.eigh(level[:, :, None] * steady * level[:, None, :])
        share = 1 - (axes**2 @ smooth_share(curvature)[..., None])[..., 0]
        frames = np.arange(n)
        return replace(
            self, known=np.stack([np.interp(frames, at, share[:, d]) for d in range(share.shape[1])], axis=1)
        )


def first_prior(pose: Pose, dof: Freedom, fps: float) -> MotionPrior:
    """Return the prior read off a first pose: half the take's median level, half that of the half second around."""
    n = len(pose.root_m)
    moved = in_parts(lambda part: pose.frames(slice(part.start, part.stop + 1)).velocities(dof), n - 1, PART_FRAMES)
    squared = np.diff(np.concatenate(moved), axis=0) ** 2
    # a running sum rounds: of what stops moving it leaves a little less than nothing
    local = np.maximum(uniform_filter1d(squared, max(3, round(0.5 * fps)), axis=0, mode="nearest"), 0.0)
    usual = np.median(local, axis=0)
    angle = np.concatenate(in_parts(lambda part: pose.frames(part).angles(dof), n, PART_FRAMES))
    spread = np.minimum(np.maximum(angle.std(0), MIN_RANGE_RAD), dof.prior_rad)
    spread = np.where(dof.prior_rad > FREE_RAD, np.inf, spread)
    return MotionPrior(
        within_range(np.sqrt(0.5 * local + 0.5 * usual), fps),
        within_range(np.sqrt(usual)[None], fps)[0],
        spread,
        angle.mean(0),
    )


def within_range(level: np.ndarray, fps: float) -> np.ndarray:
    """Return levels [frame 3+dof] per frame^2, alike for the root's three axes, within ACCELERATION_RANGE."""
    (root_low, root_high), (low, high) = np.array(ACCELERATION_RANGE) / fps**2
    root = np.sqrt((level[:, :N_TRANSLATION] ** 2).mean(1, keepdims=True))
    out = np.clip(level, low, high)
    out[:, :N_TRANSLATION] = np.clip(root, root_low, root_high)
    return out
