"""`mocap calibrate board`: a printable board."""

from __future__ import annotations

import argparse
from pathlib import Path

from mocap.cli.calibrate_output import require_safe
from mocap.cli.ui import Result, Ui

SUMMARY = "write a board as PDF at its exact size"
EXAMPLE = "mocap calibrate board --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 --out board.pdf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--board", required=True, metavar="SPEC", help="charuco:..., chessboard:..., aprilgrid:... or aruco:..."
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PDF", help="file to write")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Write the PDF."""
    from calibration.board import parse_board
    from calibration.board_print import write_board

    require_safe(args.out, (), writes="pdf")
    board = parse_board(args.board)
    paper = write_board(args.out, board)
    width_m, height_m = board.size_m
    data = {"file": str(args.out), "board": board.text, "paper": paper, "size_m": [width_m, height_m]}
    text = (
        f"{args.out}: {board.text}, {width_m * 1000:.1f} x {height_m * 1000:.1f} mm on {paper}.\n"
        "Print at 100 %, glue it to something stiff and flat, and measure the squares: they set the scale of all."
    )
    return Result(data, text)
