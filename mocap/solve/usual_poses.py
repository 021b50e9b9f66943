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
LEAST_EIGENVALUE = 0.01
"""Of a correlation matrix; below it, correlations are lowered: those of pairs that were seen at different times may
contradict each other, and what they leave no room for is no habit."""


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
        n = np.count_nonzero(np.diag(self.precision))
        # with as many degrees of freedom as angles: the usual pose, at a squared distance of n, has weight 1
        weight = 2 * n / (n + ((off @ self.precision) * off).sum(-1))
        return weight[:, None, None] * self.per_frame, weight[:, None] * (off @ self.per_frame)

    def add(self, hessian: np.ndarray, slope: np.ndarray, pose: Pose, dof: Freedom) -> None:
        """Add the terms to hessian [frame 3+dof 3+dof] and slope [frame 3+dof], in place."""
        curvature, gradient = self.pull(pose, dof)
        hessian[:, N_TRANSLATION:, N_TRANSLATION:] += curvature
        slope[:, N_TRANSLATION:] += gradient


def usual_poses(
    angle_rad: np.ndarray,
    observed: np.ndarray,
    range_rad: np.ndarray,
    centre_rad: np.ndarray,
    level: np.ndarray,
    fps: float,
) -> UsualPoses:
    """Learn from angles [frame dof] where they were observed [frame dof].

    range_rad and centre_rad [dof] as they were first given, which counts for OWN_DRAWS and for one draw; a degree of
    infinite range turns all the way round and takes no part. level [dof]: standard deviation of second differences per
    frame^2. The correlation of two degrees is that of the frames which observe both, and counts the less the fewer
    these are.
    """
    centred = np.isfinite(range_rad)
    seen = (observed & centred).astype(float)
    draws = seen.T @ seen / (INDEPENDENT_S * fps)
    own, n_seen = np.diag(draws), seen.sum(0)
    mean = (seen * angle_rad).sum(0) / np.maximum(n_seen, 1)
    centre = (own * mean + centre_rad) / (own + 1)
    off = seen * (angle_rad - mean)
    covariance = off.T @ off / np.maximum(seen.T @ seen, 1)
    first = np.where(centred, range_rad, 1.0) ** 2
    sd = np.sqrt((own * np.diag(covariance) + OWN_DRAWS * first) / (own + OWN_DRAWS))
    value, axis = np.linalg.eigh(_shrunk(covariance / np.outer(sd, sd), draws, centred) * np.outer(sd, sd))
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


def _shrunk(correlation: np.ndarray, draws: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Return the correlation [dof dof] known from so many draws [dof dof], shrunk towards the identity.

    Each by the intensity of Y. Chen, A. Wiesel, Y. Eldar and A. Hero, "Shrinkage algorithms for MMSE covariance
    estimation", IEEE Trans. Signal Processing 2010, equation 23; then all alike, as far as positive definite takes.
    """
    out = correlation.copy()
    np.fill_diagonal(out, 1.0)
    p = int(centred.sum())
    squares = float((out[np.ix_(centred, centred)] ** 2).sum())
    intensity = ((1 - 2 / p) * squares + p**2) / ((draws + 1 - 2 / p) * max(squares - p, 1e-9))
    out *= 1 - np.clip(intensity, 0.0, 1.0)
    np.fill_diagonal(out, 1.0)
    least = np.linalg.eigvalsh(out)[0]
    share = max(0.0, (LEAST_EIGENVALUE - least) / (1 - least)) if least < 1 else 0.0
    return (1 - share) * out + share * np.eye(len(out))
