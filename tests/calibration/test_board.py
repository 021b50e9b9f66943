"""Boards as text, their corners, and their prints."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_detect_image import BoardFinder, charuco_board
from calibration.board_pdf import POINTS_PER_M
from calibration.board_print import PAPERS_M, write_board
from calibration.board_tiles import SHEETS_M, write_tiles
from mocap.cli.calibrate_board import SHEETS
from mocap.core.errors import InputError, SetupError

SPECS = (
    "charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted",
    "charuco:6x8:square=0.03:marker=0.022:dict=5X5_100:legacy",
    "chessboard:7x4:square=0.06",
    "aprilgrid:3x5:marker=0.04:gap=0.012:dict=APRILTAG_36h11",
    "aruco:3x5:marker=0.04:gap=0.01:dict=4X4_50:first=7",
)


@pytest.mark.parametrize("text", SPECS)
def test_a_board_is_written_as_it_was_read(text: str) -> None:
    assert parse_board(text).text == text


def test_opencv_and_kalibr_spellings_are_understood() -> None:
    assert parse_board("aruco:3x5:marker=0.04:gap=0.01:dict=DICT_4X4_50").dictionary == "4X4_50"
    assert parse_board("aprilgrid:6x6:marker=0.088:spacing=0.3:dict=36h11").square_m == pytest.approx(0.1144)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("circles:4x5:square=0.05", "no kind of board"),
        ("charuco:4:square=0.05", "COLUMNSxROWS"),
        ("charuco:4x5:square=0.05:dict=4X4_50", "marker= is missing"),
        ("charuco:4x5:square=54:marker=40:dict=4X4_50", "metres"),
        ("charuco:4x5:square=0.04:marker=0.05:dict=4X4_50", "do not fit"),
        ("charuco:14x15:square=0.05:marker=0.04:dict=4X4_50", "needs markers up to number 104"),
        ("charuco:4x5:square=5:marker=4:dict=4X4_50", "25 metres long; lengths are metres"),
        ("chessboard:7x4:square=-1", "not a number above 0"),
        ("chessboard:7x4:square=0.06:legacy", "is none of"),
        ("chessboard:1x4:square=0.06", "between"),
    ],
)
def test_a_board_that_cannot_be_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as error:
        parse_board(text)
    assert error.value.code == "board-spec-invalid"


def test_an_unknown_dictionary_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="APRILTAG_36h11") as error:
        parse_board("charuco:4x5:square=0.05:marker=0.04:dict=9X9_50")
    assert error.value.code == "board-dictionary-unknown"


def test_charuco_corners_are_those_of_opencv() -> None:
    board = parse_board("charuco:5x7:square=0.1:marker=0.075:dict=5X5_100")
    assert np.allclose(board.corners_m, charuco_board(board).getChessboardCorners())


def test_kalibr_counts_its_tags_from_the_lowest_row() -> None:
    up = parse_board("aprilgrid:3x5:marker=0.04:gap=0.01").corners_m.reshape(15, 4, 3)
    assert np.allclose(up[0, 0], [0.0, 0.2, 0.0])
    assert np.allclose(up[14, 2], [0.14, 0.04, 0.0])


def rasterised(pdf: bytes, pixels_per_m: float, number: int = 0) -> np.ndarray:
    """Return a page of our own PDF as a picture: filled rectangles only."""
    box = [float(v) for v in re.search(rb"MediaBox \[(.*?)\]", pdf)[1].split()]  # type: ignore[index]
    scale = pixels_per_m / POINTS_PER_M
    page = np.full((round(box[3] * scale), round(box[2] * scale)), 255, np.uint8)
    shade, pending = 0, []
    for line in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)[number].splitlines():
        words = line.split()
        if words[-1] == b"re":
            pending.append([float(v) for v in words[:4]])
        elif words[-1] == b"g":
            shade = round(255 * float(words[0]))
        elif words[-1] == b"S":
            pending = []
        elif words[-1] == b"f":
            for x, y, w, h in pending:
                top, bottom = round((box[3] - y - h) * scale), round((box[3] - y) * scale)
                page[top:bottom, round(x * scale) : round((x + w) * scale)] = shade
            pending = []
    return page


@pytest.mark.parametrize("text", SPECS)
def test_a_printed_board_is_found_at_its_exact_size(text: str, tmp_path: Path) -> None:
    board = parse_board(text)
    write_board(tmp_path / "board.pdf", board)
    ppm = 3000.0
    page = cv2.GaussianBlur(rasterised((tmp_path / "board.pdf").read_bytes(), ppm), (0, 0), 1.0)
    xy = BoardFinder(board).find(page)
    assert np.isfinite(xy).all()
    error = (xy - xy[0]) / ppm - (board.corners_m - board.corners_m[0])[:, :2]
    assert np.abs(error).max() < 0.0005


@pytest.mark.parametrize(
    "text", [*SPECS, "chessboard:7x4:square=0.03:inverted", "aruco:1x1:marker=0.1:gap=0.01:dict=6X6_50"]
)
def test_a_page_has_the_papers_size_the_boards_size_and_a_true_ruler(text: str, tmp_path: Path) -> None:
    board = parse_board(text)
    paper = write_board(tmp_path / "board.pdf", board)
    pdf = (tmp_path / "board.pdf").read_bytes()
    box = [float(v) for v in re.search(rb"MediaBox \[(.*?)\]", pdf)[1].split()]  # type: ignore[index]
    short, long = PAPERS_M[paper.split()[0]]
    page_mm = [1000 * v for v in ((long, short) if "landscape" in paper else (short, long))]
    assert [v / 72 * 25.4 for v in box[2:]] == pytest.approx(page_mm, abs=0.001)
    assert b"/PrintScaling /None" in pdf
    rectangles = np.array([[float(v) for v in m.split()] for m in re.findall(rb"([-\d. ]+) re", pdf)]) / 72 * 25.4
    drawn, ruler = rectangles[:-3], rectangles[-3]
    assert ruler[2] == pytest.approx(100.0, abs=0.001)
    quiet_mm = 500 * board.square_m if board.is_inverted else 0.0
    low, high = drawn[:, :2].min(0), (drawn[:, :2] + drawn[:, 2:]).max(0)
    # What is black reaches from edge to edge, but for a chessboard's white squares at its ends.
    assert high - low == pytest.approx([1000 * v + 2 * quiet_mm for v in board.size_m], abs=0.01)
    assert (low > 7.9).all()
    assert (high < np.array(page_mm) - 7.9).all()


def test_the_sheets_that_the_command_offers_are_those_that_there_are() -> None:
    assert set(SHEETS) == set(SHEETS_M)


def test_a_small_board_fits_a4_and_a_large_one_gets_its_own_page(tmp_path: Path) -> None:
    assert write_board(tmp_path / "a.pdf", parse_board("chessboard:7x4:square=0.03")) == "A4 landscape"
    assert write_board(tmp_path / "b.pdf", parse_board("chessboard:9x6:square=0.2")).endswith("mm")


@pytest.mark.parametrize(
    "text", [SPECS[0], "chessboard:7x4:square=0.06:inverted", "aprilgrid:5x5:marker=0.09:gap=0.02"]
)
@pytest.mark.parametrize("sheet", SHEETS)
def test_sheets_glued_at_their_marks_are_the_board_at_its_exact_size(text: str, sheet: str, tmp_path: Path) -> None:
    board, ppm = parse_board(text), 2000.0
    tiles = write_tiles(tmp_path / "sheets.pdf", board, sheet)
    pdf = (tmp_path / "sheets.pdf").read_bytes()
    assert pdf.count(b"/Type /Page ") == tiles.columns * tiles.rows
    assert sheet == "a3" or tiles.columns * tiles.rows > 1
    assert sorted(tiles.sheet_m) == sorted(SHEETS_M[sheet])
    (w, h), (dx, dy) = (tuple(round(v * ppm) for v in pair) for pair in (tiles.window_m, tiles.step_m))
    glued = np.full(((tiles.rows - 1) * dy + h, (tiles.columns - 1) * dx + w), 255, np.uint8)
    edge = round(0.012 * ppm)
    for r in range(tiles.rows):
        for c in range(tiles.columns):
            page = rasterised(pdf, ppm, r * tiles.columns + c)
            glued[r * dy : r * dy + h, c * dx : c * dx + w] = page[edge : edge + h, edge : edge + w]
    glued = np.pad(glued, 60, constant_values=255)
    xy = BoardFinder(board).find(cv2.GaussianBlur(glued, (0, 0), 1.0))
    assert np.isfinite(xy).all()
    error = (xy - xy[0]) / ppm - (board.corners_m - board.corners_m[0])[:, :2]
    assert np.abs(error).max() < 0.0008


def test_no_mark_of_a_sheet_runs_through_its_notes(tmp_path: Path) -> None:
    board = parse_board("charuco:6x8:square=0.14:marker=0.105:dict=5X5_100")
    tiles = write_tiles(tmp_path / "sheets.pdf", board, "a4")
    pages = re.findall(r"stream\n(.*?)\nendstream", (tmp_path / "sheets.pdf").read_text("latin-1"), re.DOTALL)
    assert len(pages) == tiles.columns * tiles.rows > 2
    mm = 72 / 25.4
    for page in pages:
        notes = [(float(x), float(y), len(t)) for x, y, t in re.findall(r"Tf (\S+) (\S+) Td \((.*)\) Tj", page)]
        rectangles = [tuple(map(float, r)) for r in re.findall(r"(\S+) (\S+) (\S+) (\S+) re", page)]
        marks = [r for r in rectangles if sorted(round(v / mm, 2) for v in r[2:]) == [0.2, 6.0]]
        assert len(notes) == 3
        assert marks
        for x, y, n in notes:
            for left, low, w, h in marks:
                # Helvetica of 6.5 points: about half of that a letter, and three quarters of it high
                beside = left + w < x or left > x + 3.3 * n
                assert beside or low > y + 4.9 or low + h < y


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as error:
        write_board(tmp_path / "no" / "board.pdf", parse_board("chessboard:7x4:square=0.03"))
    assert error.value.code == "output-not-writable"
