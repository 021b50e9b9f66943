"""A rig's world frame: Z up, floor z = 0; moving a rig into it, and whether the cameras stand upright there.

A rig that was calibrated from a moving board floats in the frame of one of its cameras. Each way to place it
(`world_board`, `world_feet`, `world_points`) has a cross-check of its own: a world that is upside down or mirrored
looks as good in pixels as the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError


@dataclass(frozen=True, eq=False)
class WorldResult:
    """A rig in its world, and what speaks for it."""

    rig: CameraRig
    R_world_from_rig: np.ndarray
    """[3 3]"""
    t_world_from_rig_m: np.ndarray
    """[3]"""
    data: dict[str, Any]
    """Figures, JSON-serialisable."""
    diagnostics: tuple[Diagnostic, ...] = ()


def moved_rig(rig: CameraRig, R_world_from_rig: np.ndarray, t_world_from_rig_m: np.ndarray) -> CameraRig:
    """Return the same cameras in another world frame."""
    cameras = []
    for camera in rig.cameras:
        R = camera.R_cam_from_world @ R_world_from_rig.T
        cameras.append(camera.with_extrinsics(R, camera.t_cam_from_world_m - R @ t_world_from_rig_m))
    return CameraRig(tuple(cameras))


def certainty_text(data: Mapping[str, Any]) -> list[str]:
    """Return a sentence on how sure the world itself is, beside places that are relative between the cameras."""
    shifts_mm = data.get("world_sd_mm")
    if not shifts_mm:
        return []
    low, high = min(shifts_mm.values()), max(shifts_mm.values())
    return [
        f"Places are among the cameras; where all of them together stand in this world is sure to {low:.1f} to "
        f"{high:.1f} mm (1 sd at each camera; the floor's tilt to {data['tilt_sd_deg']:.2f} degrees)."
    ]


def check_upright(rig: CameraRig, source: str) -> None:
    """Refuse a world in which the cameras are under the floor or upside down.

    Raises: InputError world-upside-down.
    """
    height_m = np.array([c.center_world_m[2] for c in rig.cameras])
    up = np.array([-c.R_cam_from_world[1, 2] for c in rig.cameras])
    is_below = np.median(height_m) < 0.0
    is_turned = np.median(up) < -0.5
    if is_below or is_turned:
        what = f"{int((height_m < 0).sum())} of {len(up)} cameras under the floor" if is_below else "upside down"
        raise InputError(
            "world-upside-down",
            f"The world from {source} would have the cameras {what}: its up points down.",
            "Check that the board lay with its print up and that no video is mirrored or turned.",
        )
