"""Telemetry entries: every type, nesting and scaling, and data that nobody should trust."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocap.media.gpmf import MAX_DEPTH, Entry, parse, streams, structure_kinds


def klv(key: str, kind: str, size: int, repeat: int, data: bytes) -> bytes:
    return struct.pack(">4sBBH", key.encode(), ord(kind), size, repeat) + data + bytes(-len(data) % 4)


def nested(key: str, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return klv(key, "\0", 1, len(data), data)


def only(data: bytes) -> Entry:
    (entry,) = parse(data).entries
    return entry


def test_entries_are_nested_and_padded_to_four_bytes() -> None:
    data = nested("DEVC", klv("DVNM", "c", 1, 5, b"Hello"), klv("DVID", "L", 4, 1, struct.pack(">I", 7)))
    device = only(data)
    assert [e.key for e in device.children] == ["DVNM", "DVID"]
    assert device.children[0].text == "Hello"
    assert device.children[1].numbers().item() == 7


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("b", ">b", -100),
        ("B", ">B", 200),
        ("s", ">h", -30000),
        ("S", ">H", 60000),
        ("l", ">i", -(2**31)),
        ("L", ">I", 2**32 - 1),
        ("j", ">q", -(2**52)),
        ("J", ">Q", 2**52),
        ("f", ">f", 0.5),
        ("d", ">d", 0.1),
    ],
)
def test_every_type_of_number_is_read(kind: str, form: str, value: float) -> None:
    data = struct.pack(form, value)
    assert only(klv("TEST", kind, len(data), 1, data)).numbers().item() == value


def test_fixed_point_numbers_are_read() -> None:
    assert only(klv("TEST", "q", 4, 1, struct.pack(">i", -3 << 15))).numbers().item() == -1.5
    assert only(klv("TEST", "Q", 8, 1, struct.pack(">q", 5 << 30))).numbers().item() == 1.25


def test_samples_are_rows_and_each_column_has_its_divisor() -> None:
    data = nested(
        "DEVC",
        klv("DVNM", "c", 4, 1, b"Cam1"),
        nested(
            "STRM",
            klv("TSMP", "L", 4, 1, struct.pack(">I", 13)),
            klv("STMP", "J", 8, 1, struct.pack(">Q", 2**40)),
            klv("STNM", "c", 1, 3, b"GPS"),
            klv("UNIT", "c", 3, 2, b"degm/s"),
            klv("SCAL", "s", 2, 2, struct.pack(">hh", 10, 4)),
            klv("GPSX", "l", 8, 3, struct.pack(">6i", 10, 4, 20, 8, -30, 12)),
        ),
    )
    (stream,) = streams(parse(data))
    np.testing.assert_array_equal(stream.values, [[1, 1], [2, 2], [-3, 3]])
    assert (stream.key, stream.device, stream.name, stream.units) == ("GPSX", "Cam1", "GPS", ("deg", "m/s"))
    assert (stream.total_samples, stream.start_us) == (13, 2**40)


def test_complex_structures_are_columns_and_text_in_them_is_nan() -> None:
    rows = b"".join(struct.pack(">4sfH", b"SNOW", 0.25 * k, k) for k in (1, 2, 3))
    stream = next(
        streams(parse(nested("DEVC", nested("STRM", klv("TYPE", "c", 1, 3, b"FfS"), klv("SCEN", "?", 10, 3, rows)))))
    )
    np.testing.assert_array_equal(stream.values, [[np.nan, 0.25, 1], [np.nan, 0.5, 2], [np.nan, 0.75, 3]])


def test_a_divisor_of_zero_gives_nothing_instead_of_infinity() -> None:
    scale, data = klv("SCAL", "s", 2, 1, b"\0\0"), klv("ACCL", "s", 6, 1, struct.pack(">3h", 1, 2, 3))
    (stream,) = streams(parse(nested("DEVC", nested("STRM", scale, data))))
    assert np.isnan(stream.values).all()


def test_structures_may_repeat_a_type() -> None:
    assert structure_kinds("f[3]BBS") == "fffBBS"
    assert structure_kinds("L[999]") == ""
    assert structure_kinds("f[3") == ""


def test_a_cut_payload_gives_what_is_there() -> None:
    data = nested("DEVC", klv("DVNM", "c", 4, 1, b"Cam1"), klv("ACCL", "s", 2, 100, bytes(200)))
    payload = parse(data[:50])
    assert payload.entries[0].children[0].text == "Cam1"
    assert payload.n_unreadable == 2


def test_nesting_without_end_ends() -> None:
    data = b""
    for _ in range(200):
        data = nested("STRM", data)
    payload = parse(data)
    depth, entry = 1, payload.entries[0]
    while entry.children:
        depth, entry = depth + 1, entry.children[0]
    assert depth == MAX_DEPTH + 1
    assert payload.n_unreadable == 1


def test_memory_is_bounded_by_the_data() -> None:
    # Empty entries by the ten thousand, each of which claims to hold 16 MB.
    data = struct.pack(">4sBBH", b"ACCL", ord("s"), 255, 65535) * 20_000
    tracemalloc.start()
    payload = parse(data)
    for stream in streams(payload):
        assert stream.values.size == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(payload.entries) == 1
    assert peak < 10 * len(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_can_make_the_reader_fail(data: bytes) -> None:
    for prefix in (b"", nested("DEVC", nested("STRM", data)), klv("TYPE", "c", 1, 3, b"FfS")):
        payload = parse(prefix + data)
        for stream in streams(payload):
            assert stream.values.dtype == np.float64
        for entry in payload.entries:
            entry.numbers("fS[3]")
            entry.texts()


def test_real_telemetry_equals_what_another_reader_says(shared: Callable[[str], Path]) -> None:
    folder = shared("data/gopro")
    expected = json.loads((folder / "gopro-telemetry/partials/parsed.json").read_text("utf-8"))
    theirs = {key: np.array(s[key]) for s in expected["DEVC"][0]["STRM"] for key in ("ACCL", "GYRO") if key in s}
    found = {s.key: s for s in streams(parse((folder / "gpmf-parser/hero6+ble.raw").read_bytes()))}
    assert theirs.keys() == {"ACCL", "GYRO"}
    for key, raw in theirs.items():
        scale = found[key].about["SCAL"].numbers().item()
        np.testing.assert_allclose(found[key].values * scale, raw, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "device", "counts"),
    [
        ("gpmf-parser/hero5.raw", "Camera", {"ACCL": 199, "GYRO": 399, "GPS5": 18, "SHUT": 24}),
        ("gpmf-parser/Fusion.raw", "", {"GYRO": 3300, "MAGN": 25}),
        ("gpmf-parser/karma.raw", "Camera", {"ACCL": 196, "GYRO": 392, "SHUT": 29, "ESCS": 1}),
        ("gopro-telemetry/hero11.raw", "HERO11 Black", {"ACCL": 208, "GPS9": 10, "CORI": 26, "GRAV": 26}),
    ],
)
def test_real_payloads_are_read_whole(
    shared: Callable[[str], Path], name: str, device: str, counts: dict[str, int]
) -> None:
    payload = parse((shared("data/gopro") / name).read_bytes())
    assert payload.n_unreadable == 0
    first: dict[str, int] = {}
    for stream in streams(payload):
        first.setdefault(stream.key, len(stream.values))
        assert np.isfinite(stream.values).any() or not stream.values.size
    assert counts.items() <= first.items()
    if device:
        assert next(streams(payload)).device == device


def test_gravity_is_gravity(shared: Callable[[str], Path]) -> None:
    payload = parse((shared("data/gopro") / "gopro-telemetry/hero11.raw").read_bytes())
    accelerometer = next(s for s in streams(payload) if s.key == "ACCL")
    assert np.linalg.norm(accelerometer.values.mean(axis=0)) == pytest.approx(9.81, abs=0.5)
    assert accelerometer.units == ("m/s²",)
