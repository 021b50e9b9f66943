"""Clocks from start timecodes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mocap.core.diagnostics import Severity
from mocap.media.timecode import parse_timecode
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import fuse
from mocap.sync.synchronise import Sources, synchronise
from mocap.sync.timecode import timecode_evidence


def test_a_camera_that_started_later_has_a_positive_offset() -> None:
    labels = {"a": parse_timecode("10:00:00:00", Fraction(25)), "b": parse_timecode("10:00:03:05", Fraction(25))}
    m = fuse(timecode_evidence(labels), ("a", "b")).maps["b"]
    assert m.offset_s == pytest.approx(3.2)
    assert m.methods == ("timecode",)
    assert 0.2 < m.sigma_s < 0.5


def _motion(a: str, b: str, lag_s: float, sigma_s: float = 0.002, source: str = "motion") -> Evidence:
    return Evidence(source, a, b, 5.0 + lag_s, 5.0, 0.0, sigma_s, 20.0)


def _labels(*times: str) -> list[Evidence]:
    labels = {name: parse_timecode(text, Fraction(25)) for name, text in zip("abcd", times, strict=False)}
    return timecode_evidence(labels)


@pytest.mark.parametrize("late_s", [0.0, 0.2, 0.4, 0.8])
def test_a_label_that_is_off_by_less_than_a_contradiction_does_not_pull_vague_motion(late_s: float) -> None:
    m = fuse([*_labels("10:00:00:00", "10:00:01:00"), _motion("a", "b", 1.0 - late_s, 0.1)], ("a", "b")).maps["b"]
    assert m.offset_s == pytest.approx(1.0 - late_s, abs=0.05)


def test_two_sources_that_contradict_each_other_are_both_named_with_their_difference() -> None:
    evidence = [*_labels("10:00:00:00", "10:00:03:00"), _motion("a", "b", 0.5)]
    result = synchronise(Sources(("a", "b"), more=evidence))
    assert result.maps["b"].offset_s == pytest.approx(0.5, abs=0.01)
    [found] = [d for d in result.diagnostics if d.code == "sync-sources-contradict"]
    assert found.severity is Severity.QUALITY
    for part in ("timecode", "motion", "+2.5", "+3.0", "+0.5"):
        assert part in found.message
    assert found.data["difference_s"] == pytest.approx(2.5, abs=0.01)


def test_a_label_that_two_other_sources_contradict_is_only_left_out() -> None:
    evidence = [*_labels("10:00:00:00", "12:00:03:00"), _motion("a", "b", 0.5), _motion("a", "b", 0.5, 0.01, "audio")]
    found = {d.code: d for d in synchronise(Sources(("a", "b"), more=evidence)).diagnostics}
    assert found["sync-evidence-rejected"].severity is Severity.WARNING
    assert "sync-sources-contradict" not in found


def test_midnight_between_two_starts_is_a_second_not_a_day() -> None:
    labels = {"a": parse_timecode("23:59:59:15", Fraction(30)), "b": parse_timecode("00:00:00:15", Fraction(30))}
    assert timecode_evidence(labels)[0].time_a_s == pytest.approx(1.0)


def test_labels_that_start_at_zero_and_missing_ones_say_nothing() -> None:
    zero = parse_timecode("00:00:00:00", Fraction(30))
    assert timecode_evidence({"a": zero, "b": zero}) == []
    assert timecode_evidence({"a": parse_timecode("10:00:00:00", Fraction(30)), "b": None}) == []
