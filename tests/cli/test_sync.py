"""`mocap sync` on keypoints, videos and sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.failed import failed_mark
from calibration.files import read_rig, write_rig
from mocap.cli.main import main
from mocap.core.timeline import TimeMap
from mocap.pose2d.times import read_times
from mocap.synth.detections import Faults, detect
from mocap.synth.files import write_take
from mocap.synth.performer import HALPE26, Performer
from mocap.synth.rig import ring_rig

OFFSETS = {"cam1": TimeMap(0.1), "cam2": TimeMap(0.3137, 30.0), "cam3": TimeMap(-0.2219, -20.0)}


class Hurried:
    """A performer whose pace changes, so that the walk does not repeat itself."""

    keypoint_set = HALPE26

    def __init__(self) -> None:
        self.performer = Performer.random(np.random.default_rng(3))

    def points(self, time_s: np.ndarray) -> np.ndarray:
        return self.performer.points(time_s + 0.5 * np.sin(0.9 * time_s) + 0.2 * np.sin(2.3 * time_s))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """Return the exit status and what --json printed."""
    status = main(["sync", *(str(a) for a in arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with rig.toml and pose/: three cameras that started at different times."""
    folder = tmp_path_factory.mktemp("sync") / "take"
    rig = ring_rig(3, np.random.default_rng(2))
    rng = np.random.default_rng(4)
    people: Sequence[Any] = [Hurried()]
    found = detect(people, rig, Fraction(60), 241, rng, faults=Faults(noise_px=1.0), time_maps=OFFSETS)
    write_take(folder, rig, found.keypoints)
    return folder


