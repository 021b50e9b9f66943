"""What a GoPro file says of its camera and recording, read from its index and a few pieces of its telemetry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mocap.media.gpmf import Stream, parse, streams
from mocap.media.mp4_index import Movie, Track
from mocap.media.telemetry import gps_text_s, read_payload, telemetry_track

LENS_MODES = {"W": "Wide", "S": "SuperView", "L": "Linear", "N": "Narrow", "M": "Medium"}
"""Names of the VFOV letters; another letter is shown as it is."""

MODELS = {
    "HD5.02": "HERO5 Black",
    "HD5.03": "HERO5 Session",
    "HD6.01": "HERO6 Black",
    "HD7.01": "HERO7 Black",
    "HD8.01": "HERO8 Black",
    "HD9.01": "HERO9 Black",
    "H21.01": "HERO10 Black",
    "H22.01": "HERO11 Black",
    "H22.03": "HERO11 Black Mini",
    "H23.01": "HERO12 Black",
    "H24.01": "HERO13 Black",
}
"""Camera model by the beginning of the firmware's version, for cameras that do not name themselves."""

_NO_STREAM = frozenset({"STNM", "TICK", "TOCK", "TSMP", "EMPT", "SIUN", "UNIT", "SCAL", "TYPE", "RMRK"})
"""Keys that describe a stream; a stream that ends with one has no data."""

_MAX_TEXT = 64

_MAX_PIECES = 33
"""Payloads read: enough for rates to 0.1 %, and quick however long the recording is."""


@dataclass(frozen=True)
class SensorFacts:
    """How much one sensor recorded."""

    key: str
    device: str
    name: str
    unit: str
    n_samples: int
    rate_hz: float
    """Samples in a second of video time; NaN where too few payloads tell."""


