"""GPMF, the telemetry that action cameras write into MP4 files: key-length-value entries, parsed without trust.

The format (github.com/gopro/gpmf-parser, "GPMF-KLV"): each entry is a four-character key, a type character, the size
of one structure (8 bits), a repeat count (16 bits) and the data, padded to 4 bytes; all numbers are big-endian. Type 0
holds entries. Keys that come before a stream's data describe it: TYPE its complex structure, SCAL its divisors.

Whatever the bytes are, parsing ends, takes memory in proportion to them, and raises nothing: what cannot be read is
left out and counted.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

MAX_DEPTH = 8
"""Nesting beyond this is not followed; cameras use three levels."""

MAX_ENTRIES = 200_000
"""Entries read from one payload; cameras write a few hundred in one second's payload."""

NUMBERS = {
    "b": "i1",
    "B": "u1",
    "s": ">i2",
    "S": ">u2",
    "l": ">i4",
    "L": ">u4",
    "j": ">i8",
    "J": ">u8",
    "f": ">f4",
    "d": ">f8",
    "q": ">i4",
    "Q": ">i8",
}
"""numpy's type for each GPMF number; q and Q are fixed-point numbers (15.16 and 31.32 bits)."""

_FIXED_POINT = {"q": 2.0**-16, "Q": 2.0**-32}
_TEXT_SIZES = {"c": 1, "F": 4, "U": 16, "G": 16}
_MAX_STRUCTURE = 255
"""Bytes of one structure: its size has 8 bits."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One key with its data. `data` is a view into the payload; nothing is decoded before it is asked for."""

    key: str
    kind: str
    """GPMF type character; "\\0" for an entry that holds entries."""
    structure_size: int
    """Bytes of one structure."""
    repeat: int
    data: memoryview
    children: tuple[Entry, ...] = ()

    @property
    def text(self) -> str:
        """Return the data as text: cut at the first zero, one character for each byte (units use °, ², µ)."""
        return bytes(self.data).split(b"\0", 1)[0].decode("latin-1").strip()

    def texts(self) -> tuple[str, ...]:
        """Return one text for each repeated structure, e.g. the units of a stream's columns."""
        size = max(self.structure_size, 1)
        raw = bytes(self.data)
        return tuple(
            raw[i * size : (i + 1) * size].split(b"\0", 1)[0].decode("latin-1").strip() for i in range(len(raw) // size)
        )

    def numbers(self, structure: str = "") -> np.ndarray:
        """Return [sample column] float64 without scaling; no rows where the data is text or cannot be understood.

        Args:
            structure: what TYPE says of a complex ("?") entry. Text columns (four characters) become NaN.
        """
        kinds = structure_kinds(structure) if self.kind == "?" else self._columns()
        sizes = [_size_of(k) for k in kinds]
        if not kinds or sum(sizes) != self.structure_size:
            return np.empty((0, 0))
        n = min(len(self.data) // self.structure_size, self.repeat)
        rows = np.frombuffer(self.data[: n * self.structure_size], np.uint8).reshape(n, self.structure_size)
        out = np.full((n, len(kinds)), np.nan)
        at = 0
        for column, (kind, size) in enumerate(zip(kinds, sizes, strict=True)):
            if kind in NUMBERS:
                values = np.ascontiguousarray(rows[:, at : at + size]).view(NUMBERS[kind])[:, 0]
                # A signalling NaN among hostile floats makes numpy warn about the conversion.
                with np.errstate(invalid="ignore"):
                    out[:, column] = values.astype(np.float64) * _FIXED_POINT.get(kind, 1.0)
            at += size
        return out

    def _columns(self) -> str:
        """Return the type of each column of an entry whose structure is many numbers of one type."""
        size = _size_of(self.kind) if self.kind in NUMBERS else 0
        return self.kind * (self.structure_size // size) if size and self.structure_size % size == 0 else ""

    def first(self, key: str) -> Entry | None:
        """Return the first entry of that key directly inside this one."""
        return next((e for e in self.children if e.key == key), None)


@dataclass(frozen=True, eq=False)
class Payload:
    """The entries of one piece of telemetry (about one second of it in a video)."""

    entries: tuple[Entry, ...]
    n_unreadable: int = 0
    """Entries that were cut off or nested too deeply."""

    def devices(self) -> Iterator[Entry]:
        """Yield the entries that stand for a device (a camera, a gimbal, ...)."""
        return (e for e in self.entries if e.key == "DEVC")


@dataclass(frozen=True, eq=False)
class Stream:
    """What one STRM entry holds: one sensor's samples and what describes them."""

    key: str
    """Four-character key of the data, e.g. ACCL."""
    device: str
    name: str
    units: tuple[str, ...]
    data: tuple[Entry, ...]
    """Entries with the samples; most streams have one."""
    total_samples: int | None
    """TSMP: samples of this stream since the recording began, these included."""
    start_us: int | None
    """STMP: time of the first of these samples on the camera's own microsecond clock."""
    about: dict[str, Entry] = field(default_factory=dict[str, Entry])
    """All other entries of the stream."""

    @cached_property
    def values(self) -> np.ndarray:
        """[sample column] float64, divided by SCAL; no rows where there are none or they are text."""
        structure = self.about["TYPE"].text if "TYPE" in self.about else ""
        blocks = [b for b in (e.numbers(structure) for e in self.data) if b.size]
        blocks = [b for b in blocks if b.shape[1] == blocks[0].shape[1]]
        return _scaled(np.concatenate(blocks) if blocks else np.empty((0, 0)), self.about.get("SCAL"))

    @property
    def is_empty(self) -> bool:
        """Whether this payload has nothing of the stream."""
        return not any(len(e.data) for e in self.data)


def parse(data: bytes | bytearray | memoryview) -> Payload:
    """Return the entries of a piece of GPMF. Raises nothing for damaged data."""
    reader = _Reader()
    entries = reader.read(memoryview(data).cast("B").toreadonly(), 0)
    return Payload(entries, reader.n_unreadable)


class _Reader:
    """Counts entries over all levels, so that no nesting trick multiplies the work."""

    def __init__(self) -> None:
        self.n_entries = 0
        self.n_unreadable = 0

    def read(self, data: memoryview, depth: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        at = 0
        while at + 8 <= len(data) and self.n_entries < MAX_ENTRIES:
            key = bytes(data[at : at + 4])
            if key == b"\0\0\0\0":  # Padding at the end of a payload of fixed size.
                break
            if not _is_key(key):
                self.n_unreadable += 1
                break
            kind, size, repeat = struct.unpack_from(">BBH", data, at + 4)
            n_bytes = size * repeat
            body = data[at + 8 : at + 8 + n_bytes]
            self.n_entries += 1
            if len(body) < n_bytes:
                self.n_unreadable += 1
            if kind == 0 and depth >= MAX_DEPTH:
                self.n_unreadable += 1
            children = self.read(body, depth + 1) if kind == 0 and depth < MAX_DEPTH else ()
            entries.append(Entry(key.decode("latin-1"), chr(kind), size, repeat, body, children))
            at += 8 + (n_bytes + 3) // 4 * 4
        return tuple(entries)


def _is_key(key: bytes) -> bool:
    return all(32 <= c < 127 for c in key)


def structure_kinds(text: str) -> str:
    """Return one type character for each column of a complex structure: `f[3]BB` is `fffBB`; "" where too large."""
    if not re.fullmatch(r"(?:[a-zA-Z](?:\[\d{1,3}\])?)*", text):
        return ""
    kinds = "".join(m[1] * int(m[2] or 1) for m in re.finditer(r"([a-zA-Z])(?:\[(\d+)\])?", text[:_MAX_STRUCTURE]))
    return kinds if sum(_size_of(k) for k in kinds) <= _MAX_STRUCTURE else ""


def _size_of(kind: str) -> int:
    return int(NUMBERS[kind][-1]) if kind in NUMBERS else _TEXT_SIZES.get(kind, _MAX_STRUCTURE + 1)


def streams(payload: Payload) -> Iterator[Stream]:
    """Yield the sensor streams of a payload. A stream without samples in this payload has no rows."""
    for device in payload.devices():
        named = device.first("DVNM")
        name = named.text if named is not None else ""
        for holder in device.children:
            if holder.key == "STRM" and holder.children:
                yield _stream(holder.children, name)


def _stream(entries: Sequence[Entry], device: str) -> Stream:
    """Return a stream. The last entry is the data (GPMF-KLV); data may repeat, each time with several structures."""
    key = entries[-1].key
    about = {e.key: e for e in entries if e.key != key}
    units = next((about[k].texts() for k in ("SIUN", "UNIT") if k in about), ())
    named = about.get("STNM")
    return Stream(
        key,
        device,
        named.text if named is not None else "",
        units,
        tuple(e for e in entries if e.key == key),
        _whole_number(about.get("TSMP")),
        _whole_number(about.get("STMP")),
        about,
    )


def _scaled(values: np.ndarray, scale: Entry | None) -> np.ndarray:
    """Return values divided by one divisor, or by one for each column; a divisor of 0 gives NaN."""
    if scale is None or not values.size:
        return values
    divisors = scale.numbers().ravel()
    if len(divisors) not in (1, values.shape[1]):
        return values
    divisors = np.where(divisors == 0, np.nan, divisors)
    with np.errstate(over="ignore", invalid="ignore"):
        return values / divisors


def _whole_number(entry: Entry | None) -> int | None:
    if entry is None or entry.kind not in NUMBERS:
        return None
    values = entry.numbers().ravel()
    # float64 holds integers exactly to 2^53: 285 years of microseconds.
    return int(values[0]) if len(values) and np.isfinite(values[0]) and abs(values[0]) < 2**53 else None
