"""What `mocap calibrate rig` says of footage that cannot be calibrated: the cause, and what to do."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calibration.board import parse_board
from calibration.failed import failed_mark, reasons_in
from calibration.files import read_rig, read_rig_file, write_rig
from mocap.cli.main import main
from mocap.core.camera import CameraRig
from tests.calibration.board_clips import N_FRAMES, Edit, arc_rig, film

SPEC = "charuco:5x7:square=0.1:marker=0.075:dict=4X4_50"
RIG = arc_rig(4)
LATE_FRAMES = 5

Clips = Callable[..., list[str]]
Capture = pytest.CaptureFixture[str]


def as_it_is(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return pictures[f]


def mirrored(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(pictures[f][:, ::-1])


def blurred(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return cv2.GaussianBlur(pictures[f], (0, 0), 5.0)


def empty(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return np.full_like(pictures[f], 128)


def first_half(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return pictures[f] if f < N_FRAMES // 2 else empty(f, pictures)


def second_half(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return pictures[f] if f >= N_FRAMES // 2 else empty(f, pictures)


def late(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return pictures[max(f - LATE_FRAMES, 0)]


def upside_down(f: int, pictures: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(pictures[f][::-1, ::-1])


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Return a function that gives the videos of cam1, cam2, ..., each edited as named; every clip is made once."""
    made = tmp_path_factory.mktemp("clips")

    def give(*edits: Edit, spec: str = SPEC) -> list[str]:
        folder = tmp_path_factory.mktemp("take")
        for c, edit in enumerate(edits):
            clip = made / spec.replace(":", "_") / edit.__name__ / f"cam{c + 1}.mp4"
            if not clip.exists():
                film(clip, parse_board(spec), RIG[c], edit)
            shutil.copy(clip, folder / clip.name)
        return [str(folder / f"cam{c + 1}.mp4") for c in range(len(edits))]

    return give


def calibrate(out: Path, videos: list[str], *extra: str, spec: str = SPEC) -> int:
    return main(["calibrate", "rig", "--board", spec, *videos, "--out", str(out), *extra, "--json"])


