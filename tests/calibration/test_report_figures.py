"""Pictures of the calibration report."""

from __future__ import annotations

import re

import numpy as np
import pytest

from calibration.report_data import MetricError
from calibration.report_figures import PLAN_PX, plan_figure
from mocap.synth.rig import ring_rig


@pytest.mark.parametrize("sd_mm", [0.01, 1.0, 60.0])
def test_the_largest_ellipse_of_the_plan_is_about_a_tenth_of_it_and_its_scale_is_said(sd_mm: float) -> None:
    rig = ring_rig(4, np.random.default_rng(3))
    sd_m = np.array([0.2, 0.5, 1.0, 0.7]) * sd_mm / 1000
    covariance = sd_m[:, None, None] ** 2 * np.diag([1.0, 0.3, 0.5])
    error = MetricError(np.arange(2), np.zeros((2, 3)), np.array([0.4, 0.8]), np.zeros(2))
    page = plan_figure(rig, covariance, error)
    longest = 2 * max(float(v) for v in re.findall(r'rx="([\d.]+)"', page))
    assert 0.03 * PLAN_PX < longest < 0.11 * PLAN_PX
    [times] = re.findall(r"([\d.e+-]+) times as large", page)
    [one_m] = re.findall(r'<line x1="12" y1="\d+" x2="([\d.]+)"', page)
    assert longest == pytest.approx(4 * sd_mm / 1000 * (float(one_m) - 12) * float(times), abs=0.2)
    assert re.search(r"green \(0 mm\) to red \(0\.7\d mm or more\)", page)
