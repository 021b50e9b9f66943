"""Footage and calibration: names, and pixels of another size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.files import read_rig
from calibration.match import (
    PixelFit,
    adapt_to_size,
    check_inside,
    fit_footage,
    fit_keypoints,
    fit_video,
    map_keypoints,
    match_footage,
    measured_bars,
    not_corrected,
)
from mocap.core.camera import Camera, CameraRig, Intrinsics
from mocap.core.diagnostics import Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import load_keypoint_set
from mocap.media.gopro_facts import GoProFacts
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d.detections import CameraDetections
from mocap.synth.rig import ring_rig

LENS = Intrinsics((1088, 1920), np.array([1680.0, 1680.0]), np.array([530.0, 950.0]), np.zeros(5))
WIDE = Intrinsics((1920, 1080), np.array([900.0, 900.0]), np.array([960.0, 540.0]), np.zeros(5))


def picture(width: int, height: int, bars: tuple[int, int, int, int] = (0, 0, 0, 0), seed: int = 3) -> np.ndarray:
    """[h w 3] noise between black bars (left, top, right, bottom)."""
    rgb = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    left, top, right, bottom = bars
    inside = np.zeros((height, width, 1), bool)
    inside[top : height - bottom, left : width - right] = True
    return np.where(inside, rgb, 6).astype(np.uint8)


def code_of(lens: Intrinsics, size: tuple[int, int], *pictures: np.ndarray) -> InputError:
    with pytest.raises(InputError) as error:
        adapt_to_size(lens, size, pictures, "left")
    return error.value


@pytest.mark.parametrize("size", [(1088, 1920), (1087, 1919)])
def test_the_calibrated_size_is_left_alone(size: tuple[int, int]) -> None:
    fit = adapt_to_size(LENS, size)
    assert (fit.kind, fit.diagnostics) == ("same", ())
    np.testing.assert_array_equal(fit.calibration_from_video, [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("size", [(3840, 2160), (1280, 720), (640, 360), (854, 480)])
def test_the_same_aspect_is_a_change_of_size(size: tuple[int, int]) -> None:
    fit = adapt_to_size(WIDE, size)
    assert fit.kind == "scaled"
    assert [d.code for d in fit.diagnostics] == ["size-scaled"]
    # Edges of the picture stay edges: they lie half a pixel outside the outer pixels' centres.
    corners = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
    np.testing.assert_allclose(fit.to_calibration(corners), [[-0.5, -0.5], [1919.5, 1079.5]], atol=1e-9)


def test_black_bars_explain_a_scaled_picture() -> None:
    fit = adapt_to_size(LENS, (1080, 1920), [picture(1080, 1920, (0, 7, 0, 7))], "cam01")
    assert fit.kind == "letterboxed"
    assert [d.code for d in fit.diagnostics] == ["size-letterboxed"]
    (a, _, bx), (_, d, by) = fit.calibration_from_video
    np.testing.assert_allclose([a, d], 1088 / 1080)
    np.testing.assert_allclose([bx, by], [0.0, -7.1], atol=0.02)
    assert "7.1 px top and bottom" in fit.diagnostics[0].message


def test_pillars_of_a_narrow_picture_in_a_wide_video() -> None:
    lens = Intrinsics((1440, 1080), np.array([900.0, 900.0]), np.array([720.0, 540.0]), np.zeros(5))
    fit = adapt_to_size(lens, (1920, 1080), [picture(1920, 1080, (240, 0, 240, 0))])
    assert fit.kind == "letterboxed"
    np.testing.assert_allclose(fit.to_calibration(np.array([240.0, 100.0])), [0, 100], atol=1e-9)


def test_without_bars_a_crop_or_stretch_is_assumed_with_its_doubt() -> None:
    crop = adapt_to_size(LENS, (1080, 1920), [picture(1080, 1920)])
    assert crop.kind == "cropped"
    np.testing.assert_allclose(crop.calibration_from_video, [[1, 0, 4], [0, 1, 0]])
    unseen = adapt_to_size(LENS, (1080, 1920))
    assert unseen.kind == "stretched"
    assert [d.code for d in (*crop.diagnostics, *unseen.diagnostics)] == ["size-assumed"] * 2
    assert 3 < crop.diagnostics[0].data["off_by_px"] < 5
    assert 6 < unseen.diagnostics[0].data["off_by_px"] < 8


def test_other_shapes_are_errors_with_advice() -> None:
    rotated = code_of(WIDE, (1080, 1920))
    assert rotated.code == "size-rotated"
    assert "transpose" in rotated.advice
    other = code_of(WIDE, (1440, 1080), picture(1440, 1080))
    assert other.code == "size-mismatch"
    for part in ("left", "1440 x 1080", "1920 x 1080", "1.333", "1.778"):
        assert part in other.message
    # Bars that do not belong to this change of shape explain nothing.
    assert code_of(WIDE, (1440, 1080), picture(1440, 1080, (60, 0, 60, 0))).code == "size-mismatch"


def test_bars_are_black_in_all_pictures() -> None:
    dark_sky = picture(64, 48, (0, 11, 0, 5))
    assert measured_bars([dark_sky]) == (0, 11, 0, 5)
    assert measured_bars([dark_sky, picture(64, 48, (3, 2, 0, 5))]) == (0, 2, 0, 5)
    assert measured_bars([np.zeros((48, 64, 3), np.uint8)]) is None
    assert measured_bars([]) is None


def test_detections_are_mapped_and_the_map_inverts() -> None:
    fit = adapt_to_size(LENS, (1080, 1920), [picture(1080, 1920, (0, 7, 0, 6))])
    xy = np.random.default_rng(1).uniform(0, 1080, (7, 2, 17, 2)).astype(np.float32)
    xy[3, 1, 5] = np.nan
    score = np.where(np.isfinite(xy[..., 0]), 0.5, 0)
    detections = CameraDetections(load_keypoint_set("coco17"), xy, score, np.arange(7) / 60, (1080, 1920))
    mapped = fit.map(detections)
    assert mapped.size_px == (1088, 1920)
    np.testing.assert_array_equal(mapped.score, detections.score)
    A = fit.video_from_calibration
    np.testing.assert_allclose(mapped.xy_px @ A[:, :2].T + A[:, 2], xy, atol=1e-3)
    assert isinstance(fit, PixelFit)


def test_videos_are_matched_by_name(tmp_path: Path) -> None:
    videos = [tmp_path / "cam2.mp4", tmp_path / "cam1.mov"]
    found, diagnostics = match_footage(["cam_01", "cam_02"], videos)
    assert list(found.items()) == [("cam_01", videos[1]), ("cam_02", videos[0])]
    assert diagnostics == []
    with pytest.raises(InputError) as error:
        match_footage(["cam_01", "cam_02"], [tmp_path / "cam1.mp4", tmp_path / "CAM_1.mov"])
    assert error.value.code == "camera-twice"


def test_a_camera_without_video_is_left_out_and_named(tmp_path: Path) -> None:
    videos = [tmp_path / "walk_1_gp4.mp4", tmp_path / "walk_1_gp1.mp4"]
    found, diagnostics = match_footage(["gp1", "gp2", "gp4"], videos)
    assert list(found.items()) == [("gp1", videos[1]), ("gp4", videos[0])]
    assert [d.code for d in diagnostics] == ["cameras-without-video"]


@pytest.mark.parametrize(("name", "kind"), [("cam01", "letterboxed"), ("cam02", "letterboxed"), ("cam03", "same")])
def test_real_footage_with_bars_is_noticed_and_mapped(shared: Callable[[str], Path], name: str, kind: str) -> None:
    folder = shared("data/pose2sim_demo/SinglePerson")
    camera = read_rig(folder / "calibration" / "Calib.qca.txt")[name]
    fit = fit_footage(camera, probe(folder / "videos" / f"{name}.mp4"))
    assert fit.kind == kind
    if kind == "letterboxed":
        # Measured on the pictures: x' = 1.0074 x - 0.05, y' = 1.0075 y - 7.3.
        expected = np.array([1.0074 * 540 - 0.05, 1.0075 * 960 - 7.3])
        np.testing.assert_allclose(fit.to_calibration(np.array([540.0, 960.0])), expected, atol=0.3)


def seen_in(size_px: tuple[int, int]) -> CameraDetections:
    """Detections spread over the whole of a picture."""
    points = load_keypoint_set("halpe26")
    xy_px = np.random.default_rng(5).uniform(0, size_px, (7, 2, len(points), 2)).astype(np.float32)
    return CameraDetections(points, xy_px, np.full(xy_px.shape[:-1], 0.9, np.float32), np.arange(7) / 60, (0, 0))


def two_cameras() -> CameraRig:
    return CameraRig(tuple(Camera(n, WIDE, np.eye(3), np.zeros(3)) for n in ("cam_1", "cam_2")))


def test_keypoints_beyond_the_calibrated_picture_are_an_error_that_names_camera_size_and_extent() -> None:
    with pytest.raises(InputError) as error:
        check_inside(two_cameras(), {"cam_1": seen_in((1920, 1080)), "cam_2": seen_in((3840, 2160))})
    assert error.value.code == "keypoints-outside-picture"
    assert all(part in error.value.message for part in ("cam_2", "1920 x 1080", "down"))
    assert "from 3" in error.value.message or "to 3" in error.value.message
    assert "resolution" in error.value.advice


def test_few_unsure_or_missing_keypoints_beyond_the_picture_are_no_error() -> None:
    found = seen_in((1920, 1080))
    xy_px, score = np.array(found.xy_px), np.array(found.score)
    xy_px[0, 0, 0] = 5000.0
    xy_px[1] = [2200.0, -300.0]
    score[1] = 0.1
    xy_px[2], score[2] = np.nan, 0.0
    check_inside(two_cameras(), {"cam_1": CameraDetections(found.keypoint_set, xy_px, score, found.time_s, (0, 0))})


def test_detections_of_a_rolling_shutter_come_back_to_the_middle_row_where_the_read_out_is_known() -> None:
    camera = replace(ring_rig(2, np.random.default_rng(1))[0], readout_s=0.016)
    width, height = camera.intrinsics.size_px
    time_s = np.arange(9) / 60
    xy = np.tile([0.25 * width, 0.9 * height], (9, 1, 33, 1)).astype(np.float32)
    xy[..., 0] += 600 * time_s[:, None, None]
    found = CameraDetections(load_keypoint_set("blazepose33"), xy, np.ones(xy.shape[:-1]), time_s, (width, height))
    seen = fit_keypoints(camera).map(found)
    late_s = 0.016 * (0.9 - 0.5)
    np.testing.assert_allclose((xy - seen.xy_px)[..., 0], 600 * late_s, atol=0.05)
    np.testing.assert_allclose(seen.xy_px[..., 1], xy[..., 1], atol=1e-3)
    assert fit_keypoints(replace(camera, readout_s=None)).map(found).xy_px.tolist() == xy.tolist()


def video_of(size_px: tuple[int, int], readout_s: float | None, rotation_deg: int = 0) -> VideoInfo:
    """What a GoPro's file says of itself."""
    return VideoInfo(
        path=Path("GX010001.MP4"),
        width_px=size_px[0],
        height_px=size_px[1],
        rotation_deg=rotation_deg,
        fps=Fraction(60),
        nominal_fps=Fraction(60),
        n_frames=9,
        time_s=np.arange(9) / 60,
        pts=np.arange(9),
        time_base=Fraction(1, 60),
        start_s=0.0,
        codec="hevc",
        is_variable_rate=False,
        has_audio=False,
        gopro=GoProFacts(readout_s=readout_s),
    )


