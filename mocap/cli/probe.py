"""`mocap probe`: what video files are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.cli.ui import Result, Ui
from mocap.core.progress import track

if TYPE_CHECKING:
    from mocap.media.video_info import VideoInfo

SUMMARY = "what video files are: size, exact rate, frames, rotation, sound, timecode, camera, sensors, damage"
EXAMPLE = "mocap probe cam1.mp4 cam2.mp4"
_HEAD = ("file", "codec", "size", "turn", "frames", "fps", "seconds", "audio", "timecode", "camera")
_SENSOR_HEAD = ("sensor", "samples", "per second", "unit", "what")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="video file; the chapters of one recording count as one"
    )
    parser.add_argument("--sensors", action="store_true", help="list the sensors that each file recorded")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read every file's index and describe it; what is no readable video is listed, and raised where all are none."""
    from mocap.core.errors import InputError
    from mocap.media.chapters import group_chapters
    from mocap.media.fingerprint import fingerprint
    from mocap.media.probe import probe, probe_recording

    groups = group_chapters(args.files)
    infos: list[VideoInfo] = []
    failed: dict[str, InputError] = {}
    for files in track(groups, ui.progress, "Reading videos", len(groups)):
        try:
            infos.append(probe(files[0]) if len(files) == 1 else probe_recording(files))
        except InputError as error:
            failed[str(files[0])] = error
    if not infos:
        raise next(iter(failed.values()))
    lines = _table([_HEAD, *(_row(i) for i in infos)])
    for info in infos:
        lines += _details(info, with_sensors=args.sensors)
    lines += [f"note: {d.message}" for i in infos for d in i.diagnostics]
    data = [i.to_json() | {"fingerprint": fingerprint(i.path)} for i in infos]
    lines += [f"failed [{e.code}]: {e.message} {e.advice}" for e in failed.values()]
    errors = [{"file": f, "code": e.code, "message": e.message, "advice": e.advice} for f, e in failed.items()]
    return Result({"files": data, "failed": errors}, "\n".join(lines), done=not failed)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(r[c]) for r in rows) for c in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def _row(info: VideoInfo) -> tuple[str, ...]:
    exact = f" ({info.fps})" if info.fps.denominator > 1 and not info.is_variable_rate else ""
    more = f" +{len(info.chapters) - 1}" if len(info.chapters) > 1 else ""
    return (
        f"{info.path}{more}",
        info.codec,
        f"{info.width_px}x{info.height_px}",
        f"{info.rotation_deg}",
        f"{info.n_frames}",
        f"{float(info.fps):.3f}{exact}{' variable' if info.is_variable_rate else ''}",
        f"{info.duration_s:.2f}",
        "yes" if info.has_audio else "no",
        str(info.timecode) if info.timecode is not None else "-",
        (info.gopro.model or "GoPro") if info.gopro is not None else "-",
    )


def _details(info: VideoInfo, *, with_sensors: bool) -> list[str]:
    """Return what the table has no column for: chapters, and what the camera says of itself."""
    lines = [f"{info.path.name}: chapters {_chapters(info)}"] if info.chapters else []
    facts = info.gopro
    if facts is None:
        return lines
    said = {
        "firmware": facts.firmware,
        "serial": facts.serial,
        "lens": facts.lens_mode,
        "field of view": f"{facts.fov_deg:.1f} degrees" if facts.fov_deg is not None else None,
        "stabilisation": facts.stabilisation,
        "digital zoom": None if facts.is_digital_zoom is None else ("on" if facts.is_digital_zoom else "off"),
        "shutter": f"1/{1 / facts.shutter_s:.0f} s" if facts.shutter_s else None,
        "read-out": f"{facts.readout_s * 1e3:.1f} ms" if facts.readout_s else None,
    }
    lines.append(f"{info.path.name}: " + ", ".join(f"{k} {v}" for k, v in said.items() if v is not None))
    rates = {s.key: s for s in facts.sensors if s.key in ("ACCL", "GYRO", "GPS5", "GPS9")}
    if rates and not with_sensors:
        lines[-1] += "; " + ", ".join(f"{k} {s.n_samples} at {s.rate_hz:.1f} Hz" for k, s in rates.items())
    if with_sensors and facts.sensors:
        rows = [(s.key, f"{s.n_samples}", f"{s.rate_hz:.2f}", s.unit, f"{s.device}: {s.name}") for s in facts.sensors]
        lines += [f"  {line}" for line in _table([_SENSOR_HEAD, *rows])]
    return lines


def _chapters(info: VideoInfo) -> str:
    return ", ".join(f"{Path(c.path).name} ({c.n_frames} frames)" for c in info.chapters)
