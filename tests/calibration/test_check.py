"""Has a camera moved: told from one person, with the right camera, size and frame, and no false alarm."""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from calibration.check import CheckResult, check_rig
from calibration.check_doubt import doubtful_moves, retracted
from calibration.check_findings import CameraCheck, check_findings
from calibration.check_take import Take
from calibration.check_trials import Freedom, Judge
from calibration.exchange import REDO_SHARE_OF_PICTURE, misfit_finding
from calibration.refine_bundle import Poses
from calibration.refine_figures import CameraReprojection
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig


@functools.cache
def take(rig: CameraRig, seed: int = 3, n_frames: int = 101) -> Keypoints2D:
    """Return what a rig sees of a walking person."""
    rng = np.random.default_rng(seed)
    return detect(
        [Performer.random(rng)], rig, Fraction(30), n_frames, rng, faults=Faults(3.0, 0.05, 0.1, 0.03)
    ).keypoints


@functools.cache
def make_rig(n_cameras: int = 4) -> CameraRig:
    """Return a rig."""
    return ring_rig(n_cameras, np.random.default_rng(1), size_px=(1920, 1080))


def nudged(rig: CameraRig, camera: int) -> CameraRig:
    """Return the rig with one camera turned by 0.5 degrees and moved by 20 mm."""
    cameras = list(rig.cameras)
    old = cameras[camera]
    R = quat_to_matrix(quat_exp(np.deg2rad(0.5) * np.array([0.6, 0.64, 0.48]))) @ old.R_cam_from_world
    cameras[camera] = old.with_extrinsics(R, -R @ (old.center_world_m + 0.02 * np.array([0.0, 0.6, 0.8])))
    return CameraRig(tuple(cameras))


@pytest.fixture(scope="module")
def nudge() -> tuple[CameraRig, CheckResult]:
    """A rig, and the check of one of which camera 3 was nudged."""
    rig = make_rig()
    return rig, check_rig(nudged(rig, 2), take(rig))


def test_a_nudged_camera_is_named_with_its_size(nudge: tuple[CameraRig, CheckResult]):
    _, result = nudge
    assert result.moved == ("cam3",)
    found = result.cameras["cam3"]
    assert found.turned_deg == pytest.approx(0.5, abs=0.12)
    assert found.moved_mm == pytest.approx(20.0, abs=10.0)
    assert found.confidence > 0.99
    assert found.since_frame == 0
    assert [d.code for d in result.diagnostics] == ["camera-moved"]
    assert "cam3" in result.diagnostics[0].message


def test_the_moved_camera_is_put_where_it_is_now(nudge: tuple[CameraRig, CheckResult]):
    rig, result = nudge
    assert np.linalg.norm(result.rig["cam3"].center_world_m - rig["cam3"].center_world_m) < 0.012


def test_untouched_cameras_raise_no_alarm():
    rig = make_rig()
    result = check_rig(rig, take(rig))
    assert result.moved == ()
    assert [d.code for d in result.diagnostics] == ["cameras-unmoved"]


def test_a_camera_knocked_during_the_take_is_named_with_the_frame():
    rig = make_rig()
    before, after = take(rig), take(nudged(rig, 1))
    late = np.arange(before.n_frames) >= 60
    xy = np.where(late[None, :, None, None, None], after.xy_px, before.xy_px)
    score = np.where(late[None, :, None, None], after.score, before.score)
    seen = Keypoints2D(before.keypoint_set, before.camera_names, xy, score, before.time_s)
    result = check_rig(rig, seen)
    assert result.moved == ("cam2",)
    assert result.cameras["cam2"].since_frame == pytest.approx(60, abs=3)
    assert result.cameras["cam2"].turned_deg == pytest.approx(0.5, abs=0.15)


def test_a_camera_whose_clock_is_off_has_not_moved():
    rig = make_rig()
    seen = take(rig)
    shift_s = np.array([0.0, 0.0, 0.05, 0.0])
    result = check_rig(rig, replace(seen, time_s=seen.time_s + shift_s[:, None]))
    assert result.moved == ()
    assert [d.code for d in result.diagnostics] == ["cameras-unmoved", "camera-clock-off"]
    assert result.cameras["cam3"].clock_s == pytest.approx(-0.05, abs=0.01)


