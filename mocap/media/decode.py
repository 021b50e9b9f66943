"""Decoding video in order: upright RGB pictures with their exact index and time."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.media.probe import Chapter, VideoInfo, open_video, probe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame


class Frame(NamedTuple):
    """One decoded picture."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - nobody searches a frame like a tuple
    """Place in the video's presentation order, as in `VideoInfo.time_s`."""
    time_s: float
    """Presentation time on the camera's clock; the first frame is at 0."""
    rgb: np.ndarray
    """[height width 3] uint8, upright."""


def frames(
    path: str | os.PathLike[str],
    info: VideoInfo | None = None,
    *,
    only: Container[int] | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Iterator[Frame]:
    """Yield a video's pictures in presentation order, turned upright, decoded with all threads the codec can use.

    Frames that cannot be decoded are left out (the index then skips them) and counted in a `video-frames-lost`
    diagnostic that is appended to `diagnostics` at the end; nothing is raised for them.

    Args:
        path: the video; of a recording in chapters the first one.
        info: what `probe` said of it; probed again when absent.
        only: indices of the pictures to yield; all are decoded, but the others are not converted.
        diagnostics: list to append findings to.

    Raises: InputError as `probe`.
    """
    file = Path(path)
    info = info or probe(file)
    n = 0
    begin = 0
    convert = to_rgb()
    for part in info.files:
        for index, frame in _indexed(part, info, begin):
            n += 1
            if only is not None and index not in only:
                continue
            yield Frame(index, float(info.time_s[index]), upright(convert(frame), info.rotation_deg))
        begin += part.n_frames
    if n < info.n_frames and diagnostics is not None:
        diagnostics.append(
            Diagnostic(
                "video-frames-lost",
                Severity.WARNING,
                f"{file.name}: {info.n_frames - n} of {info.n_frames} frames could not be decoded and are left out.",
                {"decoded": n, "expected": info.n_frames},
            )
        )


def upright(picture: np.ndarray, rotation_deg: int) -> np.ndarray:
    """Return a picture turned clockwise by 0, 90, 180 or 270 degrees."""
    if rotation_deg == 0:
        return picture
    import cv2

    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return cv2.rotate(picture, turns[rotation_deg])


def _indexed(part: Chapter, info: VideoInfo, begin: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (index in the recording, picture) of one file whose first frame has the index `begin`."""
    end = begin + part.n_frames
    pts = info.pts[begin:end] - part.pts_shift
    at = 0
    with open_video(part.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in decoded(container):
            if frame.pts is not None and info.time_base == stream.time_base:
                at = int(np.searchsorted(pts, frame.pts))
                if at >= len(pts) or pts[at] != frame.pts:
                    continue  # a picture that the edit list hides, or the remains of a broken packet
            if at >= len(pts):
                return
            yield begin + at, frame
            at += 1


def to_rgb() -> Callable[[VideoFrame], np.ndarray]:
    """Return a conversion to [height width 3] uint8 RGB that keeps its tables from picture to picture.

    A conversion set up anew for each picture took a quarter of the time of decoding 1080p.
    """
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    return lambda frame: reformatter.reformat(frame, format="rgb24").to_ndarray()


def decoded(container: InputContainer) -> Iterator[VideoFrame]:
    """Yield frames, passing over packets that are broken; a file that ends early simply ends."""
    from av.error import FFmpegError

    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        if packet.is_corrupt:
            continue
        try:
            decoded = packet.decode()
        except FFmpegError:
            continue
        yield from decoded
