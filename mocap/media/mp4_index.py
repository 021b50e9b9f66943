"""The index of an MP4 or MOV file (its `moov` box): where each sample lies and when it is shown.

ISO/IEC 14496-12: sections 8.4 (media), 8.6 (time), 8.7 (data layout). Only the index is read, never the pictures, so
the cost does not grow with the size of the file. Every count in the file is checked against the bytes that are there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mocap.media.mp4_boxes import find_box

MAX_INDEX_BYTES = 128 << 20
"""Larger indices are not read: twelve hours of 60 Hz video need 52 MB."""

MIN_SAMPLE_BYTES = 4
"""A file has at most as many samples as fit into it at this size; coded pictures and telemetry are never smaller."""

_HOLDERS = {"trak", "mdia", "minf", "stbl", "edts"}


class IndexDamagedError(ValueError):
    """The index contradicts itself or the size of the file."""


@dataclass(frozen=True, eq=False)
class Samples:
    """[sample] in the order of storage (which is decoding order)."""

    offset: np.ndarray
    """int64 place in the file."""
    size: np.ndarray
    """int64 bytes."""
    dts: np.ndarray
    """int64 decoding time in units of the track's time scale."""
    duration: np.ndarray
    """int64 in the same units."""
    pts: np.ndarray
    """int64 presentation time, without the track's edit list."""

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True, eq=False)
class Track:
    """One track of a movie."""

    track_id: int
    handler: str
    """What it is for: vide, soun, tmcd, meta."""
    format: str
    """Four characters of its first sample entry, e.g. avc1, gpmd."""
    timescale: int
    sample_entry: bytes
    """Body of the first sample entry, after its format."""
    edits: tuple[tuple[int, int], ...]
    """(duration in the movie's time scale, start in the track's own; -1: nothing is shown)."""
    file_size: int
    boxes: dict[str, memoryview]
    """Bodies of the sample table's boxes."""

    @cached_property
    def samples(self) -> Samples:
        """Return all samples. Raises IndexDamagedError."""
        size = self._sizes()
        n = len(size)
        dts_step = _runs(self.boxes.get("stts"), n, "stts", signed=False, fill_last=True)
        dts = np.zeros(n, np.int64)
        np.cumsum(dts_step[:-1], out=dts[1:])
        shift = _runs(self.boxes.get("ctts"), n, "ctts", signed=True, fill_last=False)
        return Samples(self._offsets(size), size, dts, dts_step, dts + shift)

    def _sizes(self) -> np.ndarray:
        body = self.boxes.get("stsz")
        if body is None or len(body) < 12:
            raise IndexDamagedError("no sample sizes")
        uniform, n = struct.unpack_from(">II", body, 4)
        if n * max(uniform, MIN_SAMPLE_BYTES if uniform else 0) > self.file_size or (not uniform and n * 4 > len(body)):
            raise IndexDamagedError(f"{n} samples do not fit into the file")
        if uniform:
            return np.full(n, uniform, np.int64)
        return _table(body, 12, n, ">u4", 1)[:, 0]

    def _offsets(self, size: np.ndarray) -> np.ndarray:
        wide = "co64" in self.boxes
        body = self.boxes.get("co64" if wide else "stco")
        if body is None:
            raise IndexDamagedError("no chunk offsets")
        chunk_offset = _table(body, 8, _count(body), ">i8" if wide else ">u4", 1)[:, 0]
        n, n_chunks = len(size), len(chunk_offset)
        per_chunk = self._samples_per_chunk(n_chunks)
        end = np.minimum(np.cumsum(np.minimum(per_chunk, n)), n)
        begin = np.concatenate([[0], end[:-1]]).astype(np.int64)
        if n and (not n_chunks or end[-1] < n):
            raise IndexDamagedError("fewer chunks than the samples need")
        chunk = np.repeat(np.arange(n_chunks), end - begin)
        before = np.concatenate([[0], np.cumsum(size)])
        return chunk_offset[chunk] + before[:-1] - before[begin[chunk]]

    def _samples_per_chunk(self, n_chunks: int) -> np.ndarray:
        body = self.boxes.get("stsc")
        if body is None:
            raise IndexDamagedError("no sample-to-chunk table")
        table = _table(body, 8, _count(body), ">u4", 3)
        first = np.clip(table[:, 0] - 1, 0, n_chunks)
        if len(first) == 0 or first[0] != 0 or (np.diff(first) < 0).any():
            if n_chunks == 0:
                return np.empty(0, np.int64)
            raise IndexDamagedError("the sample-to-chunk table is out of order")
        return np.repeat(table[:, 1], np.diff(np.append(first, n_chunks)))


@dataclass(frozen=True, eq=False)
class Movie:
    """What a file's index holds."""

    timescale: int
    tracks: tuple[Track, ...]
    user_data: dict[str, memoryview]
    """Bodies of the boxes in `udta`."""
    is_fragmented: bool
    """The samples are described along the file instead of in the index."""

    def track(self, handler: str, sample_format: str = "") -> Track | None:
        """Return the first track of a handler and, where given, of a sample format."""
        fits = (t for t in self.tracks if t.handler == handler and sample_format in ("", t.format))
        return next(fits, None)


