"""Writing video: H.264 in MP4, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from mocap.core.errors import SetupError
from mocap.core.progress import NoProgress, Progress, track
from mocap.core.publish import published

ENCODERS = (("libx264", {"preset": "veryfast", "crf": "22"}), ("libopenh264", {"b": "6M"}), ("mpeg4", {"q": "4"}))
"""Encoders by preference, with their settings: what a build of FFmpeg has depends on its licence."""


def write_video(
    path: str | os.PathLike[str],
    pictures: Iterable[np.ndarray],
    fps: Fraction,
    size_px: tuple[int, int],
    n_frames: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write pictures [height width 3] uint8 RGB as an MP4 that players and browsers open, and return its path.

    Odd sizes lose their last row or column (H.264 in 4:2:0 needs even ones). The file appears under its name only when
    it is complete. Raises SetupError output-not-writable, output-full, no-video-encoder; Cancelled from
    `progress`.
    """
    file = Path(path)
    width, height = (n // 2 * 2 for n in size_px)
    pictures = track(pictures, progress or NoProgress(), f"Writing {file.name}", n_frames)
    with published(file) as temporary:
        # FFmpeg's own error for a place that cannot be written to does not say why; this one does.
        temporary.touch()
        _encode(temporary, pictures, fps, width, height)
    return file


def _encode(file: Path, pictures: Iterable[np.ndarray], fps: Fraction, width: int, height: int) -> None:
    import av

    with av.open(str(file), "w", options={"movflags": "faststart"}) as container:
        name, options = next(((n, o) for n, o in ENCODERS if n in av.codecs_available), ("", {}))
        if not name:
            raise SetupError(
                "no-video-encoder",
                f"This build of PyAV has none of the encoders {', '.join(n for n, _ in ENCODERS)}.",
                "Install PyAV from its own wheel: python -m pip install --force-reinstall av",
            )
        stream = container.add_stream(name, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            even = np.ascontiguousarray(picture[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode(None))
