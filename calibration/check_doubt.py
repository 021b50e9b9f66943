"""Movements that explain nothing: cameras whose clocks are off by much seem to have moved, and fit no better there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.check_findings import CameraCheck
from calibration.refine_bundle import Poses
from calibration.refine_figures import CameraReprojection


def doubtful_moves(
    cameras: dict[str, CameraCheck], before: dict[str, CameraReprojection], after: dict[str, CameraReprojection]
) -> tuple[str, ...]:
    """Return the cameras that were told to have moved before the take and fit it no better where they are put."""
    return tuple(
        name
        for name, c in cameras.items()
        if c.has_moved and not c.since_frame and not after[name].median_px < before[name].median_px
    )


def retracted(
    cameras: dict[str, CameraCheck], names: tuple[str, ...], poses: Poses, origin: Poses
) -> tuple[dict[str, CameraCheck], Poses]:
    """Return the findings without movements of the cameras named, and the poses with these as calibrated."""
    is_back = np.array([name in names for name in cameras])
    back = Poses(
        np.where(is_back[:, None, None], origin.R_cam_from_world, poses.R_cam_from_world),
        np.where(is_back[:, None], origin.t_cam_from_world_m, poses.t_cam_from_world_m),
        poses.offset_s,
    )
    still = {n: CameraCheck(False, 0.0, 0.0, 0.0, min(cameras[n].confidence, 0.5), None) for n in names}
    return {n: replace(still[n], clock_s=c.clock_s) if n in still else c for n, c in cameras.items()}, back
