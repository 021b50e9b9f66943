"""What a video file is: its true times, rates, size and rotation, without decoding more than the first picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.chapters import chapter_name, chapters_of
from mocap.media.gopro_facts import read_facts
from mocap.media.join import join
from mocap.media.mp4_boxes import is_cut_mp4
from mocap.media.mp4_index import Movie, read_movie
from mocap.media.rates import frame_rate
from mocap.media.timecode import Timecode, parse_timecode, read_timecode
from mocap.media.timestamps import read_times
from mocap.media.video_info import Chapter, VideoInfo

__all__ = ["Chapter", "VideoInfo", "open_video", "probe", "probe_recording"]

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_REORDERED = 16
"""Frames over which an encoder may change the order (H.264, table A-1: at most 16 pictures are kept)."""


def probe(path: str | os.PathLike[str], *, join_chapters: bool = True) -> VideoInfo:
    """Return what a video file is.

    The times come from the index where that is certain, else from every packet; of the pictures only the first is
    decoded. A file that is cut short but still has its index is described by what can be read, with a
    `video-truncated` diagnostic.

    Args:
        path: the video.
        join_chapters: a first chapter stands for the whole recording: the chapters beside it follow without a gap.

    Raises InputError: video-missing, video-unreadable (permissions, input/output), video-empty-file, not-a-video,
    video-no-index (an MP4 whose recording never ended), video-no-picture, video-no-frames, video-undecodable,
    chapter-missing, chapters-differ.
    """
    file = Path(path)
    files = chapters_of(file) if join_chapters and file.is_file() else (file,)
    if len(files) > 1:
        return join([_probe_file(f) for f in files])
    return _probe_file(file)


def probe_recording(files: Sequence[str | os.PathLike[str]]) -> VideoInfo:
    """Return what a recording is whose chapters are these files, in this order. Raises InputError as `probe`."""
    return join([_probe_file(Path(f)) for f in files])


def _probe_file(file: Path) -> VideoInfo:
    with open_video(file) as container:
        stream = container.streams.video[0]
        found: list[Diagnostic] = _lone_chapter(file)
        movie = read_movie(file)
        pts, timing = _timestamps(container, stream, file, movie, found)
        frame = _first_frame(file)
        rotation_deg = _rotation_deg(frame, file, found)
        width_px, height_px = frame.width, frame.height
        if rotation_deg in (90, 270):
            width_px, height_px = height_px, width_px
        base = Fraction(stream.time_base or Fraction(1, 1000)) if timing is None else timing
        nominal = Fraction(stream.guessed_rate or stream.average_rate or 0)
        fps, is_variable, irregular = frame_rate(pts, base, nominal, file.name)
        return VideoInfo(
            path=file,
            width_px=width_px,
            height_px=height_px,
            rotation_deg=rotation_deg,
            fps=fps,
            nominal_fps=nominal or fps,
            n_frames=len(pts),
            time_s=(pts - pts[0]) * float(base),
            pts=pts,
            time_base=base,
            start_s=float(int(pts[0]) * base),
            codec=stream.codec_context.name,
            is_variable_rate=is_variable,
            has_audio=bool(container.streams.audio),
            diagnostics=(*found, *irregular),
            timecode=_timecode(file, container, movie, nominal or fps),
            gopro=read_facts(file, movie) if movie is not None else None,
        )


def _lone_chapter(file: Path) -> list[Diagnostic]:
    name = chapter_name(file)
    if name is None or name.chapter == 1:
        return []
    return [
        Diagnostic(
            "chapter-not-first",
            Severity.INFO,
            f"{file.name}: this is chapter {name.chapter} of recording {name.number}; its first frame is at time 0.",
            {"chapter": name.chapter},
        )
    ]


def _timecode(file: Path, container: InputContainer, movie: Movie | None, rate: Fraction) -> Timecode | None:
    """Return the start timecode of the file's own track, or else of its metadata."""
    own = read_timecode(file, movie) if movie is not None else None
    texts = [container.metadata, *(s.metadata for s in container.streams)]
    return own or next((t for m in texts if (t := parse_timecode(m.get("timecode", ""), rate)) is not None), None)