def read_movie(file: Path) -> Movie | None:
    """Return the index of an MP4 or MOV file; None for other files and where there is no whole index."""
    place = find_box(file, b"moov")
    if place is None or place[1] > MAX_INDEX_BYTES:
        return None
    file_size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(place[0])
        body = memoryview(stream.read(place[1]))
    timescale, tracks, user, fragmented = 0, [], {}, False
    for kind, content in _boxes(body):
        if kind == "mvhd":
            timescale = _header_timescale(content)
        elif kind == "mvex":
            fragmented = True
        elif kind == "udta":
            user = dict(_boxes(content))
        elif kind == "trak":
            track = _track(content, file_size)
            if track is not None:
                tracks.append(track)
    return Movie(timescale, tuple(tracks), user, fragmented)


def read_sample(file: Path, samples: Samples, index: int, max_bytes: int) -> bytes:
    """Return the bytes of one sample; none where it is larger than `max_bytes`, fewer where the file is cut."""
    size, offset = int(samples.size[index]), int(samples.offset[index])
    if offset < 0 or size > max_bytes:
        return b""
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def _boxes(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield the type and body of the boxes one after another; a box that is cut ends it."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= len(data):
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = len(data) - at
        if size < header or at + size > len(data):
            return
        yield kind.decode("latin-1"), data[at + header : at + size]
        at += size


def _leaves(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield all boxes of a track that hold no boxes; the nesting is that of the standard, so it is bounded."""
    todo = [(data, 0)]
    while todo:
        content, depth = todo.pop()
        for kind, body in _boxes(content):
            if kind in _HOLDERS and depth < len(_HOLDERS):
                todo.append((body, depth + 1))
            else:
                yield kind, body


def _track(content: memoryview, file_size: int) -> Track | None:
    """Return a track, or None where a part that every track has is missing or too short."""
    boxes: dict[str, memoryview] = {}
    for kind, body in _leaves(content):
        boxes.setdefault(kind, body)
    try:
        track_id = struct.unpack_from(">I", boxes["tkhd"], 20 if boxes["tkhd"][0] == 1 else 12)[0]
        handler = bytes(boxes["hdlr"][8:12])
        # The data handler of QuickTime files is a second hdlr, inside minf.
        media = next((b for k, b in _boxes(content) if k == "mdia"), memoryview(b""))
        handler = next((bytes(b[8:12]) for k, b in _boxes(media) if k == "hdlr"), handler)
        entry_size, form = struct.unpack_from(">I4s", boxes["stsd"], 8)
        return Track(
            track_id,
            handler.decode("latin-1"),
            form.decode("latin-1"),
            max(_header_timescale(boxes["mdhd"]), 1),
            bytes(boxes["stsd"][16 : 8 + entry_size]),
            _edits(boxes.get("elst")),
            file_size,
            boxes,
        )
    except (KeyError, struct.error, IndexError):
        return None


def _header_timescale(body: memoryview) -> int:
    """Return the time scale of `mvhd` and `mdhd`, which begin alike; 0 where the box is too short."""
    at = 20 if len(body) and body[0] == 1 else 12
    return struct.unpack_from(">I", body, at)[0] if len(body) >= at + 4 else 0


def _edits(body: memoryview | None) -> tuple[tuple[int, int], ...]:
    if body is None or len(body) < 8:
        return ()
    form = ">Qqhh" if body[0] == 1 else ">Iihh"
    size = struct.calcsize(form)
    n = min(_count(body), (len(body) - 8) // size)
    return tuple(struct.unpack_from(form, body, 8 + i * size)[:2] for i in range(min(n, 1000)))


def _count(body: memoryview) -> int:
    return struct.unpack_from(">I", body, 4)[0] if len(body) >= 8 else 0


def _table(body: memoryview, at: int, n: int, dtype: str, columns: int) -> np.ndarray:
    """Return [row column] int64. Raises IndexDamagedError where the box is shorter than it says."""
    n_bytes = n * columns * np.dtype(dtype).itemsize
    if at + n_bytes > len(body):
        raise IndexDamagedError("a table is shorter than its count says")
    return np.frombuffer(body[at : at + n_bytes], dtype).astype(np.int64).reshape(n, columns)


def _runs(body: memoryview | None, n: int, what: str, *, signed: bool, fill_last: bool) -> np.ndarray:
    """Return [sample] int64 from a table of (count, value) runs, cut or filled to n samples."""
    if body is None:
        if what == "stts":
            raise IndexDamagedError("no decoding times")
        return np.zeros(n, np.int64)
    table = _table(body, 8, _count(body), ">u4", 2)
    values = table[:, 1].astype(np.uint32).view(np.int32).astype(np.int64) if signed else table[:, 1]
    end = np.minimum(np.cumsum(np.minimum(table[:, 0], n)), n)
    out = np.repeat(values, np.diff(np.concatenate([[0], end])))
    last = int(values[-1]) if fill_last and len(values) else 0
    return np.concatenate([out, np.full(n - len(out), last, np.int64)])