def said(capsys: Capture) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def findings(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {d["code"]: d for d in data["diagnostics"]}


GOOD = (as_it_is, as_it_is, as_it_is)
TWO = GOOD[:2]
FAILED_FIGURES = "Figures of a failed calibration: not to be relied on."


@pytest.mark.parametrize(
    ("edits", "spec", "code", "cause", "do"),
    [
        (TWO, "charuco:7x9:square=0.1:marker=0.075:dict=4X4_50", "board-size-wrong", "5x7", "--board charuco:5x7"),
        (TWO, "charuco:5x7:square=0.1:marker=0.075:dict=6X6_250", "board-dictionary-wrong", "4X4_50", "dict=4X4_50"),
        (
            TWO,
            "charuco:5x7:square=0.1:marker=0.05:dict=4X4_50",
            "board-lengths-contradict",
            "says 0.50",
            "of the print",
        ),
        ((blurred,) * 2, SPEC, "board-blurred", "cam1 by 3.", "Focus"),
        ((as_it_is, blurred, as_it_is), SPEC, "board-blurred", "never found in cam2", "Focus cam2"),
        ((empty, as_it_is, empty), SPEC, "board-one-camera", "cam2 alone, not by cam1, cam3", "two cameras see it"),
        ((as_it_is, empty, as_it_is), SPEC, "rig-disconnected", "never seen by cam2", "where cam2 and cam1 see it"),
        (
            (first_half, first_half, second_half, second_half),
            SPEC,
            "rig-disconnected",
            "cam1, cam2; cam3, cam4",
            "where cam2 and cam3 see it",
        ),
        ((as_it_is, mirrored, as_it_is), SPEC, "video-mirrored", "video of cam2 is mirrored", "flip that video"),
        ((as_it_is, late, as_it_is), SPEC, "clips-not-synchronous", "cam2 is about 0.42 s behind cam1", "mocap sync"),
    ],
    ids=["size", "dictionary", "lengths", "blur", "one-blurred", "one-camera", "blind", "halves", "mirrored", "late"],
)
def test_the_cause_and_the_remedy_are_named_and_old_results_stay(
    edits: tuple[Edit, ...], spec: str, code: str, cause: str, do: str, clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    old = {name: tmp_path / name for name in ("rig.toml", "rig.json", "rig.html")}
    write_rig(old["rig.toml"], RIG)
    old["rig.json"].write_text('{"diagnostics": []}')
    old["rig.html"].write_text("<title>Calibration of 4 cameras</title>")
    before = {name: file.read_bytes() for name, file in old.items()}
    assert calibrate(old["rig.toml"], clips(*edits), spec=spec) == 1
    error = said(capsys)["error"]
    assert error["code"] == code
    assert cause in error["message"]
    assert do in error["advice"]
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(old)
    for name, file in old.items():
        assert file.read_bytes() == before[name]


def test_a_wrong_square_size_shows_by_a_measured_distance(clips: Clips, tmp_path: Path, capsys: Capture) -> None:
    true_m = float(np.linalg.norm(RIG[0].center_world_m - RIG[1].center_world_m))
    spec = "charuco:5x7:square=0.09:marker=0.0675:dict=4X4_50"
    out = tmp_path / "rig.toml"
    assert calibrate(out, clips(*GOOD), "--distance", f"cam1,cam2,{true_m:.3f}", spec=spec) == 3
    data = said(capsys)
    found = findings(data)["board-scale-wrong"]
    assert "1.11" in found["message"]
    assert "measure the print and run again" in found["message"]
    # Whoever meets its figures or its cameras later is told that they failed.
    assert data["failed"] == json.loads(out.with_suffix(".json").read_text("utf-8"))["failed"] == ["board-scale-wrong"]
    assert data["verdict"] == "redo"
    page = out.with_suffix(".html").read_text("utf-8")
    assert "<h1>FAILED calibration of 3 cameras</h1>" in page
    assert "Good: use it" not in page
    assert page.count(FAILED_FIGURES) == 4
    [mark] = [d for d in read_rig_file(out).diagnostics if d.code == "calibration-failed"]
    assert "board-scale-wrong" in mark.message


def test_good_footage_gives_the_rig_it_was_filmed_with(clips: Clips, tmp_path: Path, capsys: Capture) -> None:
    assert calibrate(tmp_path / "rig.toml", clips(*GOOD)) == 0
    data = said(capsys)
    codes = findings(data)
    assert data["failed"] == []
    assert FAILED_FIGURES not in (tmp_path / "rig.html").read_text("utf-8")
    assert "calibration-failed" not in {d.code for d in read_rig_file(tmp_path / "rig.toml").diagnostics}
    assert not {"board-lengths-contradict", "board-has-more-rows", "board-symmetric"} & set(codes)
    rig = read_rig(tmp_path / "rig.toml")
    for c in (0, 1, 2):
        assert rig[c].intrinsics.focal_px == pytest.approx(RIG[c].intrinsics.focal_px, rel=0.004)
    apart = [np.linalg.norm(r[0].center_world_m - r[2].center_world_m) for r in (rig, RIG)]
    assert apart[0] == pytest.approx(apart[1], rel=0.004)


def test_cameras_keep_the_read_out_times_of_their_lens_files_and_are_told_of_those_that_failed(
    clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    lenses = CameraRig(RIG.cameras[:2]).with_readouts({"cam2": 0.0089})
    write_rig(tmp_path / "lenses.toml", lenses, failed_mark(["redo"]))
    assert calibrate(tmp_path / "rig.toml", clips(as_it_is, as_it_is), "--lens", str(tmp_path / "lenses.toml")) in (
        0,
        3,
    )
    assert [c.readout_s for c in read_rig(tmp_path / "rig.toml").cameras] == [None, 0.0089]
    data = said(capsys)
    assert "(redo)" in findings(data)["calibration-failed"]["message"]
    # Their lenses may be why, so that what is made with them has failed as well.
    assert "redo" in data["failed"]
    assert "redo" in reasons_in(read_rig_file(tmp_path / "rig.toml").diagnostics)


def test_where_all_videos_are_mirrored_the_result_is_no_good_and_that_is_said(
    clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    assert calibrate(tmp_path / "rig.toml", clips(mirrored, mirrored)) == 3
    found = findings(said(capsys))["board-all-mirrored"]
    assert found["severity"] == "quality"
    assert "Switch mirroring off" in found["message"]


def test_rows_that_the_description_lacks_are_reported(clips: Clips, tmp_path: Path, capsys: Capture) -> None:
    spec = "charuco:5x6:square=0.1:marker=0.075:dict=4X4_50"
    assert calibrate(tmp_path / "rig.toml", clips(as_it_is, as_it_is), spec=spec) == 0
    assert "all rows" in findings(said(capsys))["board-has-more-rows"]["message"]


def test_a_symmetric_chessboard_is_read_alike_by_a_camera_upside_down(
    clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    spec = "chessboard:7x5:square=0.08"
    assert calibrate(tmp_path / "rig.toml", clips(as_it_is, upside_down, spec=spec), spec=spec) == 0
    data = said(capsys)
    found = findings(data)["board-symmetric"]
    assert found["data"]["n_turned"] > 12
    assert data["rms_px"] < 0.3
    rig = read_rig(tmp_path / "rig.toml")
    apart = [np.linalg.norm(r[0].center_world_m - r[1].center_world_m) for r in (rig, RIG)]
    assert apart[0] == pytest.approx(apart[1], rel=0.01)


def test_a_mirrored_video_of_a_chessboard_shows_by_the_other_cameras(
    clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    spec = "chessboard:7x4:square=0.08"
    assert calibrate(tmp_path / "rig.toml", clips(as_it_is, mirrored, spec=spec), spec=spec) == 1
    error = said(capsys)["error"]
    assert error["code"] == "video-mirrored"
    assert "One of the videos of cam1 and cam2" in error["message"]


def test_a_report_that_cannot_be_written_leaves_the_old_rig(
    clips: Clips, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import calibration.report

    def full(*_: object) -> list[Path]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(calibration.report, "write_rig_report", full)
    out = tmp_path / "rig.toml"
    write_rig(out, RIG)
    before = out.read_bytes()
    assert calibrate(out, clips(as_it_is, as_it_is)) == 1
    assert said(capsys)["error"]["code"] == "output-full"
    assert [f.name for f in tmp_path.iterdir()] == ["rig.toml"]
    assert out.read_bytes() == before


def test_places_that_cannot_hold_the_result_are_refused_before_the_work(
    clips: Clips, tmp_path: Path, capsys: Capture
) -> None:
    assert calibrate(tmp_path / "rig.json", clips(as_it_is, as_it_is)) == 2
    assert said(capsys)["error"]["code"] == "path-unusable"
    (tmp_path / "file").write_text("no folder")
    assert calibrate(tmp_path / "file" / "rig.toml", clips(as_it_is, as_it_is)) == 1
    assert said(capsys)["error"]["code"] == "output-not-writable"


def test_a_failed_run_leaves_no_empty_folder(clips: Clips, tmp_path: Path) -> None:
    assert calibrate(tmp_path / "new" / "rig.toml", clips(empty, as_it_is)) == 1
    assert list(tmp_path.iterdir()) == []
