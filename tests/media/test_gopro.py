"""What real GoPro files say of camera, lens, sensors and time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.media.gopro_facts import GoProFacts
from mocap.media.probe import VideoInfo, probe
from mocap.media.telemetry import PAYLOAD_STAMP_S, gps_text_s, read_telemetry


@pytest.fixture
def hero7(shared: Callable[[str], Path]) -> Path:
    return shared("data/gopro") / "gpmf-parser/hero7.mp4"


@pytest.fixture
def karma(shared: Callable[[str], Path]) -> Path:
    return shared("data/gopro") / "gpmf-parser/karma.mp4"


def facts_of(info: VideoInfo) -> GoProFacts:
    assert info.gopro is not None
    return info.gopro


def counts(facts: GoProFacts) -> dict[str, int]:
    return {s.key: s.n_samples for s in facts.sensors}


def rates(facts: GoProFacts) -> dict[str, float]:
    return {s.key: s.rate_hz for s in facts.sensors}


def test_a_hero7_says_what_it_is(hero7: Path) -> None:
    info = probe(hero7)
    facts = facts_of(info)
    assert (facts.model, facts.firmware, facts.serial) == ("HERO7 Black", "HD7.01.01.70.00", "C3281324500963")
    assert (facts.lens_mode, facts.stabilisation, facts.is_digital_zoom) == ("Wide", "HS EIS", True)
    assert str(info.timecode) == "11:12:47:22"
    assert (info.fps, info.n_frames, info.has_audio) == (Fraction(30000, 1001), 352, True)


def test_the_samples_of_a_hero7_are_counted(hero7: Path) -> None:
    facts = facts_of(probe(hero7))
    found = counts(facts)
    assert {"ACCL": 2175, "GYRO": 2175, "GPS5": 199, "SHUT": 329}.items() <= found.items()
    rate = rates(facts)
    assert rate["ACCL"] == rate["GYRO"] == pytest.approx(199.2, abs=0.1)
    assert rate["SHUT"] == pytest.approx(30000 / 1001, rel=0.005)
    assert rate["GPS5"] == pytest.approx(18.2, abs=0.1)
    assert facts.readout_s == pytest.approx(8.0e-3, abs=0.1e-3)
    assert facts.shutter_s == pytest.approx(1 / 1043, rel=0.01)
    assert facts.gps_utc_s == pytest.approx(gps_text_s("190506181507.395"))


def test_a_hero5_on_a_gimbal_says_what_it_is(karma: Path) -> None:
    info = probe(karma)
    facts = facts_of(info)
    assert (facts.model, facts.firmware, facts.serial) == ("HERO5 Black", "HD5.02.02.00.00", None)
    assert str(info.timecode) == "19:26:48:04"
    found = counts(facts)
    assert (found["ACCL"], found["GYRO"]) == (2397, 4795)
    assert not {"GPS5", "GPS9"} & found.keys()
    assert rates(facts)["GYRO"] == pytest.approx(397.3, abs=0.1)
    assert rates(facts)["SHUT"] == pytest.approx(30000 / 1001, rel=1e-6)


def test_running_counts_agree_with_reading_every_sample(hero7: Path, karma: Path) -> None:
    for path in (hero7, karma):
        told = counts(facts_of(probe(path)))
        telemetry = read_telemetry(path)
        assert telemetry is not None
        for key in ("ACCL", "GYRO", "SHUT"):
            sensor = telemetry.sensor(key)
            assert sensor is not None
            assert len(sensor.time_s) == told[key]


def test_sensors_have_times_on_the_clock_of_the_video(hero7: Path) -> None:
    telemetry = read_telemetry(hero7, keys=("GYRO",))
    assert telemetry is not None
    (gyro,) = telemetry.sensors
    assert (np.diff(gyro.time_s) > 0).all()
    assert 0 <= gyro.time_s[0] < 0.2
    assert gyro.time_s[-1] == pytest.approx(11.0, abs=0.1)
    assert gyro.rate_hz == pytest.approx(199, abs=1)
    assert gyro.units == ("rad/s",)


def test_satellites_give_the_time_of_the_first_frame(hero7: Path) -> None:
    telemetry = read_telemetry(hero7)
    assert telemetry is not None
    assert telemetry.gps is not None
    start = telemetry.gps.start_utc_s()
    assert start is not None
    assert start[0] == pytest.approx(gps_text_s("190506181507.395"), abs=0.1)
    assert start[1] == PAYLOAD_STAMP_S


def test_no_satellites_give_no_time(karma: Path) -> None:
    telemetry = read_telemetry(karma)
    assert telemetry is not None
    assert telemetry.gps is None


def test_other_videos_have_no_gopro_facts(video: Path) -> None:
    info = probe(video)
    assert (info.gopro, info.timecode, info.chapters) == (None, None, ())
    assert read_telemetry(video) is None


def test_telemetry_that_is_overwritten_does_not_stop_the_video(hero7: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(hero7, tmp_path / "hero7.mp4"))
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"DEVC", at)) >= 0:
        data[at : at + 64] = b"\xff" * 64
    path.write_bytes(data)
    info = probe(path)
    assert info.n_frames == 352
    assert facts_of(info).firmware == "HD7.01.01.70.00"
    assert facts_of(info).sensors == ()


def test_facts_survive_storage(hero7: Path) -> None:
    from sessions.codec import decode, encode

    info = probe(hero7)
    again = decode(*encode(info))
    assert again.to_json() == info.to_json()
    assert again.timecode == info.timecode
    assert again.gopro == info.gopro
    np.testing.assert_array_equal(again.pts, info.pts)


@pytest.mark.parametrize("text", ["", "x", "199913325990.5", "190506181507"])
def test_a_stamp_that_is_no_time_is_none(text: str) -> None:
    assert gps_text_s(text) is None
