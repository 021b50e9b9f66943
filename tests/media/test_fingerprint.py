"""Fingerprints: equal for copies, different for recordings, cheap for large files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mocap.media.fingerprint import INDEX_BYTES, N_SAMPLES, SAMPLE_BYTES, WHOLE_BYTES, fingerprint


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.mp4"
    path.write_bytes(np.random.default_rng(3).bytes(3 * WHOLE_BYTES + 7))
    return path


def test_a_copy_under_another_name_has_the_same(large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(large.read_bytes())
    assert fingerprint(copy) == fingerprint(large)


@pytest.mark.parametrize("at", [0, -1])
def test_another_beginning_or_end_has_another(large: Path, at: int) -> None:
    before = fingerprint(large)
    data = bytearray(large.read_bytes())
    data[at] ^= 1
    large.write_bytes(data)
    assert fingerprint(large) != before


def test_a_file_cut_short_has_another(large: Path) -> None:
    before = fingerprint(large)
    large.write_bytes(large.read_bytes()[:-1])
    assert fingerprint(large) != before


def test_a_rotation_flag_changed_in_place_counts(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    noise = np.random.default_rng(4).bytes(3 * WHOLE_BYTES)
    index = bytearray(b"moov" + bytes(INDEX_BYTES // 2))
    found = set()
    for turned in (0, 1):
        index[70_000] = turned
        boxes = (b"ftyp" + bytes(8), b"mdat" + noise, bytes(index), b"free" + noise)
        path.write_bytes(b"".join((len(b) + 4).to_bytes(4, "big") + b for b in boxes))
        found.add(fingerprint(path))
    assert len(found) == 2


def test_dates_do_not_count(large: Path) -> None:
    before = fingerprint(large)
    os.utime(large, (1e9, 1e9))
    assert fingerprint(large) == before


def test_one_byte_in_a_small_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "small.mp4"
    found = set()
    for k in range(5):
        path.write_bytes(bytes(1000) + bytes([k]) + bytes(1000))
        found.add(fingerprint(path))
    assert len(found) == 5


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    with path.open("wb") as out:
        out.truncate(20 << 30)  # Sparse: takes no space, but reading it whole would take many seconds.
    assert len(fingerprint(path)) == 32
    assert N_SAMPLES * SAMPLE_BYTES < WHOLE_BYTES
