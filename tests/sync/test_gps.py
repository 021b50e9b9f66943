"""Satellite time as evidence."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.media.telemetry import PAYLOAD_STAMP_S, GpsTimes
from mocap.sync.fuse import fuse
from mocap.sync.gps import gps_evidence


def _times(start_utc_s: float, fix: int = 3, stamp_sigma_s: float = 0.05) -> GpsTimes:
    at = np.arange(7.0)
    return GpsTimes(at, start_utc_s + at, np.full(7, fix), np.full(7, 2.0), stamp_sigma_s)


def test_cameras_that_know_utc_are_placed_by_it() -> None:
    evidence = gps_evidence({"a": _times(1000.0), "b": None, "c": _times(1003.5)})
    maps = fuse(evidence, ["a", "b", "c"]).maps
    assert maps["c"].offset_s == pytest.approx(3.5)
    assert 0.05 < maps["c"].sigma_s < 0.15
    assert maps["c"].methods == ("gps",)
    assert "b" not in maps


def test_receivers_without_a_fix_say_nothing() -> None:
    assert gps_evidence({"a": _times(1000.0), "b": _times(900.0, fix=0)}) == []


def test_stamps_of_whole_payloads_tie_nothing() -> None:
    evidence = gps_evidence({"a": _times(1000.0), "b": _times(1001.0, stamp_sigma_s=PAYLOAD_STAMP_S)})
    assert list(fuse(evidence, ["a", "b"]).maps) == ["a"]
