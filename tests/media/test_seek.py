"""Any frame by its index: exactly the one that decoding in order gives."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.seek import NEAR_FRAMES, FrameReader

LONG = 3 * NEAR_FRAMES


@pytest.fixture
def long_video(tmp_path: Path) -> Path:
    """More frames than are decoded on the way; the number of each is written in its stripes."""

    def picture(k: int) -> np.ndarray:
        bits = np.array([(k >> b) & 1 for b in range(8)], np.uint8) * 255
        return np.repeat(np.repeat(bits, 16)[None, :, None], 96, axis=0).repeat(3, axis=2)

    return write_video(tmp_path / "long.mp4", (picture(k) for k in range(LONG)), Fraction(50), (128, 96))


def number_in(rgb: np.ndarray) -> int:
    return sum(1 << b for b in range(8) if rgb[48, 16 * b + 8].mean() > 128)


def test_frames_are_exact_in_any_order(long_video: Path) -> None:
    order = [LONG - 1, 0, 100, 3, 99, 98, 97, 101, LONG - 2]
    with FrameReader(long_video) as reader:
        pictures = [reader.read(k) for k in order]
    assert [number_in(p) for p in pictures if p is not None] == order


def test_a_picture_read_by_index_is_the_one_read_in_order(video: Path) -> None:
    expected = {f.index: f.rgb for f in frames(video)}
    with FrameReader(video) as reader:
        for k in (22, 1, 11):
            rgb = reader.read(k)
            assert rgb is not None
            np.testing.assert_array_equal(rgb, expected[k])


def test_pictures_are_upright(turned: Callable[[int], Path]) -> None:
    with FrameReader(turned(90)) as reader:
        rgb = reader.read(0)
    assert rgb is not None
    assert rgb.shape == (160, 96, 3)
    assert rgb[40, 72, 0] > 200


def test_frames_of_a_variable_rate_are_found_by_time(timed_video: Callable[[list[int]], Path]) -> None:
    with FrameReader(timed_video([0, 40, 70, 150, 160, 300])) as reader:
        assert [reader.index_at(t) for t in (-1.0, 0.0, 0.039, 0.04, 0.149, 0.155, 9.0)] == [0, 0, 0, 1, 2, 3, 5]
        rgb = reader.read(3)
        assert rgb is not None
        assert rgb[70, 120].mean() == pytest.approx(24, abs=4)


def test_few_pictures_are_kept(video: Path) -> None:
    with FrameReader(video, cache_bytes=4 * 160 * 96 * 3) as reader:
        for k in range(23):
            reader.read(k)
        assert len(reader._cache) == 4


def test_a_frame_that_is_not_there_is_an_index_error(video: Path) -> None:
    with FrameReader(video) as reader, pytest.raises(IndexError, match="23 of 23"):
        reader.read(23)


def test_a_frame_that_cannot_be_decoded_is_none(video: Path, tmp_path: Path) -> None:
    data = bytearray(video.read_bytes())
    at = data.index(b"mdat") + 4
    middle = at + (len(data) - at) * 2 // 3
    data[middle:] = bytes(len(data) - middle)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with FrameReader(path) as reader:
        assert reader.read(22) is None
        assert reader.read(0) is not None
