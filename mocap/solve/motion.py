"""The motion of a joint tree on all cameras: window by window, with one first prior for the whole take.

Twice: what the first pass finds tells which poses the take mostly takes (`usual_poses`), and which soles stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.observations import Observations
from mocap.core.progress import Progress
from mocap.core.windows import Window, in_windows, windows
from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.robust import MAX_LAG_S
from mocap.solve.fit import body_points, fit_take, to_cameras
from mocap.solve.motion_prior import MotionPrior, first_prior
from mocap.solve.pose import Freedom, Pose
from mocap.solve.shape import Shape
from mocap.solve.uncertainty import keypoint_sigma, residual_scatter
from mocap.solve.usual_poses import UsualPoses, usual_poses

MIN_FRAMES = 3
"""Second differences need three frames."""
MIN_KNOWN_SHARE = 0.05
"""A landmark that is known in fewer frames than this does not take part; it follows from the joint tree."""
MAX_SIGMA_M = 1.0
SLIP_M_S = 0.1
"""A planted sole still rolls and gives: its speed, 1 sd."""
N_PASSES = 2


@dataclass(frozen=True, eq=False)
class MotionProblem:
    """A joint tree, where a take's frames have it at first, and what the cameras saw of it."""

    pose: Pose
    shape: Shape
    names: tuple[str, ...]
    """Landmarks that are observed."""
    dof: Freedom
    observations: Observations
    sigma_px: np.ndarray
    """[camera frame landmark]"""
    fps: float
    standing: Callable[[Pose], np.ndarray] | None = None
    """Tells of a pose which of `fit.FOOT_LANDMARKS` stand [frame sole]; None where nothing stands."""

    @property
    def n_frames(self) -> int:
        """Frames of the take."""
        return len(self.pose.root_m)

    def seen(self, window: Window) -> tuple[Observations, np.ndarray]:
        """Return what a window looks at, frames counted from its first, and its sigma_px."""
        seen, index = self.observations.window(window.low, window.high)
        return seen, self.sigma_px[np.arange(len(index))[:, None], np.maximum(index, 0)]


@dataclass(frozen=True, eq=False)
class Fitted:
    """The motion of one window."""

    pose: Pose
    prior: MotionPrior
    """As it was learned."""
    contact: np.ndarray | None
    """[frame sole] which soles were held."""
    seen: Observations
    """Of the window, frames counted from its first."""
    sigma_px: np.ndarray
    """[camera frame landmark]"""


def n_steps(n_frames: int, fps: float) -> int:
    """Return by how many steps `fit_motion` advances the progress."""
    return N_PASSES * len(windows(n_frames, fps))


def max_lag(fps: float) -> int:
    """Return over how many frames residuals are taken to hang together."""
    return round(MAX_LAG_S * fps)


def fit_freely(problem: MotionProblem, window: Window, first: MotionPrior) -> tuple[Pose, MotionPrior]:
    """Return the motion of the frames that a window looks at, where nothing stands, and the prior as it was learned.

    `first` is the prior of the whole take.
    """
    p, part = problem, window.looked_at
    data = to_cameras(*p.seen(window))
    return fit_take(p.pose.frames(part), p.shape, p.names, p.dof, data, first.frames(part), p.fps)


def fit_held(problem: MotionProblem, window: Window, part: Pose, prior: MotionPrior) -> Fitted:
    """Return the motion that begins at a window's pose `part` and its own `prior`, with standing soles held."""
    p, (seen, sigma_px) = problem, problem.seen(window)
    contact = None if p.standing is None else p.standing(part)
    data = to_cameras(seen, sigma_px)
    part, prior = fit_take(part, p.shape, p.names, p.dof, data, prior, p.fps, contact, SLIP_M_S / p.fps)
    return Fitted(part, prior, contact, seen, sigma_px)


def fit_motion(
    problem: MotionProblem, of: tuple[str, ...], progress: Progress, root_sigma_m: float | None = None
) -> tuple[Pose, np.ndarray]:
    """Return the pose fitted to all cameras, and the posterior sd [frame landmark] in metres of landmarks `of`.

    Neighbouring windows fade into each other where both look: of what is hidden across a border each knows one end
    only, and they disagree. `root_sigma_m` tells how well the place of a root that is held is known. The progress is
    advanced `n_steps` times.
    """
    p, n_frames = problem, problem.n_frames
    root, local = p.pose.root_m.copy(), p.pose.local_wxyz.copy()
    spread_m = np.full((n_frames, len(of)), MAX_SIGMA_M)
    if n_frames < MIN_FRAMES:
        progress.advance(n_steps(n_frames, p.fps))
        return p.pose, spread_m
    first = first_prior(p.pose, p.dof, p.fps)
    free = dict(in_windows(lambda window: fit_freely(p, window, first), n_frames, p.fps, progress))
    poses = _poses_of(list(free.items()), p, first)
    uncertain = p.dof if root_sigma_m is None else replace(p.dof, root_sd_m=root_sigma_m)

    def fit(window: Window) -> tuple[Pose, np.ndarray]:
        part, prior = free.pop(window)
        found = fit_held(p, window, part, replace(prior, poses=poses))
        part, data = found.pose, to_cameras(found.seen, found.sigma_px)
        scattered = residual_scatter(body_points(part, p.shape, p.names)[2], found.seen, found.sigma_px, max_lag(p.fps))
        return part, keypoint_sigma(part, p.shape, p.names, uncertain, data, found.prior, scattered, of, p.fps)

    for window, (part, spread) in in_windows(fit, n_frames, p.fps, progress):
        at, both, share = window.looked_at, window.shared, window.fade
        faded = Pose(root[both], local[both]).faded(part.frames(slice(len(share))), share, p.dof)
        # neighbours err alike where both see, and nobody knows how where they do not: sigmas add, not variances
        sigma_m = spread_m[both] + share[:, None] * (spread[: len(share)] - spread_m[both])
        root[at], local[at], spread_m[at] = part.root_m, part.local_wxyz, spread
        root[both], local[both], spread_m[both] = faded.root_m, faded.local_wxyz, sigma_m
    return Pose(root, local), spread_m


def _poses_of(
    found: Sequence[tuple[Window, tuple[Pose, MotionPrior]]], problem: MotionProblem, first: MotionPrior
) -> UsualPoses:
    """Return which poses the take takes, from what windows found of their own frames."""
    angle, observed, power = [], [], []
    for window, (part, prior) in found:
        angle.append(part.frames(window.keep).angles(problem.dof))
        # a second difference is about the frame in its middle
        every = np.pad(prior.observed[:, N_TRANSLATION:], ((1, 1), (0, 0)), mode="edge")
        observed.append(every[window.keep])
        power.append(prior.usual[N_TRANSLATION:] ** 2)
    level, seen = np.sqrt(np.mean(power, axis=0)), np.concatenate(observed)
    # what nobody ever sees did not stay where the first pose has it: it may be anywhere in its range
    range_rad = np.where(seen.any(0) | np.isinf(first.range_rad), first.range_rad, problem.dof.prior_rad)
    return usual_poses(np.concatenate(angle), seen, range_rad, first.centre_rad, level, problem.fps)
