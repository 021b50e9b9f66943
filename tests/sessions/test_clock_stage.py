"""When a take's clocks are moved, and when they are left in step."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.match import fit_video
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.core.timeline import TimeMap
from mocap.media.gopro_facts import GoProFacts
from mocap.media.video_info import VideoInfo
from mocap.pose2d.detections import CameraDetections
from mocap.sync.fuse import Fused
from mocap.sync.synchronise import SyncResult
from sessions.clock_stage import find_clocks, is_in_step, settled


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


def _rolling(camera: str, rate: int, readout_s: float) -> tuple[VideoInfo, CameraDetections]:
    """Return a GoPro's video and somebody who stands in it."""
    time_s, kinds = np.arange(12) / rate, load_keypoint_set("halpe26")
    pts, fps = np.arange(12), Fraction(rate)
    info = VideoInfo(
        Path(f"{camera}.mp4"), 640, 480, 0, fps, fps, 12, time_s, pts, 1 / fps, 0.0, "hevc",
        is_variable_rate=False, has_audio=False, gopro=GoProFacts(readout_s=readout_s),
    )  # fmt: skip
    xy = np.random.default_rng(3).uniform(100, 400, (1, 1, len(kinds), 2)) + np.zeros((12, 1, 1, 1))
    return info, CameraDetections(kinds, xy, np.ones(xy.shape[:-1]), time_s, (640, 480))


def test_a_take_says_what_of_its_rolling_shutters_could_not_be_corrected(tmp_path: Path) -> None:
    rates: Mapping[str, tuple[int, float]] = {"a": (60, 0.016), "b": (2, 0.016), "c": (2, 0.0)}
    seen = {c: _rolling(c, *facts) for c, facts in rates.items()}
    for camera in seen:
        (tmp_path / f"{camera}.mp4").write_bytes(b"")
    inputs = {
        "footage": {c: info for c, (info, _) in seen.items()},
        "fit": {c: fit_video(c, info) for c, (info, _) in seen.items()},
        "keypoints": {c: d for c, (_, d) in seen.items()},
        "videos": {c: tmp_path / f"{c}.mp4" for c in seen},
        "rig": None,
    }
    _, found = find_clocks(inputs, NoProgress())
    assert [d.data["camera"] for d in found if d.code == "rolling-shutter-not-corrected"] == ["b"]
