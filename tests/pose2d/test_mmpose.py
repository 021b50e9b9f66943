"""MMPose in its own process: what happens without the environment, when it crashes, hangs or fails; keypoint sets."""

from __future__ import annotations

import itertools
import json
import os
import stat
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.cli.main import main
from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import load_keypoint_set
from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.probe import probe
from mocap.pose2d import mmpose_env, mmpose_estimator, models, weights
from mocap.pose2d.mmpose_estimator import MmposeWorker, keypoint_set_from_meta

WORKER = """
import json, os, sys, time
from multiprocessing import resource_tracker, shared_memory
import numpy as np
memory = None
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "open":
        if request["config"] == "crash":
            sys.stderr.write("out of everything\\n")
            sys.stderr.flush()
            os._exit(9)
        if request["config"] == "hang":
            time.sleep(60)
        if request["config"] == "nothing":
            answer = {"error": "no-config", "near": ["something"]}
        elif request["config"] == "bad":
            answer = {"error": "KeyError: backbone"}
        elif request["device"] != "cpu":
            answer = {"error": "no-gpu"}
        else:
            meta = {"dataset": "dots", "names": ["a", "b"], "mirror": [1, 0], "bones": [[0, 1]]}
            answer = {"meta": meta, "versions": {"mmpose": "1"}, "config": __file__}
    elif request["op"] == "memory":
        memory = shared_memory.SharedMemory(request["name"])
        resource_tracker.unregister(memory._name, "shared_memory")
        answer = {}
    else:
        picture = np.ndarray(request["shape"], np.uint8, buffer=memory.buf)
        if picture.max() == 255:
            os._exit(11)
        boxes = request["boxes"]
        answer = {"xy": [[b[:2], b[2:]] for b in boxes], "score": [[float(picture.max()) / 100, 1]] * len(boxes)}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """Put a process that speaks the worker's language in the place of MMPose's environment."""
    if os.name == "nt":
        pytest.skip("not on Windows: the stand-in is a script with an interpreter line")
    assert cache
    env = mmpose_env.mmpose_env()
    env.python.parent.mkdir(parents=True)
    env.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    env.python.chmod(env.python.stat().st_mode | stat.S_IXUSR)
    (env.folder / "ready.json").write_text('{"mmpose": "1"}')
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(mmpose_estimator, "WORKER", script)
    return env.folder


@pytest.mark.usefixtures("cache")
def test_a_missing_environment_names_the_command() -> None:
    with pytest.raises(SetupError) as caught:
        MmposeWorker("td-hm_ViTPose-base_8xb64-210e_coco-256x192", None)
    assert caught.value.code == "mmpose-not-set-up"
    assert "mocap models setup-mmpose" in caught.value.advice


@pytest.mark.usefixtures("stand_in")
def test_pictures_go_over_shared_memory_of_any_size() -> None:
    with MmposeWorker("dots", None) as worker:
        for value, size in ((40, 50), (80, 310), (20, 30)):
            xy, score = worker.keypoints(np.full((size, size + 7, 3), value, np.uint8), np.array([[1, 2, 30, 40]] * 3))
            assert xy.shape == (3, 2, 2)
            np.testing.assert_allclose(xy[0], [[1, 2], [30, 40]])
            np.testing.assert_allclose(score[:, 0], value / 100)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("config", "code"), [("crash", "mmpose-crashed"), ("bad", "mmpose-failed")])
def test_a_model_that_cannot_be_opened_is_an_error_not_a_hang(config: str, code: str) -> None:
    with pytest.raises(SetupError) as caught:
        MmposeWorker(config, None)
    assert caught.value.code == code
    assert ("out of everything" if config == "crash" else "backbone") in caught.value.message


@pytest.mark.usefixtures("stand_in")
def test_an_unknown_configuration_names_those_that_look_like_it() -> None:
    with pytest.raises(InputError) as caught:
        MmposeWorker("nothing", None)
    assert caught.value.code == "mmpose-config-missing"
    assert "something" in caught.value.advice


@pytest.fixture
def detect(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a run of `mocap detect` with MMPose on a video of some brightness: its status and what it printed."""
    assert stand_in
    seen = np.array([[8.0, 4.0, 40.0, 44.0]]), np.array([0.9])
    monkeypatch.setattr(models, "_detector", lambda *_: (lambda _picture, _score: seen, "0" * 64))

    def run(model: str, brightness: int = 40, *options: str) -> tuple[int, str]:
        pictures = (np.full((48, 64, 3), brightness, np.uint8) for _ in range(13))
        video = write_video(tmp_path / "cam1.mp4", pictures, Fraction(60), (64, 48))
        status = main(["detect", str(video), "--model", f"mmpose:{model}", "--out", str(tmp_path / "out"), *options])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_videos_go_through_it_from_the_command(detect: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    status, said = detect("dots", 40)
    assert status == 0, said
    assert "random" in said
    with np.load(tmp_path / "out" / "cam1.npz") as kept:
        assert kept["names"].tolist() == ["a", "b"]
        assert np.isfinite(kept["xy_px"]).all()
        np.testing.assert_allclose(kept["score"][:, 0, 0], 0.4, atol=0.03)


@pytest.mark.parametrize(
    ("model", "brightness", "code"),
    [
        ("crash", 40, "mmpose-crashed"),
        ("nothing", 40, "mmpose-config-missing"),
        ("bad", 40, "mmpose-failed"),
        ("dots,none.pth", 40, "mmpose-checkpoint-missing"),
        ("dots", 255, "mmpose-crashed"),
    ],
)
def test_what_goes_wrong_ends_the_command_with_its_reason(
    model: str, brightness: int, code: str, detect: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, said = detect(model, brightness)
    assert status == 1
    assert code in said
    assert "Traceback" not in said
    assert not list((tmp_path / "out").glob("*.npz"))


def test_mmpose_itself_finds_keypoints_in_real_footage(
    shared: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow (half a minute); runs where MMPose's environment was made."""
    env = mmpose_env.mmpose_env()
    if not env.is_ready:
        pytest.skip("needs the network once: `mocap models setup-mmpose` was not run")
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "mmpose").symlink_to(env.folder.parent)
    weights.import_file(shared("models") / "yolox_nano_humanart_8xb8-300e.onnx")
    source = shared("data/pose2sim_demo/SinglePerson/videos") / "cam03.mp4"
    pictures = (f.rgb for f in itertools.islice(frames(source), 11))
    info = probe(source)
    video = write_video(tmp_path / "cam03.mp4", pictures, info.fps, info.size_px)
    model = "mmpose:rtmpose-t_8xb256-420e_coco-256x192"
    assert main(["detect", str(video), "--model", model, "--out", str(tmp_path / "out"), "--to", "npz", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["keypoint_set"] == "coco17"
    assert "random" in data["notice"]
    with np.load(tmp_path / "out" / "cam03.npz") as kept:
        # Its weights are random, but they look at the man: every keypoint lies in the window around him.
        xy = kept["xy_px"][:, 0]
        assert xy.shape == (11, 17, 2)
        assert np.isfinite(xy).all()
        assert (np.ptp(xy, axis=(0, 1)) > 20).all()
    assert main(["detect", str(video), "--model", "mmpose:rtmpose-t_coco", "--out", str(tmp_path / "none")]) == 1
    assert "rtmpose-t_8xb256-420e_coco-256x192" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_in")
def test_a_process_that_dies_or_hangs_later_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = MmposeWorker("dots", None)
    with pytest.raises(SetupError) as caught:
        worker.keypoints(np.full((5, 7, 3), 255, np.uint8), np.zeros((1, 4)))
    assert caught.value.code == "mmpose-crashed"
    with pytest.raises(SetupError):
        worker.keypoints(np.zeros((5, 7, 3), np.uint8), np.zeros((1, 4)))
    worker.close()
    monkeypatch.setattr(mmpose_estimator, "OPEN_TIMEOUT_S", 0.5)
    with pytest.raises(SetupError) as caught:
        MmposeWorker("hang", None)
    assert caught.value.code == "mmpose-crashed"
    assert "no answer" in caught.value.message


@pytest.mark.usefixtures("stand_in")
def test_a_checkpoint_or_device_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        MmposeWorker("dots", str(tmp_path / "none.pth"))
    assert caught.value.code == "mmpose-checkpoint-missing"
    with pytest.raises(SetupError) as gpu:
        MmposeWorker("dots", None, device="cuda")
    assert gpu.value.code == "gpu-absent"


@pytest.mark.usefixtures("cache")
def test_setting_up_without_network_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.version_info[:2] != mmpose_env.PYTHON:
        pytest.skip("not on Windows or with another Python than MMPose's")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert main(["models", "setup-mmpose"]) == 1
    said = capsys.readouterr().err
    assert "mmpose-setup-failed" in said
    assert "torch" in said
    assert "Traceback" not in said
    assert not mmpose_env.mmpose_env().is_ready


@pytest.mark.usefixtures("cache")
def test_another_python_than_the_recipes_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmpose_env, "PYTHON", (3, 2))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError) as caught:
        mmpose_env.setup_mmpose()
    assert caught.value.code == "mmpose-python-missing"


def test_a_data_sets_keypoints_become_one_of_ours_or_a_set_of_their_own() -> None:
    coco = load_keypoint_set("coco17")
    meta = {"dataset": "coco", "names": [n.lower() for n in coco.names], "mirror": list(coco.mirror), "bones": []}
    assert keypoint_set_from_meta(meta).name == "coco17"
    spelt = [n.replace("L", "left_", 1) if n[0] == "L" else n.replace("R", "right_", 1) for n in coco.names]
    assert keypoint_set_from_meta({**meta, "names": [n.lower() for n in spelt]}).name == "coco17"
    mpii = load_keypoint_set("mpii16")
    theirs = ["right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax"]
    theirs += ["upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder"]
    theirs += ["left_elbow", "left_wrist"]
    assert keypoint_set_from_meta({**meta, "names": theirs}) == mpii
    own = {"dataset": "mine", "names": ["left_knee", "tail", "right_knee"], "mirror": [2, 1, 0], "bones": [[0, 1]]}
    made = keypoint_set_from_meta(own)
    assert made.name == "mmpose mine"
    assert made.landmarks == ("LKnee", "", "RKnee")
    assert made.mirror == (2, 1, 0)
