"""The outermost boxes of MP4 and MOV files (ISO/IEC 14496-12, section 4.2): enough to say why one cannot be read."""

from __future__ import annotations

import struct
from pathlib import Path

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}


def top_level_boxes(file: Path) -> list[tuple[str, bool]]:
    """Return the outermost boxes in file order: type, and whether the box is whole."""
    boxes: list[tuple[str, bool]] = []
    n_bytes = file.stat().st_size
    with file.open("rb") as stream:
        at = 0
        while at + 8 <= n_bytes:
            stream.seek(at)
            size, kind = struct.unpack(">I4s", stream.read(8))
            if size == 1:
                large = stream.read(8)
                size = struct.unpack(">Q", large)[0] if len(large) == 8 else 0
            if not boxes and kind not in _FIRST_BOXES:
                break
            boxes.append((kind.decode("latin-1"), at + size <= n_bytes))
            if size < 8:  # 0: the box reaches to the end of the file
                break
            at += size
    return boxes


def is_cut_mp4(file: Path) -> bool:
    """Return whether this is an MP4 without a whole index: the recording or the copy stopped before its end."""
    boxes = top_level_boxes(file)
    return bool(boxes) and ("moov", True) not in boxes
