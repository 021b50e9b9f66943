"""The world's vertical against accelerometers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.gravity import compare_gravity, gravity_angle_deg
from calibration.world import moved_rig
from mocap.core.camera import CameraRig
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.rig import ring_rig


def rig_and_angles() -> tuple[CameraRig, dict[str, float]]:
    """A rig, and what its cameras' accelerometers would feel of the plumb line."""
    rig = ring_rig(5, np.random.default_rng(2), size_px=(1920, 1080))
    angle = {c.name: float(np.rad2deg(np.arccos(-c.R_cam_from_world[:, 2] @ [0.0, 1.0, 0.0]))) for c in rig.cameras}
    return rig, angle


def test_an_upright_world_agrees() -> None:
    rig, angles = rig_and_angles()
    assert [d.code for d in compare_gravity(rig, {"cam1": angles["cam1"] + 1.0})] == ["world-gravity-agrees"]


def test_a_world_tilted_by_eight_degrees_is_reported_with_the_camera() -> None:
    rig, angles = rig_and_angles()
    tilted = moved_rig(rig, quat_to_matrix(quat_exp(np.deg2rad(8.0) * np.array([0.6, 0.8, 0.0]))), np.zeros(3))
    (found,) = compare_gravity(tilted, angles)
    assert found.code == "world-gravity-disagrees"
    assert "cam" in found.message


def test_without_accelerometers_nothing_is_said() -> None:
    assert compare_gravity(rig_and_angles()[0], {}) == ()


def test_a_camera_held_level_feels_little_and_a_file_without_telemetry_nothing(shared: Callable[[str], Path]) -> None:
    # A HERO5 under a drone, which names its channels; its gimbal holds the picture level.
    angle = gravity_angle_deg(shared("data/gopro/gpmf-parser/karma.mp4"))
    assert angle == pytest.approx(1.0, abs=3.0)
    assert gravity_angle_deg(shared("data/virtual_shoot/floor/gp1.mp4")) is None
