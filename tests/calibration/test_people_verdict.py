"""The verdict on cameras from people: what does not fit, or is not known, is never usable."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.people_verdict import people_verdict
from calibration.refine_certainty import CameraCertainty
from calibration.refine_figures import CameraReprojection
from mocap.synth.rig import ring_rig

RIG = ring_rig(5, np.random.default_rng(3))
LINES = min(RIG.cameras[0].intrinsics.size_px)


def verdict(median_px: float = 6.0, turn_deg: float = 0.05, center_mm: float = 5.0, scale: float = 0.001) -> str:
    after = {n: CameraReprojection(6.0, 20.0, (0.0, 0.0), 0.1, 500) for n in RIG.names}
    after[RIG.names[2]] = CameraReprojection(median_px, 20.0, (0.0, 0.0), 0.1, 500)
    sure = {n: CameraCertainty(5.0, 0.05) for n in RIG.names}
    sure[RIG.names[3]] = CameraCertainty(center_mm, turn_deg)
    return people_verdict(RIG, after, sure, scale)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, "good"),
        ({"turn_deg": 0.2}, "usable"),
        ({"center_mm": 25.0}, "usable"),
        ({"scale": 0.02}, "usable"),
        ({"median_px": 0.025 * LINES}, "redo"),
        ({"turn_deg": 0.7}, "redo"),
        ({"center_mm": 50.0}, "redo"),
        ({"median_px": np.nan}, "redo"),
        ({"turn_deg": np.nan}, "redo"),
        ({"scale": np.nan}, "usable"),
    ],
)
def test_the_worst_camera_decides(figures: dict[str, float], expected: str) -> None:
    assert verdict(**figures) == expected
