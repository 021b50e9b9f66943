"""Decoding video in order: upright pictures with their exact index and time."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.media.picture import Developer, Picture
from mocap.media.probe import Chapter, VideoInfo, open_video, probe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame


SEEK_FROM = 240
"""A beginning nearer than this to the file's own is reached by decoding: a few seconds at most."""
MAX_NAMED, MAX_LISTED = 5, 50
"""Runs of frames that could not be decoded: how many a message names, and its data lists."""
RUN_UP = 120
"""A key frame is looked for this many frames before the beginning, so that no picture across two groups is lost."""


class Frame(NamedTuple):
    """One decoded picture."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - nobody searches a frame like a tuple
    """Place in the video's presentation order, as in `VideoInfo.time_s`."""
    time_s: float
    """Presentation time on the camera's clock; the first frame is at 0."""
    picture: Picture
    """Upright; its colours are computed when somebody looks."""

    @property
    def rgb(self) -> np.ndarray:
        """[height width 3] uint8, upright."""
        return self.picture.rgb


def frames(
    path: str | os.PathLike[str],
    info: VideoInfo | None = None,
    *,
    only: Container[int] | None = None,
    begin: int = 0,
    n_threads: int | None = None,
    diagnostics: list[Diagnostic] | None = None,
) -> Iterator[Frame]:
    """Yield a video's pictures in presentation order, turned upright.

    Frames that cannot be decoded are left out (the index then skips them) and named in a `video-frames-lost`
    diagnostic that is appended to `diagnostics` at the end; nothing is raised for them.

    Args:
        path: the video; of a recording in chapters the first one.
        info: what `probe` said of it; probed again when absent.
        only: indices of the pictures to yield; all are decoded, but the others are not converted.
        begin: index of the first picture wanted; decoding starts at a key frame before it, and what lies before that
            is not counted as lost.
        n_threads: threads of the decoder, by default all that the codec can use; one takes a sixth less processor time.
        diagnostics: list to append findings to.

    Raises: InputError as `probe`.
    """
    file = Path(path)
    info = info or probe(file)
    is_decoded = np.arange(info.n_frames) < begin
    part_begin = 0
    developer = Developer(info.rotation_deg)
    for part in info.files:
        if part_begin + part.n_frames > begin:
            for index, frame in _indexed(part, info, part_begin, begin, n_threads):
                is_decoded[index] = True
                if only is not None and index not in only:
                    continue
                yield Frame(index, float(info.time_s[index]), developer.picture(frame))
        part_begin += part.n_frames
    if diagnostics is not None and not is_decoded.all():
        diagnostics.append(frames_lost(info, is_decoded))


def frames_lost(info: VideoInfo, is_decoded: np.ndarray) -> Diagnostic:
    """Return what is said of a video of which not every frame could be decoded, given bool [frame]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], is_decoded, [True]])))
    runs = [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]
    named = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:MAX_NAMED]]
    n = int(np.count_nonzero(~is_decoded))
    which = ", ".join([*named, *(["..."] if len(runs) > MAX_NAMED else [])])
    message = f"{info.path.name}: {n} of {len(is_decoded)} frames could not be decoded and are left out: {which}"
    message += f" (the first at {info.time_s[runs[0][0]]:.2f} s)."
    return Diagnostic(
        "video-frames-lost",
        Severity.WARNING,
        message,
        {"decoded": len(is_decoded) - n, "expected": len(is_decoded), "lost": runs[:MAX_LISTED]},
    )


def _indexed(
    part: Chapter, info: VideoInfo, part_begin: int, begin: int, n_threads: int | None
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (index in the recording, picture) of one file from `begin` on; its first frame has the index `part_begin`.

    Where the file has times it is entered at a key frame before `begin`; the decoder gives there what it gives on the
    way from the file's beginning.
    """
    if begin - part_begin > SEEK_FROM:
        with open_video(part.path) as container:
            stream = container.streams.video[0]
            if info.time_base == stream.time_base and _seek(container, info.pts[begin - RUN_UP] - part.pts_shift):
                ahead = _numbered(container, part, info, part_begin, n_threads)
                first = next(ahead, None)
                # A seek may land behind the frame: key frames are found by storage time, and open groups lose pictures.
                if first is not None and first[0] < begin:
                    yield from (f for f in ahead if f[0] >= begin)
                    return
    with open_video(part.path) as container:
        yield from (f for f in _numbered(container, part, info, part_begin, n_threads) if f[0] >= begin)


def _seek(container: InputContainer, pts: int) -> bool:
    """Place a container at the key frame before a time; return whether it can."""
    from av.error import FFmpegError

    try:
        container.seek(int(pts), stream=container.streams.video[0])
    except FFmpegError:
        return False
    return True


def _numbered(
    container: InputContainer, part: Chapter, info: VideoInfo, part_begin: int, n_threads: int | None
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (index in the recording, picture) from where a container stands: the beginning, or anywhere by times."""
    pts = info.pts[part_begin : part_begin + part.n_frames] - part.pts_shift
    at = 0
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    if n_threads is not None:
        stream.codec_context.thread_count = n_threads
    for frame in decoded(container):
        if frame.pts is not None and info.time_base == stream.time_base:
            at = int(np.searchsorted(pts, frame.pts))
            if at >= len(pts) or pts[at] != frame.pts:
                continue  # a picture that the edit list hides, or the remains of a broken packet
        if at >= len(pts):
            return
        yield part_begin + at, frame
        at += 1


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
