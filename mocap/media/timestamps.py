"""When each frame of a video is shown: from the index of an MP4 where that is certain, else from every packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocap.media.mp4_index import IndexDamagedError, Movie, Samples

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_CHECKED_PACKETS = 24
"""Packets that are read to compare the index with what the demuxer says."""


@dataclass(frozen=True, eq=False)
class ReadTimes:
    """What a file says of its frames."""

    pts: list[int | None]
    """Presentation timestamps of the frames that can be read, in order of storage."""
    n_broken: int
    """Frames whose data is cut off or marked as broken."""


def read_times(file: Path, container: InputContainer, stream: VideoStream, movie: Movie | None) -> ReadTimes:
    """Return the timestamps of a stream's frames, in units of the stream's time base.

    The index of an MP4 gives them without touching the pictures. It is trusted only where the demuxer's own list of
    samples has the same times and places, and where its first packets are presented as the index says; otherwise
    every packet is read.
    """
    times = _from_index(file, container, stream, movie) if movie is not None else None
    return _from_packets(file) if times is None else times


def _from_packets(file: Path) -> ReadTimes:
    """Return what reading the file from its beginning says."""
    import av
    from av.error import FFmpegError

    pts: list[int | None] = []
    broken = 0
    try:
        with av.open(str(file), metadata_errors="replace") as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.is_corrupt:
                    broken += 1
                    continue
                pts.append(packet.pts)
    except FFmpegError:
        broken += 1
    return ReadTimes(pts, broken)


def _from_index(file: Path, container: InputContainer, stream: VideoStream, movie: Movie) -> ReadTimes | None:
    track = next((t for t in movie.tracks if t.track_id == stream.id and t.handler == "vide"), None)
    if track is None or movie.is_fragmented or (stream.time_base or 0) * track.timescale != 1:
        return None
    try:
        samples = track.samples
    except IndexDamagedError:
        return None
    listed = stream.index_entries
    if len(samples) == 0 or len(listed) != len(samples):
        return None
    entries = np.array([(e.timestamp, e.pos, e.size, e.is_discard) for e in listed], np.int64)
    # An edit list moves all times alike where it only cuts the lead-in; anything else shows as a difference here.
    shift = np.unique(entries[:, 0] - samples.dts)
    if len(shift) != 1 or (entries[:, 1] != samples.offset).any() or (entries[:, 2] != samples.size).any():
        return None
    pts = _checked_pts(container, stream, samples)
    if pts is None:
        return None
    shown = entries[:, 3] == 0
    whole = (samples.size > 0) & (samples.offset + samples.size <= file.stat().st_size)
    return ReadTimes([int(p) for p in pts[shown & whole]], int((shown & ~whole).sum()))


def _checked_pts(container: InputContainer, stream: VideoStream, samples: Samples) -> np.ndarray | None:
    """Return [sample] timestamps as the demuxer counts them, or None where its packets contradict the index."""
    at = {int(o): i for i, o in enumerate(samples.offset)}
    seen = [(at.get(p.pos), p.pts) for p in _some_packets(container, stream) if p.pts is not None and p.pos is not None]
    if not seen or any(i is None for i, _ in seen):
        return None
    shifts = {pts - int(samples.pts[i]) for i, pts in seen if i is not None and pts is not None}
    return samples.pts + shifts.pop() if len(shifts) == 1 else None


def _some_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    from av.error import FFmpegError

    n = 0
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                yield packet
                n += 1
            if n >= _CHECKED_PACKETS:
                return
    except FFmpegError:
        return
