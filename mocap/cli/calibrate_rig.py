"""`mocap calibrate rig`: places (and lenses) of all cameras from one board moved through the volume."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.calibrate_distance import measured_distance, scale_check
from mocap.cli.calibrate_footage import BOARD_HELP, footage, given_lenses
from mocap.cli.calibrate_output import keep_before, result_file
from mocap.cli.calibrate_text import failed_clause, figure, world_text
from mocap.cli.options import frame_rate, length_m
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from calibration.board_views import BoardViews
    from calibration.report_data import MetricError
    from calibration.rig import RigResult
    from calibration.world import WorldResult
    from mocap.core.diagnostics import Diagnostic
    from mocap.core.timeline import TimeMap

SUMMARY = "calibrate all cameras from synchronous videos of a board"
EXAMPLE = """mocap calibrate rig --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 cam1.mp4 cam2.mp4 \\
    --out rig.toml --world board:floor1.mp4 floor2.mp4 --board-thickness 0.004"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="one synchronous video per camera")
    parser.add_argument("--board", required=True, metavar="SPEC", help=BOARD_HELP)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="rig to write (TOML); report beside it")
    parser.add_argument(
        "--lens",
        action="append",
        default=[],
        metavar="LENS",
        help="known lens: a file (held), gopro:MODEL:MODE or gopro:auto (refined); one for all cameras or one for each",
    )
    parser.add_argument(
        "--world",
        nargs="+",
        metavar="FROM",
        help="board:VIDEO... (the board lying on the floor, print up), feet:DIR (2D keypoints of a person) or "
        "points:FILE (clicked points, CSV camera,point,x_px,y_px[,X_m,Y_m,Z_m] or JSON)",
    )
    parser.add_argument(
        "--board-thickness",
        type=length_m(0.0, 0.2),
        default=0.0,
        metavar="M",
        help="the floor is this far under the print (metres)",
    )
    parser.add_argument("--fps", type=frame_rate, metavar="F", help="frame rate of the keypoints of --world feet:DIR")
    parser.add_argument(
        "--feet-times", type=Path, metavar="FILE", help="clocks of these keypoints, where they did not start together"
    )
    parser.add_argument("--times", type=Path, metavar="FILE", help="clocks, where the videos are not synchronous")
    parser.add_argument(
        "--allow-lags",
        action="store_true",
        help="allow for cameras a fraction of a frame out of step while the board moved (default: taken as filmed)",
    )
    parser.add_argument(
        "--distance",
        metavar="A,B,M",
        help="measured distance between two cameras' lenses in metres: shows a wrong square size",
    )


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Detect, solve, place in the world, write rig and report."""
    with result_file(args.out, [*args.videos, *args.lens, *(args.world or ()), args.times, args.feet_times]):
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> Result:
    from calibration.board import parse_board
    from calibration.board_detect import detect_board
    from calibration.failed import failed_mark, outlasting_lenses
    from calibration.files import write_rig
    from calibration.gopro import require_unstabilised
    from calibration.lens_prior import preset_findings
    from calibration.report import rig_report, write_rig_report
    from calibration.rig import calibrate_rig
    from mocap.core.jsontext import jsonable
    from mocap.core.publish import published_set
    from sessions.timing import Laps

    laps = Laps()
    board = parse_board(args.board)
    videos = footage(args.videos)
    require_unstabilised(videos)
    distance = measured_distance(args.distance, list(videos))
    floor, matched = _floor_footage(args, list(videos))
    views = detect_board(videos, board, ui.progress, time_maps=_clocks(args.times, videos))
    laps.lap("detect")
    sizes_px = dict(zip(views.camera_names, views.size_px, strict=True))
    lenses, readouts_s, notes = given_lenses(args.lens, sizes_px, videos)
    result = calibrate_rig(views, lenses or None, allow_lags=args.allow_lags, progress=ui.progress)
    result = replace(result, rig=result.rig.with_readouts(readouts_s))
    views = result.views
    laps.lap("solve")
    world = _world(args, ui, result, views, floor)
    rig = world.rig if world is not None else result.rig
    laps.lap("world")
    held_out = _held_out(views, lenses)
    laps.lap("held out")
    refined = {n: (rig[n].intrinsics, float(result.certainty.lens_sd[c, 0])) for c, n in enumerate(views.camera_names)}
    notes += preset_findings(lenses, refined)
    found = [*notes, *matched, *result.diagnostics, *_world_findings(world, videos), *scale_check(rig, distance)]
    inherited = outlasting_lenses(notes)
    data = rig_report(
        result,
        rig,
        views,
        inherited=inherited,
        held_out=held_out,
        diagnostics=found,
        world=world.data if world else None,
        seconds=laps.seconds,
    )
    kept = None
    with published_set(args.out.parent) as folder:
        if data["failed"]:
            kept = keep_before(args.out, folder)
        mark = failed_mark(data["failed"], poses_alone=_are_given(lenses, views) and "redo" not in inherited)
        write_rig(folder / args.out.name, rig, mark, error_px=data["rms_px"])
        written = write_rig_report(folder / args.out.name, data, result, rig, views, held_out)
    files = [args.out.parent / f.name for f in written]
    data = jsonable({**data, "file": str(args.out), "reports": [str(f) for f in files], "kept": kept and str(kept)})
    return Result(data, _text(data, args.out, files), quality_ok=not data["failed"])


def _are_given(lenses: dict[str, Any], views: BoardViews) -> bool:
    """Return whether all lenses were held as given, so that what is wrong is where the cameras stand."""
    from mocap.core.camera import Intrinsics

    return all(isinstance(lenses.get(name), Intrinsics) for name in views.camera_names)


def _clocks(file: Path | None, videos: dict[str, Path]) -> dict[str, TimeMap] | None:
    if file is None:
        return None
    from mocap.pose2d.times import read_times

    return read_times(file, list(videos))


def _floor_footage(
    args: argparse.Namespace, cameras: list[str]
) -> tuple[dict[str, Path] | None, tuple[Diagnostic, ...]]:
    """Return the floor clips by camera, None where the world comes from elsewhere, and how they were matched.

    What `--world` names is looked at before the long work.
    """
    if args.feet_times is not None and not (args.world and args.world[0].startswith("feet:")):
        raise UsageError("world-unknown", "--feet-times goes with --world feet:DIR.", "Give that, or leave it out.")
    if not args.world:
        return None, ()
    kind, _, first = args.world[0].partition(":")
    if kind not in ("board", "feet", "points") or not first:
        message = f"--world {args.world[0]}: expected board:VIDEO..., feet:DIR or points:FILE."
        raise UsageError("world-unknown", message, "Give one of these.")
    if kind == "points":
        from calibration.world_points import read_points

        read_points(Path(first))
        return None, ()
    if kind == "feet":
        if len(args.world) > 1 or args.fps is None:
            raise UsageError("world-unknown", "--world feet:DIR needs one folder and --fps.", "Give both.")
        from mocap.pose2d.files import find_sources
        from mocap.pose2d.times import read_times

        find_sources(Path(first), len(cameras))
        if args.feet_times is not None:
            read_times(args.feet_times, ())
        return None, ()
    from mocap.core.camera_names import match_cameras, normal_name

    paths = [Path(first), *(Path(p.removeprefix("board:")) for p in args.world[1:])]
    clips = footage(paths)
    from mocap.media.probe import probe

    for clip in clips.values():
        probe(clip)
    if len(clips) == len(cameras):
        match = match_cameras(cameras, list(clips), "floor videos")
        return {c: clips[n] for c, n in match.found.items()}, match.diagnostics
    keys = {normal_name(c): c for c in cameras}
    return {keys.get(normal_name(n), n): path for n, path in clips.items()}, ()


def _world(
    args: argparse.Namespace, ui: Ui, result: RigResult, views: BoardViews, floor: dict[str, Path] | None
) -> WorldResult | None:
    if floor is not None:
        from calibration.board_turns import agreed_with_rig
        from calibration.world_board import world_from_board

        seen = _floor_views(floor, views, ui)
        seen = agreed_with_rig(seen, result.rig)
        return world_from_board(result.rig, seen, args.board_thickness)
    if not args.world:
        return None
    kind, _, source = args.world[0].partition(":")
    if kind == "points":
        from calibration.world_points import read_points, world_from_points

        return world_from_points(result.rig, read_points(Path(source)))
    from mocap.cli.calibrate_feet import world_from_keypoints

    return world_from_keypoints(result.rig, Path(source), args.fps, args.feet_times, ui.progress)


def _floor_views(floor: dict[str, Path], views: BoardViews, ui: Ui) -> BoardViews:
    """Return the views of the floor board; the board's description is right: it was just found by it."""
    from calibration.board_detect import detect_board
    from mocap.core.errors import InputError

    try:
        return detect_board(floor, views.board, ui.progress, max_frames=24)
    except InputError as error:
        if not error.code.startswith("board-"):
            raise
        raise InputError(
            "world-board-not-seen",
            f"The board was not found on the floor in {', '.join(str(p) for p in floor.values())}.",
            "Lay the board of the calibration where cameras see it large and not too flat, print up, and film again.",
        ) from error


