"""Cameras whose clocks are off: their residuals follow the performer's motion.

Cameras' clocks and places are unknowns beside points that are free in every frame, which are eliminated (Schur
complement; B. Triggs et al., "Bundle adjustment - a modern synthesis", 2000, section 6.1): one Gauss-Newton step from
the solved motion. That cameras may also stand elsewhere keeps a stale rig from looking like a late clock, and that
points are free makes good what a late camera pulled them along. All clocks together tell nothing: those are
right that most cameras agree on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.clock_finding import clock_finding
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.observations import Observations
from mocap.kernels.camera_terms import OFFSET, SHIFT, TURN, camera_terms
from mocap.kernels.reprojection import robust_terms, unpack_symmetric
from mocap.kernels.trajectories import sample_cubic

MIN_OFF_S = 0.02
"""A rolling shutter whose read-out nobody knows looks like half of it; most are quicker than twice this."""
MIN_SD = 4.0
MAX_SD_S = 0.05
"""What is known worse tells nothing: neither that a clock is off nor that others are."""
SCALE_SQUARED = 1600.0
"""Of the robust loss: what a clock makes of quick limbs is no gross error here."""
BLOCK_S, MIN_BLOCK_S, MAX_BLOCKS, MIN_BLOCKS = 1.0, 0.2, 24, 8
"""A take is looked at in blocks, spread over it: what they say of the clocks scatters as noise in runs makes it, where
they are longer than those runs. Of fewer blocks nothing is told."""
PRIOR_TURN_RAD, PRIOR_SHIFT_M, PRIOR_OFFSET_S = np.radians(5.0), 0.3, 1.0
"""How wrong a camera may be (1 sd): whatever a take can still be solved with."""
LARGE_S = 0.07
"""The linear step has 0.07 s and more of clocks that are 0.08 s off and more."""
POINT_SD_M = 0.3
"""How far a point may be from where the solve has it."""
N_OF_CAMERA = OFFSET + 1
"""Unknowns of a camera: turn, shift and clock, of `kernels.camera_terms`."""


def late_clocks(
    cameras: tuple[str, ...], observations: Observations, sigma_px: np.ndarray, points_m: np.ndarray, fps: float
) -> list[Diagnostic]:
    """Return the finding that names cameras whose clocks are off by more than MIN_OFF_S; none if none is.

    observations and sigma_px (finite) [camera frame landmark], points_m [frame landmark 3] solved, NaN where unknown.
    """
    steps = clock_steps(clock_blocks(observations, sigma_px, points_m, fps), len(cameras))
    reference, is_tied = steps.usual()
    off_s, sd_s = steps.against(reference)
    is_off = is_clear(off_s, sd_s) & ~reference
    if not is_off.any():
        return []
    off = {cameras[c]: round(float(off_s[c]), 4) for c in np.flatnonzero(is_off)}
    more = " Figures of 70 ms and more tend to fall short." if max(map(abs, off.values())) > LARGE_S else ""
    return [clock_finding(off, Severity.WARNING, is_tied, more=more)]


def is_clear(off_s: np.ndarray, sd_s: np.ndarray) -> np.ndarray:
    """Return [camera] whether a clock's offset is large, and surely so."""
    return (np.abs(off_s) > np.maximum(MIN_OFF_S, MIN_SD * sd_s)) & (sd_s < MAX_SD_S)


