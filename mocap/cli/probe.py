"""`mocap probe`: what video files are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mocap.cli.ui import Result, Ui
from mocap.core.progress import track

if TYPE_CHECKING:
    from mocap.media.probe import VideoInfo

SUMMARY = "what video files are: size, exact rate, frames, rotation, sound, damage"
EXAMPLE = "mocap probe cam1.mp4 cam2.mp4"
_HEAD = ("file", "codec", "size", "turn", "frames", "fps", "seconds", "audio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="video file")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read every file's timestamps and describe it. Raises InputError for the first that is no readable video."""
    from mocap.media.probe import probe

    infos = [probe(file) for file in track(args.files, ui.progress, "Reading videos", len(args.files))]
    rows = [_HEAD, *(_row(i) for i in infos)]
    widths = [max(len(r[c]) for r in rows) for c in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    lines += [f"note: {d.message}" for i in infos for d in i.diagnostics]
    return Result({"files": [i.to_json() for i in infos]}, "\n".join(lines))


def _row(info: VideoInfo) -> tuple[str, ...]:
    exact = f" ({info.fps})" if info.fps.denominator > 1 and not info.is_variable_rate else ""
    return (
        str(info.path),
        info.codec,
        f"{info.width_px}x{info.height_px}",
        f"{info.rotation_deg}",
        f"{info.n_frames}",
        f"{float(info.fps):.3f}{exact}{' variable' if info.is_variable_rate else ''}",
        f"{info.duration_s:.2f}",
        "yes" if info.has_audio else "no",
    )
