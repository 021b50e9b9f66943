"""Crops: pixels land where they should to a fraction of a pixel, turned and shrunk."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame

from mocap.core.camera import Camera, Intrinsics
from mocap.core.keypoints import load_keypoint_set
from mocap.media.picture import Developer, Picture
from mocap.pose2d.crops import Crops, crops_from_keypoints, crops_from_points, cut, image_from_crop

HALPE = load_keypoint_set("halpe26")


def picture_with_dot(x: float, y: float, sigma: float = 12.0) -> Picture:
    """A bright blob centred on (x, y), where (0, 0) is the centre of the upper-left pixel."""
    yy, xx = np.mgrid[0:480, 0:640]
    blob = 250 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
    return Picture.of(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8))


@pytest.mark.parametrize("side", [256, 96, 61])
@pytest.mark.parametrize("angle_deg", [0.0, 37.0, -120.0])
def test_a_dot_in_a_crop_maps_back_to_its_pixel(side: int, angle_deg: float) -> None:
    x, y = 301.25, 217.5
    window = image_from_crop(np.array([290.3, 231.7]), 331.0, np.deg2rad(angle_deg))
    out = cut(picture_with_dot(x, y), window, side)[..., 0].astype(float)
    rows, cols = np.mgrid[0:side, 0:side]
    normalised = (np.array([(out * cols).sum(), (out * rows).sum()]) / out.sum() + 0.5) / side
    np.testing.assert_allclose(window[:, :2] @ normalised + window[:, 2], (x, y), atol=0.15)


def test_outside_the_picture_is_black() -> None:
    window = image_from_crop(np.array([0.0, 0.0]), 200.0, 0.0)
    out = cut(Picture.of(np.full((480, 640, 3), 200, np.uint8)), window, 50)
    assert out[:24, :24].max() == 0
    assert out[26:, 26:].min() == 200


def test_a_crop_wholly_outside_is_black() -> None:
    window = image_from_crop(np.array([-900.0, -900.0]), 300.0, 0.3)
    assert cut(Picture.of(np.full((480, 640, 3), 200, np.uint8)), window, 50).max() == 0


@pytest.mark.parametrize("size_px", [90.0, 260.0, 420.0, 590.0, 800.0])
@pytest.mark.parametrize("angle_deg", [0.0, 33.0])
@pytest.mark.parametrize("center", [(321.0, 237.0), (40.0, 455.0)])
def test_a_crop_of_planes_is_the_crop_of_rgb(size_px: float, angle_deg: float, center: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:480, 0:640]
    waves = [120 + 50 * np.sin(x / a + y / b) + rng.normal(0, 8, x.shape) for a, b in ((31, 47), (19, -23), (-53, 29))]
    frame = VideoFrame.from_ndarray(np.clip(np.stack(waves, -1), 40, 215).astype(np.uint8), "rgb24")
    picture = Developer().picture(frame.reformat(format="yuv420p"))
    assert picture.planes is not None
    window = image_from_crop(np.array(center), size_px, np.deg2rad(angle_deg))
    apart = cut(picture, window, 96).astype(int) - cut(Picture.of(picture.rgb), window, 96)
    assert np.abs(apart).max() <= 4
    assert np.sqrt((apart**2).mean()) < 1.0
    assert abs(apart.mean()) < 0.5


@pytest.mark.parametrize("size_px", [90.0, 420.0, 800.0])
@pytest.mark.parametrize("angle_deg", [0.0, 33.0])
@pytest.mark.parametrize(("of_rgb", "most", "rms"), [(True, 32, 3.0), (False, 136, 20.0)])
def test_crops_of_planes_of_saturated_colours_differ_at_edges_only(
    size_px: float, angle_deg: float, of_rgb: bool, most: int, rms: float
) -> None:
    """Patches of the eight corners of RGB; or of YUV, most of which no RGB has."""
    rng = np.random.default_rng(3)
    if of_rgb:
        corners = 255 * rng.integers(0, 2, (30, 40, 3))
        frame = VideoFrame.from_ndarray(np.kron(corners, np.ones((16, 16, 1))).astype(np.uint8), "rgb24")
        frame = frame.reformat(format="yuv420p")
    else:
        y, u, v = (np.kron(rng.integers(0, 2, (30, 40)), np.ones((n, n))) for n in (16, 8, 8))
        planes = np.concatenate([(16 + 219 * y).ravel(), (255 * u).ravel(), (255 * v).ravel()])
        frame = VideoFrame.from_ndarray(planes.astype(np.uint8).reshape(720, 640), "yuv420p")
    picture = Developer().picture(frame)
    assert picture.planes is not None
    window = image_from_crop(np.array([321.0, 237.0]), size_px, np.deg2rad(angle_deg))
    apart = cut(picture, window, 96).astype(int) - cut(Picture.of(picture.rgb), window, 96)
    assert 4 < np.abs(apart).max() <= most
    assert np.sqrt((apart**2).mean()) < rms
    assert np.median(np.abs(apart)) <= 2


def leaning_person(angle_deg: float) -> np.ndarray:
    """[1 1 26 2] hips at (320, 240), shoulders and head along an axis turned clockwise, one ankle below."""
    a = np.deg2rad(angle_deg)
    up, right = np.array([np.sin(a), -np.cos(a)]), np.array([np.cos(a), np.sin(a)])
    xy = np.full((1, 1, 26, 2), np.nan)
    at = {"LHip": -5 * right, "RHip": 5 * right, "LShoulder": 50 * up - 9 * right, "RShoulder": 50 * up + 9 * right}
    at |= {"Head": 85 * up, "LAnkle": -100 * up}
    for name, offset in at.items():
        xy[0, 0, HALPE.index(name)] = (320, 240) + offset
    return xy


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -75.0, 170.0])
def test_a_crop_is_centred_on_the_hips_and_turned_with_the_torso(angle_deg: float) -> None:
    crops = crops_from_keypoints(leaning_person(angle_deg), HALPE, margin=1.0)
    np.testing.assert_allclose(crops.center_px[0, 0], (320, 240), atol=1e-9)
    assert np.rad2deg(crops.angle_rad[0, 0]) == pytest.approx(angle_deg)
    assert crops.size_px[0, 0] == pytest.approx(200.0)


def test_someone_unknown_has_no_crop() -> None:
    crops = crops_from_keypoints(np.full((7, 2, 26, 2), np.nan), HALPE)
    assert not crops.is_there.any()
    assert crops.is_there.shape == (7, 2)


def test_crops_from_3d_points_lie_on_their_projection() -> None:
    lens = Intrinsics((1080, 1920), np.array([1600.0, 1600]), np.array([540.0, 960]), np.zeros(5))
    # Looks along world +y from 4 m away; world z is up in the picture.
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    camera = Camera("cam1", lens, R, np.array([0.0, 1.0, 4.0]))
    xyz = np.full((7, 26, 3), np.nan)
    for name, place in {"LHip": (-0.1, 0, 1), "RHip": (0.1, 0, 1), "LShoulder": (-0.2, 0, 1.5)}.items():
        xyz[:, HALPE.index(name)] = place
    xyz[:, HALPE.index("RShoulder")] = (0.2, 0, 1.5)
    crops = crops_from_points(xyz, HALPE, camera)
    np.testing.assert_allclose(crops.center_px[:, 0], np.broadcast_to((540.0, 960.0), (7, 2)), atol=1e-9)
    np.testing.assert_allclose(crops.angle_rad, 0.0, atol=1e-9)


def test_crops_move_with_a_change_of_pixels() -> None:
    crops = Crops(np.full((7, 1, 2), 100.0), np.full((7, 1), 40.0), np.zeros((7, 1))).mapped(2.0, (3.0, -5.0))
    np.testing.assert_allclose(crops.center_px[0, 0], (203.0, 195.0))
    assert crops.size_px[0, 0] == 80.0
