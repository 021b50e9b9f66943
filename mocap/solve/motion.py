"""The motion of a joint tree on all cameras: window by window, with one first prior for the whole take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.observations import Observations
from mocap.core.progress import Progress
from mocap.core.timeline import Timeline
from mocap.core.windows import Window, in_windows
from mocap.kernels.robust import MAX_LAG_S
from mocap.solve.fit import body_points, fit_take, to_cameras
from mocap.solve.motion_prior import MotionPrior, first_prior
from mocap.solve.pose import Freedom, Pose
from mocap.solve.shape import Shape
from mocap.solve.uncertainty import keypoint_sigma, residual_scatter

MIN_FRAMES = 3
"""Second differences need three frames."""
MIN_KNOWN_SHARE = 0.05
"""A landmark that is known in fewer frames than this does not take part; it follows from the joint tree."""
MAX_SIGMA_M = 1.0
SLIP_M_S = 0.1
"""A planted sole still rolls and gives: its speed, 1 sd."""


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


def max_lag(fps: float) -> int:
    """Return over how many frames residuals are taken to hang together."""
    return round(MAX_LAG_S * fps)


def fit_window(
    window: Window,
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    observations: Observations,
    sigma_px: np.ndarray,
    first: MotionPrior,
    fps: float,
    standing: Callable[[Pose], np.ndarray] | None = None,
) -> Fitted:
    """Return the motion of the frames that a window looks at; pose, observations and first prior of the whole take."""
    seen, index = observations.window(window.low, window.high)
    sigma = sigma_px[np.arange(len(index))[:, None], np.maximum(index, 0)]
    part, data = pose.frames(window.looked_at), to_cameras(seen, sigma)
    part, prior = fit_take(part, shape, names, dof, data, first.frames(window.looked_at), fps)
    on_floor = None if standing is None else standing(part)
    part, prior = fit_take(part, shape, names, dof, data, prior, fps, on_floor, SLIP_M_S / fps)
    return Fitted(part, prior, on_floor, seen, sigma)


def fit_motion(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    observations: Observations,
    sigma_px: np.ndarray,
    of: tuple[str, ...],
    timeline: Timeline,
    progress: Progress,
    standing: Callable[[Pose], np.ndarray] | None = None,
    root_sigma_m: float | None = None,
) -> tuple[Pose, np.ndarray]:
    """Return the pose fitted to all cameras, and the posterior sd [frame landmark] in metres of landmarks `of`.

    Neighbouring windows fade into each other where both look: of what is hidden across a border each knows one end
    only, and they disagree. `standing` tells of a pose which of `fit.FOOT_LANDMARKS` stand [frame sole];
    `root_sigma_m` how well the place of a root that is held is known. The progress is advanced by one for each window.
    """
    n_frames, fps = timeline.n_frames, float(timeline.fps)
    root, local = pose.root_m.copy(), pose.local_wxyz.copy()
    spread_m = np.full((n_frames, len(of)), MAX_SIGMA_M)
    if n_frames < MIN_FRAMES:
        progress.advance()
        return pose, spread_m
    start = first_prior(pose, dof, fps)
    uncertain = dof if root_sigma_m is None else replace(dof, root_sd_m=root_sigma_m)

    def fit(window: Window) -> tuple[Pose, np.ndarray]:
        found = fit_window(window, pose, shape, names, dof, observations, sigma_px, start, fps, standing)
        part, data = found.pose, to_cameras(found.seen, found.sigma_px)
        scattered = residual_scatter(body_points(part, shape, names)[2], found.seen, found.sigma_px, max_lag(fps))
        return part, keypoint_sigma(part, shape, names, uncertain, data, found.prior, scattered, of, fps)

    for window, (part, spread) in in_windows(fit, n_frames, fps, progress):
        at, both, share = window.looked_at, window.shared, window.fade
        faded = Pose(root[both], local[both]).faded(part.frames(slice(len(share))), share, dof)
        # neighbours err alike where both see, and nobody knows how where they do not: sigmas add, not variances
        sigma_m = spread_m[both] + share[:, None] * (spread[: len(share)] - spread_m[both])
        root[at], local[at], spread_m[at] = part.root_m, part.local_wxyz, spread
        root[both], local[both], spread_m[both] = faded.root_m, faded.local_wxyz, sigma_m
    return Pose(root, local), spread_m
