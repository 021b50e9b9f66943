"""`mocap detect` and `mocap models`, on the files a user has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.cli.main import main
from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.media.decode import Frame, frames
from mocap.media.encode import write_video
from mocap.media.probe import VideoInfo
from mocap.pose2d import blazepose, estimator
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.estimator import ModelIdentity


class OneDot:
    """Stands in for the model where the command, not the model, is tested."""

    identity = ModelIdentity("dot", (), "numpy")
    is_fallback = True
    notice = "Stands in."

    def __init__(self, _progress: object, *, flip_test: bool = False) -> None:
        self.flip_test = flip_test

    @property
    def keypoint_set(self) -> KeypointSet:
        return load_keypoint_set("blazepose33")

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        n = sum(1 for _ in pictures)
        assert n == info.n_frames
        return np.full((n, 1, 33, 2), 20.0, np.float32), np.full((n, 1, 33), 0.5, np.float32)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    pictures = (np.full((48, 64, 3), 9 * k, np.uint8) for k in range(7))
    return write_video(tmp_path / "cam1.mp4", pictures, Fraction(25), (64, 48))


@pytest.fixture
def dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blazepose, "BlazePose", OneDot)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.mark.usefixtures("dot")
def test_a_preview_counts_only_the_frames_that_it_looks_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class EverySeen(OneDot):
        def estimate(
            self,
            pictures: Iterable[Frame],
            info: VideoInfo,
            crops: Crops | None = None,
            checkpoints: Checkpoints | None = None,
        ) -> tuple[np.ndarray, np.ndarray]:
            xy, score = np.full((info.n_frames, 1, 33, 2), np.nan, np.float32), np.zeros((info.n_frames, 1, 33))
            for frame in pictures:
                xy[frame.index], score[frame.index] = 20.0, 0.5
            return xy, score.astype(np.float32)

    monkeypatch.setattr(blazepose, "BlazePose", EverySeen)
    pictures = (np.full((48, 64, 3), 9, np.uint8) for _ in range(24))
    video = write_video(tmp_path / "cam1.mp4", pictures, Fraction(60), (64, 48))
    asked = ["detect", str(video), "--model", "blazepose", "--quality", "preview", "--to", "npz"]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert "24 frames, 1 in 4 looked at, people seen in: 100%" in capsys.readouterr().out


@pytest.mark.usefixtures("dot")
def test_every_frame_gets_a_file_and_json_says_where(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["detect", str(video), "--model", "blazepose", "--out", str(out), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["keypoint_set"] == "blazepose33"
    assert data["is_fallback"] is True
    assert data["cameras"]["cam1"]["n_frames"] == 7
    assert sorted(p.name for p in (out / "cam1_json").iterdir())[-1] == "cam1_000006.json"
    assert data["cameras"]["cam1"]["files"] == {
        "openpose": str(out / "cam1_json"),
        "npz": str(out / "cam1.npz"),
    }
    assert sorted(p.name for p in out.iterdir()) == ["cam1.npz", "cam1_json"]


@pytest.mark.usefixtures("dot")
def test_parts_of_an_earlier_run_are_used_and_then_removed(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    real = estimator.Checkpoints

    def noted(folder: Path | None) -> Checkpoints:
        assert folder is not None
        folders.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return real(folder)

    monkeypatch.setattr(estimator, "Checkpoints", noted)
    arguments = ["detect", str(video), "--model", "blazepose", "--out", str(tmp_path / "out"), "--overwrite"]
    for more in ([], [], ["--quality", "best"]):
        assert main([*arguments, *more]) == 0
        assert not (tmp_path / "out" / ".unfinished").exists()
    assert folders[0] == folders[1] != folders[2]
    other = tmp_path / "out" / ".unfinished" / "other"
    other.mkdir(parents=True)
    assert main(arguments) == 0
    assert other.is_dir(), "the parts of another run stay"


@pytest.mark.usefixtures("dot")
def test_only_the_formats_asked_for_are_written(video: Path, tmp_path: Path) -> None:
    arguments = ["detect", str(video), "--model", "blazepose", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--to", "coco"]) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cam1.coco.json"]
    assert main([*arguments, "--to", "coco"]) == 1
    assert main([*arguments, "--to", "xml"]) == 2


@pytest.mark.usefixtures("dot")
def test_a_quality_that_does_not_exist_is_a_wrong_command_line(video: Path, tmp_path: Path) -> None:
    arguments = ["detect", str(video), "--model", "blazepose", "--out", str(tmp_path / "out"), "--quality"]
    assert main([*arguments, "superb"]) == 2


@pytest.mark.usefixtures("dot")
def test_existing_keypoints_are_not_overwritten_unasked(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["detect", str(video), "--model", "blazepose", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "output-exists" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


@pytest.mark.usefixtures("no_network")
def test_no_network_and_no_model_is_explained(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(video), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "download-failed" in said
    assert "mocap models import" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_a_video_is_refused_before_the_model_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "cam1.mp4"
    bad.write_text("text\n" * 50)
    assert main(["detect", str(bad), "--out", str(tmp_path / "out")]) == 1
    assert "not-a-video" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_read_only_output_folder_is_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("running as root, who may write everywhere")
    (tmp_path / "fixed").mkdir(mode=0o555)
    assert main(["detect", str(video), "--out", str(tmp_path / "fixed" / "out")]) == 1
    assert "output-not-writable" in capsys.readouterr().err


def test_an_output_folder_under_a_file_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["detect", str(video), "--out", str(tmp_path / "file" / "out")]) == 1
    assert "output-not-writable" in capsys.readouterr().err


def test_one_video_given_twice_is_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "cam1.mp4"
    other.write_bytes(video.read_bytes())
    assert main(["detect", str(video), str(other), "--out", str(tmp_path / "out")]) == 1
    assert "video-twice" in capsys.readouterr().err


@pytest.mark.usefixtures("dot")
def test_cameras_are_named_after_their_folders_where_the_files_have_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n, folder in enumerate(("left", "right")):
        (tmp_path / folder / "DCIM").mkdir(parents=True)
        pictures = (np.full((48, 64, 3), 60 * n + k, np.uint8) for k in range(3))
        write_video(tmp_path / folder / "DCIM/GX010001.MP4", pictures, Fraction(25), (64, 48))
    files = [str(tmp_path / f / "DCIM/GX010001.MP4") for f in ("left", "right")]
    assert main(["detect", *files, "--model", "blazepose", "--out", str(tmp_path / "out"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["cameras"]) == ["left", "right"]


def test_a_real_clip_is_detected_by_the_real_model(
    shared: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared("data/pose2sim_demo/SinglePerson/videos") / "cam01.mp4"
    first = (f.rgb for f, _ in zip(frames(source), range(3), strict=False))
    clip = write_video(tmp_path / "cam01.mp4", first, Fraction(60), (1080, 1920))
    status = main(["detect", str(clip), "--out", str(tmp_path / "out"), "--json"])
    said = capsys.readouterr().out
    if "download-failed" in said:
        pytest.skip("needs the network once: BlazePose's weights are not in the cache")
    assert status == 0
    assert json.loads(said)["cameras"]["cam01"]["share_of_frames"] == [1.0]
    people = json.loads((tmp_path / "out/cam01_json/cam01_000002.json").read_text())["people"]
    assert len(people[0]["pose_keypoints_2d"]) == 99


@pytest.mark.usefixtures("no_network")
def test_models_are_listed_and_a_wrong_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(m["name"], m["is_here"]) for m in models[:2]] == [("blazepose", False), ("demo-footage", False)]
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"zip")
    assert main(["models", "import", str(wheel)]) == 1
    assert "wheel-unknown" in capsys.readouterr().err


@pytest.mark.usefixtures("no_network")
def test_pulling_an_unknown_model_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "nonesuch"]) == 1
    assert "blazepose, demo-footage" in capsys.readouterr().err


@pytest.mark.usefixtures("dot")
def test_chapters_of_one_recording_are_one_camera(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chapters = [tmp_path / f"GX0{k}0042.mp4" for k in (1, 2)]
    for k, (path, n) in enumerate(zip(chapters, (5, 3), strict=True)):
        write_video(path, [np.full((48, 64, 3), 90 * k + 9 * f, np.uint8) for f in range(n)], Fraction(25), (64, 48))
    out = tmp_path / "out"
    assert main(["detect", *map(str, chapters), "--model", "blazepose", "--out", str(out), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {c: d["n_frames"] for c, d in data["cameras"].items()} == {"GX010042": 8}
