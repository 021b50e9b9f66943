"""Rigs from a board: accuracy on synthetic truth, every kind of recording that cannot work, and real recordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_views import BoardViews
from calibration.lens_prior import LensPrior
from calibration.rig import RigResult, Verdict, calibrate_rig
from calibration.rig_findings import cameras_behind
from mocap.core.camera import CameraRig, Intrinsics, LensModel
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix
from mocap.synth.board import shoot_board
from mocap.synth.rig import ring_rig

BOARD = parse_board("charuco:7x5:square=0.1:marker=0.075:dict=4X4_50")


def views_of(rig: CameraRig, xy_px: np.ndarray) -> BoardViews:
    """Return views of the board."""
    n, n_frames = xy_px.shape[:2]
    return BoardViews(
        BOARD,
        rig.names,
        tuple(c.intrinsics.size_px for c in rig.cameras),
        xy_px,
        np.tile(np.arange(n_frames) / 10.0, (n, 1)),
        np.full((n, n_frames), 0.5),
        np.zeros(n, bool),
    )


def recording(
    n_cameras: int = 5, n_frames: int = 97, *, model: LensModel = LensModel.BROWN, **options: Any
) -> tuple[CameraRig, BoardViews]:
    """Return a rig and what it saw of the board."""
    rng = np.random.default_rng(4)
    rig = ring_rig(n_cameras, rng, radius_m=4.0, size_px=(1920, 1080), model=model)
    return rig, views_of(rig, shoot_board(rig, BOARD.corners_m, n_frames, rng, **options).xy_px)


def lenses(rig: CameraRig) -> dict[str, Intrinsics | LensPrior]:
    """Return the true lenses."""
    return {c.name: c.intrinsics for c in rig.cameras}


def errors(found: CameraRig, truth: CameraRig) -> tuple[float, float, float]:
    """Return the worst centre (mm) and rotation (deg) after a rigid fit, and the worst focal length (%)."""
    a, b = (np.stack([r[n].center_world_m for n in truth.names]) for r in (found, truth))
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    Q = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    gap = np.linalg.norm((a - a.mean(0)) @ Q.T + b.mean(0) - b, axis=-1)
    turn = np.stack([found[n].R_cam_from_world @ Q.T @ truth[n].R_cam_from_world.T for n in truth.names])
    angle = np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(turn)), axis=-1))
    focal = [np.abs(found[n].intrinsics.focal_px / truth[n].intrinsics.focal_px - 1).max() for n in truth.names]
    return 1000 * gap.max(), angle.max(), 100 * max(focal)


def code_of(views: BoardViews, given: dict[str, Intrinsics | LensPrior] | None = None) -> str:
    """Return the code of the error that calibrating raises."""
    with pytest.raises(InputError) as caught:
        calibrate_rig(views, given)
    return caught.value.code


@pytest.fixture(scope="module")
def blind() -> tuple[CameraRig, BoardViews, RigResult]:
    """A rig solved without knowing its lenses."""
    rig, views = recording()
    return rig, views, calibrate_rig(views)


def test_known_lenses_place_cameras_within_millimetres():
    rig, views = recording()
    mm, deg, _ = errors(calibrate_rig(views, lenses(rig)).rig, rig)
    assert mm < 4.0
    assert deg < 0.045


def test_unknown_lenses_are_found_with_the_places(blind: tuple[CameraRig, BoardViews, RigResult]):
    rig, _, result = blind
    mm, deg, focal = errors(result.rig, rig)
    assert mm < 12.0
    assert deg < 0.4
    assert focal < 0.3
    assert result.verdict is Verdict.GOOD


def test_wrong_corners_are_rejected_and_counted(blind: tuple[CameraRig, BoardViews, RigResult]):
    _, views, result = blind
    share = result.is_rejected.sum() / views.is_seen.sum()
    assert 0.01 < share < 0.03
    assert "board-corners-rejected" in {d.code for d in result.diagnostics}
    assert result.sigma_px == pytest.approx(0.35, rel=0.05)


def test_the_covariance_is_of_the_size_of_the_error(blind: tuple[CameraRig, BoardViews, RigResult]):
    rig, _, result = blind
    sd_mm = 1000 * result.certainty.center_sd_m
    assert (sd_mm > 0.1).all()
    assert errors(result.rig, rig)[0] < 4 * sd_mm.max()
    assert result.covariance.shape == (75, 75)
    assert (np.linalg.eigvalsh(result.covariance) > -1e-9).all()


def test_the_board_is_where_it_was(blind: tuple[CameraRig, BoardViews, RigResult]):
    _, views, result = blind
    poses = result.board_poses
    world = poses.R_world_from_board @ BOARD.corners_m.T + poses.t_world_from_board_m[..., None]
    camera = result.rig.cameras[2]
    cam = world.swapaxes(1, 2) @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    lens = camera.intrinsics
    gap = project(cam, lens.focal_px, lens.center_px, lens.distortion) - views.xy_px[2, poses.frame]
    assert np.nanmedian(np.linalg.norm(gap, axis=-1)) < 0.6


def test_given_fisheye_lenses_place_cameras():
    rig, views = recording(5, 97, model=LensModel.FISHEYE)
    mm, deg, _ = errors(calibrate_rig(views, lenses(rig)).rig, rig)
    assert mm < 4.0
    assert deg < 0.05


def test_a_prior_is_refined():
    rig, views = recording()
    off = {}
    for c in rig.cameras:
        k = replace(c.intrinsics, focal_px=c.intrinsics.focal_px * 1.01)
        sd = np.array([20.0, 20.0, 8.0, 8.0, 0.05, 0.05, 0.002, 0.002, 0.05])
        off[c.name] = LensPrior(k, sd)
    assert errors(calibrate_rig(views, off).rig, rig)[2] < 0.3


def test_cameras_are_joined_through_others():
    """No frame is seen by more than two neighbours."""
    rig, views = recording(5, 151, outlier_share=0.0)
    xy = views.xy_px.copy()
    for f in range(xy.shape[1]):
        keep = [f % 5, (f + 1) % 5]
        xy[[c for c in range(5) if c not in keep], f] = np.nan
    mm, deg, _ = errors(calibrate_rig(replace(views, xy_px=xy), lenses(rig)).rig, rig)
    assert mm < 20.0
    assert deg < 0.3


def test_two_disconnected_halves_are_named():
    rig, views = recording(5, 97)
    xy = views.xy_px.copy()
    xy[:2, ::2] = np.nan
    xy[2:, 1::2] = np.nan
    with pytest.raises(InputError) as caught:
        calibrate_rig(replace(views, xy_px=xy), lenses(rig))
    assert caught.value.code == "rig-disconnected"
    assert "cam1, cam2" in caught.value.message
    assert "cam3, cam4, cam5" in caught.value.message


def test_a_board_seen_by_one_camera_only_is_an_error():
    rig, views = recording(2, 31)
    xy = views.xy_px.copy()
    xy[1] = np.nan
    assert code_of(replace(views, xy_px=xy), lenses(rig)) == "board-one-camera"


def test_a_camera_that_never_sees_the_board_is_named():
    rig, views = recording(3, 61)
    xy = views.xy_px.copy()
    xy[2] = np.nan
    assert code_of(replace(views, xy_px=xy), lenses(rig)) == "rig-disconnected"


def test_one_camera_is_no_rig():
    _, views = recording(3, 31)
    assert code_of(views.of_camera(0)) == "rig-one-camera"


def test_clips_out_of_step_are_noticed():
    """The board moves smoothly here, frame to frame, as in a film; camera 2 is 7 frames late."""
    rig = recording(3, 7)[0]
    xy = smooth_shoot(rig, 120)
    xy[1] = np.roll(xy[1], 7, axis=0)
    xy[1, :7] = np.nan
    assert code_of(views_of(rig, xy), lenses(rig)) == "clips-not-synchronous"


def smooth_shoot(rig: CameraRig, n_frames: int) -> np.ndarray:
    """Return corners of a board, printed on both sides, that moves without jumps."""
    s = np.arange(n_frames)[:, None] / 10.0
    R = quat_to_matrix(
        quat_exp(np.concatenate([1.2 + 0.5 * np.sin(s), 0.8 * np.sin(0.7 * s), 0.9 * np.cos(0.9 * s)], 1))
    )
    t = np.concatenate([0.8 * np.sin(0.8 * s), 0.7 * np.cos(0.6 * s), 1.2 + 0.3 * np.sin(1.1 * s)], 1)
    world = np.einsum("fij,nj->fni", R, BOARD.corners_m) + t[:, None]
    rng = np.random.default_rng(1)
    out = []
    for c in rig.cameras:
        cam = world @ c.R_cam_from_world.T + c.t_cam_from_world_m
        out.append(project(cam, c.intrinsics.focal_px, c.intrinsics.center_px, c.intrinsics.distortion))
    return np.stack(out) + 0.3 * rng.standard_normal((len(out), n_frames, len(BOARD.corners_m), 2))


def test_a_camera_that_shares_no_late_view_is_not_the_one_others_are_behind():
    assert cameras_behind([(0, 2, 7), (2, 3, -7)], 4) == (0, {2: 7})


def test_a_board_with_other_columns_is_noticed():
    _, views = recording(3, 61)
    other = parse_board("charuco:5x7:square=0.1:marker=0.075:dict=4X4_50")
    assert code_of(replace(views, board=other)) == "board-does-not-fit"


def test_too_few_views_say_what_to_film():
    _, views = recording(3, 61)
    xy = views.xy_px.copy()
    xy[:, 6:] = np.nan
    assert code_of(replace(views, xy_px=xy)) in {"lens-too-few-views", "rig-disconnected", "board-one-camera"}


def test_a_wrong_frame_is_dropped():
    rig, views = recording(5, 61, outlier_share=0.0)
    xy = views.xy_px.copy()
    frame = int(np.flatnonzero(views.is_seen[0].sum(-1) > 20)[0])
    xy[0, frame] += [90.0, 40.0]
    result = calibrate_rig(replace(views, xy_px=xy), lenses(rig))
    if views.is_seen[1:, frame].sum() >= 6:
        assert not np.isfinite(result.residuals_px[0, frame]).any()
    assert errors(result.rig, rig)[0] < 4.0
