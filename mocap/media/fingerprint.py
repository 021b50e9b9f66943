"""What makes two files the same one, without reading large ones whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mocap.media.mp4_boxes import find_box

WHOLE_BYTES = 1 << 20
"""Files up to this size are hashed whole."""

SAMPLE_BYTES = 16 << 10
N_SAMPLES = 32
"""Pieces read of a larger file, evenly spaced from its first byte to its last: 512 kB, a few milliseconds on a disk."""
INDEX_BYTES = 1 << 20
"""Read of an MP4's index besides: a turned rotation flag changes a few bytes there and nothing else."""


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Return 32 hex digits that depend on a file's size and content, and not on its name, place or dates.

    Coded video differs nearly everywhere between any two recordings, so evenly spaced pieces tell them apart; a copy
    that is cut short differs in size. A change of a few bytes inside the pictures of a large file can be missed: this
    identifies recordings, it does not prove that a copy is perfect.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "big"))
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            for i in range(N_SAMPLES):
                file.seek(i * (size - SAMPLE_BYTES) // (N_SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
            index = find_box(Path(path), b"moov")
            if index is not None:
                file.seek(index[0])
                digest.update(file.read(min(index[1], INDEX_BYTES)))
    return digest.hexdigest()[:32]
