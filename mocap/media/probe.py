"""What a video file is: its true times, rates, size and rotation, without decoding more than the first picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.mp4_boxes import is_cut_mp4

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

STANDARD_RATES = tuple(Fraction(n * 1000, d) for n in (24, 30, 48, 60, 120, 240) for d in (1001, 1000)) + tuple(
    Fraction(n) for n in (25, 50, 100, 200)
)
"""Rates that cameras really use; a coarse container clock is read as one of these when it fits every frame."""

JITTER_SHARE = 0.1
"""A frame interval that differs by more than this share of the median makes the rate variable."""

_REORDERED = 16
"""Frames over which an encoder may change the order (H.264, table A-1: at most 16 pictures are kept)."""


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """One video file. Sizes are those of the upright picture."""

    path: Path
    width_px: int
    height_px: int
    rotation_deg: int
    """Clockwise turn (0, 90, 180, 270) that the file asks for; already applied to the size and by `frames`."""
    fps: Fraction
    """True average rate; exact (60000/1001) where the timestamps agree with a standard or the declared rate."""
    nominal_fps: Fraction
    """Rate that the container declares."""
    n_frames: int
    """Frames that can be read (a truncated file has fewer than it declares)."""
    time_s: np.ndarray
    """[frame] float64 presentation time on the camera's clock; the first frame is at 0."""
    pts: np.ndarray
    """[frame] int64 presentation timestamps in units of `time_base`, increasing."""
    time_base: Fraction
    start_s: float
    """Presentation time of the first frame in the container, where the audio shares the same zero."""
    codec: str
    is_variable_rate: bool
    has_audio: bool
    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64, (self.n_frames,), "time_s"))
        object.__setattr__(self, "pts", frozen(self.pts, np.int64, (self.n_frames,), "pts"))

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return self.width_px, self.height_px

    @property
    def duration_s(self) -> float:
        """Time from the first frame to one period after the last."""
        return float(self.time_s[-1]) + 1.0 / float(self.fps)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object (without the list of times)."""
        return {
            "path": str(self.path),
            "codec": self.codec,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "rotation_deg": self.rotation_deg,
            "n_frames": self.n_frames,
            "fps": float(self.fps),
            "fps_exact": f"{self.fps.numerator}/{self.fps.denominator}",
            "nominal_fps": float(self.nominal_fps),
            "duration_s": self.duration_s,
            "start_s": self.start_s,
            "is_variable_rate": self.is_variable_rate,
            "has_audio": self.has_audio,
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Return what a video file is.

    Reads every packet's header (the timestamps) and decodes the first picture only. A file that is cut short but still
    has its index is described by what can be read, with a `video-truncated` diagnostic.

    Raises InputError: video-missing, video-unreadable (permissions, input/output), video-empty-file, not-a-video,
    video-no-index (an MP4 whose recording never ended), video-no-picture, video-no-frames, video-undecodable.
    """
    file = Path(path)
    with open_video(file) as container:
        stream = container.streams.video[0]
        found: list[Diagnostic] = []
        pts, timing = _timestamps(container, stream, file, found)
        frame = _first_frame(file)
        rotation_deg = _rotation_deg(frame, file, found)
        width_px, height_px = frame.width, frame.height
        if rotation_deg in (90, 270):
            width_px, height_px = height_px, width_px
        base = Fraction(stream.time_base or Fraction(1, 1000)) if timing is None else timing
        nominal = Fraction(stream.guessed_rate or stream.average_rate or 0)
        fps, is_variable = _rate(pts, base, nominal)
        if is_variable:
            found.append(_variable_rate(file, pts, base))
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
            diagnostics=tuple(found),
        )


def open_video(file: Path) -> InputContainer:
    """Return an open container that has a video stream. Raises the InputErrors that `probe` lists."""
    import av
    from av.error import FFmpegError

    _check_file(file)
    try:
        container = av.open(str(file))
    except (FFmpegError, OSError) as error:
        if is_cut_mp4(file):
            raise _no_index(file) from error
        raise _not_a_video(file, str(error)) from error
    name = container.format.name
    if name == "tty" or name.startswith("image2") or name.endswith("_pipe"):
        container.close()
        raise _not_a_video(file, f"its content reads as {name}")
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
    container: InputContainer, stream: VideoStream, file: Path, found: list[Diagnostic]
) -> tuple[np.ndarray, Fraction | None]:
    """Return [frame] presentation timestamps in order, and a time base of their own where the file has none."""
    from av.error import FFmpegError

    pts: list[int | None] = []
    broken = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.is_corrupt:
                broken += 1
                continue
            pts.append(packet.pts)
    except FFmpegError:
        broken += 1
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


def _rate(pts: np.ndarray, base: Fraction, nominal: Fraction) -> tuple[Fraction, bool]:
    """Return the true average rate and whether the frame intervals vary."""
    if len(pts) < 2:
        return nominal or Fraction(30), False
    steps = np.diff(pts)
    median = float(np.median(steps))
    tolerance = max(1.5, JITTER_SHARE * median)
    is_variable = bool((np.abs(steps - median) > tolerance).any())
    average = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * base)
    if is_variable:
        return average, True
    for rate in ((nominal,) if nominal else ()) + STANDARD_RATES:
        ideal = np.arange(len(pts)) * float(1 / (rate * base))
        error = pts - pts[0] - ideal
        if np.ptp(error) <= 1.5:
            return rate, False
    return average, False


def _variable_rate(file: Path, pts: np.ndarray, base: Fraction) -> Diagnostic:
    steps_s = np.diff(pts) * float(base)
    lo, mid, hi = (float(v) for v in (steps_s.min(), np.median(steps_s), steps_s.max()))
    return Diagnostic(
        "video-variable-rate",
        Severity.WARNING,
        f"{file.name}: the frame rate varies: intervals from {lo * 1e3:.1f} to {hi * 1e3:.1f} ms, "
        f"median {mid * 1e3:.1f}. "
        "Every frame is used at its own time.",
        {"interval_min_s": lo, "interval_median_s": mid, "interval_max_s": hi},
    )
