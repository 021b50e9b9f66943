"""A synthetic take with awkward cameras, written as a scene, and what Blender made of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporters.scene import QualityMarker, write_scene
from mocap.core.camera import CameraRig, Intrinsics, LensModel
from mocap.core.keypoints import Keypoints2D, Points3D, Source, load_keypoint_set
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

ROOT = Path(__file__).resolve().parents[2]
FPS = Fraction(60000, 1001)
N_FRAMES = 31
START_S = 0.4
FIRST_FRAME = 5
"""Blender's number of the take's first frame in the tests."""


def coded_video(path: Path, n_frames: int, fps: Fraction, size_px: tuple[int, int]) -> None:
    """Write a video whose frame j shows j in six black or white columns, and a smooth texture below."""
    import av
    import cv2

    width, height = size_px
    texture = np.random.default_rng(5).uniform(0, 255, (height // 9, width // 9, 1)).astype(np.uint8)
    grey = np.asarray(cv2.resize(texture, size_px, interpolation=cv2.INTER_CUBIC), np.uint8)
    background = np.repeat(grey[..., None], 3, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for j in range(n_frames):
            picture = background.copy()
            for bit in range(6):
                x = bit * width // 6
                picture[: height // 2, x : x + width // 6] = 255 if j >> bit & 1 else 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def awkward_rig() -> CameraRig:
    """Return five cameras: pinhole, distorted, fisheye, portrait, and one calibrated wider than its footage."""
    rng = np.random.default_rng(11)
    plain = ring_rig(5, rng, size_px=(320, 180), distortion_scale=0.0).cameras
    bent = ring_rig(5, rng, size_px=(320, 180)).cameras
    fish = ring_rig(5, rng, size_px=(320, 180), model=LensModel.FISHEYE).cameras
    tall = Intrinsics((180, 320), np.array([301.0, 297.0]), np.array([83.0, 171.0]), np.zeros(5))
    cameras = (plain[0], bent[1], fish[2], replace(plain[3], intrinsics=tall), plain[4])
    return CameraRig(tuple(replace(c, name=f"cam{i + 1}") for i, c in enumerate(cameras)))


def make_take() -> SolvedTake:
    """Return 31 frames at 60000/1001; the left wrist is missing in frames 7 to 12, the right one always."""
    keypoint_set = load_keypoint_set("halpe26")
    timeline = Timeline(FPS, N_FRAMES, START_S)
    performer = Performer.random(np.random.default_rng(3))
    rig = awkward_rig()
    xyz = performer.points(timeline.time_s)
    points = np.array(xyz)
    points[7:13, keypoint_set.names.index("LWrist")] = np.nan
    points[:, keypoint_set.names.index("RWrist")] = np.nan
    # cam1 runs at the take's rate from 11 frames before; cam2 at twice that from its start; cam4, cam5 as the take.
    camera_time_s = np.full((5, 62), np.nan)
    camera_time_s[0, :47] = START_S + (np.arange(47) - 11) / float(FPS)
    camera_time_s[1, :62] = START_S + np.arange(62) / float(2 * FPS)
    camera_time_s[3:, :31] = timeline.time_s
    xy = np.full((5, 62, 1, 26, 2), np.nan)
    return SolvedTake(
        "subject_0",
        rig,
        Keypoints2D(keypoint_set, rig.names, xy, np.zeros(xy.shape[:-1]), camera_time_s),
        _points(keypoint_set, timeline, points, Source.MEASURED),
        _points(keypoint_set, timeline, xyz, Source.SOLVED),
        performer.motion(timeline),
        np.full((5, 62, 26), np.nan),
        ("LeftFoot", "RightFoot"),
        np.arange(N_FRAMES * 2).reshape(N_FRAMES, 2) % 7 < 3,
        {},
    )


def _points(keypoint_set: Any, timeline: Timeline, xyz: np.ndarray, source: Source) -> Points3D:
    known = np.isfinite(xyz).all(-1)
    return Points3D(
        keypoint_set, timeline.time_s, xyz, np.where(known, 0.004, np.nan), np.where(known, source, Source.MISSING)
    )


@pytest.fixture(scope="session")
def take() -> SolvedTake:
    """Return the synthetic take."""
    return make_take()


@pytest.fixture(scope="session")
def scene_path(take: SolvedTake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the take as a scene with footage of three cameras; cam4's is deleted again."""
    folder = tmp_path_factory.mktemp("session")
    videos = {name: folder / "footage" / f"{name}.mp4" for name in ("cam1", "cam2", "cam4", "cam5")}
    videos["cam1"].parent.mkdir()
    coded_video(videos["cam1"], 47, FPS, (320, 180))
    coded_video(videos["cam2"], 62, 2 * FPS, (320, 180))
    coded_video(videos["cam4"], 31, FPS, (180, 320))
    coded_video(videos["cam5"], 31, FPS, (300, 180))
    maps = {"cam5": np.array([[1.0, 0.0, -13.0], [0.0, 1.0, 0.0]])}
    markers = [QualityMarker(7, "warning", "LWrist missing"), QualityMarker(29, "quality", "feet slide")]
    path = write_scene(take, folder / "exports", videos, maps, markers)
    videos["cam4"].unlink()
    return path


def run_in_blender(tmp: Path, *arguments: str) -> Path:
    """Run the worker in an interpreter of its own with its own Blender settings; return the folder it wrote to."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("bpy is not installed")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp / "user"), "PYTHONPATH": ""}
    command = [sys.executable, str(Path(__file__).with_name("worker.py")), str(tmp), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, cwd=tmp)
    assert (tmp / "result.json").is_file(), done.stdout + done.stderr
    return tmp


@pytest.fixture(scope="session")
def in_blender(scene_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Install the packed extension in Blender, import the scene, and return everything that was seen."""
    tmp = tmp_path_factory.mktemp("blender")
    packer = [sys.executable, str(ROOT / "scripts" / "pack_blender_addon.py"), str(tmp)]
    zip_path = subprocess.run(packer, capture_output=True, text=True, check=True).stdout.strip()
    run_in_blender(tmp, zip_path, str(scene_path), str(FIRST_FRAME))
    return json.loads((tmp / "result.json").read_text("utf-8")) | {"folder": tmp}
