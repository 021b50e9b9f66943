"""The world frame of a rig: from a board on the floor, from feet; upside-down and mirrored ones refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_detect import detect_board
from calibration.board_views import BoardViews
from calibration.files import read_rig
from calibration.world import certainty_text, moved_rig
from calibration.world_board import world_from_board
from calibration.world_feet import world_from_feet
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.errors import InputError
from mocap.kernels.projection import project
from mocap.kernels.rotations import quat_exp, quat_to_matrix

BOARD = parse_board("charuco:5x7:square=0.1:marker=0.075:dict=5X5_100")
THICKNESS_M = 0.004
R_SOME = quat_to_matrix(quat_exp(np.array([0.4, -0.9, 1.7])))


def rig_around(n: int = 5, height_m: float = 1.7) -> CameraRig:
    lens = Intrinsics((1280, 720), np.array([900.0, 900.0]), np.array([639.5, 359.5]), np.zeros(5))
    cameras = []
    for i in range(n):
        angle = 2 * np.pi * i / n + 0.3
        center = np.array([3.5 * np.cos(angle), 3.5 * np.sin(angle), height_m + 0.1 * i])
        z = np.array([0.3, -0.2, 0.5]) - center
        z /= np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        cameras.append(Camera(f"cam{i}", lens, R, -R @ center))
    return CameraRig(tuple(cameras))


def seen(rig: CameraRig, points_m: np.ndarray, noise_px: float = 0.0, n_frames: int = 7) -> BoardViews:
    rng = np.random.default_rng(5)
    xy = np.empty((len(rig), n_frames, len(points_m), 2))
    for c, camera in enumerate(rig.cameras):
        lens = camera.intrinsics
        in_camera = points_m @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        pixels = project(in_camera, lens.focal_px, lens.center_px, lens.distortion)
        xy[c] = pixels + rng.normal(0, noise_px, (n_frames, *pixels.shape))
    times = np.tile(np.arange(n_frames) / 10.0, (len(rig), 1))
    sizes = tuple(c.intrinsics.size_px for c in rig.cameras)
    return BoardViews(BOARD, rig.names, sizes, xy, times, np.full(times.shape, 0.45), np.zeros(len(rig), bool))


def on_floor() -> np.ndarray:
    return BOARD.corners_m * [1, -1, -1] + [0, 0, THICKNESS_M]


def worst_mm_deg(a: CameraRig, b: CameraRig) -> tuple[float, float]:
    apart = [np.linalg.norm(x.center_world_m - y.center_world_m) for x, y in zip(a.cameras, b.cameras, strict=True)]
    traces = [np.trace(x.R_cam_from_world @ y.R_cam_from_world.T) for x, y in zip(a.cameras, b.cameras, strict=True)]
    return float(1000 * max(apart)), float(np.degrees(np.arccos(np.clip((min(traces) - 1) / 2, -1, 1))))


def test_a_board_on_the_floor_makes_the_world() -> None:
    rig = rig_around()
    views = seen(rig, on_floor(), noise_px=0.1)
    result = world_from_board(moved_rig(rig, R_SOME, np.array([1.0, -2.0, 3.0])), views, THICKNESS_M)
    mm, deg = worst_mm_deg(rig, result.rig)
    assert mm < 1.5
    assert deg < 0.03
    assert result.diagnostics == ()


def test_one_camera_is_enough_where_it_sees_the_board_well() -> None:
    rig = rig_around()
    views = seen(rig, on_floor(), noise_px=0.05)
    xy = views.xy_px.copy()
    xy[1:] = np.nan
    one = BoardViews(BOARD, views.camera_names, views.size_px, xy, views.time_s, views.sharpness, views.is_mirrored)
    result = world_from_board(rig, one, THICKNESS_M)
    mm, _ = worst_mm_deg(rig, result.rig)
    assert mm < 15
    assert "world-from-one-camera" in [d.code for d in result.diagnostics]


def test_the_world_s_own_error_is_told_and_covers_the_true_one() -> None:
    rig = rig_around()
    for seed_px in (0.1, 0.4):
        # one frame: the noise of a still picture does not average out
        views = seen(rig, on_floor(), noise_px=seed_px, n_frames=1)
        xy = views.xy_px.copy()
        xy[2:] = np.nan
        two = BoardViews(BOARD, views.camera_names, views.size_px, xy, views.time_s, views.sharpness, views.is_mirrored)
        result = world_from_board(rig, two, THICKNESS_M)
        for a, b in zip(rig.cameras, result.rig.cameras, strict=True):
            off_mm = 1000 * float(np.linalg.norm(a.center_world_m - b.center_world_m))
            assert 0.2 < off_mm / result.data["world_sd_mm"][a.name] < 3
        assert 0 < result.data["tilt_sd_deg"] < 0.5
    assert "in this world" in certainty_text(result.data)[0]


def test_floor_clips_that_do_not_show_the_board_are_named() -> None:
    rig = rig_around()
    views = seen(rig, on_floor(), noise_px=0.05)
    xy = views.xy_px.copy()
    xy[[1, 3]] = np.nan
    some = BoardViews(BOARD, views.camera_names, views.size_px, xy, views.time_s, views.sharpness, views.is_mirrored)
    [found] = world_from_board(rig, some, THICKNESS_M).diagnostics
    assert (found.code, found.data["cameras"]) == ("world-board-unseen", ["cam1", "cam3"])


def test_floor_clips_under_each_others_names_are_refused() -> None:
    rig = rig_around()
    views = seen(rig, on_floor())
    xy = views.xy_px[[1, 0, 2, 3, 4]]
    swapped = BoardViews(BOARD, rig.names, views.size_px, xy, views.time_s, views.sharpness, views.is_mirrored)
    with pytest.raises(InputError) as error:
        world_from_board(rig, swapped, THICKNESS_M)
    assert error.value.code == "world-board-does-not-fit"


def test_a_moving_floor_board_is_reported() -> None:
    rig = rig_around()
    views = seen(rig, on_floor())
    shift = np.array([0, 0, 0, 0, 9.0, 9.0, 9.0])[None, :, None, None]
    moving = BoardViews(
        BOARD, views.camera_names, views.size_px, views.xy_px + shift, views.time_s, views.sharpness, views.is_mirrored
    )
    assert [d.code for d in world_from_board(rig, moving, THICKNESS_M).diagnostics] == ["world-board-moves"]


def test_a_floor_board_that_does_not_fit_the_rig_is_refused() -> None:
    rig = rig_around()
    views = seen(rig, on_floor())
    turned = quat_to_matrix(quat_exp(np.array([0.0, 0.0, 0.1])))
    bumped = CameraRig((rig[0].with_extrinsics(rig[0].R_cam_from_world @ turned, rig[0].t_cam_from_world_m),))
    with pytest.raises(InputError) as error:
        world_from_board(CameraRig((*bumped.cameras, *rig.cameras[1:])), views, THICKNESS_M)
    assert error.value.code == "world-board-does-not-fit"


def test_a_board_lying_print_down_is_refused() -> None:
    rig = rig_around()
    print_down = BOARD.corners_m * [1, 1, 1]
    with pytest.raises(InputError) as error:
        world_from_board(rig, seen(rig, print_down))
    assert error.value.code == "world-upside-down"


def test_a_floor_board_nobody_sees_or_of_unknown_cameras_is_refused() -> None:
    rig = rig_around()
    views = seen(rig, on_floor() * np.nan)
    with pytest.raises(InputError) as error:
        world_from_board(rig, views)
    assert error.value.code == "world-board-not-seen"
    with pytest.raises(InputError) as error:
        world_from_board(CameraRig(rig.cameras[:2]), seen(rig, on_floor()))
    assert error.value.code == "world-board-not-in-rig"


def test_the_virtual_shoot_floor_is_found(shared: Callable[[str], Path]) -> None:
    folder = shared("data/virtual_shoot")
    board = parse_board("charuco:6x8:square=0.14:marker=0.105:dict=5X5_100")
    rig = read_rig(folder / "rig_truth.toml")
    views = detect_board({n: folder / "floor" / f"{n}.mp4" for n in rig.names}, board)
    result = world_from_board(moved_rig(rig, R_SOME, np.array([1.0, -2.0, 3.0])), views, THICKNESS_M)
    mm, deg = worst_mm_deg(rig, result.rig)
    assert mm < 6
    assert deg < 0.1


def walker(n: int = 211, is_mirrored: bool = False) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A person who stands and steps along a curve, left arm to the left; world Z up, floor z = 0."""
    time_s = np.arange(n) / 60.0
    phase = time_s * 2 * np.pi * 0.8
    heading = 0.3 * time_s
    forward = np.stack([np.cos(heading), np.sin(heading), 0 * heading], -1)
    left = np.stack([-np.sin(heading), np.cos(heading), 0 * heading], -1) * (-1 if is_mirrored else 1)
    middle = np.cumsum(forward, 0) * 0.006
    out: dict[str, np.ndarray] = {"Head": middle + [0, 0, 1.74] + forward * 0.05}
    for side, sign, shift in (("L", 1.0, 0.0), ("R", -1.0, np.pi)):
        lift = np.maximum(np.sin(phase + shift), 0.0)
        held = np.floor((phase + shift) / (2 * np.pi)).astype(int)
        # The foot rests where the person was at the middle of the stance, and swings between.
        place = np.stack([np.interp(held + lift, np.arange(-1, 9), np.linspace(-0.2, 1.6, 10)) for _ in range(2)], -1)
        foot = np.concatenate([place * [1.0, 0.3], np.zeros((n, 1))], -1) + left[:1] * 0.1 * sign
        foot = foot + [0, 0, 1] * (0.15 * lift)[:, None]
        out[f"{side}Hip"] = middle + left * 0.1 * sign + [0, 0, 0.9]
        out[f"{side}Ankle"] = foot + [0, 0, 0.09]
        out[f"{side}Heel"] = foot - forward * 0.06 + [0, 0, 0.03]
        out[f"{side}BigToe"] = foot + forward * 0.16 + [0, 0, 0.02]
    return out, time_s


