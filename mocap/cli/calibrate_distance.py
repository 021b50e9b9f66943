"""`--distance A,B,M` of `mocap calibrate rig`: what a measured distance says of the board's squares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mocap.cli.ui import UsageError

if TYPE_CHECKING:
    from mocap.core.camera import CameraRig
    from mocap.core.diagnostics import Diagnostic


def measured_distance(text: str | None, cameras: list[str]) -> tuple[str, str, float] | None:
    """Return two cameras and the metres between their lenses out of `A,B,M`. Raises UsageError distance-invalid."""
    if text is None:
        return None
    fields = text.split(",")
    try:
        first, second, metres = fields[0].strip(), fields[1].strip(), float(fields[2])
    except (IndexError, ValueError):
        first, second, metres = "", "", 0.0
    if first not in cameras or second not in cameras or first == second or not 0 < metres < math.inf:
        raise UsageError(
            "distance-invalid",
            f"--distance {text}: expected two of the cameras {', '.join(cameras)} and metres, e.g. "
            f"{cameras[0]},{cameras[-1]},3.2.",
            "Measure from lens to lens.",
        )
    return first, second, metres


def scale_check(rig: CameraRig, distance: tuple[str, str, float] | None) -> list[Diagnostic]:
    """Return whether a measured distance between two cameras confirms the scale; nothing where none was measured."""
    import numpy as np

    from mocap.core.diagnostics import Diagnostic, Severity

    if distance is None:
        return []
    first, second, metres = distance
    found_m = float(np.linalg.norm(rig[first].center_world_m - rig[second].center_world_m))
    ratio = metres / found_m
    data = {"measured_m": metres, "calibrated_m": found_m, "ratio": ratio}
    if abs(ratio - 1.0) < 0.015:
        message = f"{first} and {second} are {found_m:.3f} m apart, measured {metres:.3f} m: the scale is right."
        return [Diagnostic("board-scale-checked", Severity.INFO, message, data)]
    message = (
        f"{first} and {second} are {found_m:.3f} m apart by this calibration, but {metres:.3f} m were measured. The "
        f"squares of the board are probably {ratio:.3f} times as large as given: measure the print and run again."
    )
    return [Diagnostic("board-scale-wrong", Severity.QUALITY, message, data)]
