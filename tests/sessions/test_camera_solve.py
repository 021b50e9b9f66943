"""Cameras and clocks solved together with the skeleton: found again, left alone, refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.progress import NoProgress
from mocap.core.timeline import Timeline, TimeMap
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from sessions import camera_solve
from sessions.camera_solve import SolvedCameras, solve_cameras
from sessions.config import parse_settings, parse_unknowns

FPS = Fraction(60)
N_FRAMES = 149


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(91))


@pytest.fixture(scope="module")
def seen(rig: CameraRig) -> Keypoints2D:
    performer = Performer.random(np.random.default_rng(92))
    faults = Faults(noise_px=1.5, outlier_share=0.03, dropout_share=0.05)
    return detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(93), faults=faults).keypoints


def _turned(rig: CameraRig, camera: int, turn_deg: float) -> CameraRig:
    R = quat_to_matrix(quat_exp(np.radians(turn_deg) * np.array([0.6, 0.8, 0.0])))
    cameras = list(rig.cameras)
    c = cameras[camera]
    cameras[camera] = c.with_extrinsics(R @ c.R_cam_from_world, R @ c.t_cam_from_world_m)
    return CameraRig(tuple(cameras))


def _solve(rig: CameraRig, seen: Keypoints2D, *unknowns: str) -> SolvedCameras:
    return solve_cameras(rig, seen, common_timeline(seen.time_s, FPS), unknowns, None, NoProgress())


def _error_deg(a: CameraRig, b: CameraRig) -> np.ndarray:
    turn = [x.R_cam_from_world @ y.R_cam_from_world.T for x, y in zip(a.cameras, b.cameras, strict=True)]
    return np.degrees(np.linalg.norm(quat_log(matrix_to_quat(np.stack(turn))), axis=1))


def test_a_turned_camera_and_a_late_clock_are_found_again(rig: CameraRig, seen: Keypoints2D) -> None:
    wrong, late = 3, 1
    stale = _turned(rig, wrong, 0.25)
    time_s = seen.time_s.copy()
    time_s[late] += 0.008
    found = _solve(stale, replace(seen, time_s=time_s), "cameras", "clocks")
    assert found.is_rig_moved
    assert _error_deg(found.rig, rig)[wrong] < 0.08
    assert _error_deg(found.rig, stale)[[0, 1, 2, 4]].max() < 0.08
    clock = found.clocks[rig.names[late]]
    assert float(clock.master_time_s(np.array(1.2))) - 1.2 == pytest.approx(-0.008, abs=0.001)
    assert 0 < clock.sigma_s < 0.002
    assert found.clocks[rig.names[0]] == TimeMap(0.0, 0.0, 0.0)
    timed = found.timed(replace(seen, time_s=time_s))
    assert timed.time_s[late] == pytest.approx(seen.time_s[late], abs=0.001)
    (diagnostic,) = found.diagnostics
    assert diagnostic.code == "cameras-solved"
    assert rig.names[wrong] in diagnostic.message
    assert diagnostic.data["moved"][rig.names[late]]["clock_s"] == pytest.approx(-0.008, abs=0.001)


def test_only_what_was_asked_for_moves(rig: CameraRig, seen: Keypoints2D) -> None:
    time_s = seen.time_s.copy()
    time_s[2] += 0.008
    late = replace(seen, time_s=time_s)
    found = _solve(rig, late, "clocks")
    assert found.clocks
    assert _error_deg(found.rig, rig).max() < 1e-4
    assert not _solve(_turned(rig, 3, 0.25), seen, "cameras").clocks


def _late(seen: Keypoints2D, camera: int, late_s: float) -> Keypoints2D:
    time_s = seen.time_s.copy()
    time_s[camera] += late_s
    return replace(seen, time_s=time_s)


@pytest.mark.parametrize(("camera", "late_s"), [(1, 0.1), (0, -0.05)])
def test_a_clock_that_is_far_off_is_found_too(rig: CameraRig, seen: Keypoints2D, camera: int, late_s: float) -> None:
    late = _late(seen, camera, late_s)
    found = _solve(rig, late, "clocks")
    apart_s = (found.timed(late).time_s - seen.time_s).mean(1)
    assert apart_s - apart_s[0] == pytest.approx(0, abs=0.003)
    assert found.clocks[rig.names[0]] == TimeMap(0.0, 0.0, 0.0)
    (diagnostic,) = found.diagnostics
    assert diagnostic.code == "cameras-solved"
    correction_s = -late_s if camera else late_s
    assert diagnostic.data["moved"][rig.names[camera or 2]]["clock_s"] == pytest.approx(correction_s, abs=0.003)


def test_a_clock_far_off_that_nothing_finer_is_found_of_is_put_right_all_the_same(
    rig: CameraRig, seen: Keypoints2D, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_solve, "MIN_SD", 1e9)
    late = _late(seen, 2, 0.1)
    found = _solve(rig, late, "clocks")
    assert found.timed(late).time_s[2] == pytest.approx(seen.time_s[2], abs=0.004)
    (placed,) = found.diagnostics
    assert "found nothing more to correct" in placed.message
    assert list(placed.data["moved"]) == [rig.names[2]]


def test_a_clock_that_is_implausible_after_it_was_placed_is_left_as_it_was_given(
    rig: CameraRig, seen: Keypoints2D, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_solve, "MIN_SD", -1e9)
    monkeypatch.setattr(camera_solve, "IMPLAUSIBLE_SD", 0.0)
    found = _solve(rig, _late(seen, 2, 0.1), "clocks")
    assert found.clocks == {}
    (unmoved,) = found.diagnostics
    assert unmoved.code == "cameras-not-solved"
    assert "mocap sync" in unmoved.message


def test_where_a_kept_camera_stands_does_not_shift_its_clock(rig: CameraRig, seen: Keypoints2D) -> None:
    stale, late = _turned(rig, 3, 0.5), _late(seen, 3, 0.012)
    found = _solve(stale, late, "clocks")
    assert not found.is_rig_moved
    apart_s = (found.timed(late).time_s - seen.time_s).mean(1)
    assert apart_s == pytest.approx(0, abs=0.002)


def test_cameras_that_are_right_stay_to_the_last_bit(rig: CameraRig, seen: Keypoints2D) -> None:
    found = _solve(rig, seen, "cameras", "clocks")
    assert not found.is_rig_moved
    assert found.rig is rig
    assert found.timed(seen) is seen
    assert [d.code for d in found.diagnostics] == ["cameras-not-solved"]


def test_a_camera_that_was_knocked_over_is_no_calibration_error(rig: CameraRig, seen: Keypoints2D) -> None:
    found = _solve(_turned(rig, 3, 4.0), seen, "cameras")
    assert not found.is_rig_moved
    (diagnostic,) = found.diagnostics
    assert diagnostic.code == "cameras-not-solved"
    assert rig.names[3] in diagnostic.message
    assert "calibrate refine" in diagnostic.message


def test_stretches_with_nobody_there_say_nothing(
    rig: CameraRig, seen: Keypoints2D, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_solve, "STRETCH_S", 0.8)
    monkeypatch.setattr(camera_solve, "MAX_STRETCHES", 2)
    away = seen.time_s > 1.4
    xy, score = seen.xy_px.copy(), seen.score.copy()
    xy[away], score[away] = np.nan, 0.0
    gone = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, score, seen.time_s)
    assert camera_solve._stretches(Timeline(FPS, N_FRAMES)) == [
        (0.0, 0.8),
        (pytest.approx(1.683, abs=1e-3), pytest.approx(2.483, abs=1e-3)),
    ]
    found = _solve(_turned(rig, 3, 0.25), gone, "cameras")
    assert found.is_rig_moved
    nobody = Keypoints2D(seen.keypoint_set, seen.camera_names, np.full_like(xy, np.nan), 0 * score, seen.time_s)
    with pytest.raises(InputError) as raised:
        _solve(rig, nobody, "cameras")
    assert raised.value.code == "performer-not-seen"


def test_what_was_trimmed_away_says_nothing(rig: CameraRig, seen: Keypoints2D) -> None:
    cut = seen.time_s[0] > 1.6
    xy = seen.xy_px.copy()
    xy[3, cut] += 25.0
    knocked = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, seen.score, seen.time_s)
    found = solve_cameras(rig, knocked, Timeline(FPS, 97), ("cameras",), None, NoProgress())
    assert not found.is_rig_moved


def test_drift_is_found_about_the_middle_of_the_take(
    rig: CameraRig, seen: Keypoints2D, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_solve, "PRIOR_DRIFT", 0.01)
    later = 7.0  # master time does not begin at zero
    time_s = seen.time_s + later
    time_s[1] = time_s[1] + 0.003 + 0.006 * (seen.time_s[1] - 1.24)
    found = _solve(rig, replace(seen, time_s=time_s), "clocks")
    clock = found.clocks[rig.names[1]]
    assert clock.drift_ppm == pytest.approx(-6000, rel=0.25)
    left_s = clock.master_time_s(time_s[1]) - (seen.time_s[1] + later)
    assert np.abs(left_s).max() < 0.0025


def test_the_prior_holds_all_steps_together(rig: CameraRig, seen: Keypoints2D, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prior that forgot the steps before would let every round go as far again."""
    monkeypatch.setattr(camera_solve, "PRIOR_TURN_RAD", np.radians(0.003))
    monkeypatch.setattr(camera_solve, "PRIOR_SHIFT_M", 1e-4)
    monkeypatch.setattr(camera_solve, "IMPLAUSIBLE_SD", np.inf)
    monkeypatch.setattr(camera_solve, "DONE", 0.0)
    monkeypatch.setattr(camera_solve, "MIN_SD", -1e9)
    stale = _turned(rig, 3, 0.25)
    turned_deg = []
    for rounds in (1, 4):
        monkeypatch.setattr(camera_solve, "MAX_ROUNDS", rounds)
        turned_deg.append(_error_deg(_solve(stale, seen, "cameras").rig, stale)[3])
    assert turned_deg[0] > 1e-3
    assert turned_deg[1] < 1.7 * turned_deg[0]