def test_feet_make_a_floor_and_people_say_what_is_up() -> None:
    rig = rig_around()
    landmarks, time_s = walker()
    rng = np.random.default_rng(1)
    shift = np.array([1.0, -2.0, 3.0])
    floating = {k: (v + rng.normal(0, 0.004, v.shape)) @ R_SOME.T + shift for k, v in landmarks.items()}
    result = world_from_feet(moved_rig(rig, R_SOME, shift), floating, time_s)
    height = [c.center_world_m[2] - t.center_world_m[2] for c, t in zip(result.rig.cameras, rig.cameras, strict=True)]
    assert np.abs(height).max() < 0.06
    up = [
        c.R_cam_from_world[:, 2] @ t.R_cam_from_world[:, 2]
        for c, t in zip(result.rig.cameras, rig.cameras, strict=True)
    ]
    assert np.degrees(np.arccos(min(up))) < 1.2


def test_a_mirrored_person_is_refused() -> None:
    landmarks, time_s = walker(is_mirrored=True)
    with pytest.raises(InputError) as error:
        world_from_feet(rig_around(), landmarks, time_s)
    assert error.value.code == "world-mirrored"


def test_too_few_feet_are_refused() -> None:
    landmarks, time_s = walker()
    without = {k: np.full_like(v, np.nan) for k, v in landmarks.items()}
    with pytest.raises(InputError) as error:
        world_from_feet(rig_around(), without, time_s)
    assert error.value.code == "world-feet-not-seen"
