"""`mocap calibrate lens`: one lens from pictures of a board."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mocap.cli.calibrate_footage import BOARD_HELP, expanded, given_lenses
from mocap.cli.calibrate_output import result_file
from mocap.cli.calibrate_text import failed_clause
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.diagnostics import finding_lines

SUMMARY = "calibrate one lens from a video or photographs of a board"
EXAMPLE = """mocap calibrate lens --board chessboard:7x4:square=0.060 photos/*.jpg --out lens.toml
mocap calibrate lens --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 board.mp4 --out lens.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("footage", nargs="+", type=Path, metavar="VIDEO_OR_IMAGES", help="a video, or photographs")
    parser.add_argument("--board", required=True, metavar="SPEC", help=BOARD_HELP)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="file to write (TOML)")
    parser.add_argument(
        "--model",
        default="auto",
        choices=("auto", "pinhole", "brown", "fisheye"),
        help="lens model (default: auto, the one with the smallest error on held-out pictures)",
    )
    parser.add_argument(
        "--lens",
        metavar="PRESET",
        help="start from gopro:MODEL:MODE or gopro:auto (as the video says), which the board refines",
    )
    parser.add_argument("--name", metavar="CAMERA", help="name of the camera in the file (default: the video's)")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Detect, calibrate, write."""
    with result_file(args.out, [*args.footage, args.lens], reports=(".json",)):
        return _run(args, ui)


def _run(args: argparse.Namespace, ui: Ui) -> Result:
    import numpy as np

    from calibration.board import parse_board
    from calibration.board_detect import detect_board
    from calibration.board_detect_source import PHOTO_SUFFIXES, is_photo
    from calibration.failed import failed_mark, failures
    from calibration.files import beside, write_rig
    from calibration.gopro import require_unstabilised
    from calibration.lens import calibrate_lens
    from calibration.lens_prior import LensPrior, preset_findings
    from mocap.core.camera import Camera, CameraRig
    from mocap.core.jsontext import dumps, jsonable
    from mocap.core.publish import published_set

    start_s = time.perf_counter()
    _require_preset(args.lens, args.model)
    board = parse_board(args.board)
    files = expanded(args.footage, tuple(PHOTO_SUFFIXES))
    are_photos = [is_photo(f) for f in files]
    if not files or (not all(are_photos) and len(files) > 1):
        raise UsageError(
            "lens-footage", f"Expected one video or photographs, got {len(files)} files.", "Give one camera's footage."
        )
    if not are_photos[0]:
        require_unstabilised({files[0].stem: files[0]})
    name = args.name or (files[0].stem if not are_photos[0] else files[0].resolve().parent.name)
    views = detect_board({name: files if are_photos[0] else files[0]}, board, ui.progress).of_camera(name)
    lenses, _, notes = given_lenses([args.lens] if args.lens else [], {name: views.size_px[0]}, {name: files[0]})
    lens = lenses.get(name)
    result = calibrate_lens(views, args.model, lens if isinstance(lens, LensPrior) else None)
    focal_sd_px = float(np.sqrt(result.covariance[0, 0]))
    notes += preset_findings(lenses, {name: (result.intrinsics, focal_sd_px)})
    rig = CameraRig((Camera(name, result.intrinsics, np.eye(3), np.zeros(3)),))
    found = [*views.diagnostics, *notes, *result.diagnostics]
    lens = result.intrinsics
    data = jsonable(
        {
            "file": str(args.out),
            "camera": name,
            "board": views.board.text,
            "model": str(lens.model),
            "size_px": lens.size_px,
            "focal_px": lens.focal_px,
            "center_px": lens.center_px,
            "distortion": lens.distortion,
            "focal_sd_px": focal_sd_px,
            "rms_px": result.rms_px,
            "held_out_px": result.held_out_px,
            "n_views": result.n_views,
            "failed": failures("", found),
            "diagnostics": [d.to_json() for d in found],
            "seconds": {"total": time.perf_counter() - start_s},
        }
    )
    with published_set(args.out.parent) as folder:
        write_rig(folder / args.out.name, rig, failed_mark(data["failed"]), error_px=result.rms_px)
        (folder / beside(args.out, ".json").name).write_text(dumps(data) + "\n", "utf-8")
    lines = [
        f"{args.out}: {lens.model} lens of {name}, focal length {lens.focal_px[0]:.1f} x {lens.focal_px[1]:.1f} px, "
        f"error {result.rms_px:.2f} px over {result.n_views} views{failed_clause(data['diagnostics'])}.",
        *finding_lines(data["diagnostics"]),
    ]
    return Result(data, "\n".join(lines), quality_ok=not data["failed"])


def _require_preset(lens: str | None, model: str) -> None:
    """Refuse options that would be dropped: a lens of a file, and a model beside a preset that has its own."""
    if lens and not lens.startswith("gopro:"):
        message = (
            f"--lens {lens}: a lens file is no start of a new calibration; expected gopro:MODEL:MODE or gopro:auto."
        )
        raise UsageError("lens-option-unused", message, "Leave --lens out, or give the file to `mocap calibrate rig`.")
    if lens and model != "auto":
        message = f"--model {model} with --lens {lens}: the preset has a lens model of its own."
        raise UsageError("lens-option-unused", message, "Give one of the two.")
