"""Pictures: planes and the map from them to RGB say the same as the converter does; nothing is made in vain."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from mocap.media.picture import Developer, Picture, measured_colours

BT709, UNSPECIFIED, BT601 = 1, 2, 5
LIMITED, FULL = 1, 2


def frame(pixel_format: str, colorspace: int, color_range: int, size_px: tuple[int, int] = (94, 62)) -> VideoFrame:
    """A frame whose brightness and colours run in directions of their own, far from black and white."""
    out = VideoFrame(*size_px, pixel_format)
    out.colorspace, out.color_range = colorspace, color_range
    for i, plane in enumerate(out.planes):
        y, x = np.mgrid[0 : plane.height, 0 : plane.width]
        values = (110 + x * 0.6 + y * 0.4, 118 + 12 * x / plane.width, 140 - 14 * y / plane.height)[i]
        buffer: Any = plane
        np.frombuffer(buffer, np.uint8).reshape(plane.height, -1)[:, : plane.width] = values.astype(np.uint8)
    return out


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("pixel_format", "colorspace", "color_range"),
    [("yuv420p", BT709, LIMITED), ("yuv420p", BT601, LIMITED), ("yuv420p", UNSPECIFIED, 0), ("yuvj420p", BT709, FULL)],
)
def test_planes_give_the_converters_rgb(
    pixel_format: str, colorspace: int, color_range: int, rotation_deg: int
) -> None:
    picture = Developer(rotation_deg).picture(frame(pixel_format, colorspace, color_range))
    planes = picture.planes
    assert planes is not None
    assert picture.shape == planes.y.shape == picture.rgb.shape[:2]
    each = [planes.y, *(np.kron(p, np.ones((2, 2), np.uint8)) for p in (planes.u, planes.v))]
    apart = planes.colours.rgb(each).astype(int) - picture.rgb
    assert np.abs(apart).max() <= 2
    assert np.abs(apart.mean((0, 1))).max() < 0.5


def test_black_is_known_for_both_ranges() -> None:
    assert measured_colours("yuv420p", BT709, LIMITED).black_yuv == (16, 128, 128)
    assert abs(measured_colours("yuvj420p", BT709, FULL).black_yuv[0]) <= 1


def test_other_formats_and_odd_sizes_have_no_planes() -> None:
    developer = Developer()
    assert developer.picture(frame("yuv422p", BT709, LIMITED)).planes is None
    assert developer.picture(frame("yuv420p", BT709, LIMITED, (94, 61))).planes is None
    assert developer.picture(frame("yuv420p", BT709, LIMITED, (93, 62))).planes is None
    assert developer.picture(frame("yuv420p", BT709, LIMITED, (93, 62))).rgb.shape == (62, 93, 3)


def test_rgb_is_made_on_first_use_and_kept() -> None:
    made: list[int] = []

    def rgb() -> np.ndarray:
        made.append(1)
        return np.zeros((5, 7, 3), np.uint8)

    picture = Picture((5, 7), rgb, lambda: None)
    assert (picture.shape, made) == ((5, 7), [])
    assert picture.rgb is picture.rgb
    assert made == [1]


def test_two_pictures_are_made_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def rgb() -> np.ndarray:
        both.wait(timeout=10)  # breaks where the other may only begin when this one is done
        return np.zeros((5, 7, 3), np.uint8)

    def planes() -> None:
        both.wait(timeout=10)

    pictures = [Picture((5, 7), rgb, planes) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert [r.shape for r in pool.map(lambda p: p.rgb, pictures)] == [(5, 7, 3)] * 2
        assert list(pool.map(lambda p: p.planes, [Picture((5, 7), rgb, planes) for _ in range(2)])) == [None, None]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le"])
def test_the_decoders_frame_is_let_go_once_rgb_is_made(pixel_format: str) -> None:
    decoded = VideoFrame(94, 62, pixel_format)
    before = sys.getrefcount(decoded)
    picture = Developer().picture(decoded)
    assert sys.getrefcount(decoded) > before
    rgb = picture.rgb
    assert sys.getrefcount(decoded) == before
    assert picture.planes is None
    assert picture.rgb is rgb


def test_planes_that_are_in_use_stay_when_rgb_is_made() -> None:
    picture = Developer().picture(frame("yuv420p", BT709, LIMITED))
    planes = picture.planes
    assert planes is not None
    assert picture.rgb.shape == (62, 94, 3)
    assert picture.planes is planes


@pytest.mark.parametrize(("pixel_format", "bytes_per_px"), [("yuv420p", 3), ("yuv422p10le", 4), ("yuv444p16le", 6)])
def test_a_pictures_memory_is_its_rgb_or_the_decoders_frame(pixel_format: str, bytes_per_px: int) -> None:
    assert Developer(90).picture(VideoFrame(128, 64, pixel_format)).n_bytes == 128 * 64 * bytes_per_px
