"""`mocap calibrate check`: has a camera moved since the rig was calibrated, told from one person's keypoints."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.calibrate_keypoints import ASSUMED_FPS, add_keypoint_options, detect_performer, read_performer
from mocap.cli.calibrate_output import result_file, rig_files
from mocap.cli.calibrate_text import confidence_text
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from calibration.check import CheckResult
    from mocap.core.diagnostics import Diagnostic

SUMMARY = "tell whether a camera has moved: which, by how much, how sure, since which frame"
EXAMPLE = """mocap calibrate check rig.toml --keypoints pose/
mocap calibrate check rig.toml cam1.mp4 cam2.mp4 cam3.mp4 --out check.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("rig", type=Path, metavar="RIG", help="calibrated cameras, any known format")
    parser.add_argument("videos", nargs="*", type=Path, metavar="VIDEO", help="one video per camera, of a person")
    add_keypoint_options(parser, is_required=False)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the findings there (JSON)")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Read or detect, check, report; a camera that moved is a failed quality gate (exit status 3)."""
    if (args.keypoints is None) == (not args.videos):
        raise UsageError("usage", "expected either VIDEO files or --keypoints DIR", "Give one of them.")
    if args.times is not None and args.keypoints is not None and args.fps is None:
        raise UsageError("usage", "--times needs --fps where keypoints are given", "Give the frame rate: --fps 60.")
    with contextlib.ExitStack() as stack:
        if args.out is not None:
            inputs = [*rig_files(args.rig), *args.videos, args.keypoints, args.times]
            stack.enter_context(result_file(args.out, inputs, writes="json", reports=()))
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> Result:
    from calibration.check import check_rig
    from calibration.files import read_rig_file
    from mocap.core.jsontext import dumps, jsonable
    from mocap.core.publish import publish_text
    from sessions.outputs import is_good
    from sessions.timing import Laps

    laps = Laps()
    file = read_rig_file(args.rig)
    assumed_hz: float | None = None
    options = {"times": args.times, "subject_at": args.subject_at}
    if args.keypoints is not None:
        fps = args.fps or ASSUMED_FPS
        assumed_hz = None if args.fps else float(fps)
        options["keypoint_set"] = args.keypoint_set
        performer = read_performer(
            file.rig,
            args.keypoints,
            fps,
            ui,
            **options,
            is_rate_known=args.fps is not None,
            without="only the others are checked",
        )
    else:
        performer = detect_performer(file.rig, args.videos, ui, **options)
    laps.lap("keypoints")
    result = check_rig(
        file.rig, performer.detections, alone=performer.alone, assumed_hz=assumed_hz, progress=ui.progress
    )
    laps.lap("check")
    found = [*file.diagnostics, *performer.diagnostics, *_assumed(assumed_hz), *result.diagnostics]
    data = jsonable(
        {
            "rig": str(args.rig),
            "verdict": _verdict(result),
            "fps_assumed": assumed_hz,
            "moved": list(result.moved),
            "cameras": {
                n: {**vars(c), "before": vars(result.before[n]), "after": vars(result.after[n])}
                for n, c in result.cameras.items()
            },
            "diagnostics": [d.to_json() for d in found],
            "seconds": laps.seconds,
        }
    )
    if args.out is not None:
        publish_text(args.out, dumps(data) + "\n")
    return Result(data, _text(data, args.out), quality_ok=is_good(list(result.diagnostics)))


def _verdict(result: CheckResult) -> str:
    if any(d.code == "cameras-do-not-fit" for d in result.diagnostics):
        return "do-not-fit"
    return "moved" if result.moved else "unmoved"


def _assumed(hz: float | None) -> list[Diagnostic]:
    from mocap.core.diagnostics import Diagnostic, Severity

    if hz is None:
        return []
    message = f"Keypoint files carry no times: {hz:g} frames a second are assumed. Give --fps for clocks in seconds."
    return [Diagnostic("frame-rate-assumed", Severity.INFO, message, {"fps": hz})]


def _camera_text(name: str, c: dict[str, Any], *, is_stale: bool) -> str:
    """Return one camera's line; its errors with the moved cameras put right beside those as calibrated."""
    error = f"reprojection {c['before']['median_px']:.1f} px"
    if is_stale:
        error += f", {c['after']['median_px']:.1f} px with the moved cameras put right"
    if not c["has_moved"]:
        return f"  {name}: {error}"
    return (
        f"  {name}: turned by {c['turned_deg']:.2f} ± {c['turned_sd_deg']:.2f} degrees, moved by {c['moved_mm']:.0f} ± "
        f"{c['moved_sd_mm']:.0f} mm (confidence {confidence_text(c['confidence'])}); {error}"
    )


def _text(data: dict[str, Any], out: Path | None) -> str:
    what = {"do-not-fit": "the cameras do not fit the person", "unmoved": "no camera has moved"}
    stale = f"stale: {', '.join(data['moved'])} no longer stand{'s' if len(data['moved']) == 1 else ''} as calibrated"
    lines = [f"{data['rig']}: {what.get(data['verdict'], stale)}"]
    lines += [_camera_text(name, c, is_stale=data["verdict"] == "moved") for name, c in data["cameras"].items()]
    lines += finding_lines(data["diagnostics"])
    if out is not None:
        lines.append(f"written: {out}")
    return "\n".join(lines)