def walking_right(size_px: tuple[int, int], share_x: float, share_y: float, time_s: np.ndarray) -> CameraDetections:
    """Detections that move at 600 px/s along x from a place in the picture."""
    xy = np.tile([share_x * size_px[0], share_y * size_px[1]], (len(time_s), 1, 33, 1)).astype(np.float32)
    xy[..., 0] += 600 * time_s[:, None, None].astype(np.float32)
    return CameraDetections(load_keypoint_set("blazepose33"), xy, np.ones(xy.shape[:-1]), time_s, size_px)


@pytest.mark.parametrize(("rotation_deg", "late_share"), [(0, 0.4), (180, -0.4)])
def test_the_rows_of_turned_footage_are_those_of_its_sensor(rotation_deg: int, late_share: float) -> None:
    camera = Camera("cam1", WIDE, np.eye(3), np.zeros(3))
    found = walking_right(WIDE.size_px, 0.25, 0.9, np.arange(9) / 60)
    fit = fit_footage(camera, video_of(WIDE.size_px, 0.016, rotation_deg))
    moved_px = (found.xy_px - fit.map(found).xy_px)[..., 0]
    np.testing.assert_allclose(moved_px, 600 * 0.016 * late_share, atol=0.05)


def test_footage_held_upright_by_turning_it_has_rows_that_stand() -> None:
    camera = Camera("cam1", LENS, np.eye(3), np.zeros(3))
    found = walking_right(LENS.size_px, 0.9, 0.25, np.arange(9) / 60)
    moved_px = {}
    for turn in (90, 270):
        fit = fit_footage(camera, video_of(LENS.size_px, 0.016, turn))
        moved_px[turn] = (found.xy_px - fit.map(found).xy_px)[0, 0, 0, 0]
    assert moved_px[270] == pytest.approx(600 * 0.016 * 0.4, rel=0.05)
    assert moved_px[90] == pytest.approx(-600 * 0.016 * 0.4, rel=0.05)


