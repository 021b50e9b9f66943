"""Synthetic truth is only useful when it is true: geometry, floor, faults, clocks, files."""

from __future__ import annotations

import json
import tomllib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mocap.core.camera import CameraRig, LensModel
from mocap.core.timeline import Timeline, TimeMap
from mocap.synth.detections import Faults, detect, project_points
from mocap.synth.files import write_take
from mocap.synth.performer import HALPE26, JOINTS, Performer, studio_skeleton
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_CAMERAS, N_FRAMES = 5, 127


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(N_CAMERAS, np.random.default_rng(1))


@pytest.fixture(scope="module")
def performer() -> Performer:
    return Performer.random(np.random.default_rng(2))


def test_every_camera_looks_at_the_performer_upright(rig: CameraRig) -> None:
    for camera in rig.cameras:
        low, high = project_points(camera, np.array([[0.0, 0.0, 0.3], [0.0, 0.0, 1.6]]))
        width_px, height_px = camera.intrinsics.size_px
        assert 0 < high[1] < low[1] < height_px
        assert abs(high[0] - width_px / 2) < 0.2 * width_px


@pytest.mark.parametrize("model", list(LensModel))
def test_a_rig_comes_in_both_lens_models(model: LensModel) -> None:
    rig = ring_rig(3, np.random.default_rng(3), model=model)
    assert {c.intrinsics.model for c in rig.cameras} == {model}


def test_the_same_seed_gives_the_same_rig_and_performer() -> None:
    a, b = (ring_rig(3, np.random.default_rng(7)) for _ in range(2))
    assert all((x.R_cam_from_world == y.R_cam_from_world).all() for x, y in zip(a.cameras, b.cameras, strict=True))
    time_s = np.arange(7) / 60
    p, q = (Performer.random(np.random.default_rng(7)).points(time_s) for _ in range(2))
    np.testing.assert_array_equal(p, q)


def test_the_studio_rig_is_a_t_pose_of_the_asked_height() -> None:
    skeleton = studio_skeleton(1.60)
    bind = np.zeros((len(skeleton), 3))
    for j, parent in enumerate(skeleton.parents):
        bind[j] = skeleton.offset_m[j] + (bind[parent] if parent >= 0 else 0)
    top = bind[skeleton.index("Head")] + skeleton.tip_m[skeleton.index("Head")]
    assert top[2] == pytest.approx(1.60)
    assert bind[skeleton.index("LeftHand"), 1] > 0.5 > -0.5 > bind[skeleton.index("RightHand"), 1]
    assert bind[skeleton.index("LeftToeBase"), 0] > bind[skeleton.index("LeftFoot"), 0]
    assert skeleton.joint_names == tuple(name for name, _, _ in JOINTS)
    assert len(skeleton) == 22


def test_the_performer_walks_on_the_floor(performer: Performer) -> None:
    lowest_m = performer.points(np.arange(N_FRAMES) / 60)[..., 2].min(-1)
    assert lowest_m.min() > -0.001
    assert lowest_m.max() < 0.01


def test_the_motion_is_smooth_and_of_human_speed(performer: Performer) -> None:
    points = performer.points(np.arange(0, 3, 1 / 240))
    velocity = np.diff(points, axis=0) * 240
    acceleration = np.diff(velocity, axis=0) * 240
    assert 1.0 < np.linalg.norm(velocity, axis=-1).max() < 6.0
    assert np.linalg.norm(acceleration, axis=-1).max() < 80.0


def test_left_is_on_the_left_and_the_performer_is_asymmetric(performer: Performer) -> None:
    points = performer.points(np.arange(N_FRAMES) / 60)
    at = {name: points[:, k] for k, name in enumerate(HALPE26.names)}
    left = at["LHip"] - at["RHip"]
    forward = at["LBigToe"] - at["LHeel"]
    assert (np.cross(left, [0.0, 0.0, 1.0])[:, :2] * forward[:, :2]).sum(-1).mean() > 0
    assert at["LWrist"][:, 2].mean() > at["RWrist"][:, 2].mean() + 0.3


def test_the_motion_and_the_points_are_of_one_body(performer: Performer) -> None:
    timeline = Timeline(FPS, 7)
    motion = performer.motion(timeline)
    points = performer.points(timeline.time_s)
    hips = points[:, [HALPE26.names.index("LHip"), HALPE26.names.index("RHip")]].mean(1)
    assert np.linalg.norm(hips - motion.root_translation_m, axis=-1).max() < 0.021
    for a, b in HALPE26.bones:
        assert np.ptp(np.linalg.norm(points[:, a] - points[:, b], axis=-1)) < 1e-9


def test_a_standing_performer_keeps_planted_feet_while_moving_the_arms() -> None:
    performer = Performer.random(np.random.default_rng(4), stride=0.0, center_m=(0.5, -0.3))
    points = performer.points(np.arange(N_FRAMES) / 60)
    feet = [k for k, name in enumerate(HALPE26.names) if "Heel" in name]
    wrist = HALPE26.names.index("LWrist")
    assert np.ptp(points[:, wrist], axis=0).max() > 0.2
    assert np.ptp(points[:, feet], axis=0).max() < 1e-9
    assert np.linalg.norm(points[:, feet, :2].mean((0, 1)) - [0.5, -0.3]) < 0.3


