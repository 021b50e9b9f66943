"""`mocap run`: process takes, as far as they are not up to date."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.ui import Result, Ui

if TYPE_CHECKING:
    from sessions.folder import Session

SUMMARY = "process the takes of a session, as far as they are not up to date"
KEEPS_STAGES = True
EXAMPLE = """
mocap run shoot_monday
mocap run shoot_monday walk_1 --from points --set refine_rig=no
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="the session")
    parser.add_argument("takes", nargs="*", metavar="TAKE", help="all takes when none is named")
    parser.add_argument("--from", dest="from_stage", metavar="STAGE", help="compute this stage and what follows again")
    parser.add_argument(
        "--set", action="append", default=[], metavar="key=value", help="change a setting of the takes, and keep it"
    )


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Process take after take; one of several that fails does not stop the others."""
    from mocap.core.errors import Cancelled, InputError, MocapError
    from sessions.config import parse_settings
    from sessions.folder import open_session

    settings = parse_settings(args.set)
    _check(settings, args.from_stage)
    session = open_session(args.dir)
    names = args.takes or session.take_names()
    if not names:
        raise InputError(
            "session-empty", f"{args.dir} has no takes.", f"Add one with `mocap import {args.dir} TAKE VIDEO...`."
        )
    for name in set(names) - set(session.take_names()):
        # A wrong name is a wrong command line: nothing is begun.
        session.take(name)
    reports: dict[str, Any] = {}
    texts: list[str] = []
    for name in names:
        try:
            reports[name], text = _run_take(session, name, settings, args.from_stage, ui)
        except Cancelled:
            raise
        except MocapError as error:
            if len(names) == 1:
                raise
            reports[name] = {"error": {"code": error.code, "message": error.message, "advice": error.advice}}
            text = f"error [{error.code}]: {error}"
        texts.append(f"{name}: {text}")
    done = [r for r in reports.values() if "error" not in r]
    is_ok = all(d["severity"] != "quality" for r in done for d in r["diagnostics"])
    return Result({"takes": reports}, "\n\n".join(texts), quality_ok=is_ok, done=len(done) == len(reports))


def _check(settings: Mapping[str, Any], from_stage: str | None) -> None:
    """Refuse what no run could use before a setting is kept. Raises InputError `model-unknown`, `unknown-stage`."""
    from mocap.core.errors import InputError
    from sessions.config import defaults
    from sessions.footage_stages import model_identity
    from sessions.stages import FROM_FOOTAGE

    names = [s.name for s in FROM_FOOTAGE]
    if from_stage is not None and from_stage not in names:
        raise InputError("unknown-stage", f"There is no stage {from_stage!r}.", f"Choose one of: {', '.join(names)}.")
    if "model" in settings:
        model_identity({**defaults(), **settings})


def _run_take(
    session: Session, name: str, settings: dict[str, Any], from_stage: str | None, ui: Ui
) -> tuple[dict[str, Any], str]:
    from sessions.folder import write_take
    from sessions.lock import take_lock
    from sessions.outputs import summary_text, write_take_report
    from sessions.process import process_take
    from sessions.timing import Laps

    take = session.take(name)
    if settings:
        # Read again under the lock: another process may have changed the take since it was opened.
        with take_lock(take.folder):
            take = session.take(name)
            take = replace(take, config={**take.config, **settings})
            write_take(take)
    laps = Laps()
    done = process_take(session, take, ui.progress, recompute_from=from_stage)
    laps.laps(done.run.wall_s)
    data = write_take_report(done, take.folder, take.name, laps, ui.progress)
    data["reused"] = sorted(done.run.reused)
    reused = f"up to date: {', '.join(s for s in done.run.wall_s if s in done.run.reused)}\n" if done.run.reused else ""
    export = f"mocap export {session.folder}/{take.name} --to bvh,fbx,glb"
    return data, f"{summary_text(data)}\n{reused}report: {take.folder / 'report.html'}\nNext: {export}"
