"""`mocap calibrate board`: a printable board."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.cli.calibrate_output import require_safe
from mocap.cli.ui import Result, Ui

if TYPE_CHECKING:
    from calibration.board import BoardSpec

SUMMARY = "write a board as PDF at its exact size"
EXAMPLE = """mocap calibrate board --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 --out board.pdf
mocap calibrate board --board charuco:5x7:square=0.1:marker=0.075:dict=5X5_100 --tile a4 --out sheets.pdf
mocap calibrate board --board charuco:5x7:square=0.036:marker=0.027:dict=5X5_100 --out a4.pdf"""
SHEETS = ("a4", "a3", "letter")
"""The sheets of `calibration.board_tiles`; a test compares them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--board", required=True, metavar="SPEC", help="charuco:..., chessboard:..., aprilgrid:... or aruco:..."
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PDF", help="file to write")
    parser.add_argument(
        "--tile", choices=SHEETS, help="spread a large board over sheets of this paper, to be cut and glued together"
    )


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Write the PDF."""
    from calibration.board import parse_board

    require_safe(args.out, (), writes="pdf")
    board = parse_board(args.board)
    paper, glue = _written(args.out, board, args.tile)
    width_m, height_m = board.size_m
    data = {"file": str(args.out), "board": board.text, "paper": paper, "size_m": [width_m, height_m]}
    text = (
        f"{args.out}: {board.text}, {width_m * 1000:.1f} x {height_m * 1000:.1f} mm on {paper}.\n"
        f"Print at 100 %, {glue}glue it to something stiff and flat, and measure the squares: "
        "they set the scale of all."
    )
    return Result(data, text)


def _written(out: Path, board: BoardSpec, tile: str | None) -> tuple[str, str]:
    """Write the PDF; return the paper, and what has to be done with several sheets."""
    if tile is None:
        from calibration.board_print import write_board

        return write_board(out, board), ""
    from calibration.board_tiles import write_tiles

    return write_tiles(out, board, tile).text, "cut and join the sheets as their notes say, "
