"""`mocap init`: a new session folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from mocap.cli.ui import Result, Ui

SUMMARY = "make a new session folder"
EXAMPLE = "mocap init shoot_monday"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="a folder that does not exist yet, or an empty one")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Make the folder."""
    from sessions.folder import create_session

    session = create_session(args.dir)
    text = f"{session.folder} is a session. Next: mocap import {session.folder} --rig RIG"
    return Result({"session": str(session.folder)}, text)
