"""`mocap reconstruct`: 2D keypoint files and a calibrated rig in, verified animation out."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from glob import escape as glob_escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mocap.cli.options import add_filter_option, frame_rate, output_folder, point
from mocap.cli.ui import Result, Ui, UsageError

if TYPE_CHECKING:
    from mocap.core.camera import CameraRig
    from mocap.core.diagnostics import Diagnostic
    from mocap.core.filtering import FilterSpec
    from mocap.core.timeline import TimeMap
    from mocap.pose2d.detections import CameraDetections
    from sessions.process import Processed
    from sessions.runner import RunResult
    from sessions.timing import Laps

SUMMARY = "2D keypoint files and a calibrated rig in, animation out"
EXAMPLE = "mocap reconstruct --rig Calib.toml --keypoints pose/ --fps 60 --out result --to trc,bvh,glb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rig", required=True, type=Path, metavar="RIG", help="calibrated cameras, any known format")
    parser.add_argument("--keypoints", required=True, type=Path, metavar="DIR", help="one folder or file per camera")
    parser.add_argument("--fps", required=True, type=frame_rate, metavar="F", help="frame rate, e.g. 60 or 60000/1001")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--to", default="trc,bvh", metavar="FORMATS", help="files beside trc and npz (default: trc,bvh)"
    )
    parser.add_argument("--subjects", default="1", metavar="1", help="how many people to reconstruct: 1")
    parser.add_argument("--subject-at", type=point, metavar="X,Y", help="the performer stands here (metres)")
    parser.add_argument("--times", type=Path, metavar="FILE", help="clocks: JSON, or CSV camera,offset_s,drift_ppm")
    parser.add_argument("--keypoint-set", metavar="NAME", help="where the files do not tell")
    parser.add_argument(
        "--performer",
        type=Path,
        metavar="FILE",
        help="the performer's profile: used where it is there, else written, e.g. anna.json",
    )
    parser.add_argument("--refine-rig", action="store_true", help="correct the cameras from the performer")
    parser.add_argument(
        "--solve-for",
        metavar="WHAT",
        help="find these together with the skeleton: cameras (places and directions), clocks, or cameras,clocks",
    )
    parser.add_argument(
        "--causal", action="store_true", help="a preview as it would look live: no frame knows what comes after it"
    )
    parser.add_argument(
        "--latency-ms",
        type=float,
        metavar="N",
        help="with --causal: how much later than a frame may count (default: 0)",
    )
    parser.add_argument("--units", default="m", choices=("m", "cm"), help="unit of BVH (default: m)")
    add_filter_option(parser)


class _Wanted(NamedTuple):
    """What was asked for, as far as it can be judged before anything is read."""

    formats: list[str]
    filters: list[FilterSpec]
    unknowns: str
    """As the setting `solve_for` has them."""
    latency_s: float | None


class _Given(NamedTuple):
    """What was read."""

    rig: CameraRig
    """The cameras with keypoints, in their order."""
    detections: dict[str, CameraDetections]
    time_maps: dict[str, TimeMap]
    performer: dict[str, Any] | str
    """The performer's profile as the setting has it; empty where none is used."""
    diagnostics: tuple[Diagnostic, ...]


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read, reconstruct, solve, export, report."""
    if args.subjects != "1":
        raise UsageError(
            "subjects-unsupported", f"--subjects {args.subjects}: one person per take is supported.", "Give 1."
        )
    from sessions.timing import Laps

    laps = Laps()
    from sessions.outputs import is_good, summary_text

    wanted = _wanted(args)
    with output_folder(args.out), _profile_folder(None if args.causal else args.performer):
        laps.lap("start")
        given = _read(args, ui)
        laps.lap("read")
        done = _process(args, wanted, given, ui)
        laps.laps(done.run.wall_s)
        data, found = _write(args, wanted, given, done, laps, ui)
        text = f"{summary_text(data)}\nwritten to {args.out}: {', '.join(data['files'])}"
        if args.performer is not None:
            # Last: what the take gave is in place whatever becomes of the profile.
            text += f"\nperformer's profile {args.performer} {_profile_text(args, given, done)}"
        return Result(data, text, quality_ok=is_good(found))


def _wanted(args: argparse.Namespace) -> _Wanted:
    """Check the options by themselves, before hours of work."""
    from mocap.core.errors import InputError
    from mocap.core.filtering import parse_filter
    from mocap.core.keypoints import keypoint_set_names
    from sessions.outputs import parse_formats

    formats = parse_formats(args.to)
    filters = [parse_filter(text) for text in args.filter]
    unknowns = _unknowns(args.solve_for)
    if args.keypoint_set is not None and args.keypoint_set not in keypoint_set_names():
        raise InputError(
            "keypoint-set-unknown",
            f"There is no keypoint set {args.keypoint_set!r}.",
            f"Choose one of: {', '.join(keypoint_set_names())}.",
        )
    return _Wanted(formats, filters, unknowns, _latency_s(args))


def _unknowns(solve_for: str | None) -> str:
    """Return what the solve finds beside the motion, as the setting has it; nothing where the option is not given."""
    from sessions.config import UNKNOWNS, parse_unknowns

    if solve_for is None:
        return ""
    try:
        unknowns = parse_unknowns(solve_for)
        if not unknowns:
            raise ValueError(f"expected {' or '.join(UNKNOWNS)} or both, got none")
    except ValueError as error:
        raise UsageError(
            "solve-for-unknown", f"--solve-for {solve_for!r}: {error}.", "Give one of them, or both with a comma."
        ) from error
    return unknowns


def _read(args: argparse.Namespace, ui: Ui) -> _Given:
    """Read the rig, the keypoints, the clocks and the performer's profile."""
    from calibration.files import read_rig_file
    from mocap.core.performer import read_performer
    from mocap.pose2d.files import read_keypoints
    from mocap.pose2d.times import read_times

    rig_file = read_rig_file(args.rig)
    files = read_keypoints(args.keypoints, rig_file.rig.names, args.fps, args.keypoint_set, ui.progress, may_lack=True)
    rig = rig_file.rig.in_order(tuple(files.detections))
    time_maps = read_times(args.times, rig.names) if args.times else {}
    profile: Path | None = args.performer
    # a preview writes no profile, so that one which is not there is a mistake
    is_known = profile is not None and (profile.exists() or args.causal)
    performer = read_performer(profile).to_json() if profile is not None and is_known else ""
    return _Given(rig, files.detections, time_maps, performer, (*rig_file.diagnostics, *files.diagnostics))


