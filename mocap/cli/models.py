"""`mocap models`: the 2D keypoint models (and the demo's footage) on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.ui import Result, Ui
from mocap.core.errors import InputError

if TYPE_CHECKING:
    from mocap.media.packages import WheelSource

SUMMARY = "list, fetch or bring in model weights and the demo's footage"
EXAMPLE = """mocap models list
mocap models pull blazepose
mocap models import mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is, and what is on this machine")
    pull = actions.add_parser("pull", help="download what is not here yet")
    pull.add_argument("names", nargs="*", metavar="NAME", help="blazepose, demo-footage (default: everything)")
    bring = actions.add_parser("import", help="take what is needed out of a wheel that you downloaded yourself")
    bring.add_argument("file", type=Path, metavar="FILE.whl")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Do one of the actions."""
    from mocap.media.packages import MEDIAPIPE_POSE, POSE2SIM_DEMO, fetch, import_wheel

    sources = {"blazepose": MEDIAPIPE_POSE, "demo-footage": POSE2SIM_DEMO}
    if args.action == "import":
        source = import_wheel(args.file)
        text = f"Imported {source.content} -> {source.folder}"
    elif args.action == "pull":
        chosen = _chosen(args.names, sources)
        folders = [fetch(sources[name], ui.progress) for name in chosen]
        text = "\n".join(f"{name}: {folder}" for name, folder in zip(chosen, folders, strict=True))
    else:
        text = "\n".join(_line(name, source) for name, source in sources.items())
    return Result({"models": [_entry(name, source) for name, source in sources.items()]}, text)


def _chosen(names: list[str], sources: dict[str, WheelSource]) -> list[str]:
    unknown = [n for n in names if n not in sources]
    if unknown:
        raise InputError(
            "model-unknown",
            f"There is no {', '.join(unknown)} to fetch; available: {', '.join(sources)}.",
            "Run `mocap models list`.",
        )
    return names or list(sources)


def _line(name: str, source: WheelSource) -> str:
    entry = _entry(name, source)
    where = entry["folder"] if entry["is_here"] else f"not here yet: mocap models pull {name}"
    return f"{name}: {entry['content']} ({entry['licence']}, {entry['requirement']}): {where}"


def _entry(name: str, source: WheelSource) -> dict[str, Any]:
    return {
        "name": name,
        "content": source.content,
        "licence": source.licence,
        "requirement": source.requirement,
        "sha256": source.sha256,
        "is_here": source.is_here,
        "folder": str(source.folder),
    }
