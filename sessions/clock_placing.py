"""Clocks that are far off, put about right from the motion of the performer's points, before they are solved finely.

The steps of a solve are linear and its robust loss leaves out what is far off; this looks further and is less exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline, observe
from mocap.core.timeline import TimeMap
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.clocks import ClockSteps, clock_steps, is_clear

MAX_ROUNDS = 8
"""A step falls short of what is large, by a fifth at 100 ms; 0.3 s takes five."""


def placed_clocks(rig: CameraRig, parts: Sequence[Keypoints2D], fps: Fraction) -> dict[str, TimeMap]:
    """Return by camera the corrected master time from the master time it has.

    Empty where no clock is far off, and where the steps come to no end. parts: one person's detections, stretches of
    the take in which clocks are taken to be off alike. The clock of the first camera that saw anything is kept.
    """
    off_s = np.zeros(len(rig))
    for _ in range(MAX_ROUNDS):
        steps = _together([t for part in parts if (t := _told(rig, part, off_s, fps)) is not None])
        if steps is None or not (told := steps.told()).any():
            return {}
        reference = np.arange(len(told)) == told.argmax()
        step_s, sd_s = steps.against(reference)
        # a clock that was far off is followed to the end, the others are left to the solve
        is_off = is_clear(step_s, sd_s) | ((off_s != 0) & (np.abs(step_s) > sd_s))
        if not is_off.any():
            placed = {name: TimeMap(float(off_s[c]), 0.0, float(sd_s[c])) for c, name in enumerate(rig.names)}
            return placed if off_s.any() else {}
        off_s += np.where(is_off, step_s, 0.0)
    return {}


def _together(told: Sequence[ClockSteps]) -> ClockSteps | None:
    """Return what all stretches tell, each by how well it does; None where none tells anything."""
    if not told:
        return None
    precision: np.ndarray = np.linalg.inv(np.stack([t.covariance_s2 for t in told]))
    total: np.ndarray = precision.sum(axis=0)
    weighted: np.ndarray = np.einsum("pij,pj->i", precision, np.stack([t.step_s for t in told]))
    return ClockSteps(np.linalg.solve(total, weighted), np.linalg.inv(total))


def _told(rig: CameraRig, part: Keypoints2D, off_s: np.ndarray, fps: Fraction) -> ClockSteps | None:
    """Return what is left of the clocks' offsets in a stretch; None where nobody is there."""
    shifted = replace(part, time_s=part.time_s + off_s[:, None])
    timeline = common_timeline(shifted.time_s, fps)
    try:
        found = reconstruct_points(shifted, rig, timeline)
    except InputError:
        return None
    seen = observe(found.detections, rig, timeline)
    return clock_steps(seen, np.nan_to_num(found.sigma_px, nan=1.0), found.points.xyz_m, float(fps))
