"""Clocks that are off are named, by the solve of a take; those of cameras that stand elsewhere are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline, observe
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.clocks import MIN_OFF_S, ClockSteps, clock_blocks, clock_steps, is_clear
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS, N_FRAMES = Fraction(60), 300
Scene = Callable[[int], tuple[CameraRig, Keypoints2D]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    performer = Performer.random(np.random.default_rng(51))

    def made(n_cameras: int) -> tuple[CameraRig, Keypoints2D]:
        rig = ring_rig(n_cameras, np.random.default_rng(52))
        faults = Faults(noise_px=2.0, outlier_share=0.08, dropout_share=0.1)
        return rig, detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(53), faults=faults).keypoints

    return made


def _late(detections: Keypoints2D, camera: int, late_s: float) -> Keypoints2D:
    time_s = np.asarray(detections.time_s).copy()
    time_s[camera] += late_s
    return replace(detections, time_s=time_s)


def _moved(rig: CameraRig, camera: int) -> CameraRig:
    """Return the rig with one camera turned by 1 degree and shifted by 5 cm."""
    cameras = list(rig.cameras)
    turn, c = quat_to_matrix(quat_exp(np.radians([0.6, -0.6, 0.5]))), cameras[camera]
    cameras[camera] = c.with_extrinsics(turn @ c.R_cam_from_world, c.t_cam_from_world_m + [0.03, 0.03, -0.03])
    return CameraRig(tuple(cameras))


def _findings(rig: CameraRig, detections: Keypoints2D) -> list[Diagnostic]:
    timeline = common_timeline(detections.time_s, FPS)
    take = solve_take(rig, reconstruct_points(detections, rig, timeline))
    return [d for d in take.diagnostics if d.code == "camera-clock-off"]


@pytest.mark.parametrize(("n_cameras", "camera", "late_s"), [(3, 2, 0.05), (4, 1, -0.1), (8, 0, 0.05)])
def test_the_late_camera_is_named_and_by_how_much(scene: Scene, n_cameras: int, camera: int, late_s: float) -> None:
    rig, detections = scene(n_cameras)
    (found,) = _findings(rig, _late(detections, camera, late_s))
    ((name, to_correct_s),) = found.data["clock_s"].items()
    assert name == rig.names[camera]
    assert 0.6 < -to_correct_s / late_s < 1.1


def test_of_two_cameras_it_is_said_that_either_may_be_wrong(scene: Scene) -> None:
    rig, detections = scene(2)
    (found,) = _findings(rig, _late(detections, 1, 0.05))
    assert list(found.data["clock_s"]) == [rig.names[1]]
    assert "it may be the others, the other way" in found.message


@pytest.mark.parametrize("n_cameras", [2, 3, 4])
def test_clocks_that_agree_are_not_accused(scene: Scene, n_cameras: int) -> None:
    assert _findings(*scene(n_cameras)) == []


def test_a_camera_that_was_moved_is_no_late_clock_and_does_not_hide_one(scene: Scene) -> None:
    rig, detections = scene(4)
    moved = _moved(rig, 2)
    assert _findings(moved, detections) == []
    (found,) = _findings(moved, _late(detections, 0, 0.05))
    assert list(found.data["clock_s"]) == [rig.names[0]]


def test_of_two_and_two_cameras_either_pair_may_be_wrong(scene: Scene) -> None:
    rig, detections = scene(4)
    (found,) = _findings(rig, _late(_late(detections, 2, 0.06), 3, 0.06))
    assert list(found.data["clock_s"]) == [rig.names[2], rig.names[3]]
    assert "it may be the others" in found.message


@pytest.mark.parametrize(
    ("step_ms", "usual", "is_tied"),
    [
        ([0, 0, 60], [0, 1], False),
        ([60, 0, 0], [1, 2], False),
        ([0, 60], [0], True),
        ([0, 0, 60, 60], [0, 1], True),
        ([0, 0, 18, 36], [0, 1, 2], False),
        ([0, 19, 38, 57], [0, 1], True),
        ([38, 0, 19, 57], [0, 3], True),
    ],
)
def test_those_are_right_that_most_agree_on(step_ms: list[float], usual: list[int], is_tied: bool) -> None:
    steps = ClockSteps(1e-3 * np.array(step_ms, float), 1e-8 * np.eye(len(step_ms)))
    found, found_tied = steps.usual()
    assert np.flatnonzero(found).tolist() == usual
    assert found_tied == is_tied


def test_who_is_not_sure_has_no_say() -> None:
    covariance_s2 = np.diag([5e-4, 5e-4, 15e-3]) ** 2
    steps = ClockSteps(np.array([0.0, 0.06, 0.045]), covariance_s2)
    found, is_tied = steps.usual()
    assert found.tolist() == [True, False, False]
    assert is_tied


def test_of_a_take_too_short_for_blocks_nothing_is_told(scene: Scene) -> None:
    rig, detections = scene(4)
    late = _late(detections, 1, 0.1).cut(np.full(4, 100), np.full(4, 180))
    assert not _steps(rig, late).is_told().any()
    assert _steps(rig, late.cut(np.zeros(4, int), np.zeros(4, int))).step_s.tolist() == [0.0] * 4


def _blind(detections: Keypoints2D, camera: int, frames: slice = slice(None)) -> Keypoints2D:
    score, xy_px = detections.score.copy(), detections.xy_px.copy()
    score[camera, frames], xy_px[camera, frames] = 0.0, np.nan
    return replace(detections, score=score, xy_px=xy_px)


def test_a_camera_that_saw_nobody_is_not_accused_and_has_no_say(scene: Scene) -> None:
    rig, detections = scene(3)
    detections = _blind(_late(detections, 1, 0.06), 2)
    steps = _steps(rig, detections)
    assert steps.is_told().tolist() == [True, True, False]
    (found,) = _findings(rig, detections)
    ((name, to_correct_s),) = found.data["clock_s"].items()
    assert name == rig.names[1]
    assert -to_correct_s == pytest.approx(0.06, abs=0.012)
    assert "it may be the others" in found.message


def test_what_one_moment_alone_tells_is_not_sure(scene: Scene) -> None:
    rig, detections = scene(4)
    late = _late(detections, 3, 0.05)
    seen_once = _blind(_blind(late, 3, slice(0, 120)), 3, slice(135, N_FRAMES))
    reference = np.array([True, True, True, False])
    assert _steps(rig, late).against(reference)[1][3] < 0.002
    off_s, sd_s = _steps(rig, seen_once).against(reference)
    assert sd_s[3] > 0.3 * abs(off_s[3])
    assert _findings(rig, seen_once) == []


def test_an_offset_is_clear_that_is_large_and_sure() -> None:
    off_s, sd_s = np.array([0.03, 0.03, 0.01, -0.35, -0.2, 0.3]), np.array([0.005, 0.009, 0.001, 0.1, 0.04, 0.019])
    assert is_clear(off_s, sd_s).tolist() == [True, False, False, False, True, True]


def test_where_cameras_are_exchanged_no_clock_is_accused(scene: Scene) -> None:
    rig, detections = scene(4)
    order = (2, 3, 0, 1)
    exchanged = CameraRig(tuple(replace(rig.cameras[c], name=n) for c, n in zip(order, rig.names, strict=True)))
    assert _findings(exchanged, detections) == []


def _steps(rig: CameraRig, detections: Keypoints2D) -> ClockSteps:
    timeline = common_timeline(detections.time_s, FPS)
    points = reconstruct_points(detections, rig, timeline)
    seen, sigma_px = observe(points.detections, rig, timeline), np.nan_to_num(points.sigma_px, nan=1.0)
    return clock_steps(clock_blocks(seen, sigma_px, points.points.xyz_m, float(FPS)), len(rig))


def test_offsets_scatter_as_their_sigma_says(scene: Scene) -> None:
    steps = _steps(*scene(4))
    off_s, sd_s = steps.against(steps.usual()[0])
    assert (np.abs(off_s) < 4 * sd_s + 1e-6).all()
    assert (sd_s < MIN_OFF_S / 6).all()


def test_where_a_camera_stands_does_not_shift_its_clock(scene: Scene) -> None:
    rig, detections = scene(3)
    short = detections.cut(np.zeros(3, int), np.full(3, 120))
    off_s, _ = _steps(_moved(rig, 2), short).against(np.array([True, False, False]))
    assert np.abs(off_s).max() < 0.008


def test_of_who_stands_still_no_clock_is_told() -> None:
    rig = ring_rig(4, np.random.default_rng(52))
    performer = Performer.random(np.random.default_rng(51), stride=0.0)
    seen = detect([performer], rig, FPS, 1, np.random.default_rng(53), faults=Faults(noise_px=0.0)).keypoints
    rng = np.random.default_rng(54)
    xy_px = np.repeat(seen.xy_px, N_FRAMES, axis=1) + rng.normal(0.0, 2.0, (4, N_FRAMES, 1, seen.xy_px.shape[3], 2))
    time_s = np.tile(np.arange(N_FRAMES) / float(FPS), (4, 1))
    still = replace(seen, xy_px=xy_px, score=np.repeat(seen.score, N_FRAMES, axis=1), time_s=time_s)
    assert _findings(rig, still) == []