@functools.cache
def fast_take(rig: CameraRig) -> Keypoints2D:
    """Return what a rig sees in 6 s at 60 Hz of a person who walks."""
    rng = np.random.default_rng(11)
    person = Performer.random(rng)
    return detect([person], rig, Fraction(60), 360, rng, faults=Faults(4.0, 0.05, 0.1, 0.03)).keypoints


@pytest.mark.parametrize("shift_ms", [17, 33, -67, 150, -300])
@pytest.mark.parametrize("n_cameras", [3, 5])
def test_a_clock_off_by_frames_is_told_and_no_camera_accused(n_cameras: int, shift_ms: int):
    rig = make_rig(n_cameras)
    seen = fast_take(rig)
    by_s = np.where(np.arange(n_cameras) == 1, shift_ms / 1000, 0.0)
    result = check_rig(rig, replace(seen, time_s=seen.time_s + by_s[:, None]))
    assert result.moved == ()
    assert [d.code for d in result.diagnostics] == ["cameras-unmoved", "camera-clock-off"]
    assert {n for n, c in result.cameras.items() if c.clock_s} == {"cam2"}
    assert result.cameras["cam2"].clock_s == pytest.approx(-shift_ms / 1000, abs=0.004)
    assert "mocap sync" in result.diagnostics[1].message
    assert result.after["cam2"].median_px < result.before["cam2"].median_px


def test_with_two_cameras_a_clock_is_told_but_not_whose():
    rig = make_rig(2)
    seen = fast_take(rig)
    result = check_rig(rig, replace(seen, time_s=seen.time_s + np.array([[0.0], [0.1]])))
    assert result.moved == ()
    [finding] = [d for d in result.diagnostics if d.code == "camera-clock-off"]
    assert "may be the others, the other way" in finding.message
    assert [abs(c.clock_s) for c in result.cameras.values() if c.clock_s] == [pytest.approx(0.1, abs=0.01)]


def test_a_moved_camera_and_another_ones_clock_are_told_apart():
    rig = make_rig(5)
    seen = fast_take(rig)
    by_s = np.where(np.arange(5) == 3, 0.1, 0.0)
    result = check_rig(nudged(rig, 1), replace(seen, time_s=seen.time_s + by_s[:, None]))
    assert result.moved == ("cam2",)
    assert result.cameras["cam2"].turned_deg == pytest.approx(0.5, abs=0.15)
    assert {n for n, c in result.cameras.items() if c.clock_s} == {"cam4"}
    assert result.cameras["cam4"].clock_s == pytest.approx(-0.1, abs=0.01)


def test_nothing_is_gained_where_nothing_changes():
    rig = make_rig()
    took = Take.of(rig, take(rig), 0.3)
    judge = Judge(took.obs, took.tracks, rig, took.origin, 10.0)
    assert abs(judge.trial(0, Freedom.none(4)).gain) < 1e-3


def test_cameras_started_apart_accuse_none_of_having_moved():
    rig, n = make_rig(3), 60
    full = take(rig)
    first = (0, 40, 21)
    xy, score = (np.stack([a[c, f : f + n] for c, f in enumerate(first)]) for a in (full.xy_px, full.score))
    result = check_rig(rig, replace(full, xy_px=xy, score=score, time_s=full.time_s[:, :n]))
    assert result.moved == ()
    assert [d.code for d in result.diagnostics if d.code != "camera-clock-off"] == ["cameras-do-not-fit"]
    assert "not started together" in result.diagnostics[0].message
    for camera in rig.cameras:
        np.testing.assert_array_equal(result.rig[camera.name].R_cam_from_world, camera.R_cam_from_world)


