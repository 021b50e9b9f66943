"""The outermost boxes of MP4 and MOV files (ISO/IEC 14496-12, section 4.2): enough to say why one cannot be read."""

from __future__ import annotations

import struct
from pathlib import Path

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_MAX_BOXES = 10_000
"""Outermost boxes looked at: a fragmented file has two for each second or so."""


def top_level_boxes(file: Path) -> list[tuple[str, bool]]:
    """Return the outermost boxes in file order: type, and whether the box is whole."""
    return [(kind, at + size <= n_bytes) for kind, at, _, size, n_bytes in _walk(file)]


def find_box(file: Path, kind: bytes) -> tuple[int, int] | None:
    """Return the place and size of the body of the first outermost box of a type, if it is there and whole."""
    for name, at, header, size, n_bytes in _walk(file):
        if name == kind.decode("latin-1") and at + size <= n_bytes:
            return at + header, size - header
    return None


def is_cut_mp4(file: Path) -> bool:
    """Return whether this is an MP4 without a whole index: the recording or the copy stopped before its end."""
    boxes = top_level_boxes(file)
    return bool(boxes) and ("moov", True) not in boxes


def _walk(file: Path) -> list[tuple[str, int, int, int, int]]:
    """Return type, place, size of the header, size and the file's size for each outermost box."""
    boxes: list[tuple[str, int, int, int, int]] = []
    n_bytes = file.stat().st_size
    with file.open("rb") as stream:
        at = 0
        while at + 8 <= n_bytes and len(boxes) < _MAX_BOXES:
            stream.seek(at)
            size, kind = struct.unpack(">I4s", stream.read(8))
            header = 8
            if size == 1:
                large = stream.read(8)
                size, header = (struct.unpack(">Q", large)[0] if len(large) == 8 else 0), 16
            elif size == 0:  # The box reaches to the end of the file.
                size = n_bytes - at
            if not boxes and kind not in _FIRST_BOXES:
                break
            if size < header:
                break
            boxes.append((kind.decode("latin-1"), at, header, size, n_bytes))
            at += size
    return boxes
