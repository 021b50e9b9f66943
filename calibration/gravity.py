"""Is the world upright: its vertical against what GoPros' accelerometers felt.

What is compared is one angle per camera, between the picture's vertical axis and the plumb line. It needs only the
channel that lies along the picture's vertical, whose place every model states: "up/down" in the stream's name or Z in
ORIN (GPMF: gopro/gpmf-parser, "ORIN and ORIO"). The signs of the other channels, which differ between models, are not
used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.media.gpmf import streams
from mocap.media.mp4_index import read_movie
from mocap.media.telemetry import read_payload, read_telemetry, telemetry_track

GRAVITY_M_S2 = 9.81
MAX_OFF_M_S2 = 1.0
"""A median further from gravity than this is of a camera that moves, or of another unit."""
TOLERANCE_DEG = 4.0
"""How far sensor and picture may be turned against each other in one camera."""


def gravity_angle_deg(video: Path) -> float | None:
    """Return the angle, 0..90, between a picture's vertical axis and the plumb line; None where it is not measured.

    A camera that is mounted upside down and turns its picture has the same angle.
    """
    channel = _up_channel(video)
    if channel is None:
        return None
    telemetry = read_telemetry(video, {"ACCL"})
    sensor = telemetry.sensor("ACCL") if telemetry is not None else None
    if sensor is None or len(sensor.values) < 10 or sensor.values.shape[1] != 3:
        return None
    felt = np.median(sensor.values, axis=0)
    size = float(np.linalg.norm(felt))
    if abs(size - GRAVITY_M_S2) > MAX_OFF_M_S2:
        return None
    return float(np.rad2deg(np.arccos(min(abs(felt[channel]) / size, 1.0))))


def _up_channel(video: Path) -> int | None:
    """Return which channel of the accelerometer lies along the picture's vertical."""
    movie = read_movie(video)
    track = telemetry_track(movie) if movie is not None else None
    if track is None or not len(track.samples):
        return None
    for stream in streams(read_payload(video, track, 0)):
        if stream.key != "ACCL":
            continue
        if "(up/down" in stream.name:
            return 0
        axes = stream.about["ORIN"].text.upper() if "ORIN" in stream.about else ""
        return axes.find("Z") if "Z" in axes else None
    return None


def check_gravity(rig: CameraRig, videos: Mapping[str, Path]) -> tuple[Diagnostic, ...]:
    """Return whether the rig's vertical agrees with the accelerometers of its videos; nothing where none has one."""
    felt_deg = {n: a for n, v in videos.items() if n in rig.names and (a := gravity_angle_deg(v)) is not None}
    return compare_gravity(rig, felt_deg)


def compare_gravity(rig: CameraRig, felt_deg: Mapping[str, float]) -> tuple[Diagnostic, ...]:
    """Return what measured angles (degrees, by camera) say of the rig's vertical."""
    if not felt_deg:
        return ()
    rig_deg = {n: float(np.rad2deg(np.arccos(min(abs(rig[n].R_cam_from_world[1, 2]), 1.0)))) for n in felt_deg}
    off_deg = {n: rig_deg[n] - felt_deg[n] for n in felt_deg}
    worst = max(off_deg, key=lambda n: abs(off_deg[n]))
    data = {"felt_deg": dict(felt_deg), "rig_deg": rig_deg}
    if abs(off_deg[worst]) <= TOLERANCE_DEG:
        message = (
            f"The world's vertical agrees with the accelerometers of {', '.join(felt_deg)} (to "
            f"{abs(off_deg[worst]):.1f} degrees)."
        )
        return (Diagnostic("world-gravity-agrees", Severity.INFO, message, data),)
    message = (
        f"The world is not upright: {worst} leans by {felt_deg[worst]:.1f} degrees by its accelerometer, and by "
        f"{rig_deg[worst]:.1f} degrees in this world. Check that the floor board lay flat on a level floor, and that "
        "the cameras stood as in the calibration."
    )
    return (Diagnostic("world-gravity-disagrees", Severity.QUALITY, message, data),)
