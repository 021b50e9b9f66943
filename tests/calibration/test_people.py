"""Cameras placed from one person alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from calibration.people import PeopleResult, calibrate_people
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D
from mocap.kernels.rotations import matrix_to_quat, quat_log
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig


def scene(n_cameras: int = 5, n_frames: int = 211) -> tuple[CameraRig, Keypoints2D, float]:
    """Return a rig, what it sees of a walking person, and the length of the person's left thigh."""
    rng = np.random.default_rng(6)
    rig = ring_rig(n_cameras, rng, size_px=(1920, 1080))
    performer = Performer.random(rng)
    seen = detect([performer], rig, Fraction(20), n_frames, rng, faults=Faults(2.0, 0.05, 0.1, 0.02)).keypoints
    points = performer.points(np.zeros(1))[0]
    names = seen.keypoint_set.names
    return rig, seen, float(np.linalg.norm(points[names.index("LHip")] - points[names.index("LKnee")]))


@pytest.fixture(scope="module")
def solved() -> tuple[CameraRig, PeopleResult]:
    """A rig and what people tell of it."""
    rig, seen, thigh_m = scene()
    return rig, calibrate_people({c.name: c.intrinsics for c in rig.cameras}, seen, bone=("LHip", "LKnee", thigh_m))


def test_cameras_stand_within_centimetres(solved: tuple[CameraRig, PeopleResult]):
    truth, result = solved
    a, b = (np.stack([r[n].center_world_m for n in truth.names]) for r in (result.rig, truth))
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    Q = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    gap = np.linalg.norm((a - a.mean(0)) @ Q.T + b.mean(0) - b, axis=-1)
    turn = np.stack([result.rig[n].R_cam_from_world @ Q.T @ truth[n].R_cam_from_world.T for n in truth.names])
    assert gap.max() < 0.03
    assert np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(turn)), axis=-1)).max() < 0.5


def test_up_is_where_the_heads_are(solved: tuple[CameraRig, PeopleResult]):
    truth, result = solved
    for camera in result.rig.cameras:
        assert camera.center_world_m[2] == pytest.approx(truth[camera.name].center_world_m[2], abs=0.25)


def test_the_result_says_how_well_it_fits(solved: tuple[CameraRig, PeopleResult]):
    _, result = solved
    assert max(c.median_px for c in result.reprojection.values()) < 4.0
    assert [d.code for d in result.diagnostics] == ["rig-from-people"]
    assert 0 < result.scale_sd_share < 0.05


def test_a_height_gives_the_scale_too():
    rig, seen, _ = scene()
    result = calibrate_people({c.name: c.intrinsics for c in rig.cameras}, seen, height_m=1.7)
    gap = np.linalg.norm(result.rig[0].center_world_m - result.rig[2].center_world_m)
    assert gap == pytest.approx(float(np.linalg.norm(rig[0].center_world_m - rig[2].center_world_m)), rel=0.12)


def test_read_out_times_given_stay_with_the_cameras():
    rig, seen, thigh_m = scene(3, 61)
    lenses = {c.name: c.intrinsics for c in rig.cameras}
    bone = ("LHip", "LKnee", thigh_m)
    result = calibrate_people(lenses, seen, bone=bone, readouts_s={rig.names[1]: 0.0089})
    assert [c.readout_s for c in result.rig.cameras] == [None, 0.0089, None]


def error_code(seen: Keypoints2D, rig: CameraRig, **options: object) -> str:
    """Return the code of the error that placing cameras raises."""
    with pytest.raises(InputError) as caught:
        calibrate_people({c.name: c.intrinsics for c in rig.cameras}, seen, **options)  # pyright: ignore[reportArgumentType]
    return caught.value.code


def test_what_cannot_work_is_an_error():
    rig, seen, thigh_m = scene(3, 31)
    bone = ("LHip", "LKnee", thigh_m)
    assert error_code(seen, rig) == "people-scale-missing"
    assert error_code(seen, rig, height_m=1.7, bone=bone) == "people-scale-missing"
    assert error_code(seen, rig, bone=("LHip", "Tail", 0.4)) == "people-bone-unknown"
    assert error_code(seen, CameraRig(rig.cameras[:2]), bone=bone) == "people-lens-missing"
    assert error_code(scene(3, 2)[1], rig, bone=bone) == "people-too-few"


def test_two_people_are_an_error():
    rng = np.random.default_rng(0)
    rig = ring_rig(3, rng)
    two = detect([Performer.random(rng), Performer.random(rng)], rig, Fraction(30), 7, rng).keypoints
    assert error_code(two, rig, height_m=1.7) == "people-needs-one-person"


def test_a_camera_that_never_sees_the_person_with_others_is_named():
    rig, seen, thigh_m = scene(3, 101)
    xy, score = seen.xy_px.copy(), seen.score.copy()
    xy[2], score[2] = np.nan, 0.0
    blind = Keypoints2D(seen.keypoint_set, seen.camera_names, xy, score, seen.time_s)
    assert error_code(blind, rig, bone=("LHip", "LKnee", thigh_m)) == "people-disconnected"
