"""Telemetry in time: what a camera's sensors measured, on the clock of its video.

Cameras store about one second of all sensors in each sample of a `gpmd` track. Where payloads carry STMP (the first
sample's time on the camera's microsecond clock) that is the time; otherwise samples are spread over their payloads.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap.core.arrays import frozen
from mocap.media.gpmf import Payload, Stream, parse, streams
from mocap.media.mp4_index import IndexDamagedError, Movie, Track, read_movie, read_sample

MAX_PAYLOAD_BYTES = 16 << 20
"""One second of telemetry is below 100 kB on every camera so far."""

STEADY = frozenset({"ACCL", "GYRO", "MAGN"})
"""Sensors that sample evenly: one straight line through all payloads tells their times better than each alone."""

FRAME_STREAMS = ("CORI", "IORI", "SHUT", "ISOE", "ISOG")
"""Streams with one sample for each video frame: their first STMP is the time of the first frame."""

_UNIX_2000_S = 946_684_800
_MIN_FIX = 2
SAMPLE_STAMP_S = 0.05
"""Sigma of GPS9, which stamps each sample: the receiver's own time, 0.1 s apart."""

PAYLOAD_STAMP_S = 1.0
"""Sigma of GPSU, which stamps a payload: when it was handled. On a HERO11 that writes both it is 1.4 s behind GPS9."""


@dataclass(frozen=True, eq=False)
class Sensor:
    """All samples of one sensor."""

    key: str
    device: str
    name: str
    units: tuple[str, ...]
    time_s: np.ndarray
    """[sample] float64 on the clock of the video; its first frame is at 0."""
    values: np.ndarray
    """[sample column] float64 in `units`, in the column order of the file."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64, (None,), "time_s"))
        object.__setattr__(self, "values", frozen(self.values, np.float64, (len(self.time_s), None), "values"))

    @property
    def rate_hz(self) -> float:
        """Samples in a second, on average; NaN for fewer than two samples."""
        span_s = float(self.time_s[-1] - self.time_s[0]) if len(self.time_s) > 1 else 0.0
        return (len(self.time_s) - 1) / span_s if span_s > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class GpsTimes:
    """[sample] what satellites say of the time: on the clock of the video, and as UTC."""

    time_s: np.ndarray
    utc_s: np.ndarray
    """Seconds since 1970-01-01 UTC."""
    fix: np.ndarray
    """0 none, 2 in the plane, 3 in space."""
    dop: np.ndarray
    """Dilution of precision: below 5 is good, 99.99 is none."""
    stamp_sigma_s: float = SAMPLE_STAMP_S
    """What the stamps may be off all alike, which their spread does not show."""

    def start_utc_s(self) -> tuple[float, float] | None:
        """Return UTC of the first frame and its sigma (1 sd, seconds), from samples with a fix; None without any."""
        good = (self.fix >= _MIN_FIX) & np.isfinite(self.utc_s)
        if not good.any():
            return None
        start = self.utc_s[good] - self.time_s[good]
        median = float(np.median(start))
        spread = 1.4826 * float(np.median(np.abs(start - median)))
        return median, max(spread, self.stamp_sigma_s)


@dataclass(frozen=True, eq=False)
class Telemetry:
    """Everything that the sensors of one video measured."""

    sensors: tuple[Sensor, ...]
    gps: GpsTimes | None = None

    def sensor(self, key: str) -> Sensor | None:
        """Return the first sensor of a key, e.g. GYRO."""
        return next((s for s in self.sensors if s.key == key), None)


@dataclass(frozen=True, eq=False)
class _Piece:
    """One payload's part of one stream."""

    start_s: float
    duration_s: float
    stream: Stream


def telemetry_track(movie: Movie) -> Track | None:
    """Return the track that holds GPMF, if there is one and its index makes sense."""
    track = next((t for t in movie.tracks if t.format == "gpmd"), None)
    if track is None:
        return None
    try:
        samples = track.samples
    except IndexDamagedError:
        return None
    # Samples that overlap could make a small file expand without bound.
    return track if len(samples) and int(samples.size.sum()) <= track.file_size else None


def read_payload(file: Path, track: Track, index: int) -> Payload:
    """Return one payload; damaged data gives fewer entries."""
    return parse(read_sample(file, track.samples, index, MAX_PAYLOAD_BYTES))


