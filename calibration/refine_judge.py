"""Whether moved cameras explain a person better: judged on the half of the take that they were not fitted to."""

from __future__ import annotations

import numpy as np

from calibration.cauchy import cauchy_cost
from calibration.refine_bundle import Poses, residuals_px, triangulate_robust
from calibration.refine_observations import Observations
from mocap.core.camera import CameraRig

N_BLOCKS = 8
"""Parts of the take, alternately fitted and held out: neighbouring frames share their errors, parts hardly do."""
MIN_GAIN = 0.02
"""Smallest relative gain in the held-out median error that is worth moving the cameras for."""
MIN_HELD_POINTS = 37
"""Fewer keypoints held out say nothing."""


def is_fitted(obs: Observations) -> np.ndarray:
    """Return [point] bool: the half of the take that is fitted while the other is held out."""
    return (obs.instant * N_BLOCKS // max(1, obs.n_instants)) % 2 == 0


def held_out_gain(
    before: tuple[Observations, Poses], after: tuple[Observations, Poses], rig: CameraRig
) -> dict[str, float | bool]:
    """Return whether `after` explains the half of the take better that it was not fitted to.

    Each part of the take counts as one sample: a paired t statistic of the robust cost, one scale for both. The
    observations differ where clocks were moved.
    """
    r: list[np.ndarray] = []
    rest: list[Observations] = []
    for obs, poses in (before, after):
        held = obs.select(~is_fitted(obs))
        if held.xy_px.shape[1] < MIN_HELD_POINTS:
            return {"before_px": float("nan"), "after_px": float("nan"), "t": 0.0, "is_significant": False}
        r.append(residuals_px(triangulate_robust(held, poses, rig), held, poses, rig))
        rest.append(held)
    median_before, median_after = (float(np.nanmedian(np.linalg.norm(x, axis=-1))) for x in r)
    scale = max(median_before / 1.1774, 0.1)
    means = []
    for residuals, held in zip(r, rest, strict=True):
        cost = cauchy_cost(residuals, held.seen, scale).sum(0)
        part = held.instant * 4 * N_BLOCKS // max(1, held.n_instants)
        means.append(np.array([cost[part == p].mean() if (part == p).any() else np.nan for p in range(4 * N_BLOCKS)]))
    drop = means[0] - means[1]
    drop = drop[np.isfinite(drop)]
    t = float(drop.mean() / (drop.std(ddof=1) / np.sqrt(len(drop)) + 1e-9)) if len(drop) > 2 else 0.0
    significant = t > 3.0 and median_after < (1.0 - MIN_GAIN) * median_before
    return {"before_px": median_before, "after_px": median_after, "t": t, "is_significant": bool(significant)}
