"""Which poses a take mostly takes: how joint angles vary together, learned from where they are seen.

What a hidden arm does shows in the other arm and the legs, and noise makes poses that the performer never takes. The
angles of a frame are a draw from a multivariate t distribution about the take's mean: poses like the usual ones are
held to the way in which these vary, and one that is far from all of them is left to its data (K. Lange, R. Little and
J. Taylor, "Robust statistical modeling using the t distribution", JASA 1989, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.kernels.articulated import N_TRANSLATION
from mocap.solve.pose import Freedom, Pose

INDEPENDENT_S = 0.2
"""A motion takes about this time to forget a pose: the take has as many independent draws to learn from."""
OWN_DRAWS = 20.0
"""How many draws the range that a degree was first given counts for."""
HELD = 0.67
"""Of the weight that would hold white accelerations to the learned variance: limbs that swing do not stop half-way. On
recorded motion more is better, on legs and arms that swing like a pendulum less."""
MIN_SD_RAD = np.radians(0.5)
"""No combination of angles varies less: skin, cloth and detectors do not tell of that."""


@dataclass(frozen=True, eq=False)
class UsualPoses:
    """A centre, and how far from it the angles stray together."""

    centre_rad: np.ndarray
    """[dof]"""
    precision: np.ndarray
    """[dof dof] inverse covariance of the angles, 1/rad^2; zero for degrees that turn all the way round."""
    per_frame: np.ndarray
    """[dof dof] what of it each frame is held by, so that frames together know what one draw tells."""

    def pull(self, pose: Pose, dof: Freedom) -> tuple[np.ndarray, np.ndarray]:
        """Return the prior's Gauss-Newton terms of poses: curvature [frame dof dof] and gradient [frame dof]."""
        off = pose.angles(dof) - self.centre_rad
        n = len(self.centre_rad)
        weight = 2 * n / (n + ((off @ self.precision) * off).sum(-1))
        return weight[:, None, None] * self.per_frame, weight[:, None] * (off @ self.per_frame)

    def add(self, hessian: np.ndarray, slope: np.ndarray, pose: Pose, dof: Freedom) -> None:
        """Add the terms to hessian [frame 3+dof 3+dof] and slope [frame 3+dof], in place."""
        curvature, gradient = self.pull(pose, dof)
        hessian[:, N_TRANSLATION:, N_TRANSLATION:] += curvature
        slope[:, N_TRANSLATION:] += gradient


def usual_poses(
    angle_rad: np.ndarray, observed: np.ndarray, range_rad: np.ndarray, level: np.ndarray, fps: float
) -> UsualPoses:
    """Learn from angles [frame dof] where they were observed [frame dof]; `range_rad` [dof] as they were first given.

    level [dof]: standard deviation of second differences per frame^2.

    A degree of infinite range turns all the way round and takes no part. The correlation of two degrees is that of the
    frames which observe both, and counts the less the fewer these are: shrinkage towards independent degrees by the
    intensity of Y. Chen, A. Wiesel, Y. Eldar and A. Hero, "Shrinkage algorithms for MMSE covariance estimation", IEEE
    Trans. Signal Processing 2010, equation 23.
    """
    centred = np.isfinite(range_rad)
    seen = (observed & centred).astype(float)
    n_seen = seen.sum(0)
    centre = (seen * angle_rad).sum(0) / np.maximum(n_seen, 1)
    off = seen * (angle_rad - centre)
    together = seen.T @ seen
    covariance = off.T @ off / np.maximum(together, 1)
    draws = together / (INDEPENDENT_S * fps)
    variance, first = np.diag(covariance), np.where(centred, range_rad, 1.0) ** 2
    own = np.diag(draws)
    variance = (own * variance + OWN_DRAWS * first) / (own + OWN_DRAWS)
    sd = np.sqrt(variance)
    correlation = covariance / np.outer(sd, sd)
    np.fill_diagonal(correlation, 1.0)
    covariance = _shrunk(correlation, draws) * np.outer(sd, sd)
    value, axis = np.linalg.eigh(covariance)
    value = np.maximum(value, MIN_SD_RAD**2)
    per_frame = HELD * place_weight(level**2 @ axis**2, value)
    both = np.outer(centred, centred)
    return UsualPoses(
        centre,
        np.where(both, (axis / value) @ axis.T, 0.0),
        np.where(both, (axis * per_frame) @ axis.T, 0.0),
    )


def place_weight(power: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the weight per frame on squared distances with which chains of white accelerations have a variance.

    Second differences of variance `power` and a weight w make chains vary by power^(1/4) w^(-3/4) / sqrt(8): the mean
    over frequencies of 1 / (w + D / power), D as in `kernels.chain`, of what is slow against the frame rate.
    """
    return (power**0.25 / (np.sqrt(8) * variance)) ** (4 / 3)


def _shrunk(correlation: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the correlation [dof dof] known from so many draws [dof dof], shrunk towards the identity."""
    p = len(correlation)
    squares, trace = (correlation**2).sum(), np.trace(correlation)
    excess = max(squares - trace**2 / p, 1e-9)
    intensity = ((1 - 2 / p) * squares + trace**2) / ((draws + 1 - 2 / p) * excess)
    out = correlation * (1 - np.clip(intensity, 0.0, 1.0))
    np.fill_diagonal(out, 1.0)
    return out