@dataclass(frozen=True)
class GoProFacts:
    """What the file says of camera and recording; None where it does not say."""

    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    """The camera's serial number, or the hash of it that older cameras write."""
    lens_mode: str | None = None
    """Wide, Linear, SuperView, ..."""
    fov_deg: float | None = None
    """Diagonal field of view, where the camera states it."""
    stabilisation: str | None = None
    """`off`, or the mode's name as the camera writes it, e.g. HS EIS (HyperSmooth)."""
    is_digital_zoom: bool | None = None
    shutter_s: float | None = None
    """Median exposure time."""
    readout_s: float | None = None
    """Median time from the first to the last row of a picture (rolling shutter)."""
    gps_utc_s: float | None = None
    """UTC that satellites gave in the first payload with a fix, seconds since 1970."""
    sensors: tuple[SensorFacts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        out: dict[str, Any] = {k: v for k, v in vars(self).items() if k != "sensors"}
        out["sensors"] = [vars(s) | {"rate_hz": s.rate_hz if np.isfinite(s.rate_hz) else None} for s in self.sensors]
        return out


def read_facts(file: Path, movie: Movie) -> GoProFacts | None:
    """Return what a GoPro file says of itself; None for files of other cameras. Raises nothing for damaged data."""
    settings = _settings(movie)
    track = telemetry_track(movie)
    pieces = _read_pieces(file, track) if track is not None else {}
    found = [s for streams_there in pieces.values() for s in streams_there]
    if not settings and not pieces and "FIRM" not in movie.user_data:
        return None
    firmware = settings.get("FMWR") or _box_text(movie, "FIRM") or None
    zoom = settings.get("DZOM")
    return GoProFacts(
        model=settings.get("MINF") or _known_model(firmware) or _device(found),
        firmware=firmware,
        serial=settings.get("CASN") or _serial_hash(movie),
        lens_mode=_lens_mode(settings),
        fov_deg=_number(settings.get("ZFOV")),
        stabilisation=_stabilisation(settings),
        is_digital_zoom=None if not zoom else zoom == "Y",
        shutter_s=_median(found, "SHUT", 1.0),
        readout_s=_median(found, "SROT", 1e-3),  # The file gives milliseconds.
        gps_utc_s=_gps_utc_s(found),
        sensors=_sensors(pieces, track) if track is not None else (),
    )


def join_facts(parts: Sequence[GoProFacts]) -> GoProFacts | None:
    """Return the facts of a recording from those of its chapters: the first one's, with the samples of all."""
    if not parts:
        return None
    n: dict[tuple[str, str, str], int] = {}
    for sensor in (s for p in parts for s in p.sensors):
        key = (sensor.device, sensor.key, sensor.name)
        n[key] = n.get(key, 0) + sensor.n_samples
    sensors = tuple(replace(s, n_samples=n[s.device, s.key, s.name]) for s in parts[0].sensors)
    return replace(parts[0], sensors=sensors)


def _settings(movie: Movie) -> dict[str, str]:
    """Return the global settings that `udta` holds as GPMF: text, or the first number as text."""
    body = movie.user_data.get("GPMF")
    out: dict[str, str] = {}
    if body is None:
        return out
    for device in parse(body).devices():
        for entry in (e for holder in device.children for e in (holder, *holder.children)):
            if entry.kind in "cFU":
                out.setdefault(entry.key, _printable(entry.text))
            elif entry.kind != "\0" and (values := entry.numbers()).size:
                out.setdefault(entry.key, f"{values.flat[0]:g}")
    return out


def _printable(text: str) -> str:
    return "".join(c for c in text[:_MAX_TEXT] if c.isprintable())


def _box_text(movie: Movie, kind: str) -> str:
    body = movie.user_data.get(kind)
    return _printable(bytes(body[:_MAX_TEXT]).split(b"\0", 1)[0].decode("latin-1")) if body is not None else ""


def _serial_hash(movie: Movie) -> str | None:
    body = movie.user_data.get("CAME")
    return bytes(body[:16]).hex() if body is not None and any(body) else None


def _known_model(firmware: str | None) -> str | None:
    return MODELS.get((firmware or "")[:6])


def _device(found: list[Stream]) -> str | None:
    name = next((s.device for s in found if s.device), "")
    return _printable(name) if name and name != "Camera" else None


def _lens_mode(settings: dict[str, str]) -> str | None:
    letter = settings.get("VFOV")
    return LENS_MODES.get(letter, letter) if letter else None


def _stabilisation(settings: dict[str, str]) -> str | None:
    if settings.get("EISE") == "N":
        return "off"
    mode = settings.get("EISA")
    if mode:
        return mode
    return "on" if settings.get("EISE") == "Y" else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None


def _median(found: list[Stream], key: str, unit: float) -> float | None:
    values = [s.values[:, 0] for s in found if s.key == key and s.values.size]
    good = [v[np.isfinite(v) & (v > 0)] for v in values]
    return float(np.median(np.concatenate(good))) * unit if good and len(np.concatenate(good)) else None


def _gps_utc_s(found: list[Stream]) -> float | None:
    for stream in found:
        fix = stream.about["GPSF"].numbers() if "GPSF" in stream.about else np.empty(0)
        if "GPSU" in stream.about and fix.size and fix.flat[0] >= 2:
            return gps_text_s(stream.about["GPSU"].text)
    return None


def _read_pieces(file: Path, track: Track) -> dict[int, list[Stream]]:
    """Return payloads from first to last: their running counts tell the samples of all between."""
    n = len(track.samples)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MAX_PIECES)).round().astype(int))
    # The one before the last tells the rate up to the end: the last itself may be cut.
    return {int(i): list(streams(read_payload(file, track, int(i)))) for i in sorted({*chosen, max(n - 2, 0)})}


def _sensors(pieces: dict[int, list[Stream]], track: Track) -> tuple[SensorFacts, ...]:
    """Return count and rate of each stream from TSMP, the samples counted up to the end of each payload."""
    found: dict[tuple[str, str, str], dict[int, Stream]] = {}
    for index, there in pieces.items():
        for stream in there:
            if stream.key not in _NO_STREAM:
                found.setdefault((stream.device, stream.key, stream.name), {}).setdefault(index, stream)
    return tuple(
        SensorFacts(
            _printable(key),
            _printable(device),
            _printable(name),
            _printable(" ".join(dict.fromkeys(next(iter(by.values())).units))),
            *_count_and_rate(by, track),
        )
        for (device, key, name), by in found.items()
        if not all(s.is_empty for s in by.values())
    )


def _count_and_rate(by_payload: dict[int, Stream], track: Track) -> tuple[int, float]:
    totals = {i: s.total_samples for i, s in by_payload.items() if s.total_samples is not None}
    if not totals:
        return sum(len(s.values) for s in by_payload.values()), float("nan")
    first, last = min(totals), max(totals)
    # A later chapter of a recording may count on from the one before it.
    before = max(totals[first] - len(by_payload[first].values), 0) if first == 0 else 0
    n = max(totals[last] - before, 0)
    whole = [i for i in totals if i < len(track.samples) - 1]
    end_s = (track.samples.pts + track.samples.duration)[whole] / track.timescale
    counts = np.array([totals[i] for i in whole], np.float64)
    if len(whole) < 2 or np.ptp(end_s) <= 0:
        return n, float("nan")
    centred = end_s - end_s.mean()
    return n, float(centred @ (counts - counts.mean()) / (centred @ centred))