def _world_findings(world: WorldResult | None, videos: dict[str, Path]) -> list[Diagnostic]:
    """Return what the world's own checks found, and whether it is upright by the cameras' accelerometers."""
    from calibration.gravity import check_gravity

    return [] if world is None else [*world.diagnostics, *check_gravity(world.rig, videos)]


def _held_out(views: BoardViews, lenses: dict[str, Any]) -> MetricError | None:
    """Return the error of a calibration from every other instant on the others; None where half is too little."""
    from calibration.report_data import metric_error
    from calibration.rig import calibrate_rig
    from mocap.core.errors import InputError

    on = [f for f in range(views.n_frames) if views.is_seen[:, f].any()]
    if len(on) < 20:
        return None
    try:
        half = calibrate_rig(views.at_frames(on[::2]), lenses or None)
    except InputError:
        return None
    return metric_error(half.rig, views.at_frames(on[1::2]))


def _text(data: dict[str, Any], out: Path, files: list[Path]) -> str:
    lengths = data["lengths"]["held_out"] or data["lengths"]["all_views"]
    lines = [
        f"{out}: {len(data['cameras'])} cameras, {data['verdict']}{failed_clause(data['diagnostics'])}"
        + f"; corners to {figure(data['rms_px'], 2, 'px')} (rms)"
        + (f" and {lengths['board_fit_rms_mm']:.2f} mm on the board" if lengths["board_fit_rms_mm"] is not None else "")
        + (" (on views held out)" if data["lengths"]["held_out"] else "")
    ]
    for name, c in data["cameras"].items():
        lines.append(
            f"  {name}: {figure(c['rms_px'], 2, 'px')} over {c['n_views']} views, {c['coverage_share']:.0%} of the "
            f"picture covered, focal {figure(c['focal_px'][0], 1, 'px')}, "
            f"placed to {figure(c['center_sd_mm'], 1, 'mm')} (1 sd)"
        )
    lines += [f"  do: {a}" for a in data["advice"]]
    lines += [f"  {line}" for line in finding_lines(data["diagnostics"])]
    if data["kept"]:
        lines.append(f"  the earlier calibration is kept as {data['kept']}")
    lines.append(f"{world_text(data['world'])} Report: {', '.join(f.name for f in files)}")
    return "\n".join(lines)
