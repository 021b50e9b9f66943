"""`mocap export`: files for other programs from a take of a session."""

from __future__ import annotations

import argparse
from pathlib import Path

from mocap.cli.options import add_filter_option, frame_rate
from mocap.cli.ui import Result, Ui

SUMMARY = "write a take as files for other programs"
KEEPS_STAGES = True
EXAMPLE = """
mocap export shoot_monday/walk_1 --to bvh,fbx,glb
mocap export shoot_monday/walk_1 --to fbx --rig ue5 --fps 30
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("take", metavar="DIR/TAKE", help="session and take")
    parser.add_argument("--to", required=True, metavar="FORMATS", help="list with commas, e.g. bvh,fbx,glb,trc,c3d,csv")
    parser.add_argument("--out", type=Path, metavar="OUT", help="folder for the files (default: the take's exports)")
    parser.add_argument("--rig", default="studio", metavar="NAME", help="character rig (default: studio)")
    parser.add_argument("--fps", type=frame_rate, metavar="F", help="frame rate (default: that of the take)")
    parser.add_argument("--units", default="m", choices=("m", "cm"), help="unit of BVH (default: m)")
    add_filter_option(parser)


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Bring the take up to date, then write the files."""
    from exporters.table import STUDIO_RIG
    from mocap.analysis.filtering import compare_filter, summary_lines
    from mocap.core.errors import InputError
    from mocap.core.filtering import parse_filter
    from mocap.retarget import target_names
    from sessions.folder import split_take_path
    from sessions.outputs import export_all, filtered_points, parse_formats
    from sessions.process import process_take

    formats = parse_formats(args.to)
    filters = [parse_filter(text) for text in args.filter]
    rigs = sorted({STUDIO_RIG, *target_names()})
    if args.rig not in rigs:
        raise InputError("rig-unknown", f"There is no rig {args.rig!r}.", f"Choose one of: {', '.join(rigs)}.")
    session, take = split_take_path(args.take)
    done = process_take(session, take, ui.progress)
    folder = args.out or (take.exports if args.rig == STUDIO_RIG else take.exports / args.rig)
    filtered = filtered_points(done.solved, filters)
    written = export_all(
        done.solved,
        formats,
        folder,
        ui.progress,
        filtered,
        rig_name=args.rig,
        units=args.units,
        fps=args.fps,
        videos=done.videos,
        pixel_maps=done.pixel_maps,
    )
    files = [{"path": str(f.path), "format": f.format, "max_error_mm": 1000 * f.max_error_m} for f in written.files]
    lines = [f"{f.path}  (read back within {1000 * f.max_error_m:.3f} mm)" for f in written.files]
    lines += [d.message for d in written.missing]
    compared = [compare_filter(done.solved, f) for f in filtered]
    lines += [line for figures in compared for line in summary_lines(figures)]
    data = {"files": files, "filters": compared, "diagnostics": [d.to_json() for d in written.missing]}
    return Result(data, "\n".join(lines), quality_ok=not written.missing)
