"""Clocks from start timecodes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mocap.media.timecode import parse_timecode
from mocap.sync.fuse import fuse
from mocap.sync.timecode import timecode_evidence


def test_a_camera_that_started_later_has_a_positive_offset() -> None:
    labels = {"a": parse_timecode("10:00:00:00", Fraction(25)), "b": parse_timecode("10:00:03:05", Fraction(25))}
    m = fuse(timecode_evidence(labels), ("a", "b")).maps["b"]
    assert m.offset_s == pytest.approx(3.2)
    assert m.methods == ("timecode",)
    assert m.sigma_s >= 0.1


def test_midnight_between_two_starts_is_a_second_not_a_day() -> None:
    labels = {"a": parse_timecode("23:59:59:15", Fraction(30)), "b": parse_timecode("00:00:00:15", Fraction(30))}
    assert timecode_evidence(labels)[0].time_a_s == pytest.approx(1.0)


def test_labels_that_start_at_zero_and_missing_ones_say_nothing() -> None:
    zero = parse_timecode("00:00:00:00", Fraction(30))
    assert timecode_evidence({"a": zero, "b": zero}) == []
    assert timecode_evidence({"a": parse_timecode("10:00:00:00", Fraction(30)), "b": None}) == []
