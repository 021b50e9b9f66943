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
from mocap.solve.clocks import clock_offsets, is_clear

MAX_ROUNDS = 8
"""A step falls short of what is large, by a fifth at 100 ms; 0.3 s takes five."""
LEAST_SD_S = 1e-6


def placed_clocks(rig: CameraRig, parts: Sequence[Keypoints2D], fps: Fraction) -> dict[str, TimeMap]:
    """Return by camera the corrected master time from the master time it has; empty where no clock is far off.

    parts: one person's detections, stretches of the take in which clocks are taken to be off alike. The first camera's
    clock is kept.
    """
    off_s, sd_s = np.zeros(len(rig)), np.zeros(len(rig))
    for _ in range(MAX_ROUNDS):
        told = [t for part in parts if (t := _told(rig, part, off_s, fps)) is not None]
        if not told:
            break
        steps, sds = (np.stack(values) for values in zip(*told, strict=True))
        weight = sds**-2.0 / (sds**-2.0).sum(0)
        step_s, sd_s = (weight * steps).sum(0), (sds**-2.0).sum(0) ** -0.5
        # a clock that was far off is followed to the end, the others are left to the solve
        is_off = is_clear(step_s, sd_s) | ((off_s != 0) & (np.abs(step_s) > sd_s))
        if not is_off.any():
            break
        off_s += np.where(is_off, step_s, 0.0)
    if not off_s.any():
        return {}
    return {name: TimeMap(float(off_s[c]), 0.0, float(sd_s[c]) if c else 0.0) for c, name in enumerate(rig.names)}


def _told(rig: CameraRig, part: Keypoints2D, off_s: np.ndarray, fps: Fraction) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what is left of the clocks' offsets against the first, with sd [camera]; None where nobody is there."""
    shifted = replace(part, time_s=part.time_s + off_s[:, None])
    timeline = common_timeline(shifted.time_s, fps)
    try:
        found = reconstruct_points(shifted, rig, timeline)
    except InputError:
        return None
    seen = observe(found.detections, rig, timeline)
    step_s, sd_s = clock_offsets(seen, np.nan_to_num(found.sigma_px, nan=1.0), found.points.xyz_m, float(fps))
    return step_s - step_s[0], np.maximum(np.append(0.0, np.hypot(sd_s[1:], sd_s[0])), LEAST_SD_S)
