"""Sensor samples on the clock of the video, by the camera's own stamps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mocap.media.gpmf import parse, streams
from mocap.media.telemetry import _frame_zero_us, _gps_times, _Piece, _sample_times, gps_text_s


def test_stamped_telemetry_is_timed_by_its_stamps(shared: Callable[[str], Path]) -> None:
    payload = parse((shared("data/gopro") / "gopro-telemetry/hero11.raw").read_bytes())
    pieces: dict[tuple[str, str, str], list[_Piece]] = {}
    for stream in streams(payload):
        pieces.setdefault((stream.device, stream.key, stream.name), []).append(_Piece(0.0, 1.0, stream))
    zero_us = _frame_zero_us(pieces)
    found = {key: _sample_times(parts, zero_us) for (_, key, _), parts in pieces.items() if parts[0].stream.values.size}
    # The camera's own stamps: the accelerometer begins 2.273 ms before the first frame, and runs at 200 Hz.
    assert abs(found["ACCL"][0] + 2.273e-3) < 1e-6
    assert abs(1 / (found["ACCL"][1] - found["ACCL"][0]) - 200) < 2
    gps = _gps_times([p for (_, key, _), parts in pieces.items() if key == "GPS9" for p in parts], zero_us)
    assert gps is not None
    start = gps.start_utc_s()
    assert start is not None
    expected = gps_text_s("220920132936.899")
    assert expected is not None
    assert abs(start[0] - expected) < 0.05
    assert start[1] < 0.1
