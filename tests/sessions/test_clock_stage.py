"""When a take's clocks are moved, and when they are left in step."""

from __future__ import annotations

import pytest

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.timeline import TimeMap
from mocap.sync.fuse import Fused
from mocap.sync.synchronise import SyncResult
from sessions.clock_stage import is_in_step, settled


def _result(**maps: TimeMap) -> SyncResult:
    return SyncResult(Fused("a", maps, {}, (), (), float("nan")), (), (), {})


@pytest.mark.parametrize(
    ("offset_s", "sigma_s", "expected"),
    [(0.0, 0.001, True), (0.004, 0.002, True), (0.004, 0.001, False), (0.03, 0.02, False)],
)
def test_offsets_within_their_own_doubt_and_half_a_frame_are_no_offsets(
    offset_s: float, sigma_s: float, expected: bool
) -> None:
    result = _result(a=TimeMap(0.0, 0.0, 0.0), b=TimeMap(offset_s, 0.0, sigma_s))
    assert is_in_step(result, ("a", "b"), 1 / 60) is expected


def test_a_camera_that_nothing_ties_is_not_in_step() -> None:
    assert not is_in_step(_result(a=TimeMap(0.0, 0.0, 0.0)), ("a", "b"), 1 / 60)


def test_a_clock_that_drifts_by_half_a_frame_until_the_end_is_not_in_step() -> None:
    result = _result(a=TimeMap(0.0, 0.0, 0.0), b=TimeMap(0.0, 50.0, 0.001))
    assert is_in_step(result, ("a", "b"), 1 / 60, 60.0)
    assert not is_in_step(result, ("a", "b"), 1 / 60, 600.0)


def test_assumed_times_fail_the_quality_until_all_clocks_but_one_are_set_by_hand() -> None:
    assumed = Diagnostic("times-assumed", Severity.QUALITY, "Taken as one instant.", {"cameras": ["a", "b", "c"]})
    assert settled([assumed], ["b"]) == (assumed,)
    [answered] = settled([assumed], ["b", "c"])
    assert answered.severity is Severity.INFO
    assert "by a person" in answered.message


def test_a_camera_that_nothing_ties_is_settled_by_setting_that_camera() -> None:
    untied = Diagnostic("sync-camera-untied", Severity.QUALITY, "Nothing ties b.", {"cameras": ["b"]})
    doubtful = Diagnostic("sync-doubtful", Severity.QUALITY, "c: to 50 ms.", {"camera": "c"})
    found = settled([untied, doubtful], ["b"])
    assert [d.severity for d in found] == [Severity.INFO, Severity.QUALITY]
