"""Cameras that are a fraction of a frame out of step while the board moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_detect import detect_board
from calibration.board_views import BoardViews
from calibration.files import read_rig
from calibration.report_data import metric_error
from calibration.rig import RigResult, Verdict, calibrate_rig
from calibration.rig_lag import Lags, in_step, lag_advice, lag_finding
from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.synth.rig import ring_rig

BOARD = parse_board("charuco:7x5:square=0.1:marker=0.075:dict=4X4_50")
FPS = 10.0


def recording(lag_frames: list[float], n_frames: int = 113) -> tuple[CameraRig, BoardViews]:
    """Return a rig, and a board printed on both sides that is waved smoothly; frame f of a camera shows f + its lag."""
    n, rng = len(lag_frames), np.random.default_rng(3)
    rig = ring_rig(n, rng, radius_m=4.0, size_px=(1920, 1080))
    xy = []
    for camera, lag in zip(rig.cameras, lag_frames, strict=True):
        s = (np.arange(n_frames)[:, None] + lag) / FPS
        turn = np.concatenate([1.2 + 0.5 * np.sin(s), 0.8 * np.sin(0.7 * s), 0.9 * np.cos(0.9 * s)], 1)
        place = np.concatenate([0.8 * np.sin(0.8 * s), 0.7 * np.cos(0.6 * s), 1.2 + 0.3 * np.sin(1.1 * s)], 1)
        world = np.einsum("fij,nj->fni", quat_to_matrix(quat_exp(turn)), BOARD.corners_m) + place[:, None]
        cam = world @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        lens = camera.intrinsics
        xy.append(project(cam, lens.focal_px, lens.center_px, lens.distortion))
    found = np.stack(xy) + 0.3 * rng.standard_normal(np.shape(xy))
    sizes = tuple(c.intrinsics.size_px for c in rig.cameras)
    time_s = np.tile(np.arange(n_frames) / FPS, (n, 1))
    return rig, BoardViews(BOARD, rig.names, sizes, found, time_s, np.full((n, n_frames), 0.5), np.zeros(n, bool))


def solved(rig: CameraRig, views: BoardViews, *, allow_lags: bool = False) -> RigResult:
    return calibrate_rig(views, {c.name: c.intrinsics for c in rig.cameras}, allow_lags=allow_lags)


def distance_error_mm(found: CameraRig, truth: CameraRig) -> float:
    """Return the worst error of the distances between cameras."""
    a, b = (np.stack([r[n].center_world_m for n in truth.names]) for r in (found, truth))
    gap = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (a, b)]
    return 1000 * float(np.abs(gap[0] - gap[1]).max())


def test_a_camera_half_a_frame_late_is_named_with_its_lag() -> None:
    rig, views = recording([0.0, 0.0, -0.5, 0.0, 0.0])
    result = solved(rig, views)
    assert result.lags is not None
    np.testing.assert_allclose(result.lags.frames, [0.0, 0.0, -0.5, 0.0, 0.0], atol=0.03)
    finding = next(d for d in result.diagnostics if d.code == "board-clips-lag")
    assert f"{rig.names[2]} is 50 ms late (0.50 frames)" in finding.message
    assert str(finding.severity) == "warning"
    assert result.verdict is Verdict.USABLE
    # Its lens was held.
    assert "biases its place." in finding.message
    assert result.advice[0] == f"Run again with --allow-lags, which brings {rig.names[2]} in step with the others."
    assert finding.data["lag_s"][rig.names[2]] == pytest.approx(-0.05, abs=0.003)


def test_of_two_cameras_one_is_behind_the_other() -> None:
    rig, views = recording([0.0, -0.5])
    late = np.array([True, True])
    lags = Lags(np.array([0.25, -0.25]), np.full(2, 0.01), 0.05, 0.3, late, late, late)
    finding = lag_finding(lags, views)
    assert finding is not None
    assert f"{rig.names[1]} is 50 ms behind {rig.names[0]} (0.50 frames)" in finding.message
    assert "biases their places and focal lengths." in finding.message
    held = lag_finding(lags, views, held=rig.names)
    assert held is not None
    assert "biases their places." in held.message
    assert "focal" not in held.message
    assert lag_advice(lags, views).endswith(f"brings {rig.names[0]} and {rig.names[1]} in step.")


def test_lags_that_are_allowed_for_place_cameras_better() -> None:
    rig, views = recording([0.0, 0.2, -0.5, 0.1, 0.0])
    filmed, better = solved(rig, views), solved(rig, views, allow_lags=True)
    assert distance_error_mm(better.rig, rig) < min(5.0, 0.1 * distance_error_mm(filmed.rig, rig))
    assert better.sigma_px < 0.4
    assert "moved to where" in next(d for d in better.diagnostics if d.code == "board-clips-lag").message
    assert np.nanmax(np.abs(better.views.xy_px - views.xy_px)) > 1.0


def test_cameras_in_step_have_no_lag() -> None:
    rig, views = recording([0.0] * 5)
    result = solved(rig, views)
    assert result.lags is None
    assert "board-clips-lag" not in {d.code for d in result.diagnostics}


def test_lags_to_allow_for_where_none_are_found_are_said_and_change_nothing() -> None:
    rig, views = recording([0.0] * 5)
    filmed, allowed = solved(rig, views), solved(rig, views, allow_lags=True)
    [finding] = [d for d in allowed.diagnostics if d.code == "board-clips-lag"]
    assert "nothing to allow for" in finding.message
    assert finding.data == {
        "lag_s": dict.fromkeys(rig.names),
        "sd_s": dict.fromkeys(rig.names),
        "sigma_px": filmed.sigma_px,
    }
    np.testing.assert_array_equal(allowed.rig.cameras[0].t_cam_from_world_m, filmed.rig.cameras[0].t_cam_from_world_m)


def test_a_real_session_is_calibrated_blind_and_its_late_camera_named(shared: Callable[[str], Path]) -> None:
    folder = shared("data/caliscope_charuco/post_optimization")
    videos = {f"cam_{i}": folder / f"calibration/extrinsic/cam_{i}.mp4" for i in range(4)}
    board = parse_board("charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted")
    views = detect_board(videos, board)
    result = calibrate_rig(views)
    assert metric_error(result.rig, views).rms_mm < 0.85
    assert result.lags is not None
    assert result.lags.is_late.tolist() == [False, True, False, False]
    # Brought in step, the lens of the late camera is the one that another recording of it gave.
    lens = calibrate_rig(in_step(views, result.lags)).rig["cam_1"].intrinsics
    reference = read_rig(folder / "camera_array.toml")["cam_1"].intrinsics
    np.testing.assert_allclose(lens.focal_px, reference.focal_px, rtol=0.02)
    np.testing.assert_allclose(lens.center_px, reference.center_px, atol=0.02 * 1280)


def test_whole_frames_of_lag_are_an_error() -> None:
    rig, views = recording([0.0, 0.0, 0.0])
    xy = views.xy_px.copy()
    xy[1] = np.roll(xy[1], 9, axis=0)
    with pytest.raises(InputError, match="same instants"):
        solved(rig, replace(views, xy_px=xy))


def test_a_video_of_another_take_is_named() -> None:
    rig, views = recording([0.0, 0.0, 0.0, 0.0])
    xy = views.xy_px.copy()
    xy[1] = xy[1, np.random.default_rng(1).permutation(views.n_frames)]
    with pytest.raises(InputError) as caught:
        solved(rig, replace(views, xy_px=xy))
    assert caught.value.code == "clips-of-different-takes"
    assert rig.names[1] in caught.value.message
    assert not any(n in caught.value.message for n in (rig.names[0], rig.names[2], rig.names[3]))