@dataclass(frozen=True, eq=False)
class ClockSteps:
    """By how much each camera's clock is to be put on. All alike are free: only differences tell."""

    step_s: np.ndarray
    """[camera]"""
    covariance_s2: np.ndarray
    """[camera camera]"""

    def against(self, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return offsets and their standard deviations in s [camera] against the mean of cameras, bool [camera]."""
        contrast = np.eye(len(reference)) - reference / reference.sum()
        variance_s2 = np.einsum("ij,jk,ik->i", contrast, self.covariance_s2, contrast)
        return contrast @ self.step_s, np.sqrt(np.maximum(variance_s2, 0.0))

    def is_told(self) -> np.ndarray:
        """Return [camera] whether the clock is known well against that of any other camera.

        Where none is, those that are known at all.
        """
        own = np.diag(self.covariance_s2)
        apart_s2 = own[:, None] + own - 2 * self.covariance_s2
        np.fill_diagonal(apart_s2, np.inf)
        apart_s = np.sqrt(apart_s2.min(axis=1))
        is_sure = apart_s < MIN_OFF_S / MIN_SD
        return is_sure if is_sure.any() else apart_s < MAX_SD_S

    def usual(self) -> tuple[np.ndarray, bool]:
        """Return the cameras [camera] whose clocks are right, and whether other ones may as well be.

        They are the most that lie within MIN_OFF_S; of as many, those of the first camera.
        """
        is_told = self.is_told()
        if not is_told.any():
            return np.ones(len(is_told), bool), False
        above_s = self.step_s - self.step_s[is_told, None]
        within = (above_s >= 0) & (above_s < MIN_OFF_S) & is_told
        within = within[within.sum(1) == within.sum(1).max()]
        chosen = within[within[:, is_told.argmax()].argmax()]
        return chosen, bool((within != chosen).any())


Block = tuple[np.ndarray, np.ndarray]
"""What a stretch says of all cameras, N_OF_CAMERA unknowns each: hessian [n n] and slope [n]."""


def clock_blocks(observations: Observations, sigma_px: np.ndarray, points_m: np.ndarray, fps: float) -> list[Block]:
    """Return what blocks of a take say of the cameras. Arguments as in `late_clocks`.

    Cost and memory do not grow with the take beyond MAX_BLOCKS.
    """
    n_frames = len(points_m)
    length = max(1, round(MIN_BLOCK_S * fps), min(round(BLOCK_S * fps), n_frames // MIN_BLOCKS))
    starts = np.arange(0, n_frames - length + 1, length)
    if len(starts) > MAX_BLOCKS:
        starts = starts[np.linspace(0, len(starts) - 1, MAX_BLOCKS).astype(int)]
    return [_block(observations, sigma_px, points_m, fps, low, low + length) for low in starts.tolist()]


def clock_steps(blocks: list[Block], n_cameras: int) -> ClockSteps:
    """Return by how much clocks are off. One linear step: it falls short of what is large, 100 ms by a fourth."""
    if len(blocks) < MIN_BLOCKS:
        return ClockSteps(np.zeros(n_cameras), PRIOR_OFFSET_S**2 * np.eye(n_cameras))
    precision = np.empty(N_OF_CAMERA)
    precision[TURN], precision[SHIFT], precision[OFFSET] = PRIOR_TURN_RAD**-2, PRIOR_SHIFT_M**-2, PRIOR_OFFSET_S**-2
    hessian = np.sum([h for h, _ in blocks], axis=0) + np.diag(np.tile(precision, n_cameras))
    slope = np.sum([s for _, s in blocks], axis=0)
    step = -np.linalg.solve(hessian, slope)
    # how the result changes without each block (the jackknife; R. Miller, "The jackknife - a review", 1974, section 3):
    # what one block alone tells, nothing confirms. Beside it stands what white noise and the prior leave open.
    without = np.stack([-np.linalg.solve(hessian - h, slope - s) for h, s in blocks]) - step
    at = OFFSET + N_OF_CAMERA * np.arange(n_cameras)
    spread = (len(blocks) - 1) / len(blocks) * without[:, at].T @ without[:, at]
    return ClockSteps(step[at], spread + np.linalg.inv(hessian)[np.ix_(at, at)])


def _block(
    observations: Observations, sigma_px: np.ndarray, points_m: np.ndarray, fps: float, low: int, high: int
) -> Block:
    """Return what master frames low..high-1 say of the cameras, N_OF_CAMERA unknowns each.

    Hessian [n n] and slope [n].
    """
    o, index = observations.window(low, high)
    sigma_px = sigma_px[np.arange(len(index))[:, None], np.maximum(index, 0)]
    around = points_m[max(low - 2, 0) : high + 2]
    n, shape = N_OF_CAMERA * len(index), (high - low, points_m.shape[1])
    hessian, slope = np.zeros((n, n)), np.zeros(n)
    information, gradient, border = (np.zeros((*shape, *more)) for more in ((6,), (3,), (3, n)))
    for c, nearest in enumerate(o.nearest_frame(high - low)):
        mine, at = slice(N_OF_CAMERA * c, N_OF_CAMERA * (c + 1)), nearest[nearest >= 0]
        frame = np.nan_to_num(o.frame[c]) + low - max(low - 2, 0)
        place = sample_cubic(around, frame)
        velocity_m_s = (sample_cubic(around, frame + 0.5) - sample_cubic(around, frame - 0.5)) * fps
        is_known = np.isfinite(place).all(-1) & np.isfinite(velocity_m_s).all(-1)
        px_per_unit = np.where((nearest >= 0)[:, None] & is_known, o.px_per_unit[c], 0.0)
        place, velocity_m_s = np.nan_to_num(place), np.nan_to_num(velocity_m_s)
        seen = (o.xy[c], px_per_unit, sigma_px[c], SCALE_SQUARED, o.R_cam_from_world[c], o.t_cam_from_world_m[c])
        packed, pull, _ = robust_terms(place, *seen)
        own, push, coupling = camera_terms(place, velocity_m_s, np.zeros(len(frame)), *seen)
        hessian[mine, mine], slope[mine] = own[:N_OF_CAMERA, :N_OF_CAMERA], push[:N_OF_CAMERA]
        for total, terms in (
            (information, packed.transpose(1, 2, 0)),
            (gradient, pull.transpose(1, 2, 0)),
            (border[..., mine], coupling[..., :N_OF_CAMERA]),
        ):
            np.add.at(total, at, terms[nearest >= 0])
    both = np.concatenate([border, gradient[..., None]], axis=-1)
    held = unpack_symmetric(information) + POINT_SD_M**-2 * np.eye(3)
    taken = border.reshape(-1, n).T @ np.linalg.solve(held, both).reshape(-1, n + 1)
    return hessian - taken[:, :n], slope - taken[:, n]