def test_a_stated_read_out_that_no_sensor_takes_is_not_used_and_said() -> None:
    camera = Camera("cam1", WIDE, np.eye(3), np.zeros(3))
    fit = fit_footage(camera, video_of(WIDE.size_px, 16.0))
    assert fit.readout_s == 0
    (found,) = fit.diagnostics
    assert (found.code, found.severity) == ("readout-implausible", Severity.WARNING)
    assert all(part in found.message for part in ("cam1", "GX010001.MP4", "16 s", "0.1 s", "readout_s"))
    # The calibration's own goes before what the video says.
    known = fit_footage(replace(camera, readout_s=0.01), video_of(WIDE.size_px, 16.0))
    assert (known.readout_s, known.diagnostics) == (0.01, ())


def test_videos_without_a_calibration_are_corrected_by_what_they_state() -> None:
    found = walking_right((640, 480), 0.25, 0.9, np.arange(9) / 60)
    mapped = fit_video("cam1", video_of((640, 480), 0.016)).map(found)
    np.testing.assert_allclose((found.xy_px - mapped.xy_px)[..., 0], 600 * 0.016 * 0.4, atol=0.05)
    assert fit_video("cam1", video_of((640, 480), None)).map(found).xy_px.tolist() == found.xy_px.tolist()


