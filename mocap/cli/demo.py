"""`mocap demo`: the main job on real footage, from four videos to verified character animation."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.options import output_folder
from mocap.cli.ui import Result, Ui

if TYPE_CHECKING:
    from sessions.folder import Session, Take

SUMMARY = "the main job on real footage: four videos in, verified animation out"
KEEPS_STAGES = True
EXAMPLE = "mocap demo --out demo_out"
TAKE = "balance"
FORMATS = ("bvh", "fbx", "glb", "trc", "c3d", "csv", "scene")
RIGS = ("mixamo", "ue5")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("mocap_demo"), metavar="DIR", help="default: mocap_demo")
    parser.add_argument("--fresh", action="store_true", help="compute everything again")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Fetch, process, export, report."""
    from mocap.media.demo_footage import demo_footage
    from mocap.pose2d.models import AUTO, STANDARD
    from sessions.footage_stages import estimator
    from sessions.outputs import RETARGETED, summary_text, write_everything
    from sessions.process import process_take
    from sessions.stages import FROM_FOOTAGE
    from sessions.timing import Laps

    with output_folder(args.out):
        footage = demo_footage(ui.progress)
        model = estimator({"model": AUTO, "quality": STANDARD})
        if model.is_fallback:
            ui.note(model.notice)
        session, take = _session(args.out / "session", footage)
        laps = Laps()
        first = FROM_FOOTAGE[0].name if args.fresh else None
        done = process_take(session, take, ui.progress, recompute_from=first)
        laps.laps(done.run.wall_s)
        exports = [("studio", FORMATS), *((rig, RETARGETED) for rig in RIGS)]
        data = write_everything(done, args.out, "Demo: balancing on a beam", exports, laps, ui.progress)
        data["reused"] = sorted(done.run.reused)
        is_ok = all(d["severity"] != "quality" for d in data["diagnostics"])
        return Result({"out": str(args.out), **data}, _text(args.out, data, summary_text(data)), quality_ok=is_ok)


def _text(out: Path, data: dict[str, Any], summary: str) -> str:
    files = "\n".join(f"  {name}" for name in data["files"])
    reused = "\n(results of an earlier run were used; --fresh computes them again)" if data["reused"] else ""
    return f"{summary}{reused}\nwritten to {out}:\n{files}\nOpen {out / 'report.html'} in a browser."


def _session(folder: Path, footage: Path) -> tuple[Session, Take]:
    """Return the demo's session, made on the first run."""
    from calibration.files import read_rig_file, write_rig
    from sessions.folder import Recording, add_take, create_session, open_session, write_take

    videos = sorted((footage / "videos").glob("*.mp4"))
    session = open_session(folder) if (folder / "session.toml").is_file() else create_session(folder)
    if not session.rig_file.is_file():
        rig = read_rig_file(footage / "calibration" / "Calib.qca.txt")
        write_rig(session.rig_file, rig.rig, rig.diagnostics)
    if TAKE not in session.take_names():
        return session, add_take(session, TAKE, videos)
    # The footage may have moved with the cache since the last run.
    take = replace(session.take(TAKE), recordings=tuple(Recording((v.resolve(),)) for v in videos))
    write_take(take)
    return session, take
