"""A file's sound as one channel of numbers, with its exact place on the camera's clock."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.errors import InputError
from mocap.core.publish import disk_error
from mocap.media.video_info import VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer

IN_MEMORY = 1 << 24
"""Samples up to which sound is held in memory (64 MB); longer sound lies in a file without a name, whose pages the
system takes back when it needs them."""
MAX_GAP_S = 1800.0
"""A larger jump of the timestamps is damage, not a pause; the sound goes on without it."""


@dataclass(frozen=True, eq=False)
class Sound:
    """The mean of a file's channels."""

    samples: np.ndarray
    """[sample] float32 in -1..1; gaps are zero."""
    rate_hz: int
    start_s: float
    """Time of the first sample on the camera's clock, which is 0 at the first video frame; in a file without pictures
    the first sample is at 0."""

    def __post_init__(self) -> None:
        if not isinstance(self.samples, np.memmap):  # one is never copied into memory
            object.__setattr__(self, "samples", frozen(self.samples, np.float32, (None,), "samples"))

    @property
    def duration_s(self) -> float:
        """Length."""
        return len(self.samples) / self.rate_hz


class Sounds(Mapping[str, "Sound | None"]):
    """Sound by camera, read anew each time it is asked for: hours of it from many cameras do not fit into memory."""

    def __init__(self, readers: Mapping[str, Callable[[], Sound | None]]) -> None:
        self._readers = dict(readers)

    def __getitem__(self, key: str) -> Sound | None:
        return self._readers[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def zeros(n: int) -> np.ndarray:
    """Return n zeros, float32: in memory, or where they are many in a file that goes when they do.

    Raises: SetupError output-full, output-not-writable.
    """
    if n <= IN_MEMORY:
        return np.zeros(n, np.float32)
    try:
        with tempfile.TemporaryFile(prefix="mocap-sound-") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, 4 * n)  # a full disk is an error here, and a crash once mapped
            return np.memmap(file, np.float32, "w+", shape=(n,))
    except OSError as error:
        raise disk_error(error, Path(tempfile.gettempdir())) from error


class _Growing:
    """Samples whose number is not known yet."""

    def __init__(self) -> None:
        self._samples = zeros(1 << 20)
        self.n = 0

    def put(self, at: int, values: np.ndarray) -> None:
        """Place samples; what lies between is zero."""
        end = at + len(values)
        if end > len(self._samples):
            larger = zeros(max(end, 2 * len(self._samples)))
            larger[: self.n] = self._samples[: self.n]
            self._samples = larger
        self._samples[at:end] = values
        self.n = max(self.n, end)

    def whole(self) -> np.ndarray:
        """Return what was placed."""
        return self._samples[: self.n]


def read_audio(path: str | os.PathLike[str], video_start_s: float | None = None) -> Sound | None:
    """Return the first audio track of a file, or None where it has none.

    Samples are placed by their timestamps; what an encoder put before the start (priming) is left out as the file asks.

    Args:
        path: a video or a sound file.
        video_start_s: presentation time of the first picture in the container (`VideoInfo.start_s`); None for a file
            without pictures.

    Raises: InputError audio-unreadable; SetupError output-full where long sound finds no place on the disk.
    """
    import av
    from av.error import FFmpegError

    file = Path(path)
    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                return None
            return _decoded(container, video_start_s)
    except (FFmpegError, OSError) as error:
        raise InputError(
            "audio-unreadable",
            f"{file}: its sound cannot be read: {error}.",
            "Copy the file from the camera again, or synchronise without sound (--methods motion).",
        ) from error


def recording_sound(info: VideoInfo) -> Sound | None:
    """Return the first audio track of a recording with all its chapters, or None where no chapter has sound.

    Each chapter's sound is placed by its own distance from that chapter's first picture, so what one chapter lacks does
    not move the next. Raises InputError audio-unreadable.
    """
    if len(info.files) == 1:
        return read_audio(info.path, info.start_s)
    parts: list[Sound] = []
    begin = 0
    for part in info.files:
        first_s = float((int(info.pts[begin]) - part.pts_shift) * info.time_base)
        sound = read_audio(part.path, first_s)
        if sound is not None:
            parts.append(replace(sound, start_s=sound.start_s + float(info.time_s[begin])))
        begin += part.n_frames
    rates = sorted({p.rate_hz for p in parts})
    if len(rates) > 1:
        raise InputError(
            "chapters-differ",
            f"{info.path}: the sound of its chapters has different rates: {', '.join(f'{r} Hz' for r in rates)}.",
            "Move files of other recordings to another folder.",
        )
    return _spliced(parts) if parts else None


def _spliced(parts: Sequence[Sound]) -> Sound:
    """Return sounds of one rate as one; gaps are zero, and where two overlap the later one counts."""
    rate, start_s = parts[0].rate_hz, parts[0].start_s
    places = [round((p.start_s - start_s) * rate) for p in parts]
    samples = zeros(max(at + len(p.samples) for at, p in zip(places, parts, strict=True)))
    for at, part in zip(places, parts, strict=True):
        samples[at : at + len(part.samples)] = part.samples
    return Sound(samples, rate, start_s)


def _decoded(container: InputContainer, video_start_s: float | None) -> Sound | None:
    from av.error import FFmpegError

    stream = container.streams.audio[0]
    samples = _Growing()
    rate = int(stream.rate or 48000)
    first_s: float | None = None
    next_at = 0
    try:
        for frame in container.decode(stream):
            rate = frame.sample_rate
            mono = _mono(frame.to_ndarray(), len(frame.layout.channels), frame.format.is_planar)
            at = next_at
            if frame.pts is not None and frame.time_base is not None:
                time_s = float(frame.pts * frame.time_base)
                if first_s is None:
                    first_s = time_s
                stamped = round((time_s - first_s) * rate)
                # timestamps of coarse containers jitter; only a real gap moves the samples
                if stamped - next_at > rate // 100 and stamped - next_at < MAX_GAP_S * rate:
                    at = stamped
            samples.put(at, mono)
            next_at = at + len(mono)
    except FFmpegError:
        # A damaged end: what was decoded counts.
        if not samples.n:
            raise
    if not samples.n:
        return None
    start_s = 0.0 if video_start_s is None else (first_s or 0.0) - video_start_s
    return Sound(samples.whole(), rate, start_s)


def _mono(data: np.ndarray, n_channels: int, is_planar: bool) -> np.ndarray:
    """Return the mean of the channels as float32 in -1..1."""
    scale = 1.0
    if data.dtype.kind in "iu":
        info = np.iinfo(data.dtype)
        scale = 1.0 / max(abs(info.min), info.max)
    values = data.astype(np.float32) * np.float32(scale)
    if data.dtype.kind == "u":
        values = 2 * values - 1
    return values.mean(0) if is_planar else values.reshape(-1, n_channels).mean(1)
