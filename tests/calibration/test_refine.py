"""Re-solving extrinsics from a person: synthetic truth, 3 px noise, 10 % gross errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from calibration.refine import RefineResult, refine_extrinsics
from mocap.core.camera import Camera, CameraRig, Intrinsics, LensModel
from mocap.core.diagnostics import Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, KeypointSet
from mocap.kernels.projection import project
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix

N_KEYPOINTS = 11
SET = KeypointSet("eleven", tuple("abcdefghijk"), ("",) * 11, (), tuple(range(11)))


@dataclass
class Scene:
    """A person who walked through a rig."""

    rig: CameraRig
    points: np.ndarray  # [frame keypoint 3]
    detections: Keypoints2D


def camera_at(name: str, angle: float, radius: float, height: float, model: LensModel = LensModel.BROWN) -> Camera:
    """Return a camera on a ring that looks at the middle."""
    center = np.array([radius * np.cos(angle), radius * np.sin(angle), height])
    z = np.array([0.1, -0.2, 1.0]) - center
    z /= np.linalg.norm(z)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    distortion = np.array([-0.05, 0.02, 0.001, -0.0005, 0.003]) if model is LensModel.BROWN else np.full(4, 0.01)
    lens = Intrinsics((1920, 1080), np.array([1010.0, 1004.0]), np.array([953.0, 547.0]), distortion, model)
    return Camera(name, lens, R, -R @ center)


def make_rig(n: int = 5, model: LensModel = LensModel.BROWN) -> CameraRig:
    """Return n cameras around the middle, at different heights."""
    return CameraRig(
        tuple(camera_at(f"c{i}", 2 * np.pi * i / n + 0.3, 4.5 + 0.3 * (i % 2), 1.2 + 0.5 * i, model) for i in range(n))
    )


def make_scene(
    rig: CameraRig, n_frames: int = 101, noise_px: float = 3.0, outliers: float = 0.1, offsets: np.ndarray | None = None
) -> Scene:
    """Return a person walking among the cameras, with noise and gross errors."""
    rng = np.random.default_rng(7)
    body = rng.uniform([-0.4, -0.3, 0.0], [0.5, 0.3, 1.8], (N_KEYPOINTS, 3))
    swing = rng.normal(0, 0.15, (N_KEYPOINTS, 3))

    def at(time_s: np.ndarray) -> np.ndarray:
        """Return the points at some instants."""
        s = time_s[:, None, None]
        path = np.concatenate([np.sin(1.7 * s), 0.8 * np.cos(1.1 * s + 0.5), 0.1 * np.sin(9 * s)], -1)
        return body + path + swing * np.sin(7 * s + np.arange(N_KEYPOINTS)[:, None])

    time_s = np.arange(n_frames) / 30.0
    offsets = np.zeros(len(rig)) if offsets is None else offsets
    xy = np.empty((len(rig), n_frames, 1, N_KEYPOINTS, 2))
    for c, camera in enumerate(rig.cameras):
        k = camera.intrinsics
        points_cam = at(time_s + offsets[c]) @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        xy[c, :, 0] = project(points_cam, k.focal_px, k.center_px, k.distortion)
    xy += rng.normal(0, noise_px, xy.shape)
    gross = rng.random(xy.shape[:-1]) < outliers
    xy[gross] += rng.normal(0, 120, (int(gross.sum()), 2))
    score = np.ones(xy.shape[:-1])
    detections = Keypoints2D(SET, rig.names, xy, score, np.tile(time_s, (len(rig), 1)))
    return Scene(rig, at(time_s), detections)


def disturb(rig: CameraRig, deg: float, mm: float, seed: int = 3) -> CameraRig:
    """Return the rig with every camera turned and shifted by these amounts."""
    rng = np.random.default_rng(seed)
    out = []
    for camera in rig.cameras:
        axis, shift = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        R = quat_to_matrix(quat_exp(np.deg2rad(deg) * axis)) @ camera.R_cam_from_world
        out.append(camera.with_extrinsics(R, -R @ (camera.center_world_m + shift * mm / 1000)))
    return CameraRig(tuple(out))


def errors_up_to_gauge(rig: CameraRig, truth: CameraRig) -> tuple[float, float, float]:
    """Largest rotation (deg) and centre (mm) error after the best similarity over centres, and its rotation (deg)."""
    a = np.stack([c.center_world_m for c in rig.cameras])
    b = np.stack([c.center_world_m for c in truth.cameras])
    am, bm = a - a.mean(0), b - b.mean(0)
    u, _, vt = np.linalg.svd(am.T @ bm)
    Q = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
    scale = np.sqrt((bm**2).sum() / (am**2).sum())
    center = np.linalg.norm(scale * am @ Q.T - bm, axis=-1).max()
    turn = [
        np.linalg.norm(quat_log(matrix_to_quat(x.R_cam_from_world @ Q.T @ y.R_cam_from_world.T)))
        for x, y in zip(rig.cameras, truth.cameras, strict=True)
    ]
    gauge = np.linalg.norm(quat_log(matrix_to_quat(Q)))
    return float(np.rad2deg(max(turn))), float(1000 * center), float(np.rad2deg(gauge))


def codes(result: RefineResult) -> set[str]:
    """Return the codes of a result."""
    return {d.code for d in result.diagnostics}


@pytest.mark.parametrize("model", list(LensModel))
def test_a_disturbed_rig_is_recovered_up_to_the_gauge(model: LensModel) -> None:
    scene = make_scene(make_rig(5, model))
    stale = disturb(scene.rig, 0.5, 25.0)
    result = refine_extrinsics(stale, scene.detections)
    deg, mm, gauge = errors_up_to_gauge(result.rig, scene.rig)
    assert result.is_refined
    # The noise's own limit: a fit that starts from the truth ends 0.12 deg and 9 mm from it.
    assert deg < 0.15
    assert mm < 12.0
    assert gauge < 0.5
    assert {"rig-stale", "rig-refined"} <= codes(result)
    assert result.summary["after_median_px"] < 1.15 * 3.0 * 1.1774  # the noise's own median, outliers included


def test_the_world_and_its_scale_stay_where_the_cameras_were() -> None:
    scene = make_scene(make_rig(5))
    stale = disturb(scene.rig, 0.5, 25.0)
    refined = refine_extrinsics(stale, scene.detections).rig
    before = np.stack([c.center_world_m for c in stale.cameras])
    after = np.stack([c.center_world_m for c in refined.cameras])
    gap_before, gap_after = (np.linalg.norm(x[:, None] - x[None], axis=-1).mean() for x in (before, after))
    assert np.abs(after.mean(0) - before.mean(0)).max() < 0.010
    assert abs(gap_after / gap_before - 1) < 0.002


def test_one_knocked_camera_does_not_tilt_the_world() -> None:
    scene = make_scene(make_rig(5))
    knocked = CameraRig((*scene.rig.cameras[:4], disturb(scene.rig, 2.5, 60.0).cameras[4]))
    result = refine_extrinsics(knocked, scene.detections)
    assert result.is_refined
    assert result.moved["c4"].turned_deg == pytest.approx(2.5, abs=0.25)
    assert max(result.moved[f"c{i}"].turned_deg for i in range(4)) < 0.25
    stale = next(d for d in result.diagnostics if d.code == "rig-stale")
    assert "c4" in stale.message


def test_an_exact_rig_is_returned_unchanged() -> None:
    scene = make_scene(make_rig(5))
    result = refine_extrinsics(scene.rig, scene.detections)
    assert result.rig is scene.rig
    assert not result.is_refined
    assert codes(result) == {"rig-not-refined"}


def test_too_few_observations_leave_the_rig_as_it_is() -> None:
    scene = make_scene(make_rig(5), n_frames=7)
    stale = disturb(scene.rig, 0.5, 25.0)
    result = refine_extrinsics(stale, scene.detections)
    assert result.rig is stale
    assert result.diagnostics[-1].data["reason"] == "too-few"


def test_nothing_detected_leaves_the_rig_as_it_is() -> None:
    scene = make_scene(make_rig(3), n_frames=7)
    none = scene.detections.person(np.full((3, 7), -1))
    result = refine_extrinsics(scene.rig, none)
    assert result.rig is scene.rig


def test_two_cameras_agree_after_refinement() -> None:
    scene = make_scene(CameraRig(make_rig(5).cameras[:2]))
    result = refine_extrinsics(disturb(scene.rig, 0.7, 25.0), scene.detections)
    assert result.is_refined
    assert result.summary["after_median_px"] < result.summary["before_median_px"]


def test_a_camera_that_saw_nothing_stays() -> None:
    scene = make_scene(make_rig(5))
    index = np.zeros((5, scene.detections.n_frames), int)
    index[2] = -1
    stale = disturb(scene.rig, 0.5, 25.0)
    result = refine_extrinsics(stale, scene.detections.person(index))
    assert result.is_refined
    assert result.before["c2"].n == 0
    assert result.moved["c2"].turned_deg < 0.5


def test_clock_offsets_are_found_when_they_are_free() -> None:
    offsets = np.array([0.0, 0.012, -0.009, 0.004, 0.0])
    scene = make_scene(make_rig(5), offsets=offsets)
    result = refine_extrinsics(disturb(scene.rig, 0.3, 15.0), scene.detections, free_time_offsets=True)
    found = np.array([result.moved[name].time_s for name in scene.rig.names])
    np.testing.assert_allclose(found - found.mean(), offsets - offsets.mean(), atol=0.003)


def test_clocks_that_are_off_by_frames_are_found_with_their_uncertainty() -> None:
    offsets = np.array([0.0, 0.06, -0.05, 0.03, 0.01])
    scene = make_scene(make_rig(5), offsets=offsets)
    result = refine_extrinsics(disturb(scene.rig, 0.3, 15.0), scene.detections, free_time_offsets=True)
    found = np.array([result.moved[name].time_s for name in scene.rig.names])
    assert found[0] == 0.0
    np.testing.assert_allclose(found, offsets, atol=0.004)
    assert 0 < max(c.clock_sd_s for c in result.certainty.values()) < 0.004
    deg, mm, _ = errors_up_to_gauge(result.rig, scene.rig)
    assert deg < 0.2
    assert mm < 16.0


@pytest.mark.parametrize("shift_s", [0.3, -0.1])
def test_a_clock_that_is_off_is_named_and_spoils_no_camera(shift_s: float) -> None:
    offsets = np.array([0.0, 0.0, shift_s, 0.0, 0.0])
    scene = make_scene(make_rig(5), n_frames=201, offsets=offsets)
    result = refine_extrinsics(scene.rig, scene.detections)
    [finding] = [d for d in result.diagnostics if d.code == "camera-clock-off"]
    assert finding.severity is Severity.QUALITY
    assert finding.data["clock_s"] == {"c2": pytest.approx(shift_s, abs=0.005)}
    assert f"c2 by {1000 * finding.data['clock_s']['c2']:+.0f} ms" in finding.message
    assert not result.is_refined


def test_a_stale_rig_is_refined_without_the_error_of_a_clock() -> None:
    scene = make_scene(make_rig(5), n_frames=201, offsets=np.array([0.0, 0.0, 0.3, 0.0, 0.0]))
    result = refine_extrinsics(disturb(scene.rig, 0.5, 25.0), scene.detections)
    [finding] = [d for d in result.diagnostics if d.code == "camera-clock-off"]
    assert finding.data["clock_s"] == {"c2": pytest.approx(0.3, abs=0.01)}
    assert result.is_refined
    deg, mm, _ = errors_up_to_gauge(result.rig, scene.rig)
    assert deg < 0.15
    assert mm < 12.0


def test_a_clock_that_is_far_off_is_solved_with_the_cameras() -> None:
    offsets = np.array([0.0, 0.0, 0.3, 0.0, -0.1])
    scene = make_scene(make_rig(5), n_frames=201, offsets=offsets)
    result = refine_extrinsics(disturb(scene.rig, 0.3, 15.0), scene.detections, free_time_offsets=True)
    found = np.array([result.moved[name].time_s for name in scene.rig.names])
    np.testing.assert_allclose(found, offsets, atol=0.004)
    assert "camera-clock-off" not in codes(result)


def test_a_camera_that_was_knocked_far_has_no_wrong_clock() -> None:
    scene = make_scene(make_rig(5))
    knocked = CameraRig((*scene.rig.cameras[:4], disturb(scene.rig, 2.5, 60.0).cameras[4]))
    assert "camera-clock-off" not in codes(refine_extrinsics(knocked, scene.detections))


def test_the_uncertainty_is_that_of_the_errors() -> None:
    scene = make_scene(make_rig(5))
    result = refine_extrinsics(disturb(scene.rig, 0.5, 25.0), scene.detections)
    _, mm, _ = errors_up_to_gauge(result.rig, scene.rig)
    sd = np.array([c.center_sd_mm for c in result.certainty.values()])
    # The largest of five errors in space, of sd per axis.
    assert 0.5 < mm / sd.mean() < 5.0


def test_cameras_that_are_not_genlocked_are_refined_at_common_instants() -> None:
    shift = np.array([0.0, 0.011, 0.017, 0.005, 0.023])
    scene = make_scene(make_rig(5), offsets=shift)
    d = scene.detections
    detections = Keypoints2D(SET, d.camera_names, d.xy_px, d.score, d.time_s + shift[:, None])
    result = refine_extrinsics(disturb(scene.rig, 0.5, 25.0), detections)
    deg, mm, _ = errors_up_to_gauge(result.rig, scene.rig)
    assert deg < 0.15
    assert mm < 12.0


def test_frames_that_a_quick_look_left_out_do_not_count() -> None:
    scene = make_scene(make_rig(5), n_frames=401)
    frame = np.arange(401)
    left_out = np.stack([frame % 2 != c % 2 for c in range(5)])[:, :, None, None]
    seen = scene.detections
    quick = replace(
        seen,
        xy_px=np.where(left_out[..., None], np.nan, seen.xy_px),
        score=np.where(left_out, 0.0, seen.score),
    )
    result = refine_extrinsics(disturb(scene.rig, 0.5, 25.0), quick)
    assert result.is_refined
    assert result.summary["n_points"] > 1900
    assert errors_up_to_gauge(result.rig, scene.rig)[0] < 0.15


def test_more_than_one_person_is_an_error_that_says_what_to_do() -> None:
    d = make_scene(make_rig(3), n_frames=7).detections
    two = Keypoints2D(SET, d.camera_names, np.repeat(d.xy_px, 2, 2), np.repeat(d.score, 2, 2), d.time_s)
    with pytest.raises(InputError) as raised:
        refine_extrinsics(make_rig(3), two)
    assert raised.value.code == "refine-needs-one-person"


def test_a_camera_that_the_rig_lacks_is_named() -> None:
    scene = make_scene(make_rig(5), n_frames=7)
    with pytest.raises(InputError) as raised:
        refine_extrinsics(CameraRig(scene.rig.cameras[:4]), scene.detections)
    assert raised.value.code == "rig-camera-missing"
    assert "c4" in raised.value.message
