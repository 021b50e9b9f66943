"""`mocap calibrate`: boards, lenses and rigs. Each of its own verbs is a module of its own."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from types import ModuleType

from mocap.cli.ui import Result, Ui

SUMMARY = "print boards, calibrate lenses and camera rigs"
EXAMPLE = """mocap calibrate board --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 --out board.pdf
mocap calibrate rig --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 cam1.mp4 cam2.mp4 --out rig.toml"""
VERBS = ("board", "lens", "rig", "convert", "check", "refine", "people")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs; one whose module is not installed is not offered."""
    verbs = parser.add_subparsers(dest="calibrate_verb", metavar="WHAT", title="what", required=True)
    for verb in VERBS:
        if importlib.util.find_spec(_module_name(verb)) is None:
            continue
        module = _module(verb)
        sub = verbs.add_parser(
            verb,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog="example:\n  " + "\n  ".join(module.EXAMPLE.strip().splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print a machine-readable result and nothing else")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Run the verb that was chosen."""
    result: Result = _module(args.calibrate_verb).run(args, ui)
    return result


def _module_name(verb: str) -> str:
    return f"mocap.cli.calibrate_{verb}"


def _module(verb: str) -> ModuleType:
    return importlib.import_module(_module_name(verb))
