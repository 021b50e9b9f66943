"""Prints that are not what their description says, and how blurred pictures are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from calibration.board import parse_board
from calibration.board_detect_failure import blur_px
from calibration.board_detect_layout import Finding
from calibration.board_detect_print import lengths_contradict, notes_on_print
from mocap.core.diagnostics import Diagnostic
from tests.calibration.board_pictures import picture_of

SPECS = (
    "charuco:5x8:square=0.06:marker=0.045:dict=4X4_50",
    "charuco:5x8:square=0.06:marker=0.045:dict=4X4_50:inverted",
    "aprilgrid:4x3:marker=0.06:gap=0.02",
    "aruco:4x3:marker=0.06:gap=0.02:dict=4X4_50",
)


@cache
def pictures(text: str) -> list[np.ndarray]:
    """Four pictures, three times each: every third is looked at."""
    board = parse_board(text)
    return [g for g in (picture_of(board, seed, (600, 450))[0] for seed in range(4)) for _ in range(3)]


def notes(real: str, named: str) -> list[Diagnostic]:
    board = parse_board(named)
    return notes_on_print({"a": pictures(real)}, Finding(board, {"a": 99}, {"a": 0}))


@pytest.mark.parametrize("text", SPECS)
def test_a_print_that_is_as_described_gives_no_remark(text: str) -> None:
    assert notes(text, text) == []


@pytest.mark.parametrize(
    ("real", "named", "share"),
    [
        (SPECS[0], SPECS[0].replace("marker=0.045", "marker=0.053"), 0.75),
        (SPECS[0], SPECS[0].replace("square=0.06", "square=0.075"), 0.75),
        (SPECS[2], SPECS[2].replace("gap=0.02", "gap=0.03"), 0.75),
        (SPECS[3], SPECS[3].replace("marker=0.06", "marker=0.04"), 0.75),
    ],
)
def test_markers_of_another_share_than_described_are_measured(real: str, named: str, share: float) -> None:
    found = notes(real, named)
    assert [(d.code, str(d.severity)) for d in found] == [("board-lengths-contradict", "quality")]
    said = float(found[0].message.split("about ")[1].split(" of")[0])
    # Marker corners are found a little inside their edges.
    assert said == pytest.approx(share, abs=0.04)


def test_a_board_without_markers_says_nothing_of_its_lengths() -> None:
    board = parse_board("chessboard:7x4:square=0.06")
    assert notes_on_print({"a": [np.zeros((60, 80), np.uint8)]}, Finding(board, {"a": 9}, {"a": 0})) == []
    assert lengths_contradict({"a": [np.zeros((60, 80), np.uint8)]}, board) is None


def test_rows_beyond_the_described_ones_are_seen() -> None:
    board = parse_board(SPECS[0])
    assert [d.code for d in notes(SPECS[0], replace(board, rows=6).text)] == ["board-has-more-rows"]


def sharp_edges() -> np.ndarray:
    """A picture with steps in all directions, as sharp as pixels allow."""
    rng = np.random.default_rng(4)
    picture = np.full((400, 600), 90, np.uint8)
    for _ in range(40):
        corner, side = rng.uniform(50, 350, 2), rng.uniform(30, 80)
        angle = rng.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2
        shape = corner + side * np.stack([np.cos(angle), np.sin(angle)], -1)
        cv2.fillPoly(picture, [np.rint(shape).astype(np.int32)], int(rng.integers(10, 245)))
    return picture


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_blur_is_measured_in_pixels_whatever_the_contrast(sigma: float, contrast: float) -> None:
    picture = cv2.GaussianBlur(sharp_edges().astype(np.float32) * contrast, (0, 0), sigma)
    assert blur_px(picture.astype(np.uint8)) == pytest.approx(sigma, rel=0.25)


def test_motion_blur_along_one_axis_counts_and_sharp_pictures_are_sharp() -> None:
    assert blur_px(sharp_edges()) < 0.8
    assert blur_px(cv2.blur(sharp_edges(), (15, 1))) > 1.5


def test_a_picture_without_edges_has_no_blur_to_measure() -> None:
    assert np.isnan(blur_px(np.full((100, 100), 80, np.uint8)))
