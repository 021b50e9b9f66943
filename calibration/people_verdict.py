"""Whether cameras that were solved from a person are good enough to use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.exchange import REDO_SHARE_OF_PICTURE
from calibration.refine_certainty import CameraCertainty
from calibration.refine_figures import CameraReprojection
from mocap.core.camera import CameraRig

GOOD_TURN_SD_DEG, GOOD_CENTER_SD_MM, GOOD_SCALE_SD = 0.1, 15.0, 0.01
"""Surer than what `mocap calibrate check` takes for a movement; the scale to 2 cm of a person of 1.8 m."""
REDO_TURN_SD_DEG, REDO_CENTER_SD_MM = 0.5, 40.0


def people_verdict(
    rig: CameraRig,
    after: Mapping[str, CameraReprojection],
    certainty: Mapping[str, CameraCertainty],
    scale_sd_share: float = 0.0,
) -> str:
    """Return `good`, `usable` or `redo`; what is not known (NaN) is never good, and an unknown error is `redo`."""
    error = [after[c.name].median_px / min(c.intrinsics.size_px) for c in rig.cameras if c.name in after]
    turn_deg = [c.turn_sd_deg for c in certainty.values()]
    center_mm = [c.center_sd_mm for c in certainty.values()]
    is_known = _below(turn_deg, REDO_TURN_SD_DEG) and _below(center_mm, REDO_CENTER_SD_MM)
    if not _below(error, REDO_SHARE_OF_PICTURE) or not is_known:
        return "redo"
    is_sure = _below(turn_deg, GOOD_TURN_SD_DEG) and _below(center_mm, GOOD_CENTER_SD_MM)
    return "good" if is_sure and scale_sd_share < GOOD_SCALE_SD else "usable"


def _below(values: list[float], limit: float) -> bool:
    return bool(np.all(np.array(values) < limit))
