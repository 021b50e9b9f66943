"""What a check of the cameras says of each, and what of it the user must hear."""

from __future__ import annotations

from dataclasses import dataclass

from mocap.core.clock_finding import clock_finding
from mocap.core.diagnostics import Diagnostic, Severity


@dataclass(frozen=True)
class CameraCheck:
    """What the take says of one camera."""

    has_moved: bool
    turned_deg: float
    moved_mm: float
    shift_px: float
    """Median distance by which the person is displaced in this camera's picture."""
    confidence: float
    """0..1 that the camera stands elsewhere than calibrated."""
    since_frame: int | None
    """Frame of the camera at which the movement happened; 0: before the take; None: not moved."""
    turned_sd_deg: float = 0.0
    moved_sd_mm: float = 0.0
    """1 standard deviation of the pose that the camera was found in, per axis."""
    clock_s: float = 0.0
    """What the camera's clock is to be corrected by; 0 where it agrees with the others."""


def check_findings(
    cameras: dict[str, CameraCheck], assumed_hz: float | None, doubtful: tuple[str, ...] = ()
) -> tuple[Diagnostic, ...]:
    """Return what the user must hear. doubtful: cameras that seemed to have moved, and fit no better elsewhere."""
    moved = {name: c for name, c in cameras.items() if c.has_moved}
    clocks = {name: c.clock_s for name, c in cameras.items() if c.clock_s}
    out: list[Diagnostic] = []
    if moved:
        since: dict[str, list[str]] = {}
        for name, c in moved.items():
            since.setdefault(f"at about frame {c.since_frame}" if c.since_frame else "before the take", []).append(name)
        text = ", ".join(f"{' and '.join(names)} moved {when}" for when, names in since.items())
        doubt = " With two cameras it may be the other one." if len(cameras) == 2 else ""
        message = (
            f"The calibration no longer holds: {text}.{doubt} Calibrate again, or refine the rig from this take "
            "(mocap calibrate refine)."
        )
        data = {name: vars(c) for name, c in moved.items()}
        out.append(Diagnostic("camera-moved", Severity.QUALITY, message, data))
    elif not doubtful:
        out.append(Diagnostic("cameras-unmoved", Severity.INFO, "No camera has moved since the calibration.", {}))
    if doubtful:
        message = (
            f"{' and '.join(doubtful)} fit{'s' if len(doubtful) == 1 else ''} the person no better "
            "elsewhere: no movement explains it. Cameras that were not started together look so: give their clocks "
            "(--times)."
        )
        out.append(Diagnostic("camera-move-doubtful", Severity.WARNING, message, {"cameras": list(doubtful)}))
    if clocks:
        out.append(clock_finding(clocks, Severity.WARNING, len(cameras) == 2, assumed_hz))
    return tuple(out)
