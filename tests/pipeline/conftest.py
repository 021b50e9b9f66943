"""Small synthetic footage with known truth: three cameras, one person, keypoints by a stand-in model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.files import write_rig
from mocap.cli import main as cli
from mocap.core.camera import CameraRig
from mocap.media.encode import write_video
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig
from sessions import footage_stages

FPS, N_CAMERAS, N_FRAMES, SIZE_PX = Fraction(30), 3, 23, (320, 240)


@dataclass(frozen=True)
class Shoot:
    """Footage on disk and its truth."""

    folder: Path
    rig: CameraRig
    performer: Performer

    @property
    def rig_file(self) -> Path:
        return self.folder / "rig.toml"

    @property
    def videos(self) -> list[Path]:
        return [self.folder / f"{name}.mp4" for name in self.rig.names]


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Shoot:
    folder = tmp_path_factory.mktemp("shoot")
    rng = np.random.default_rng(11)
    rig = ring_rig(N_CAMERAS, rng, size_px=SIZE_PX)
    performer = Performer.random(rng, stride=0.0)
    write_rig(folder / "rig.toml", rig)
    seen = detect([performer], rig, FPS, N_FRAMES, rng, faults=Faults(noise_px=0.4)).keypoints
    for c, camera in enumerate(rig.cameras):
        pictures = [np.full((SIZE_PX[1], SIZE_PX[0], 3), 40 * c + 3 * f, np.uint8) for f in range(N_FRAMES)]
        write_video(folder / f"{camera.name}.mp4", pictures, FPS, SIZE_PX)
        np.savez(folder / f"{camera.name}.npz", xy_px=seen.xy_px[c], score=seen.score[c])
    (folder / "stand_in.py").write_text(STAND_IN, "utf-8")
    return Shoot(folder, rig, performer)


STAND_IN = '''
"""Stands in for the 2D model: reads the keypoints that lie beside a video."""
import os
import time
from pathlib import Path

import numpy as np

from mocap.core.keypoints import load_keypoint_set
from mocap.pose2d.detections import CameraDetections
from sessions import footage_stages

RUNS = []


def detect_video(path, estimator, *, info, progress, crops=None, expected_px=None, **_options):
    RUNS.append((Path(path).stem, crops is not None))
    progress.start("standing in", info.n_frames)
    for _ in range(info.n_frames):
        time.sleep(float(os.environ.get("STAND_IN_SLEEP_S", "0")))
        progress.advance()
    progress.finish()
    if os.environ.get("STAND_IN_DIES_AT") == Path(path).stem:
        os.kill(os.getpid(), 9)
    with np.load(Path(path).with_suffix(".npz")) as kept:
        xy_px, score = kept["xy_px"], kept["score"]
    return CameraDetections(load_keypoint_set("halpe26"), xy_px, score, info.time_s, info.size_px)


footage_stages.detect_video = detect_video
footage_stages.estimator = lambda name: name
'''


@pytest.fixture
def stand_in(shoot: Shoot, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put the stand-in in place of the model; its RUNS lists (camera, is second pass)."""
    monkeypatch.setattr(footage_stages, "detect_video", footage_stages.detect_video)
    monkeypatch.setattr(footage_stages, "estimator", footage_stages.estimator)
    monkeypatch.syspath_prepend(str(shoot.folder))
    sys.modules.pop("stand_in", None)
    import stand_in as module  # type: ignore[import-not-found]

    return module


@pytest.fixture
def mocap(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that runs a command line with --json and returns status and result."""

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        status = cli.main([*map(str, arguments), "--json"])
        return status, json.loads(capfd.readouterr().out)

    return run


@pytest.fixture
def session(shoot: Shoot, stand_in: Any, mocap: Callable[..., tuple[int, dict[str, Any]]], tmp_path: Path) -> Path:
    """Return a session with a rig and one take, not yet processed."""
    folder = tmp_path / "session"
    for arguments in (("init", folder), ("import", folder, "--rig", shoot.rig_file)):
        assert mocap(*arguments)[0] == 0
    assert mocap("import", folder, "wave", *shoot.videos)[0] == 0
    return folder
