"""`mocap status`: the takes of a session and what is up to date."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.ui import Result, Ui

if TYPE_CHECKING:
    from sessions.folder import Session, Take

SUMMARY = "show the takes of a session and what is up to date"
EXAMPLE = "mocap status shoot_monday"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="the session")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Look, without computing anything."""
    from sessions.folder import open_session

    session = open_session(args.dir)
    takes = {name: _take_status(session, session.take(name)) for name in session.take_names()}
    rig = "rig.toml" if session.rig_file.is_file() else f"no rig yet: mocap import {session.folder} --rig RIG"
    lines = [f"{session.folder}: {_count(len(takes), 'take')}, {rig}"]
    lines += [f"  {name}: {_line(status)}" for name, status in takes.items()]
    return Result(
        {"session": str(session.folder), "has_rig": session.rig_file.is_file(), "takes": takes}, "\n".join(lines)
    )


def _take_status(session: Session, take: Take) -> dict[str, Any]:
    from mocap.core.errors import MocapError
    from sessions.edits import read_edits
    from sessions.explain import stage_states

    status: dict[str, Any] = {
        "videos": [str(v) for v in take.videos],
        "chapters": {str(r.path): [str(f) for f in r.files] for r in take.recordings if len(r.files) > 1},
        "config": dict(take.config),
    }
    try:
        status["edits"] = len(read_edits(take.edits_file))
        states = stage_states(session, take)
        status["stages"] = {s.stage: s.state for s in states}
        status["is_up_to_date"] = all(s.state == "done" for s in states)
    except MocapError as error:
        # One broken take must not hide the others.
        status["error"] = {"code": error.code, "message": error.message, "advice": error.advice}
        status["is_up_to_date"] = False
    exports = sorted(p for p in take.exports.rglob("*") if p.is_file() and not p.name.startswith("."))
    status["exports"] = [str(p.relative_to(take.exports)) for p in exports]
    return status


def _line(status: dict[str, Any]) -> str:
    if "error" in status:
        return f"cannot run: {status['error']['message']}"
    to_do = [name for name, state in status["stages"].items() if state != "done"]
    done = "up to date" if not to_do else f"to do from {to_do[0]}"
    exports = f"; {_count(len(status['exports']), 'exported file')}" if status["exports"] else ""
    edits = f"; {_count(status['edits'], 'correction')}" if status["edits"] else ""
    return f"{_count(len(status['videos']), 'video')}; {done}{edits}{exports}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
