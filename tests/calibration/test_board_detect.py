"""Finding boards in pictures and videos, as they really are, and saying why where they are not found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.board import BoardSpec, parse_board
from calibration.board_detect import detect_board
from calibration.board_detect_image import BoardFinder, consistent
from calibration.board_detect_select import without_blurred
from calibration.board_views import BoardViews
from mocap.core.errors import Cancelled, InputError
from mocap.core.timeline import TimeMap
from mocap.media.encode import write_video
from tests.calibration.board_pictures import SIZE_PX, picture_of

CHARUCO = parse_board("charuco:5x8:square=0.06:marker=0.045:dict=4X4_50")


def photos(folder: Path, board: BoardSpec, n: int = 5, mirrored: bool = False, blur: float = 0.0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for k in range(n):
        picture = picture_of(board, seed=k)[0]
        picture = picture[:, ::-1] if mirrored else picture
        picture = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
        out.append(folder / f"{k}.png")
        cv2.imwrite(str(out[-1]), np.ascontiguousarray(picture))
    return out


def codes(views: BoardViews) -> list[str]:
    return [d.code for d in views.diagnostics]


@pytest.mark.parametrize(
    "text",
    [
        "charuco:5x8:square=0.06:marker=0.045:dict=4X4_50",
        "charuco:5x8:square=0.06:marker=0.045:dict=4X4_50:inverted",
        "chessboard:7x4:square=0.06",
        "aprilgrid:4x3:marker=0.06:gap=0.02",
        "aruco:4x3:marker=0.06:gap=0.02:dict=4X4_50",
    ],
)
def test_corners_are_where_they_are(text: str) -> None:
    board = parse_board(text)
    for seed in range(3):
        picture, truth = picture_of(board, seed, (960, 720))
        error = np.linalg.norm(BoardFinder(board).find(picture) - truth, axis=-1)
        assert np.isfinite(error).mean() > 0.8
        # Corners of single markers lack the saddle point that makes chessboard corners exact.
        assert np.nanmedian(error) < (0.5 if board.is_grid else 0.15)


def test_a_corner_with_a_wrong_number_is_dropped_and_the_others_stay() -> None:
    xy = CHARUCO.corners_m[:, :2] * 1000 + [50, 40]
    xy[[3, 17]] = xy[[17, 3]]
    good = consistent(xy, CHARUCO.corners_m[:, :2], CHARUCO.square_m)
    assert np.flatnonzero(~good).tolist() == [3, 17]


def test_a_mirrored_arrangement_or_one_row_is_no_board() -> None:
    plane = CHARUCO.corners_m[:, :2]
    assert not consistent(plane * [-1000, 1000] + 500, plane, CHARUCO.square_m).any()
    row = np.where((np.arange(len(plane)) < 4)[:, None], plane * 1000, np.nan)
    assert not consistent(row, plane, CHARUCO.square_m).any()


def test_a_board_as_named_is_found_without_remarks(tmp_path: Path) -> None:
    views = detect_board({"a": photos(tmp_path / "a", CHARUCO)}, CHARUCO)
    assert views.is_seen.any(-1).all()
    assert codes(views) == []


@pytest.mark.parametrize(
    ("real", "asked"),
    [
        (replace(CHARUCO, is_inverted=True), CHARUCO),
        (CHARUCO.transposed(), CHARUCO),
        (replace(CHARUCO, is_legacy=True), CHARUCO),
        (
            parse_board("aprilgrid:4x3:marker=0.06:gap=0.02:border=2:turn=2"),
            parse_board("aprilgrid:4x3:marker=0.06:gap=0.02"),
        ),
    ],
)
def test_a_board_named_wrongly_is_found_as_it_is_and_said_so(real: BoardSpec, asked: BoardSpec, tmp_path: Path) -> None:
    views = detect_board({"a": photos(tmp_path / "a", real)}, asked)
    assert views.board == real
    assert codes(views) == ["board-found-otherwise"]
    assert np.nanmedian(np.linalg.norm(views.xy_px[0, 0] - picture_of(real, 0)[1], axis=-1)) < 0.8


def test_the_back_of_a_transparent_board_is_seen_by_one_camera(tmp_path: Path) -> None:
    material = {"a": photos(tmp_path / "a", CHARUCO), "b": photos(tmp_path / "b", CHARUCO, mirrored=True)}
    views = detect_board(material, CHARUCO)
    assert views.is_mirrored.tolist() == [False, True]
    assert codes(views) == ["board-mirrored"]
    mirrored = picture_of(CHARUCO, 0)[1] * [-1, 1] + [SIZE_PX[0] - 1, 0]
    assert np.nanmedian(np.linalg.norm(views.xy_px[1, 0] - mirrored, axis=-1)) < 0.3


def test_mirrored_videos_fail_the_quality_gate(tmp_path: Path) -> None:
    views = detect_board({"a": photos(tmp_path / "a", CHARUCO, mirrored=True)}, CHARUCO)
    assert [(d.code, str(d.severity)) for d in views.diagnostics] == [("board-all-mirrored", "quality")]


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("charuco:5x8:square=0.06:marker=0.045:dict=6X6_250", "board-dictionary-wrong", "4X4_50"),
        ("charuco:7x9:square=0.06:marker=0.045:dict=4X4_50", "board-size-wrong", "5x8"),
        ("chessboard:6x5:square=0.06", "board-dictionary-wrong", "charuco"),
    ],
)
def test_another_board_is_named(asked: str, code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        detect_board({"a": photos(tmp_path / "a", CHARUCO, n=3)}, parse_board(asked))
    assert error.value.code == code
    assert said in str(error.value)


def test_another_chessboard_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="7x4") as error:
        detect_board(
            {"a": photos(tmp_path / "a", parse_board("chessboard:7x4:square=0.06"), n=2)},
            parse_board("chessboard:9x6:square=0.06"),
        )
    assert error.value.code == "board-size-wrong"


def test_blurred_pictures_and_pictures_of_nothing_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError) as blurred:
        detect_board({"a": photos(tmp_path / "a", CHARUCO, n=3, blur=12.0)}, CHARUCO)
    assert blurred.value.code == "board-blurred"
    lines = np.where(np.arange(160) % 40 < 20, 40, 200).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), np.repeat(lines[None], 120, 0))
    with pytest.raises(InputError) as nothing:
        detect_board({"a": [tmp_path / "x.png"]}, CHARUCO)
    assert nothing.value.code == "board-not-found"


def test_a_camera_that_never_sees_the_board_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.full((90, 120), 99, np.uint8))
    views = detect_board({"a": photos(tmp_path / "a", CHARUCO), "b": [tmp_path / "x.png"] * 5}, CHARUCO)
    assert codes(views) == ["board-not-seen"]
    assert views.n_shared()[0, 1] == 0


def test_photographs_of_two_sizes_or_none_at_all_are_refused(tmp_path: Path) -> None:
    files = photos(tmp_path / "a", CHARUCO, n=2)
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((30, 40), np.uint8))
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(InputError) as sizes:
        detect_board({"a": [*files, tmp_path / "small.png"]}, CHARUCO)
    assert sizes.value.code == "photos-differ-in-size"
    for bad in (tmp_path / "bad.jpg", tmp_path / "gone.jpg"):
        with pytest.raises(InputError) as unreadable:
            detect_board({"a": [bad]}, CHARUCO)
        assert unreadable.value.code == "photo-unreadable"


def clip(path: Path, n: int) -> Path:
    pictures = (np.repeat(picture_of(CHARUCO, k)[0][..., None], 3, -1) for k in range(n))
    return write_video(path, pictures, Fraction(10), SIZE_PX)


def test_clips_of_other_lengths_are_paired_by_time_and_clocks_are_used(tmp_path: Path) -> None:
    videos = {"a": clip(tmp_path / "a.mp4", 7), "b": clip(tmp_path / "b.mp4", 5)}
    views = detect_board(videos, CHARUCO)
    assert "board-clips-assumed-synchronous" in codes(views)
    assert np.isnan(views.time_s[1]).sum() == 2
    maps = {"a": TimeMap(), "b": TimeMap(offset_s=0.2)}
    timed = detect_board(videos, CHARUCO, time_maps=maps)
    assert np.allclose(timed.time_s[0, 2:7] - timed.time_s[1, 2:7], 0.2)
    assert "board-clips-assumed-synchronous" not in codes(timed)


def test_only_so_many_frames_are_looked_at(tmp_path: Path) -> None:
    views = detect_board({"a": clip(tmp_path / "a.mp4", 7)}, CHARUCO, max_frames=3)
    assert views.n_frames == 3
    assert np.allclose(views.time_s, [[0.0, 0.3, 0.6]])


def test_detection_stops_when_cancelled(tmp_path: Path) -> None:
    class Stopping:
        def start(self, label: str, total: float | None) -> None: ...

        def advance(self, amount: float = 1.0) -> None:
            raise Cancelled()

        def finish(self) -> None: ...

    with pytest.raises(Cancelled):
        detect_board({"a": photos(tmp_path / "a", CHARUCO)}, CHARUCO, Stopping())


def with_sharpness(sharp: list[float]) -> BoardViews:
    n = len(sharp)
    xy = np.tile(CHARUCO.corners_m[:, :2] * 300, (1, n, 1, 1))
    return BoardViews(CHARUCO, ("a",), (SIZE_PX,), xy, np.zeros((1, n)), np.array([sharp]), np.zeros(1, bool))


def test_blurred_views_are_left_out_where_there_are_others() -> None:
    kept = without_blurred(with_sharpness([0.45] * 29 + [0.05, 0.2]))
    assert np.asarray(kept.is_seen.any(-1))[0].tolist() == [True] * 29 + [False] * 2
    assert kept.n_frames == 31
    assert codes(kept) == ["board-views-blurred"]


def test_blurred_views_stay_where_there_are_few() -> None:
    views = with_sharpness([0.45] * 7 + [0.05] * 2)
    assert without_blurred(views) is views


def test_a_real_session_with_a_mirrored_back_is_found(shared: Callable[[str], Path]) -> None:
    folder = shared("data/caliscope_charuco/4_cam_recording/calibration/extrinsic")
    board = parse_board("charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted")
    views = detect_board({f"cam_{i}": folder / f"cam_{i}.mp4" for i in range(4)}, board)
    assert views.is_mirrored.tolist() == [False, True, False, False]
    # The reference program found 541 corners in cam_1.
    assert views.is_seen[1].sum() > 520
    assert codes(views) == ["board-mirrored"]


def test_real_chessboard_photographs_are_found(shared: Callable[[str], Path]) -> None:
    folder = shared("data/pose2sim_demo/SinglePerson/calibration/intrinsics/int_cam01_img")
    views = detect_board({"cam01": sorted(folder.glob("*.jpg"))}, parse_board("chessboard:7x4:square=0.06"))
    assert views.is_seen.all(-1).sum() == 7