def open_video(file: Path) -> InputContainer:
    """Return an open container that has a video stream. Raises the InputErrors that `probe` lists."""
    import av
    from av.error import FFmpegError

    _check_file(file)
    try:
        container = av.open(str(file), metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        if is_cut_mp4(file):
            raise _no_index(file) from error
        raise _not_a_video(file, str(error)) from error
    name = container.format.name
    if name == "tty" or name.startswith("image2") or name.endswith("_pipe"):
        container.close()
        raise _not_a_video(file, f"its content reads as {name}")
    if container.streams.video and container.streams.video[0].codec_context is None:
        container.close()
        if is_cut_mp4(file):
            raise _no_index(file)
        raise InputError(
            "video-undecodable",
            f"{file}: the pictures are in a format that nothing here can decode.",
            "Copy the file from the camera again, or convert it to H.264.",
        )
    if not container.streams.video:
        container.close()
        raise InputError(
            "video-no-picture",
            f"{file}: expected a video, got a {name} file without any picture track.",
            "Give the camera's video file.",
        )
    return container


def _check_file(file: Path) -> None:
    if not file.exists():
        raise InputError("video-missing", f"{file}: no such file.", "Check the path of the video.")
    try:
        with file.open("rb") as stream:
            is_empty = not stream.read(1)
    except OSError as error:
        raise InputError(
            "video-unreadable", f"{file}: cannot be opened: {error}.", "Give a video file that you may read."
        ) from error
    if is_empty:
        raise InputError(
            "video-empty-file", f"{file}: the file is empty (0 bytes).", "Copy the file from the camera again."
        )


def _no_index(file: Path) -> InputError:
    return InputError(
        "video-no-index",
        f"{file}: the recording was cut off before its index was written or copied ('moov' box missing or cut), so no "
        "frame of it can be located.",
        "Copy the file from the camera again, or repair it with a tool such as untrunc, then run again.",
    )


def _not_a_video(file: Path, why: str) -> InputError:
    return InputError(
        "not-a-video",
        f"{file}: expected a video (MP4, MOV, MKV, WebM, AVI), but it cannot be read as one: {why}.",
        "Give a video file, or copy it from the camera again if it should be one.",
    )


def _timestamps(
    container: InputContainer, stream: VideoStream, file: Path, movie: Movie | None, found: list[Diagnostic]
) -> tuple[np.ndarray, Fraction | None]:
    """Return [frame] presentation timestamps in order, and a time base of their own where the file has none."""
    times = read_times(file, container, stream, movie)
    pts, broken = times.pts, times.n_broken
    if not pts and is_cut_mp4(file):
        raise _no_index(file)
    if not pts:
        raise InputError(
            "video-no-frames",
            f"{file}: the file has a picture track but not one frame can be read from it.",
            "Record again, or copy the file from the camera again.",
        )
    n_declared = max(int(stream.frames or 0), len(pts) + broken)
    if n_declared > len(pts):
        pts = _without_ragged_end(pts)
        found.append(
            Diagnostic(
                "video-truncated",
                Severity.WARNING,
                f"{file.name}: the file is cut short: {len(pts)} of {n_declared} frames can be used.",
                {"readable": len(pts), "declared": n_declared},
            )
        )
    known = [p for p in pts if p is not None]
    if len(known) == len(pts) and len(set(known)) == len(known):
        return np.sort(np.asarray(known, np.int64)), None
    rate = Fraction(stream.guessed_rate or stream.average_rate or 30)
    found.append(
        Diagnostic(
            "video-no-timestamps",
            Severity.WARNING,
            f"{file.name}: the file does not give a time for every frame; "
            f"even spacing at {float(rate):g} Hz is assumed.",
            {"fps": float(rate)},
        )
    )
    return np.arange(len(pts), dtype=np.int64), 1 / rate


def _without_ragged_end(pts: list[int | None]) -> list[int | None]:
    """Return timestamps without what follows a gap at the end: frames are stored out of order, so a cut tears holes."""
    known = np.sort(np.array([p for p in pts if p is not None], np.int64))
    if len(known) != len(pts) or len(known) < 3:
        return pts
    steps = np.diff(known)
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps))
    gaps = gaps[gaps > len(steps) - _REORDERED]
    return [int(p) for p in known[: gaps[0] + 1]] if len(gaps) else pts


def _first_frame(file: Path) -> VideoFrame:
    from av.error import FFmpegError

    with open_video(file) as container:
        try:
            return next(container.decode(container.streams.video[0]))
        except (FFmpegError, StopIteration) as error:
            raise InputError(
                "video-undecodable",
                f"{file}: the {container.streams.video[0].codec_context.name} pictures cannot be decoded: {error}.",
                "Copy the file from the camera again, or convert it to H.264.",
            ) from error


def _rotation_deg(frame: VideoFrame, file: Path, found: list[Diagnostic]) -> int:
    """Return the clockwise turn in {0, 90, 180, 270} that makes the picture upright (the file counts anticlockwise)."""
    clockwise = -int(frame.rotation) % 360
    if clockwise % 90 == 0:
        return clockwise
    found.append(
        Diagnostic(
            "video-odd-rotation",
            Severity.WARNING,
            f"{file.name}: the file asks to be turned by {clockwise} degrees; only quarter turns are done, "
            "so it is used as it is.",
            {"rotation_deg": clockwise},
        )
    )
    return 0