def test_detections_without_faults_are_exact_projections(rig: CameraRig, performer: Performer) -> None:
    take = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(5), faults=Faults(noise_px=0.0))
    seen = np.isfinite(take.keypoints.xy_px).all(-1)
    assert seen.mean() > 0.95
    np.testing.assert_allclose(take.keypoints.xy_px[seen], take.true_xy_px[seen], atol=1e-3)
    camera = rig[2]
    expected, _ = cv2.projectPoints(
        performer.points(np.array([0.0]))[0],
        cv2.Rodrigues(camera.R_cam_from_world)[0],
        camera.t_cam_from_world_m,
        camera.intrinsics.matrix,
        camera.intrinsics.distortion,
    )
    np.testing.assert_allclose(take.true_xy_px[2, 0, 0], expected[:, 0], atol=1e-6)


def test_faults_come_at_the_asked_rates_and_are_recorded(rig: CameraRig, performer: Performer) -> None:
    faults = Faults(noise_px=1.5, outlier_share=0.03, dropout_share=0.07, swap_share=0.1)
    take = detect([performer], rig, FPS, 499, np.random.default_rng(6), faults=faults)
    assert take.is_outlier.mean() == pytest.approx(0.03, abs=0.006)
    assert take.is_dropped.mean() == pytest.approx(0.07, abs=0.01)
    assert take.is_swapped.mean() == pytest.approx(0.1, abs=0.03)
    error_px = np.linalg.norm(take.keypoints.xy_px - take.true_xy_px, axis=-1)
    clean = ~take.is_outlier & ~take.is_swapped[..., None] & (take.keypoints.score > 0)
    assert np.sqrt((error_px[clean] ** 2).mean() / 2) == pytest.approx(1.5, rel=0.05)
    assert error_px[take.is_outlier & ~take.is_swapped[..., None]].min() > 30
    swapped_back = take.keypoints.xy_px[..., list(HALPE26.mirror), :]
    error_px = np.linalg.norm(swapped_back - take.true_xy_px, axis=-1)
    swapped_clean = take.is_swapped[..., None] & ~take.is_outlier[..., list(HALPE26.mirror)] & np.isfinite(error_px)
    assert error_px[swapped_clean].max() < 10


def test_each_camera_sees_the_performer_at_its_own_instants(rig: CameraRig, performer: Performer) -> None:
    late = TimeMap(offset_s=0.013, drift_ppm=40.0)
    take = detect(
        [performer], rig, FPS, 7, np.random.default_rng(8), faults=Faults(noise_px=0.0), time_maps={"cam2": late}
    )
    np.testing.assert_allclose(take.keypoints.time_s[1], 0.013 + (1 + 40e-6) * np.arange(7) / 60, atol=1e-12)
    expected = project_points(rig["cam2"], performer.points(take.keypoints.time_s[1]))
    np.testing.assert_allclose(take.true_xy_px[1, :, 0], expected, atol=1e-9)


def test_two_performers_fill_two_slots(rig: CameraRig, performer: Performer) -> None:
    bystander = Performer.random(np.random.default_rng(9), stride=0.0, center_m=(1.2, 0.4))
    take = detect([performer, bystander], rig, FPS, 7, np.random.default_rng(10))
    assert take.keypoints.n_persons == 2
    assert np.nanmedian(np.linalg.norm(take.true_xy_px[..., 0, :, :] - take.true_xy_px[..., 1, :, :], axis=-1)) > 50


def test_a_written_take_holds_what_was_seen(rig: CameraRig, performer: Performer, tmp_path: Path) -> None:
    take = detect([performer], rig, FPS, 7, np.random.default_rng(11), faults=Faults(dropout_share=0.2))
    folder = write_take(tmp_path / "take", rig, take.keypoints)
    cameras = tomllib.loads((folder / "rig.toml").read_text("utf-8"))
    assert [cameras[f"cam_{c}"]["name"] for c in range(N_CAMERAS)] == list(rig.names)
    R = cv2.Rodrigues(np.array(cameras["cam_3"]["rotation"]))[0]
    np.testing.assert_allclose(R, rig[3].R_cam_from_world, atol=1e-12)
    files = sorted((folder / "keypoints" / "cam4_json").iterdir())
    assert len(files) == 7
    values = np.reshape(json.loads(files[6].read_text("utf-8"))["people"][0]["pose_keypoints_2d"], (-1, 3))
    expected = take.keypoints.xy_px[3, 6, 0]
    np.testing.assert_allclose(values[:, :2], np.nan_to_num(expected), atol=1e-3)
    np.testing.assert_array_equal(values[:, 2] == 0, np.isnan(expected[:, 0]))


def test_writing_over_a_take_is_refused(rig: CameraRig, performer: Performer, tmp_path: Path) -> None:
    take = detect([performer], rig, FPS, 3, np.random.default_rng(12))
    write_take(tmp_path / "take", rig, take.keypoints)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(FileExistsError):
        write_take(tmp_path / "take", rig, take.keypoints)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
