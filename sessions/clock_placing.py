"""Clocks that are far off, put about right from the motion of the performer's points, before they are solved finely.

The steps of a solve are linear and its robust loss leaves out what is far off; this looks further and is less exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline, observe
from mocap.core.progress import Progress
from mocap.core.timeline import TimeMap
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.clocks import Block, clock_blocks, clock_steps, is_clear

MAX_ROUNDS = 8
"""A step falls short of what is large, by a fourth at 100 ms; 0.2 s takes four to six."""


def placed_clocks(
    rig: CameraRig, parts: Sequence[Keypoints2D], fps: Fraction, progress: Progress
) -> dict[str, TimeMap]:
    """Return by camera the corrected master time from the master time it has.

    Empty where no clock is far off, and where the steps come to no end (the solve then names these clocks). parts: one
    person's detections, stretches of the take in which clocks are taken to be off alike. The first camera whose clock
    is told well keeps it.
    """
    progress.start("Placing clocks", MAX_ROUNDS)
    try:
        return _placed(rig, parts, fps, progress)
    finally:
        progress.finish()


def _placed(rig: CameraRig, parts: Sequence[Keypoints2D], fps: Fraction, progress: Progress) -> dict[str, TimeMap]:
    off_s, reference = np.zeros(len(rig)), None
    for _ in range(MAX_ROUNDS):
        steps = clock_steps([block for part in parts for block in _blocks(rig, part, off_s, fps)], len(rig))
        progress.advance()
        if reference is None:
            if not (is_told := steps.is_told()).any():
                return {}
            reference = np.arange(len(is_told)) == is_told.argmax()
        step_s, sd_s = steps.against(reference)
        # a clock that was far off is followed to the end, the others are left to the solve
        is_off = is_clear(step_s, sd_s) | ((off_s != 0) & (np.abs(step_s) > sd_s))
        if not is_off.any():
            placed = {name: TimeMap(float(off_s[c]), 0.0, float(sd_s[c])) for c, name in enumerate(rig.names)}
            return placed if off_s.any() else {}
        off_s += np.where(is_off, step_s, 0.0)
    return {}


def _blocks(rig: CameraRig, part: Keypoints2D, off_s: np.ndarray, fps: Fraction) -> list[Block]:
    """Return what a stretch says of the cameras at clocks that are put on so far."""
    shifted = replace(part, time_s=part.time_s + off_s[:, None])
    timeline = common_timeline(shifted.time_s, fps)
    found = reconstruct_points(shifted, rig, timeline)
    seen = observe(found.detections, rig, timeline)
    return clock_blocks(seen, np.nan_to_num(found.sigma_px, nan=1.0), found.points.xyz_m, float(fps))
