"""Does a camera see the result shifted to one side? Then it no longer stands where it was calibrated."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from mocap.analysis.reprojection import reprojections
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.take import SolvedTake

MIN_BIAS_PX = 3.0
MIN_STANDARD_ERRORS = 6.0
CORRELATED_FRAMES = 20
"""Errors of neighbouring frames and keypoints repeat: about this many observations count as one."""
MIN_SCORE = 0.3


def rig_bias(take: SolvedTake, cameras: Collection[str] | None = None) -> tuple[Diagnostic, ...]:
    """Return a warning that names the cameras in which the result lies systematically beside the detections.

    The bias is the median over the take of projected minus detected, x and y. Because a point fitted to all views
    shares out their disagreement, the true error of a camera is larger. Only `cameras` are looked at when given.
    """
    difference = reprojections(take, take.points) - take.detections.xy_px[:, :, 0]
    use = np.isfinite(difference).all(-1) & (take.detections.score[:, :, 0] >= MIN_SCORE)
    shifted: dict[str, list[float]] = {}
    for c, name in enumerate(take.detections.camera_names):
        d = difference[c][use[c]]
        if len(d) < 2 * CORRELATED_FRAMES or (cameras is not None and name not in cameras):
            continue
        bias = np.median(d, axis=0)
        spread = 1.4826 * float(np.median(np.abs(d - bias)))
        error = 1.2533 * spread / np.sqrt(len(d) / CORRELATED_FRAMES)
        size = float(np.hypot(*bias))
        if size > MIN_BIAS_PX and size > MIN_STANDARD_ERRORS * error:
            shifted[name] = [round(float(v), 2) for v in bias]
    if not shifted:
        return ()
    text = ", ".join(f"{name} by ({x:+.0f}, {y:+.0f}) px" for name, (x, y) in shifted.items())
    return (
        Diagnostic(
            "rig-biased",
            Severity.WARNING,
            f"The calibration does not quite fit: the result is shifted in {text}. The cameras were used as "
            "calibrated; --refine-rig (in a session: --set refine_rig=yes) corrects them from the performer.",
            {"bias_px": shifted},
        ),
    )