def test_what_share_of_a_camera_could_not_be_corrected_is_said() -> None:
    camera = replace(two_cameras()[0], readout_s=0.016)
    slow = walking_right(WIDE.size_px, 0.25, 0.9, np.arange(9) / 2.0)
    found = fit_keypoints(camera).map(slow)
    assert found.xy_px.tolist() == slow.xy_px.tolist()
    (said,) = not_corrected({"cam_1": found})
    assert (said.code, said.severity, said.data["share"]) == ("rolling-shutter-not-corrected", Severity.WARNING, 1.0)
    assert "cam_1: 100%" in said.message
    # One keypoint of 33 that is seen but once in a while.
    xy, score = np.array(slow.xy_px), np.array(slow.score)
    rare = np.arange(9) != 4
    xy[rare, :, 5], score[rare, :, 5] = np.nan, 0.0
    one = replace(slow, xy_px=xy, score=score, time_s=np.arange(9) / 60)
    assert not_corrected({"cam_1": fit_keypoints(camera).map(one)}) == []
    assert not_corrected({"cam_1": fit_keypoints(camera).map(replace(slow, time_s=np.arange(9) / 60))}) == []


def test_cameras_without_a_read_out_keep_their_keypoints_as_they_are() -> None:
    first, second = two_cameras().cameras
    found = walking_right(WIDE.size_px, 0.25, 0.9, np.arange(9) / 60)
    mapped = map_keypoints((replace(first, readout_s=0.016), second), {"cam_1": found, "cam_2": found})
    assert mapped["cam_2"] is found
    np.testing.assert_allclose((found.xy_px - mapped["cam_1"].xy_px)[..., 0], 600 * 0.016 * 0.4, atol=0.05)
