"""`mocap calibrate board`, `lens` and `rig`, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.files import read_rig
from mocap.cli.main import main
from mocap.media.encode import write_video
from tests.calibration.board_pictures import SIZE_PX, picture_of

SPEC = "charuco:4x5:square=0.054:marker=0.0405:dict=4X4_1000:inverted"
SMALL = "charuco:5x8:square=0.06:marker=0.045:dict=4X4_50"


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def clip(path: Path, n: int = 5) -> Path:
    pictures = (np.repeat(picture_of(parse_board(SMALL), k)[0][..., None], 3, -1) for k in range(n))
    return write_video(path, pictures, Fraction(10), SIZE_PX)


def test_a_board_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "board.pdf"
    assert main(["calibrate", "board", "--board", "chessboard:7x4:square=0.03", "--out", str(out), "--json"]) == 0
    assert said(capsys)["paper"] == "A4 landscape"
    assert out.read_bytes().startswith(b"%PDF")


def test_a_verb_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "moonphase"]) == 2
    assert main(["calibrate"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_lens_from_photographs(
    shared: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared("data/pose2sim_demo/SinglePerson/calibration/intrinsics/int_cam01_img")
    photos = [str(p) for p in sorted(folder.glob("*.jpg"))]
    out = tmp_path / "lens.toml"
    board = "chessboard:7x4:square=0.060"
    assert main(["calibrate", "lens", "--board", board, *photos, "--name", "cam01", "--out", str(out), "--json"]) == 0
    data = said(capsys)
    assert data["n_views"] == 7
    assert data["rms_px"] < 1.5
    lens = read_rig(out)["cam01"].intrinsics
    assert lens.size_px == (1088, 1920)
    assert lens.focal_px[0] == pytest.approx(data["focal_px"][0])


def test_a_rig_from_a_real_session(
    shared: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared("data/caliscope_charuco/4_cam_recording/calibration/extrinsic")
    videos = [str(folder / f"cam_{i}.mp4") for i in range(4)]
    out = tmp_path / "rig.toml"
    assert main(["calibrate", "rig", "--board", SPEC, *videos, "--out", str(out), "--json"]) in (0, 3)
    data = said(capsys)
    assert data["rms_px"] < 0.9
    assert data["cameras"]["cam_1"]["is_mirrored"] is True
    assert data["lengths"]["held_out"]["board_fit_rms_mm"] < 1.0
    assert read_rig(out).names == ("cam_0", "cam_1", "cam_2", "cam_3")
    page = out.with_suffix(".html").read_text("utf-8")
    assert page.count("<svg") == 6
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert json.loads(out.with_suffix(".json").read_text("utf-8"))["verdict"] == data["verdict"]


@pytest.mark.parametrize(
    ("extra", "code", "status"),
    [
        (["--world", "sky:x"], "world-unknown", 2),
        (["--world", "feet:poses"], "world-unknown", 2),
        (["--distance", "cam1,cam9,2.0"], "distance-invalid", 2),
        (["--distance", "cam1,cam2,nan"], "distance-invalid", 2),
        (["--board-thickness", "4"], "0.2 m", 2),
        (["--world", "board:nofile.mp4"], "video-missing", 1),
        (["--world", "points:nofile.csv"], "world-points-unreadable", 1),
        (["--lens", "gopro:foo:wide"], "gopro-lens-unknown", 1),
        (["--lens", "gopro:hero9:wide", "--lens", "gopro:hero9:wide", "--lens", "gopro:hero9:wide"], "lens-count", 1),
    ],
)
def test_wrong_options_are_explained(
    extra: list[str], code: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [str(clip(tmp_path / f"cam{i}.mp4")) for i in (1, 2)]
    out = str(tmp_path / "rig.toml")
    assert main(["calibrate", "rig", "--board", SMALL, *videos, "--out", out, *extra]) == status
    assert code in capsys.readouterr().err


def test_a_lens_of_another_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from calibration.files import write_rig
    from mocap.core.camera import Camera, CameraRig, Intrinsics

    lens = Intrinsics((1920, 1080), np.array([900.0, 900.0]), np.array([959.5, 539.5]), np.zeros(5))
    write_rig(tmp_path / "lens.toml", CameraRig((Camera("x", lens, np.eye(3), np.zeros(3)),)))
    videos = [str(clip(tmp_path / f"cam{i}.mp4")) for i in (1, 2)]
    arguments = ["calibrate", "rig", "--board", SMALL, *videos, "--out", str(tmp_path / "rig.toml")]
    assert main([*arguments, "--lens", str(tmp_path / "lens.toml")]) == 1
    assert "lens-size" in capsys.readouterr().err


def test_lens_files_bring_their_read_out_times(tmp_path: Path) -> None:
    from calibration.files import write_rig
    from mocap.cli.calibrate_footage import given_lenses
    from mocap.core.camera import Camera, CameraRig, Intrinsics

    lens = Intrinsics((640, 480), np.array([500.0, 500.0]), np.array([319.5, 239.5]), np.zeros(5))
    cameras = [Camera(n, lens, np.eye(3), np.zeros(3), s) for n, s in (("cam1", 0.0089), ("cam2", None))]
    write_rig(tmp_path / "both.toml", CameraRig(tuple(cameras)))
    write_rig(tmp_path / "one.toml", CameraRig((cameras[0],)))
    sizes = {"cam_1": (640, 480), "cam_2": (640, 480)}
    videos = {name: Path("x.mp4") for name in sizes}
    assert given_lenses([str(tmp_path / "both.toml")], sizes, videos)[1] == {"cam_1": 0.0089, "cam_2": None}
    assert given_lenses([str(tmp_path / "one.toml")], sizes, videos)[1] == {"cam_1": 0.0089, "cam_2": 0.0089}


def test_several_videos_are_no_lens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = [str(clip(tmp_path / f"cam{i}.mp4")) for i in (1, 2)]
    assert main(["calibrate", "lens", "--board", SMALL, *videos, "--out", str(tmp_path / "l.toml")]) == 2
    assert "lens-footage" in capsys.readouterr().err


def test_a_measured_distance_shows_a_wrong_square_size() -> None:
    from mocap.cli.calibrate_distance import scale_check
    from mocap.core.camera import Camera, CameraRig, Intrinsics

    lens = Intrinsics((640, 480), np.array([500.0, 500.0]), np.array([319.5, 239.5]), np.zeros(5))
    rig = CameraRig(tuple(Camera(f"c{i}", lens, np.eye(3), np.array([-2.0 * i, 0, 0])) for i in (0, 1)))
    assert [d.code for d in scale_check(rig, ("c0", "c1", 2.01))] == ["board-scale-checked"]
    wrong = scale_check(rig, ("c0", "c1", 2.2))
    assert [(d.code, str(d.severity)) for d in wrong] == [("board-scale-wrong", "quality")]
    assert "1.100 times" in wrong[0].message


def test_a_lens_file_and_a_model_beside_a_preset_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["calibrate", "lens", "--board", SMALL, "a.mp4", "--out", str(tmp_path / "l.toml")]
    for extra in (["--lens", "lens.toml"], ["--lens", "gopro:hero9:wide", "--model", "brown"]):
        assert main([*arguments, *extra]) == 2
        assert "lens-option-unused" in capsys.readouterr().err


def test_an_earlier_result_is_kept_and_figures_without_meaning_are_unknown(tmp_path: Path) -> None:
    from calibration.report_data import bounded
    from mocap.cli.calibrate_output import keep_before
    from mocap.cli.calibrate_text import figure

    assert [bounded(v, 1e3) for v in (119778.9, float("nan"), -3.0)] == [None, None, -3.0]
    assert figure(None, 1, "mm") == "unknown"
    for name in ("rig.toml", "rig.json", "rig.html"):
        (tmp_path / name).write_text("old")
    assert [keep_before(tmp_path / "rig.toml", tmp_path).name for _ in range(2)] == [  # type: ignore[union-attr]
        "rig.before.toml",
        "rig.before2.toml",
    ]
    assert (tmp_path / "rig.before2.json").exists()
    assert (tmp_path / "rig.before2.html").exists()


def test_rigs_whose_names_hold_dots_have_reports_of_their_own() -> None:
    from calibration.files import beside

    names = [beside(Path("out") / n, ".json").as_posix() for n in ("rig.toml", "rig.v1", "rig.v2.toml", "rig")]
    assert names == ["out/rig.json", "out/rig.v1.json", "out/rig.v2.json", "out/rig.json"]
