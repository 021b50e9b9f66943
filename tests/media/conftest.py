"""Small videos with known content, made by PyAV."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.media.encode import write_video

WIDTH, HEIGHT, N_FRAMES = 160, 96, 23


def picture(index: int) -> np.ndarray:
    """Red in the upper-left quarter, and as bright elsewhere as the frame is late."""
    rgb = np.full((HEIGHT, WIDTH, 3), min(8 * index, 255), np.uint8)
    rgb[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    return rgb


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """23 frames of 160 x 96 at 30000/1001 Hz."""
    pictures = (picture(k) for k in range(N_FRAMES))
    return write_video(tmp_path / "video.mp4", pictures, Fraction(30000, 1001), (WIDTH, HEIGHT))


@pytest.fixture
def timed_video(tmp_path: Path) -> Callable[[Sequence[int]], Path]:
    """Return a function that writes one frame at each of the given times in milliseconds."""

    def write(times_ms: Sequence[int], suffix: str = ".mp4") -> Path:
        import av

        path = tmp_path / f"timed{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=1000)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for k, time_ms in enumerate(times_ms):
                frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
                frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def turned(video: Path) -> Callable[[int], Path]:
    """Return a function that gives the video a display matrix turning it clockwise by quarter turns."""

    def write(degrees: int) -> Path:
        one = 1 << 16
        matrix = {
            90: (0, one, 0, -one, 0, 0, HEIGHT << 16, 0, 1 << 30),
            180: (-one, 0, 0, 0, -one, 0, WIDTH << 16, HEIGHT << 16, 1 << 30),
            270: (0, -one, 0, one, 0, 0, 0, WIDTH << 16, 1 << 30),
        }[degrees]
        data = bytearray(video.read_bytes())
        at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, section 8.3.2, version 0: the matrix's place in the box
        data[at : at + 36] = struct.pack(">9i", *matrix)
        path = video.with_name(f"turned{degrees}.mp4")
        path.write_bytes(data)
        return path

    return write
