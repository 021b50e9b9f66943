"""`mocap calibrate convert`: a rig of one program for another."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.cli.calibrate_output import require_safe, rig_files
from mocap.cli.ui import Result, Ui
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from mocap.core.diagnostics import Diagnostic

SUMMARY = "write a rig in the format of another program"
EXAMPLE = """mocap calibrate convert rig.toml --to pose2sim --out Calib.toml
mocap calibrate convert Calib.qca.txt --to blender --out cameras.py
mocap calibrate convert camera_array.toml --to colmap --out model/"""
NAMES = (
    *("aniposelib", "pose2sim", "caliscope", "freemocap", "opencv", "qualisys", "easymocap"),
    *("colmap", "colmap-binary", "blender"),
)
"""The formats that `calibration.rig_export` writes; a test compares them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("rig", type=Path, metavar="RIG", help="calibration of any known format, recognised by content")
    parser.add_argument(
        "--to", required=True, choices=NAMES, metavar="FORMAT", help=f"one of {', '.join(NAMES)} (aniposelib is ours)"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="PATH",
        help="file to write; for opencv, easymocap, colmap and colmap-binary a new folder",
    )


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read, write, read back."""
    from calibration.files import read_rig_file, write_rig
    from calibration.rig_export import FORMATS, Written, export_rig

    require_safe(args.out, rig_files(args.rig), writes=args.to)
    found = read_rig_file(args.rig)
    if args.to == "aniposelib":
        write_rig(args.out, found.rig, found.diagnostics)
        written = Written((args.out,), ())
    else:
        written = export_rig(args.out, found.rig, args.to)
    notes = [*found.diagnostics, *written.diagnostics, *_mark_lost(found.diagnostics, args.to)]
    data = {
        "file": str(args.out),
        "files": [str(f) for f in written.files],
        "from": found.format,
        "to": args.to,
        "cameras": list(found.rig.names),
        "diagnostics": [d.to_json() for d in notes],
    }
    lines = [f"{args.out}: {len(found.rig)} cameras, from {found.format} to {args.to} ({FORMATS[args.to].about})."]
    return Result(data, "\n".join([*lines, *finding_lines(data["diagnostics"])]))


def _mark_lost(found: Sequence[Diagnostic], to: str) -> list[Diagnostic]:
    """Return the warning that a format has no place for the mark of a failed calibration; none where all is well."""
    from calibration.failed import reasons_in
    from mocap.core.diagnostics import Diagnostic, Severity

    reasons = reasons_in(found)
    if not reasons or to == "aniposelib":
        return []
    message = (
        f"{to} has no place for the mark of a failed calibration ({', '.join(reasons)}): whoever reads what was "
        "written is not told. Calibrate again before you use it."
    )
    return [Diagnostic("rig-mark-lost", Severity.WARNING, message, {"reasons": reasons})]
