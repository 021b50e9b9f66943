"""Evidence into clocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mocap.core.timeline import TimeMap
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import MODEL_S, connected, fuse

NAMES = ("a", "b", "c")
TRUE = {"a": TimeMap(), "b": TimeMap(1.25, 30.0), "c": TimeMap(-0.5, -20.0)}


def _evidence(first: str, second: str, time_b_s: float = 7.0, error_s: float = 0.0, **more: object) -> Evidence:
    """Return what an exact source would say of two clocks, but for `error_s`."""
    master = TRUE[second].master_time_s(np.array(time_b_s))
    rate_a, rate_b = (1 + TRUE[n].drift_ppm * 1e-6 for n in (first, second))
    time_a_s = float((master - TRUE[first].offset_s) / rate_a) + error_s
    values = {"source": "test", "sigma_s": 0.001, "sigma_rate_ppm": 0.1, **more}
    return Evidence(
        camera_a=first,
        camera_b=second,
        time_a_s=time_a_s,
        time_b_s=time_b_s,
        rate_ppm=(rate_b / rate_a - 1) * 1e6,
        **values,
    )  # type: ignore[arg-type]


def test_exact_evidence_gives_the_clocks_and_the_reference_keeps_its_own() -> None:
    fused = fuse([_evidence("a", "b"), _evidence("b", "c")], NAMES)
    assert fused.reference == "a"
    assert fused.maps["a"] == TimeMap(0.0, 0.0, 0.0, ())
    for name in ("b", "c"):
        assert fused.maps[name].offset_s == pytest.approx(TRUE[name].offset_s, abs=1e-5)
        assert fused.maps[name].drift_ppm == pytest.approx(TRUE[name].drift_ppm, abs=0.05)


def test_another_reference_gives_the_same_clocks_from_its_side() -> None:
    fused = fuse([_evidence("a", "b"), _evidence("b", "c")], NAMES, reference="b")
    assert fused.maps["b"].offset_s == fused.maps["b"].drift_ppm == 0.0
    assert fused.maps["a"].offset_s == pytest.approx(-1.25, abs=1e-4)


def test_evidence_that_contradicts_the_rest_is_left_out_and_named() -> None:
    good = [_evidence("a", "b"), _evidence("b", "c"), _evidence("a", "c"), _evidence("a", "b", source="other")]
    bad = _evidence("a", "c", error_s=0.8, source="clap")
    fused = fuse([*good, bad], NAMES)
    assert [e.source for e, _ in fused.rejected] == ["clap"]
    assert fused.rejected[0][1] > 100
    assert fused.maps["c"].offset_s == pytest.approx(-0.5, abs=1e-4)


def test_a_camera_whose_evidence_contradicts_itself_is_not_tied() -> None:
    names = ("a", "b", "c", "d")
    rest = [_evidence("a", "b"), _evidence("b", "c"), _evidence("a", "c")]
    wrong = [replace(_evidence(n, "b", error_s=e), camera_b="d") for n, e in (("a", 1.0), ("b", -2.0), ("c", 4.0))]
    fused = fuse([*rest, *wrong], names)
    assert "d" not in fused.maps
    assert len(fused.rejected) == 3


def test_cameras_that_nothing_ties_are_absent() -> None:
    assert connected([_evidence("a", "b")], NAMES, "a") == ["b"]
    assert set(fuse([_evidence("a", "b")], NAMES).maps) == {"a", "b"}


def test_shares_of_sources_add_up_to_one_and_follow_their_certainty() -> None:
    vague = _evidence("a", "b", source="audio", sigma_s=0.01)
    fused = fuse([_evidence("a", "b", source="motion", sigma_s=0.001), vague], NAMES)
    share = fused.share["b"]
    assert sum(share.values()) == pytest.approx(1.0)
    assert share["motion"] > 0.9
    assert fused.maps["b"].methods == ("motion", "audio")


def test_an_error_that_a_source_has_in_each_camera_is_not_averaged_away() -> None:
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    sound = [_evidence(*p, sigma_s=1e-5, bias_s=0.01 / np.sqrt(2)) for p in pairs]
    assert fuse(sound, NAMES).maps["b"].sigma_s == pytest.approx(0.01, rel=0.01)


def test_sigma_follows_the_evidence_and_never_falls_below_what_the_model_knows() -> None:
    one = fuse([_evidence("a", "b", time_b_s=0.0, sigma_s=0.004)], NAMES).maps["b"].sigma_s
    assert one == pytest.approx(np.hypot(0.004, MODEL_S), rel=0.01)
    assert fuse([_evidence("a", "b", time_b_s=0.0, sigma_s=1e-7)], NAMES).maps["b"].sigma_s >= MODEL_S


def test_an_unknown_rate_leaves_the_drift_to_what_clocks_usually_do() -> None:
    fused = fuse([_evidence("a", "b", time_b_s=100.0, sigma_rate_ppm=float("inf"))], NAMES)
    assert fused.maps["b"].drift_ppm == pytest.approx(0.0, abs=1e-3)
    # 60 ppm over 100 s
    assert fused.maps["b"].sigma_s == pytest.approx(0.0061, rel=0.05)


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_contradicting_sources_the_timecode_gives_way(is_first: bool) -> None:
    motion = _evidence("a", "b", source="motion", sigma_s=0.02)
    label = _evidence("a", "b", 0.0, 300.0, source="timecode", sigma_s=0.1, sigma_rate_ppm=float("inf"))
    fused = fuse([label, motion] if is_first else [motion, label], ("a", "b"))
    assert [e.source for e, _ in fused.rejected] == ["timecode"]
    assert fused.maps["b"].offset_s == pytest.approx(1.25, abs=0.01)