def test_clocks_are_written_after_those_that_were_given() -> None:
    given = {"a": TimeMap(0.0, 0.0), "b": TimeMap(0.5, 40.0)}
    solved = SolvedCameras(
        ring_rig(2, np.random.default_rng(1)), False, {"a": TimeMap(0, 0, 0), "b": TimeMap(0.01, -30.0, 0.002)}
    )
    written = camera_solve.times_of(solved, given)
    assert written["reference"] == "a"
    b = written["cameras"]["b"]
    t = 12.0
    expected = solved.clocks["b"].master_time_s(given["b"].master_time_s(np.array(t)))
    assert b["offset_s"] + (1 + 1e-6 * b["drift_ppm"]) * t == pytest.approx(float(expected), abs=1e-12)
    assert b["sigma_s"] == 0.002


def test_clocks_compose_about_the_middle_of_the_take() -> None:
    given = TimeMap(0.5, 30.0)
    after = camera_solve._after(given, 0.002, -2e-5, 10.0)
    for t in (0.0, 7.0, 20.0):
        master = float(given.master_time_s(np.array(t)))
        assert float(after.master_time_s(np.array(t))) == pytest.approx(master + 0.002 - 2e-5 * (master - 10.0))


def test_the_names_of_unknowns_are_checked() -> None:
    assert parse_unknowns("clocks, cameras") == "cameras,clocks"
    assert parse_unknowns("") == ""
    with pytest.raises(ValueError, match="cameras or clocks or both, got lenses"):
        parse_unknowns("lenses")
    assert parse_settings(["solve_for=clocks"]) == {"solve_for": "clocks"}
    with pytest.raises(InputError) as raised:
        parse_settings(["solve_for=lenses"])
    assert raised.value.code == "setting-invalid"
