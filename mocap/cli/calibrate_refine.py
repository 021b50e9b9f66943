"""`mocap calibrate refine`: re-solve where the cameras stand, and their clocks if wanted, from one person."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.calibrate_keypoints import Performer, add_keypoint_options, camera_figures, read_performer
from mocap.cli.calibrate_output import result_file, rig_files
from mocap.cli.calibrate_text import failed_verdict
from mocap.cli.ui import Result, Ui
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from calibration.refine import RefineResult

SUMMARY = "re-solve the cameras of a stale rig from the keypoints of a person"
EXAMPLE = """mocap calibrate refine rig.toml --keypoints pose/ --fps 60 --out rig2.toml
mocap calibrate refine rig.toml --keypoints pose/ --fps 60 --clocks --times sync.json --out rig2.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("rig", type=Path, metavar="RIG", help="calibrated cameras, any known format")
    add_keypoint_options(parser, is_required=True)
    parser.add_argument("--out", required=True, type=Path, metavar="RIG2", help="rig to write; .refine.json beside it")
    parser.add_argument(
        "--clocks", action="store_true", help="re-solve the cameras' clocks too; written beside RIG2 as .times.json"
    )


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read, refine, write rig, clocks and report."""
    reports = (".refine.json", ".times.json") if args.clocks else (".refine.json",)
    with result_file(args.out, [*rig_files(args.rig), args.keypoints, args.times], reports=reports):
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> Result:
    from calibration.exchange import require_not_exchanged
    from calibration.failed import failed_mark, failures, outlasting_poses, reasons_in, verdict_with, without_mark
    from calibration.files import beside, read_rig_file, write_rig
    from calibration.refine import MIN_SCORE, refine_extrinsics
    from mocap.core.jsontext import dumps, jsonable
    from mocap.core.publish import published_set
    from sessions.timing import Laps

    laps = Laps()
    file = read_rig_file(args.rig)
    performer = read_performer(
        file.rig,
        args.keypoints,
        args.fps,
        ui,
        times=args.times,
        keypoint_set=args.keypoint_set,
        subject_at=args.subject_at,
        without="they stay as they were calibrated, the others are refined",
    )
    require_not_exchanged(file.rig, performer.alone, MIN_SCORE)
    laps.lap("keypoints")
    result = refine_extrinsics(file.rig, performer.detections, free_time_offsets=args.clocks, progress=ui.progress)
    laps.lap("refine")
    report = beside(args.out, ".refine.json")
    files = [args.out, report]
    if args.clocks:
        files.append(beside(args.out, ".times.json"))
    verdict = _verdict(result)
    found = [*file.diagnostics, *performer.diagnostics, *result.diagnostics]
    inherited = outlasting_poses(file.diagnostics) if result.is_refined else reasons_in(file.diagnostics)
    failed = failures(verdict, found, inherited)
    data = jsonable(
        {
            "rig": str(args.rig),
            "file": str(args.out),
            "verdict": verdict_with(verdict, failed),
            "failed": failed,
            "is_refined": result.is_refined,
            "summary": dict(result.summary),
            "cameras": {
                n: {**figures, "moved": vars(result.moved[n]) if n in result.moved else None}
                for n, figures in camera_figures(result.before, result.after, result.certainty).items()
            },
            "diagnostics": [d.to_json() for d in found],
            "files": [str(f) for f in files],
            "seconds": laps.seconds,
        }
    )
    with published_set(args.out.parent) as folder:
        mark = failed_mark(failed, poses_alone="redo" not in outlasting_poses(file.diagnostics))
        write_rig(folder / args.out.name, result.rig, [*without_mark(file.diagnostics), *mark])
        (folder / report.name).write_text(dumps(data) + "\n", "utf-8")
        for clocks in files[2:]:
            (folder / clocks.name).write_text(dumps(_clocks(result, performer)) + "\n", "utf-8")
    return Result(data, _text(data), quality_ok=not data["failed"])


def _verdict(result: RefineResult) -> str:
    """Return good, usable, unchanged (the rig fits as it is) or redo (not refined, or what came out does not fit)."""
    if not result.is_refined:
        reasons = {d.data.get("reason") for d in result.diagnostics if d.code == "rig-not-refined"}
        return "unchanged" if reasons == {"no-gain"} else "redo"
    from calibration.people_verdict import people_verdict

    return people_verdict(result.rig, result.after, result.certainty)


def _clocks(result: RefineResult, performer: Performer) -> dict[str, Any]:
    """Return the corrected clocks as `mocap sync` writes them; the first camera is the reference."""
    from mocap.core.timeline import TimeMap

    names = performer.detections.camera_names
    maps = {n: performer.time_maps.get(n, TimeMap()) for n in names}
    offset_s = {n: maps[n].offset_s + (result.moved[n].time_s if n in result.moved else 0.0) for n in names}
    # Drifts are not solved; the reference's is taken off all, to first order.
    first = maps[names[0]]
    cameras = {
        n: {
            "offset_s": offset_s[n] - offset_s[names[0]],
            "drift_ppm": maps[n].drift_ppm - first.drift_ppm,
            "sigma_s": result.certainty[n].clock_sd_s if n in result.certainty else None,
            "methods": ["people"],
        }
        for n in names
    }
    return {"reference": names[0], "cameras": cameras}


def _text(data: dict[str, Any]) -> str:
    meaning = {
        "good": "good: use it",
        "usable": "usable; a longer take, all over the volume, would place the cameras better",
        "unchanged": "unchanged: the cameras fit the person as they were calibrated",
        "redo": "redo: the cameras do not fit the person; were keypoint folders exchanged? Is it another rig's take?",
    }
    verdict = failed_verdict(data["failed"]) or meaning[data["verdict"]]
    if data["failed"] == ["camera-clock-off"]:
        was = "re-solved" if data["is_refined"] else "left as calibrated"
        verdict = f"clocks are off: synchronise the take; the cameras, judged without that, were {was}"
    lines = [f"{data['file']}: {verdict}"]
    if "after_median_px" in data["summary"]:
        s = data["summary"]
        lines[0] += f"; reprojection median {s['before_median_px']:.2f} -> {s['after_median_px']:.2f} px"
    for name, c in data["cameras"].items():
        before, after = c["before"]["median_px"], c["after"]["median_px"]
        line = f"  {name}: " + (f"{before:.1f} -> {after:.1f} px" if before is not None else "saw nothing")
        if c["moved"] is not None and c["certainty"] is not None:
            line += (
                f", turned by {c['moved']['turned_deg']:.2f} ± {c['certainty']['turn_sd_deg']:.2f} degrees, moved by "
                f"{c['moved']['shifted_mm']:.0f} ± {c['certainty']['center_sd_mm']:.0f} mm"
            )
            if c["moved"]["time_s"]:
                line += f", clock {1e3 * c['moved']['time_s']:+.1f} ± {1e3 * c['certainty']['clock_sd_s']:.1f} ms"
        lines.append(line)
    lines += finding_lines(data["diagnostics"])
    lines.append(f"written: {', '.join(Path(f).name for f in data['files'])}")
    return "\n".join(lines)
