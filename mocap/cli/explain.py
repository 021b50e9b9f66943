"""`mocap explain`: where the numbers of a take come from."""

from __future__ import annotations

import argparse

from mocap.cli.ui import Result, Ui

SUMMARY = "say where the numbers of a take come from"
EXAMPLE = """
mocap explain shoot_monday/walk_1
mocap explain shoot_monday/walk_1:points
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("take", metavar="DIR/TAKE[:STAGE]", help="session, take, and a stage of it")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """List versions, settings, inputs, model and time of the stages."""
    from mocap.core.errors import InputError
    from sessions.explain import stage_states
    from sessions.folder import split_take_path

    path, _, stage = args.take.partition(":") if not _is_drive(args.take) else args.take[2:].partition(":")
    path = args.take[:2] + path if _is_drive(args.take) else path
    session, take = split_take_path(path)
    states = stage_states(session, take)
    names = [s.stage for s in states]
    if stage and stage not in names:
        raise InputError("unknown-stage", f"There is no stage {stage!r}.", f"Choose one of: {', '.join(names)}.")
    chosen = [s for s in states if not stage or s.stage == stage]
    text = "\n".join(_text(s.to_json(), is_detailed=bool(stage)) for s in chosen)
    return Result({"take": take.name, "stages": [s.to_json() for s in chosen]}, text)


def _is_drive(path: str) -> bool:
    return len(path) > 2 and path[1] == ":" and path[2] in "\\/"


def _text(stage: dict, is_detailed: bool) -> str:
    n = stage["items"] or 0
    over = f" added up over {n} cameras" if n > 1 else ""
    when = f", made {stage['made']}, {stage['seconds']:.2f} s{over}" if stage["made"] else ""
    lines = [f"{stage['stage']} (version {stage['version']}): {stage['state']}{when}"]
    lines.append(f"  reads {', '.join(stage['inputs']) or 'nothing'}")
    if stage["config"]:
        lines.append("  settings " + ", ".join(f"{k}={v}" for k, v in stage["config"].items()))
    if is_detailed:
        lines += [f"  input {name}: {key}" for name, key in stage["inputs"].items()]
        if stage["identity"]:
            lines.append(f"  model {stage['identity']}")
        lines += [f"  artifact {place}" for place in stage["artifacts"]]
    return "\n".join(lines)