def read_telemetry(path: Path, keys: Collection[str] | None = None, start_s: float = 0.0) -> Telemetry | None:
    """Return all telemetry of a video, or that of some sensors; None where the file has none.

    Args:
        path: an MP4 file.
        keys: four-character keys of the sensors wanted; None: all.
        start_s: presentation time of the first frame in the container (`VideoInfo.start_s`).
    """
    movie = read_movie(path)
    track = telemetry_track(movie) if movie is not None else None
    if track is None:
        return None
    pieces: dict[tuple[str, str, str], list[_Piece]] = {}
    times: list[_Piece] = []
    for at_s, duration_s, payload in _payloads(path, track):
        for stream in streams(payload):
            piece = _Piece(at_s - start_s, duration_s, stream)
            if stream.key in ("GPS9", "GPS5"):
                times.append(piece)
            if keys is None or stream.key in keys or stream.key in FRAME_STREAMS:
                pieces.setdefault((stream.device, stream.key, stream.name), []).append(piece)
    zero_us = _frame_zero_us(pieces)
    sensors = tuple(_sensor(p, zero_us) for (_, key, _), p in pieces.items() if keys is None or key in keys)
    return Telemetry(tuple(s for s in sensors if s.values.size), _gps_times(times, zero_us))


def _payloads(path: Path, track: Track) -> Iterator[tuple[float, float, Payload]]:
    samples, scale = track.samples, track.timescale
    for i in range(len(samples)):
        yield float(samples.pts[i]) / scale, float(samples.duration[i]) / scale, read_payload(path, track, i)


def _frame_zero_us(pieces: dict[tuple[str, str, str], list[_Piece]]) -> int | None:
    """Return the first frame's time on the camera's microsecond clock."""
    for wanted in FRAME_STREAMS:
        for (_, key, _), parts in pieces.items():
            if key == wanted and parts[0].stream.start_us is not None:
                return parts[0].stream.start_us
    return None


def _sensor(parts: list[_Piece], zero_us: int | None) -> Sensor:
    columns = max((p.stream.values.shape[1] for p in parts), default=0)
    kept = [p for p in parts if len(p.stream.values) and p.stream.values.shape[1] == columns]
    values = [p.stream.values for p in kept] or [np.empty((0, columns))]
    first = parts[0].stream
    return Sensor(
        first.key, first.device, first.name, first.units, _sample_times(kept, zero_us), np.concatenate(values)
    )


def _sample_times(parts: list[_Piece], zero_us: int | None) -> np.ndarray:
    """Return [sample] times of the samples of consecutive payloads."""
    if not parts:
        return np.empty(0)
    counts = np.array([len(p.stream.values) for p in parts])
    begin = np.concatenate([[0], np.cumsum(counts)])
    stamps = [p.stream.start_us for p in parts]
    if zero_us is not None and len(parts) > 1 and all(s is not None for s in stamps):
        knots = np.array([(s - zero_us) * 1e-6 for s in stamps if s is not None])
        if (np.diff(knots) > 0).all():
            step = (knots[-1] - knots[-2]) / counts[-2]
            return np.interp(np.arange(begin[-1]), begin, np.append(knots, knots[-1] + step * counts[-1]))
    starts = np.array([p.start_s for p in parts])
    if parts[0].stream.key in STEADY and len(parts) > 2:
        slope, at_0 = np.polyfit(begin[:-1], starts, 1)
        if slope > 0:
            return at_0 + slope * np.arange(begin[-1])
    return np.concatenate([s + p.duration_s * np.arange(n) / n for s, p, n in zip(starts, parts, counts, strict=True)])


def _gps_times(parts: list[_Piece], zero_us: int | None) -> GpsTimes | None:
    """Return UTC against video time, from GPS9 (each sample stamped) or else GPS5 (each payload stamped)."""
    stamped = [p for p in parts if p.stream.key == "GPS9" and p.stream.values.shape[1:] == (9,)]
    if stamped:
        values = np.concatenate([p.stream.values for p in stamped])
        utc_s = _UNIX_2000_S + 86_400.0 * values[:, 5] + values[:, 6]
        return GpsTimes(_sample_times(stamped, zero_us), utc_s, values[:, 8], values[:, 7])
    rows = [row for p in parts if (row := _payload_stamp(p)) is not None]
    if not rows:
        return None
    table = np.array(rows)
    return GpsTimes(table[:, 0], table[:, 1], table[:, 2], table[:, 3], PAYLOAD_STAMP_S)


def _payload_stamp(part: _Piece) -> tuple[float, float, float, float] | None:
    """Return (video time, UTC, fix, dilution) of a payload with GPS5."""
    about = part.stream.about
    utc_s = gps_text_s(about["GPSU"].text) if "GPSU" in about else None
    if utc_s is None:
        return None
    fix = about["GPSF"].numbers().ravel() if "GPSF" in about else np.empty(0)
    dop = about["GPSP"].numbers().ravel() if "GPSP" in about else np.empty(0)
    return (
        part.start_s,
        utc_s,
        float(fix[0]) if len(fix) else 0.0,
        float(dop[0]) / 100 if len(dop) else float("nan"),
    )


def gps_text_s(text: str) -> float | None:
    """Return seconds since 1970 of a GPSU stamp (yymmddhhmmss.sss, UTC), or None where it is no time."""
    try:
        when = datetime.datetime.strptime(text, "%y%m%d%H%M%S.%f")
    except ValueError:
        return None
    return when.replace(tzinfo=datetime.UTC).timestamp()