def test_keypoints_with_a_rig_give_a_file_that_reconstruct_reads(
    take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sync.json"
    status, data = run(
        capsys, "--keypoints", take / "keypoints", "--fps", "60", "--rig", take / "rig.toml", "--out", out
    )
    assert status == 0
    assert json.loads(out.read_text("utf-8")) == data
    assert data["reference"] == "cam1"
    maps = read_times(out, ["cam1", "cam2", "cam3"])
    assert (maps["cam1"].offset_s, maps["cam1"].drift_ppm) == (0.0, 0.0)
    assert maps["cam2"].offset_s == pytest.approx(0.2137, abs=0.002)
    assert maps["cam3"].offset_s == pytest.approx(-0.3219, abs=0.002)
    assert data["cameras"]["cam2"]["methods"] == ["motion"]
    assert 0 < data["cameras"]["cam2"]["sigma_s"] < 0.005


def test_a_camera_of_the_rig_without_keypoints_is_left_out_and_named(
    take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keypoints = tmp_path / "keypoints"
    keypoints.mkdir()
    for path in sorted((take / "keypoints").iterdir()):
        if "cam3" not in path.name:
            (keypoints / path.name).symlink_to(path)
    given = ("--keypoints", keypoints, "--fps", "60", "--rig", take / "rig.toml")
    status, data = run(capsys, *given, "--out", tmp_path / "sync.json")
    assert status == 0
    assert sorted(data["cameras"]) == ["cam1", "cam2"]
    [finding] = [d for d in data["diagnostics"] if d["code"] == "cameras-without-video"]
    assert finding["data"]["cameras"] == ["cam3"]


def test_a_rig_of_a_failed_calibration_is_named(take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rig(tmp_path / "rig.toml", read_rig(take / "rig.toml"), failed_mark(["board-scale-wrong"]))
    given = ("--keypoints", take / "keypoints", "--fps", "60", "--rig", tmp_path / "rig.toml")
    _, data = run(capsys, *given, "--out", tmp_path / "sync.json")
    [finding] = [d for d in data["diagnostics"] if d["code"] == "calibration-failed"]
    assert "board-scale-wrong" in finding["message"]


def test_the_evidence_is_drawn_beside_the_result(
    take: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        capsys,
        "--keypoints",
        take / "keypoints",
        "--fps",
        "60",
        "--rig",
        take / "rig.toml",
        "--out",
        tmp_path / "s.json",
    )
    picture = (tmp_path / "s.svg").read_text("utf-8")
    assert picture.startswith("<svg")
    assert picture.count("<polyline") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.json", "s.svg"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "either VIDEO files or --keypoints"),
        (("a.mp4", "--keypoints", "pose", "--fps", "60"), "either VIDEO files or --keypoints"),
        (("--keypoints", "pose"), "needs --fps"),
        (("a.mp4", "b.mp4", "--methods", "telepathy"), "unknown telepathyUse one or more of timecode, gps, audio"),
        (("a.mp4", "b.mp4", "--methods", ","), "none is named"),
        (("--keypoints", "pose", "--fps", "60", "--methods", "audio"), "nothing of audio"),
        (("--keypoints", "pose", "--fps", "60", "--methods", "motion,gps"), "nothing of gps"),
        (("a.mp4", "b.mp4", "--clap-at", "1,2,3"), "--rig"),
    ],
)
def test_a_wrong_command_line_says_what_was_expected(
    arguments: tuple[str, ...], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, data = run(capsys, *arguments, "--out", tmp_path / "sync.json")
    assert status == 2
    assert expected in data["error"]["message"] + data["error"]["advice"]


def test_one_camera_alone_is_an_error(
    tmp_path: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shared("data/audio_sync") / "timbl_1.mp3"
    status, data = run(capsys, file, "--out", tmp_path / "sync.json")
    assert (status, data["error"]["code"]) == (1, "sync-one-camera")


def test_sound_files_are_synchronised_and_travel_time_is_said_to_be_open(
    tmp_path: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared("data/audio_sync")
    status, data = run(capsys, folder / "timbl_1.mp3", folder / "timbl_2.mp3", "--out", tmp_path / "sync.json")
    assert status == 0
    assert data["cameras"]["timbl_2"]["offset_s"] == pytest.approx(12.254, abs=1e-3)
    assert data["cameras"]["timbl_2"]["sigma_s"] >= 0.01
    assert "audio-travel-time" in [d["code"] for d in data["diagnostics"]]


def test_the_demo_s_keypoints_are_in_step_to_half_a_frame(
    tmp_path: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared("data/pose2sim_demo")
    pose, rig = folder / "openpose_body25b_2022/pose-2d", folder / "SinglePerson/calibration/Calib.qca.txt"
    for more in ((), ("--rig", rig)):
        status, data = run(capsys, "--keypoints", pose, "--fps", "60", *more, "--out", tmp_path / "sync.json")
        assert status in (0, 3)
        assert len(data["cameras"]) == 4
        assert max(abs(c["offset_s"]) for c in data["cameras"].values()) < 0.5 / 60


def test_claps_of_a_shoot_with_their_place_given_are_within_two_milliseconds(
    tmp_path: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared("data/virtual_shoot")
    truth = json.loads((folder / "time_truth.json").read_text("utf-8"))
    x, y, z = truth["clap_source_m"]
    videos = sorted((folder / "videos").glob("gp?.mp4"))
    options = ("--methods", "audio", "--rig", folder / "rig_truth.toml", "--clap-at", f"{x},{y},{z}")
    status, data = run(capsys, *videos, *options, "--out", tmp_path / "sync.json")
    assert status == 0
    for name, camera in truth["cameras"].items():
        true_s = camera["offset_s"] - truth["cameras"]["gp1"]["offset_s"]
        assert data["cameras"][name]["offset_s"] == pytest.approx(true_s, abs=0.002)


def test_videos_without_a_rig_are_taken_back_to_the_middle_rows_that_their_cameras_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import dataclass

    from mocap.cli import sync
    from mocap.cli.ui import Ui
    from mocap.core.diagnostics import Diagnostic
    from mocap.core.keypoints import load_keypoint_set
    from mocap.core.progress import NoProgress
    from mocap.media.gopro_facts import GoProFacts
    from mocap.pose2d import estimator, models
    from mocap.pose2d.detections import CameraDetections

    @dataclass
    class Video:
        gopro: GoProFacts | None
        path: Path = Path("GX010001.MP4")
        size_px: tuple[int, int] = (640, 480)
        rotation_deg: int = 0

    kinds = load_keypoint_set("halpe26")
    xy = np.zeros((9, 1, len(kinds), 2)) + [100.0, 450.0]
    xy[..., 0] += 10 * np.arange(9)[:, None, None]
    walk = CameraDetections(kinds, xy, np.ones(xy.shape[:-1]), np.arange(9) / 60, (640, 480))
    monkeypatch.setattr(models, "make_estimator", lambda *_: None)
    monkeypatch.setattr(estimator, "detect_videos", lambda files, *_, **__: dict.fromkeys(files, walk))
    infos: Any = {"a": Video(GoProFacts(readout_s=0.016)), "b": Video(None), "c": Video(GoProFacts(readout_s=16.0))}
    found: list[Diagnostic] = []
    views = sync._detected(dict.fromkeys(infos, Path("x")), infos, None, found, Ui(NoProgress()))
    assert views is not None
    moved_px = {c: float((xy - v.xy_px)[4, 0, 0, 0]) for c, v in views.items()}
    assert moved_px == pytest.approx({"a": 600 * 0.016 * (450.5 / 480 - 0.5), "b": 0, "c": 0}, abs=1e-3)
    assert [d.code for d in found] == ["readout-implausible"]
