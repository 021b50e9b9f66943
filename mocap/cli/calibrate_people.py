"""`mocap calibrate people`: where cameras with known lenses stand, from the keypoints of one person alone."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.calibrate_keypoints import add_keypoint_options, camera_figures, told_without
from mocap.cli.calibrate_output import result_file, rig_files
from mocap.cli.calibrate_text import failed_verdict, world_text
from mocap.cli.options import length_m
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from calibration.people import PeopleResult
    from calibration.world import WorldResult
    from mocap.core.camera import Camera, CameraRig
    from mocap.core.diagnostics import Diagnostic
    from mocap.core.keypoints import Keypoints2D
    from mocap.core.timeline import TimeMap
    from mocap.pose2d.detections import CameraDetections

SUMMARY = "place cameras from the keypoints of a person alone, lenses known"
EXAMPLE = """mocap calibrate people --lens cam1.toml cam2.toml --keypoints pose/ --fps 60 --height 1.78 --out rig.toml
mocap calibrate people --lens lenses.toml --keypoints pose/ --fps 60 --bone LHip-LKnee=0.42 --out rig.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--lens",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="one file per camera, one that names all, or one that serves all (of a rig the lenses are taken)",
    )
    add_keypoint_options(parser, is_required=True, has_place=False)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--height", type=length_m(0.5, 2.6), metavar="M", help="height in metres, with shoes")
    size.add_argument("--bone", type=_bone, metavar="NAME=M", help="a length on the person, e.g. LHip-LKnee=0.42")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="rig to write; .people.json beside it")


def _bone(text: str) -> tuple[str, str, float]:
    name, _, length = text.rpartition("=")
    ends = name.split("-")
    try:
        metres = float(length)
    except ValueError:
        metres = 0.0
    if len(ends) != 2 or not all(ends) or not 0.0 < metres < 10.0:
        raise argparse.ArgumentTypeError(f"expected two keypoints and metres, e.g. LHip-LKnee=0.42, got {text!r}")
    return ends[0].strip(), ends[1].strip(), metres


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read, place, find the floor, write rig and report."""
    inputs = [*(f for lens in args.lens for f in rig_files(lens)), args.keypoints, args.times]
    with result_file(args.out, inputs, reports=(".people.json",)):
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> Result:
    from calibration.failed import failed_mark, failures, outlasting_lenses, verdict_with
    from calibration.files import beside, write_rig
    from calibration.match import map_keypoints, not_corrected
    from calibration.people import calibrate_people
    from calibration.people_verdict import people_verdict
    from mocap.core.jsontext import dumps, jsonable
    from mocap.core.publish import published_set
    from mocap.pose2d.assemble import assemble
    from mocap.pose2d.files import read_keypoints
    from mocap.pose2d.times import read_times
    from sessions.timing import Laps

    laps = Laps()
    cameras, marks = _cameras(args.lens, args.keypoints)
    files = read_keypoints(args.keypoints, tuple(cameras), args.fps, args.keypoint_set, ui.progress, may_lack=True)
    cameras = {name: cameras[name] for name in _seeing(files.detections)}
    lenses = {name: c.intrinsics for name, c in cameras.items()}
    readouts_s = {name: c.readout_s for name, c in cameras.items()}
    maps: dict[str, TimeMap] = read_times(args.times, tuple(cameras)) if args.times is not None else {}
    seen = map_keypoints(cameras.values(), {name: files.detections[name] for name in cameras})
    views = assemble(seen, maps)
    laps.lap("keypoints")

    def placed(person: Keypoints2D) -> PeopleResult:
        return calibrate_people(
            lenses, person, height_m=args.height, bone=args.bone, readouts_s=readouts_s, progress=ui.progress
        )

    result, person, who = _placed(views, placed, ui)
    laps.lap("solve")
    world, missing = _world(result.rig, person, args.fps, ui)
    laps.lap("world")
    rig = world.rig if world is not None else result.rig
    report = beside(args.out, ".people.json")
    found = [*marks, *_unplaced(files.diagnostics), *not_corrected(seen), *who, *result.diagnostics, *missing]
    found += world.diagnostics if world is not None else ()
    verdict = people_verdict(result.rig, result.reprojection, result.certainty, result.scale_sd_share)
    inherited = outlasting_lenses(marks)
    failed = failures(verdict, found, inherited)
    figures = camera_figures(None, result.reprojection, result.certainty)
    data = jsonable(
        {
            "file": str(args.out),
            "verdict": verdict_with(verdict, failed),
            "failed": failed,
            "scale_sd_share": result.scale_sd_share,
            "cameras": {n: {**c, "center_m": rig[n].center_world_m} for n, c in figures.items()},
            "world": world.data if world is not None else {"from": "people upright"},
            "diagnostics": [d.to_json() for d in found],
            "files": [str(args.out), str(report)],
            "seconds": laps.seconds,
        }
    )
    with published_set(args.out.parent) as folder:
        write_rig(folder / args.out.name, rig, failed_mark(failed, poses_alone="redo" not in inherited))
        (folder / report.name).write_text(dumps(data) + "\n", "utf-8")
    return Result(data, _text(data), quality_ok=not data["failed"])


def _cameras(files: Sequence[Path], keypoints: Path) -> tuple[dict[str, Camera], list[Diagnostic]]:
    """Return lenses and read-outs by camera name: those in the files, or one for every folder of keypoints.

    With them comes what marks files as of calibrations that failed.

    Files that hold one lens each under one name are told apart by their own names.
    """
    import re
    from dataclasses import replace

    from calibration.failed import mark_in
    from calibration.files import read_rig_file
    from mocap.pose2d.files import find_sources

    read = {file: read_rig_file(file) for file in files}
    rigs = {file: r.rig for file, r in read.items()}
    marks = [d for r in read.values() for d in mark_in(r.diagnostics)]
    cameras = [(c.name, file, c) for file, rig in rigs.items() for c in rig.cameras]
    if len(cameras) == 1:
        sources = find_sources(keypoints, 0)
        found = [re.sub(r"[_\-. ]*json$|\.(json|csv)$", "", n) or n for n in sources]
        return {name: replace(cameras[0][2], name=name) for name in found}, marks
    names = [name for name, _, _ in cameras]
    if len(set(names)) < len(names):
        names = [file.stem if len(rigs[file]) == 1 else name for name, file, _ in cameras]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(
            "lens-twice", f"Two lenses are of camera {', '.join(twice)}.", "Give one lens file per camera."
        )
    return {name: replace(camera, name=name) for name, (_, _, camera) in zip(names, cameras, strict=True)}, marks


def _seeing(detections: Mapping[str, CameraDetections]) -> list[str]:
    """Return the cameras that see anybody. Raises InputError `people-too-few` where fewer than two do."""
    import numpy as np

    from mocap.core.errors import InputError

    found = [name for name, d in detections.items() if np.isfinite(d.xy_px).any()]
    blind = [name for name in detections if name not in found]
    if len(found) < 2 and blind:
        raise InputError(
            "people-too-few",
            f"There are no people in the keypoints of {', '.join(blind)}: "
            f"{f'{found[0]} alone sees' if found else 'no camera sees'} somebody, and two cameras are needed.",
            "Detect the person in those cameras' videos too, or film where they see the person, and run again.",
        )
    return found


def _unplaced(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the findings; those on cameras without a person say that they are not placed, and what to do."""
    from dataclasses import replace

    outcome = "without them it cannot be told where a camera stands; the rig is of the other cameras"
    advice = "Detect the person in the camera's video too, or film where it sees the person, and run again"

    def told(finding: Diagnostic) -> Diagnostic:
        if finding.code != "keypoints-camera-without-people":
            return finding
        name = finding.data["camera"]
        return replace(finding, message=f"There are no people in the keypoints of {name}: {outcome}. {advice}.")

    return [told(d) for d in told_without(found, f"{outcome}. {advice}")]


