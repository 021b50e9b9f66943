"""The world from the feet of a person whom cameras filmed that were not started together."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from calibration.board import parse_board
from calibration.world import WorldResult, moved_rig
from calibration.world_feet import check_agreement
from mocap.cli.calibrate_feet import world_from_keypoints
from mocap.cli.calibrate_text import world_text
from mocap.cli.main import main
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Severity
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.kernels.projection import project
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.openpose_out import write_openpose
from mocap.synth.rig import ring_rig
from tests.calibration.board_clips import arc_rig, film
from tests.calibration.test_world import R_SOME, walker

FPS = 60
FIRST_FRAME = (0, 90, 45, 20)
"""Of each camera: the frame of the take in which it was started."""
N_FRAMES = 211


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CameraRig]:
    """Return a folder with the keypoints of cameras started apart and their clocks, and the true rig."""
    folder = tmp_path_factory.mktemp("feet")
    rng = np.random.default_rng(6)
    rig = ring_rig(4, rng, size_px=(1920, 1080))
    kinds = load_keypoint_set("halpe26")
    landmarks, time_s = walker(N_FRAMES + max(FIRST_FRAME))
    # The walker's head does not keep above the feet.
    landmarks["Head"] = (landmarks["LAnkle"] + landmarks["RAnkle"]) / 2 * [1, 1, 0] + [0, 0, 1.74]
    xyz = np.full((len(time_s), len(kinds), 3), np.nan)
    for name, track in landmarks.items():
        xyz[:, kinds.landmarks.index(name)] = track - [0.5, 0.2, 0.0]
    cameras = {}
    for camera, first in zip(rig.cameras, FIRST_FRAME, strict=True):
        k, part = camera.intrinsics, xyz[first : first + N_FRAMES]
        in_camera = part @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
        xy = project(in_camera, k.focal_px, k.center_px, k.distortion)
        xy = (xy + rng.normal(0, 1.0, xy.shape))[:, None]
        score = np.isfinite(xy).all(-1).astype(float)
        cameras[camera.name] = CameraDetections(kinds, xy, score, time_s[:N_FRAMES], k.size_px)
    write_openpose(folder / "pose", cameras)
    rows = [f"{name},{first / FPS},0" for name, first in zip(rig.names, FIRST_FRAME, strict=True)]
    (folder / "times.csv").write_text("\n".join(["camera,offset_s,drift_ppm", *rows]))
    return folder, rig


def world(take: tuple[Path, CameraRig], times: Path | None) -> tuple[WorldResult, float]:
    """Return the world, and by how many degrees it is tilted."""
    folder, rig = take
    floating = moved_rig(rig, R_SOME, np.array([1.0, -2.0, 3.0]))
    result = world_from_keypoints(floating, folder / "pose", Fraction(FPS), times, NoProgress())
    up = result.rig[0].R_cam_from_world[:, 2] @ rig[0].R_cam_from_world[:, 2]
    return result, float(np.degrees(np.arccos(np.clip(up, -1.0, 1.0))))


def test_cameras_started_apart_make_a_level_floor_with_their_clocks(take: tuple[Path, CameraRig]) -> None:
    result, tilt_deg = world(take, take[0] / "times.csv")
    assert tilt_deg < 1.5
    assert not [d for d in result.diagnostics if d.severity is Severity.QUALITY]
    said = world_text(result.data)
    assert f"{result.data['n_contacts']} contacts" in said
    assert f"{result.data['tilt_from_people_deg']:.1f} degrees" in said


def test_cameras_started_apart_fail_without_their_clocks(take: tuple[Path, CameraRig]) -> None:
    result, _ = world(take, None)
    [finding] = [d for d in result.diagnostics if d.code == "world-feet-disagree"]
    assert finding.severity is Severity.QUALITY
    assert "--feet-times" in finding.message
    assert min(finding.data["agreed_share"].values()) < 0.5


def test_agreement_is_a_share_of_the_frames_with_people() -> None:
    assert check_agreement({"a": 60, "b": 5}, {"a": 55, "b": 4}) == ()
    [finding] = check_agreement({"a": 90, "b": 9}, {"a": 0, "b": 91})
    assert "b 9%" in finding.message
    assert "a 1" not in finding.message


def test_clocks_of_feet_without_feet_are_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "charuco:5x7:square=0.1:marker=0.075:dict=4X4_50"
    videos = [str(film(tmp_path / f"{c.name}.mp4", parse_board(spec), c, None, 2)) for c in arc_rig(2).cameras]
    options = ["--out", str(tmp_path / "rig.toml"), "--feet-times", str(tmp_path / "times.csv"), "--json"]
    assert main(["calibrate", "rig", "--board", spec, *videos, *options]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "world-unknown"