def _process(args: argparse.Namespace, wanted: _Wanted, given: _Given, ui: Ui) -> Processed:
    """Reconstruct and solve; the findings of the reading come before those of the stages."""
    from sessions.process import process_keypoints

    settings = {
        "refine_rig": args.refine_rig,
        "solve_for": wanted.unknowns,
        "subject_at": args.subject_at,
        "performer": given.performer,
    }
    done = process_keypoints(
        given.rig,
        given.detections,
        Fraction(args.fps),
        given.time_maps,
        ui.progress,
        settings=settings,
        latency_s=wanted.latency_s,
    )
    return replace(done, diagnostics=(*given.diagnostics, *done.diagnostics))


def _write(
    args: argparse.Namespace, wanted: _Wanted, given: _Given, done: Processed, laps: Laps, ui: Ui
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Publish all files together; return the content of `report.json` and the findings in it."""
    from mocap.analysis.filtering import compare_filter
    from mocap.core.jsontext import write_json
    from mocap.core.publish import published_set
    from sessions.outputs import all_findings, export_all, filtered_points, report_data

    filtered = filtered_points(done.solved, wanted.filters)
    formats = list(dict.fromkeys([*wanted.formats, "trc", "points_trc", "npz"]))
    with published_set(args.out) as staging:
        more = {"units": args.units, "final_folder": args.out}
        written = export_all(done.solved, formats, staging, ui.progress, filtered, **more)
        laps.lap("export")
        data = report_data(done, laps.seconds, filters=[compare_filter(done.solved, f) for f in filtered])
        new = {f.path.name for f in written.files} | {str(d.data["file"]) for d in written.missing}
        found = [*all_findings(done), *written.missing, *_of_other_runs(args.out, done.solved.subject, new)]
        data["diagnostics"] = [d.to_json() for d in found]
        solved_files = _write_cameras(staging, done.run, given.time_maps)
        data["files"] = [*(f.path.name for f in written.files), *solved_files, "report.json"]
        if args.performer is not None:
            data["performer"] = {"file": str(args.performer), "is_used": bool(given.performer)}
        laps.lap("report")
        data["seconds"] = laps.seconds
        write_json(staging / "report.json", data)
    return data, found


def _profile_text(args: argparse.Namespace, given: _Given, done: Processed) -> str:
    """Say what became of the performer's profile, after writing one that was not read."""
    if given.performer or done.solved.performer is None:
        return "read: the solve starts from it"
    replace(done.solved.performer, origin=str(args.keypoints)).write(args.performer)
    return "written: for the performer's next take"


def _latency_s(args: argparse.Namespace) -> float | None:
    """Return the latency of a preview, None where none is asked for."""
    from sessions.preview import MAX_LATENCY_S

    if not args.causal:
        if args.latency_ms is not None:
            raise UsageError("usage", "--latency-ms says how late a preview is", "Give --causal with it.")
        return None
    latency_s = (args.latency_ms or 0.0) / 1e3
    if not 0.0 <= latency_s <= MAX_LATENCY_S:
        raise UsageError(
            "usage",
            f"--latency-ms {args.latency_ms:g}: expected 0 to {MAX_LATENCY_S * 1e3:g}",
            "Give a latency in this range, or leave --causal out for the whole take's solve.",
        )
    if args.refine_rig or args.solve_for:
        option = "--refine-rig" if args.refine_rig else "--solve-for"
        raise UsageError(
            "usage", f"{option} looks at the whole take, --causal must not", "Correct the cameras beforehand."
        )
    return latency_s


def _write_cameras(folder: Path, run: RunResult, time_maps: Mapping[str, TimeMap]) -> list[str]:
    """Write rig and clocks where they were solved with the skeleton, for the next take; return the files' names."""
    if "cameras" not in run.nodes:
        return []
    from calibration.files import write_rig
    from mocap.core.jsontext import write_json
    from sessions.camera_solve import times_of

    solved, names = run["cameras"], []
    if solved.is_rig_moved:
        names.append("solved_rig.toml")
        write_rig(folder / names[-1], solved.rig)
    if solved.clocks:
        names.append("solved_times.json")
        write_json(folder / names[-1], times_of(solved, time_maps))
    return names


def _profile_folder(profile: Path | None) -> contextlib.AbstractContextManager[None]:
    """Have a writable folder for a profile that is still to be written, before hours of work rely on it."""
    is_new = profile is not None and not profile.exists()
    return output_folder(profile.parent) if profile is not None and is_new else contextlib.nullcontext()


def _of_other_runs(folder: Path, subject: str, new: set[str]) -> Sequence[Diagnostic]:
    """Return a finding that names the subject's files that this run neither writes nor replaces."""
    from mocap.core.diagnostics import Diagnostic, Severity

    files = sorted(p.name for p in folder.glob(f"{glob_escape(subject)}*") if p.is_file() and p.name not in new)
    if not files:
        return []
    message = f"{folder} also holds {', '.join(files)} of another run; left as it is, and no part of this result."
    return [Diagnostic("output-of-other-run", Severity.WARNING, message, {"files": files})]