def _placed(
    views: Keypoints2D, placed: Callable[[Keypoints2D], PeopleResult], ui: Ui
) -> tuple[PeopleResult, Keypoints2D, list[Diagnostic]]:
    """Return the cameras and the performer; of several people the likeliest first, then whom the cameras agree on.

    Raises: InputError people-several.
    """
    from mocap.core.errors import InputError
    from mocap.tracking.main_person import main_person
    from mocap.tracking.performer import choose_performer

    person = views.person(main_person(views))
    if views.n_persons == 1:
        return placed(person), person, []
    try:
        result = placed(person)
    except InputError as error:
        if error.code not in ("people-no-start", "people-disconnected"):
            raise
        raise InputError(
            "people-several",
            f"Up to {views.n_persons} people are seen at once, and the likeliest performer of each camera alone does "
            f"not fit the others: {error.message}",
            "Give a take of one person alone, or place the cameras from a board.",
        ) from error
    choice = choose_performer(views, result.rig, None, ui.progress)
    person = views.person(choice.index)
    return placed(person), person, list(choice.diagnostics)


def _world(rig: CameraRig, person: Keypoints2D, fps: Fraction, ui: Ui) -> tuple[WorldResult | None, list[Diagnostic]]:
    """Return the world of the floor under the feet; none and why where they are not seen at rest."""
    from mocap.cli.calibrate_feet import world_from_performer
    from mocap.core.diagnostics import Diagnostic, Severity
    from mocap.core.errors import InputError

    try:
        return world_from_performer(rig, person, fps, ui.progress), []
    except InputError as error:
        if error.code != "world-feet-not-seen":
            raise
        message = f"{error.message} Up and the floor are only as the person stands on average."
        return None, [Diagnostic("world-assumed", Severity.WARNING, message, {})]


def _text(data: dict[str, Any]) -> str:
    meaning = {
        "good": "good: use it",
        "usable": "usable; a longer take, all over the volume, would place the cameras better",
        "redo": "redo: the cameras do not fit the person; were keypoint folders exchanged, or are the lenses others?",
    }
    lines = [
        f"{data['file']}: {len(data['cameras'])} cameras, {failed_verdict(data['failed']) or meaning[data['verdict']]}"
    ]
    lines[0] += f"; scale to {100 * data['scale_sd_share']:.2f} % (1 sd) by the length given"
    for name, c in data["cameras"].items():
        x, y, z = c["center_m"]
        lines.append(
            f"  {name}: {c['after']['median_px']:.1f} px, at ({x:.2f}, {y:.2f}, {z:.2f}) m ± "
            f"{c['certainty']['center_sd_mm']:.0f} mm, turned to ± {c['certainty']['turn_sd_deg']:.2f} degrees"
        )
    lines += finding_lines(data["diagnostics"])
    lines.append(f"{world_text(data['world'])} Written: {', '.join(Path(f).name for f in data['files'])}")
    return "\n".join(lines)
