"""How sure a bundle adjustment over people is of each camera, in a frame that none of its freedom is hidden in.

People do not tell where the world is: a common turn, shift and scale of all cameras and points fits as well, and a
common shift of all clocks too. What is said of a camera is therefore relative to the cameras on average (an
S-transformation: W. Baarda, "S-transformations and criterion matrices", 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.refine_bundle import Poses
from mocap.kernels.rotations import skew


@dataclass(frozen=True)
class CameraCertainty:
    """1 standard deviation of one camera's place, direction and clock; 0 for what was held."""

    center_sd_mm: float
    """Root of the mean variance over the three axes."""
    turn_sd_deg: float
    """Likewise."""
    clock_sd_s: float = 0.0


def certainty(
    covariance: np.ndarray, poses: Poses, arm_m: float, *, is_gauge_free: bool
) -> tuple[CameraCertainty, ...]:
    """Return each camera's certainty from the covariance [camera 7 camera 7] of (w rad, v m, offset s).

    is_gauge_free: all cameras were free, so the common motion, scale and clock are taken out; turns count against
    shifts by an arm of `arm_m`. Else some cameras held the world and nothing is taken out.
    """
    n = len(poses.offset_s)
    # A left perturbation by v moves the centre by -R^T v in the world.
    to_world = np.zeros((n, 7, n, 7))
    for c in range(n):
        to_world[c, :3, c, :3] = np.eye(3)
        to_world[c, 3:6, c, 3:6] = -poses.R_cam_from_world[c].T
        to_world[c, 6, c, 6] = 1.0
    J = to_world.reshape(7 * n, 7 * n)
    if is_gauge_free:
        J = _without_gauge(poses, arm_m) @ J
    variance = np.diag(J @ covariance.reshape(7 * n, 7 * n) @ J.T).reshape(n, 7)
    turn, center = (np.sqrt(np.maximum(variance[:, s].mean(1), 0.0)) for s in (slice(0, 3), slice(3, 6)))
    clock = np.sqrt(np.maximum(variance[:, 6], 0.0))
    return tuple(
        CameraCertainty(1000.0 * float(m), float(np.rad2deg(t)), float(s))
        for m, t, s in zip(center, turn, clock, strict=True)
    )


def _without_gauge(poses: Poses, arm_m: float) -> np.ndarray:
    """Return the projection [camera*7 camera*7] that takes a common similarity and a common clock shift out."""
    n = len(poses.offset_s)
    center = poses.center_world_m - poses.center_world_m.mean(0)
    G = np.zeros((n, 7, 8))
    for c in range(n):
        G[c, :3, :3] = -poses.R_cam_from_world[c]
        G[c, 3:6, :3] = -skew(center[c])
        G[c, 3:6, 3:6] = np.eye(3)
        G[c, 3:6, 6] = center[c]
        G[c, 6, 7] = 1.0
    G = G.reshape(7 * n, 8)
    weight = np.tile([arm_m**2] * 3 + [1.0] * 4, n)
    weighted = G * weight[:, None]
    return np.eye(7 * n) - G @ np.linalg.pinv(weighted.T @ G) @ weighted.T
