"""Timecode labels and what they mean in true time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocap.media.probe import probe
from mocap.media.timecode import Timecode, parse_timecode

NTSC_30, NTSC_60 = Fraction(30000, 1001), Fraction(60000, 1001)


def parsed(text: str, rate: Fraction) -> Timecode:
    timecode = parse_timecode(text, rate)
    assert timecode is not None
    return timecode


@pytest.mark.parametrize(
    ("text", "rate", "number"),
    [
        ("00:00:59;29", NTSC_30, 1799),
        ("00:01:00;02", NTSC_30, 1800),
        ("00:10:00;00", NTSC_30, 17982),
        ("01:00:00;00", NTSC_30, 107892),
        ("01:00:00;00", NTSC_60, 215784),
        ("00:01:00:00", NTSC_30, 1800),
        ("10:00:00:00", Fraction(25), 900000),
    ],
)
def test_labels_count_frames(text: str, rate: Fraction, number: int) -> None:
    assert parsed(text, rate).frame_number == number


@given(st.integers(0, 24 * 107892 - 1), st.sampled_from([(NTSC_30, 30, 1), (NTSC_60, 60, 2)]))
def test_drop_frame_labels_lead_back_to_their_frame(number: int, rate: tuple[Fraction, int, int]) -> None:
    timecode = Timecode(number * rate[2], rate[0], rate[1], is_drop_frame=True)
    assert parsed(str(timecode), rate[0]) == timecode


def test_drop_frame_labels_keep_to_the_clock() -> None:
    assert float(parsed("01:00:00;00", NTSC_30).seconds) == pytest.approx(3600, abs=0.01)
    assert float(parsed("01:00:00:00", NTSC_30).seconds) == pytest.approx(3603.6)


@pytest.mark.parametrize("text", ["", "12:00", "00:61:00:00", "00:00:00:30", "aa:bb:cc:dd"])
def test_what_is_no_timecode_is_none(text: str) -> None:
    assert parse_timecode(text, NTSC_30) is None


def test_the_drop_flag_of_a_file_is_read(shared: Callable[[str], Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(shared("data/gopro") / "gpmf-parser/hero7.mp4", tmp_path / "drop.mp4"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    entry = data.index(b"tmcd", data.index(b"stsd", data.index(b"gmhd")))
    data[entry + 4 + 15] |= 1
    path.write_bytes(data)
    timecode = probe(path).timecode
    assert timecode is not None
    assert timecode.is_drop_frame
    assert str(timecode).count(";") == 1
    assert timecode.frame_number == 1211032