def test_a_movement_that_lowers_no_error_is_taken_back():
    seems = CameraCheck(True, 1.0, 30.0, 12.0, 0.99, 0)
    cameras = {"a": seems, "b": replace(seems, since_frame=40), "c": seems}
    figures = CameraReprojection(5.0, 12.0, (0.0, 0.0), 0.1, 100)
    before = {n: replace(figures, median_px=10.0) for n in cameras}
    after = {"a": replace(figures, median_px=10.5), "b": replace(figures, median_px=11.0), "c": figures}
    assert doubtful_moves(cameras, before, after) == ("a",)
    rig = make_rig(3)
    origin = Poses.of(rig)
    told, poses = retracted(cameras, ("a",), origin.moved(np.full((3, 7), 0.01)), origin)
    assert [c.has_moved for c in told.values()] == [False, True, True]
    np.testing.assert_array_equal(poses.R_cam_from_world[0], origin.R_cam_from_world[0])
    assert np.abs(poses.R_cam_from_world[1] - origin.R_cam_from_world[1]).max() > 1e-3
    [doubtful] = [d for d in check_findings({"a": told["a"]}, None, ("a",)) if d.code == "camera-move-doubtful"]
    assert "--times" in doubtful.message
    assert "cameras-unmoved" not in [d.code for d in check_findings({"a": told["a"]}, None, ("a",))]


def reordered(seen: Keypoints2D, order: list[int]) -> Keypoints2D:
    """Return detections of which camera c has those of camera order[c]."""
    return replace(seen, xy_px=seen.xy_px[order], score=seen.score[order])


def test_exchanged_folders_are_named_and_no_camera_has_moved():
    rig = make_rig()
    result = check_rig(rig, reordered(take(rig), [0, 3, 2, 1]))
    assert result.moved == ()
    assert [d.code for d in result.diagnostics] == ["cameras-do-not-fit"]
    assert result.diagnostics[0].data["given_as"] == {"cam2": "cam4", "cam4": "cam2"}
    assert "cam2 and cam4 exchanged" in result.diagnostics[0].message


def test_three_cameras_in_a_circle_are_each_named():
    rig = make_rig()
    result = check_rig(rig, reordered(take(rig), [1, 2, 0, 3]))
    assert result.diagnostics[0].data["given_as"] == {"cam2": "cam1", "cam3": "cam2", "cam1": "cam3"}


def test_the_choice_of_each_camera_alone_shows_an_exchange_that_the_rig_hid():
    rig = make_rig()
    seen = reordered(take(rig), [1, 0, 2, 3])
    hidden = replace(seen, score=np.where(np.arange(4)[:, None, None, None] < 2, 0.0, seen.score))
    result = check_rig(rig, hidden, alone=seen)
    assert result.diagnostics[0].data["given_as"] == {"cam1": "cam2", "cam2": "cam1"}


def test_a_rig_of_another_place_fits_no_exchange_and_is_said_so():
    rig, other = make_rig(), ring_rig(4, np.random.default_rng(5), radius_m=9.0, size_px=(1920, 1080))
    result = check_rig(other, take(rig))
    assert "cameras-do-not-fit" in [d.code for d in result.diagnostics]
    assert "no exchange of cameras" in result.diagnostics[0].message


def test_a_clock_is_told_in_frames_where_the_rate_was_assumed():
    rig = make_rig()
    seen = take(rig)
    shift_s = np.array([0.0, 0.0, 0.05, 0.0])
    result = check_rig(rig, replace(seen, time_s=seen.time_s + shift_s[:, None]), assumed_hz=30.0)
    assert "cam3 by -1." in result.diagnostics[-1].message
    assert "frames" in result.diagnostics[-1].message


def test_a_take_of_other_cameras_is_an_error():
    rig = make_rig()
    with pytest.raises(InputError) as caught:
        check_rig(CameraRig(rig.cameras[:3]), take(rig, n_frames=11))
    assert caught.value.code == "rig-camera-missing"


def test_too_short_a_take_is_an_error():
    rig = make_rig()
    with pytest.raises(InputError) as caught:
        check_rig(rig, take(rig, n_frames=3))
    assert caught.value.code == "check-too-few"


def test_two_people_are_an_error():
    rig = make_rig()
    rng = np.random.default_rng(0)
    two = detect([Performer.random(rng), Performer.random(rng)], rig, Fraction(30), 7, rng).keypoints
    with pytest.raises(InputError) as caught:
        check_rig(rig, two)
    assert caught.value.code == "check-needs-one-person"


def test_what_does_not_fit_is_a_share_of_the_shorter_side_beside_its_limit() -> None:
    said = misfit_finding(1.01 * REDO_SHARE_OF_PICTURE, ()).message
    assert "1.87 % of its picture's shorter side off, expected below 1.85 %" in said
