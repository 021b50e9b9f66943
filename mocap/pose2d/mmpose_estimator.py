"""The real MMPose, any configuration and checkpoint, in a process of its own environment; frames over shared memory."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import IO, Any

import numpy as np

from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import KeypointSet, keypoint_set_names, load_keypoint_set
from mocap.media.decode import Frame
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo
from mocap.pose2d.batching import Batcher
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.following import Answer, People, following, in_crops
from mocap.pose2d.mmpose_env import WORKER, ready_env
from mocap.pose2d.topdown_crop import PADDING, Window

OPEN_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 120.0
MAX_BATCH = 16
MAX_WAITING = 8
"""Windows that wait for the process, with their pictures."""
SQUARE = (1, 1)
"""MMPose shapes the window to its model's input itself."""


class MmposeWorker:
    """One MMPose process with one model. Use `close`, or a context, to end it; calls are made one at a time."""

    def __init__(self, config: str, checkpoint: str | None, *, device: str = "cpu", flip_test: bool = False) -> None:
        """Start the process and open the model.

        Raises: SetupError mmpose-not-set-up, mmpose-failed, mmpose-crashed, gpu-absent; InputError
        mmpose-config-missing, mmpose-checkpoint-missing.
        """
        if checkpoint is not None and not checkpoint.startswith(("http://", "https://")):
            path = Path(checkpoint).expanduser()
            if not path.is_file():
                raise InputError(
                    "mmpose-checkpoint-missing",
                    f"{path}: there is no such checkpoint.",
                    "Give the path of a .pth file.",
                )
            checkpoint = str(path.resolve())
        env = ready_env()
        self._lock = threading.Lock()
        self._memory: SharedMemory | None = None
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - lives as long as the process
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [str(env.python), "-I", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()
        local = Path(config).expanduser()
        named = str(local.resolve()) if local.is_file() else config
        request = {"op": "open", "config": named, "checkpoint": checkpoint, "device": device, "flip_test": flip_test}
        try:
            opened = self._ask(request, OPEN_TIMEOUT_S)
        except BaseException:
            self.close()
            raise
        self.meta: dict[str, Any] = opened["meta"]
        self.versions: dict[str, str] = opened["versions"]
        self.config = Path(opened["config"])
        atexit.register(self.close)

    def __enter__(self) -> MmposeWorker:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and give its memory back; a second time does nothing."""
        atexit.unregister(self.close)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None
        self._log.close()

    def keypoints(self, picture: np.ndarray, boxes: np.ndarray) -> Answer:
        """Return xy_px [person keypoint 2] and score [person keypoint] in boxes [person x0 y0 x1 y1] of an RGB picture.

        Raises: SetupError mmpose-failed, mmpose-crashed.
        """
        with self._lock:
            memory = self._room(picture.nbytes)
            np.ndarray(picture.shape, np.uint8, buffer=memory.buf)[:] = picture
            request = {"op": "keypoints", "offset": 0, "shape": picture.shape, "boxes": np.asarray(boxes).tolist()}
            answer = self._ask(request, ANSWER_TIMEOUT_S)
        return np.asarray(answer["xy"], np.float32), np.asarray(answer["score"], np.float32)

    def _room(self, size: int) -> SharedMemory:
        """Return memory shared with the process that holds `size` bytes."""
        if self._memory is None or self._memory.size < size:
            larger = SharedMemory(create=True, size=size)
            old, self._memory = self._memory, larger
            self._ask({"op": "memory", "name": larger.name, "size": size}, ANSWER_TIMEOUT_S)
            if old is not None:
                old.close()
                old.unlink()
        return self._memory

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._crashed("it does not take requests") from error
        end = time.monotonic() + timeout_s
        while True:
            try:
                text = self._answers.get(timeout=max(0.01, end - time.monotonic()))
                break
            except queue.Empty:
                self._process.kill()
                raise self._crashed(f"no answer for {timeout_s:.0f} s, so it was ended") from None
        if not text:
            raise self._crashed("it ended without an answer")
        answer: dict[str, Any] = json.loads(text)
        if answer.get("error") == "no-config":
            near = ", ".join(answer["near"]) or "td-hm_ViTPose-base_8xb64-210e_coco-256x192"
            raise InputError(
                "mmpose-config-missing",
                f"{request['config'] or 'no name'}: expected the path or the name of a configuration of MMPose.",
                f"Give the path of a .py file or a name, such as: {near}.",
            )
        if answer.get("error") == "no-gpu":
            raise SetupError(
                "gpu-absent",
                f"MMPose was asked to use {request.get('device')}, and its PyTorch sees no such device.",
                "Leave out --device.",
            )
        if "error" in answer:
            raise SetupError(
                "mmpose-failed",
                f"MMPose cannot {'open' if request['op'] == 'open' else 'run'} this model: {answer['error']}",
                "Check that the configuration and the checkpoint belong together.",
            )
        return answer

    def _crashed(self, what: str) -> SetupError:
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        last = f" Its last words: {lines[-1][:300]}" if lines else ""
        return SetupError(
            "mmpose-crashed",
            f"MMPose's process failed: {what} (status {self._process.returncode}).{last}",
            "Run again; if it happens again, another model or a smaller one may work.",
        )


class Mmpose:
    """The `PoseEstimator` of MMPose itself, after a person detector."""

    is_fallback = False

    def __init__(
        self,
        worker: MmposeWorker,
        people: People,
        detector_sha256: str,
        checkpoint: str | None,
        flip_test: bool = False,
    ) -> None:
        """Take an open worker and a person detector; the checkpoint and how the worker was opened name the model."""
        self._has_weights = checkpoint is not None
        self._flip = " with flip test" if flip_test else ""
        self._worker, self._people = worker, people
        self._set = keypoint_set_from_meta(worker.meta)
        weights = Path(checkpoint).expanduser() if checkpoint else None
        is_file = weights is not None and weights.is_file()
        self._hashes = (_sha256(weights) if weights is not None and is_file else checkpoint or "none", detector_sha256)
        self._batcher: Batcher[tuple[np.ndarray, Window], Answer] = Batcher(self._work, 1, MAX_BATCH)
        self._room = threading.Semaphore(MAX_WAITING)

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        versions = " ".join(f"{name} {version}" for name, version in self._worker.versions.items())
        config = self._worker.config
        return ModelIdentity(f"mmpose {config.stem} {_sha256(config)[:12]}", self._hashes, versions + self._flip)

    @property
    def keypoint_set(self) -> KeypointSet:
        """What it finds."""
        return self._set

    @property
    def notice(self) -> str:
        """What a person should know who relies on it."""
        random = "" if self._has_weights else " Without a checkpoint its weights are random: keypoints mean nothing."
        return f"MMPose {self._worker.versions['mmpose']}, {self._worker.config.stem}.{random}"

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return xy_px [frame person keypoint 2] and score [frame person keypoint]; see `PoseEstimator`.

        Turns of `crops` are left aside: MMPose's pipelines take upright boxes.
        """
        kept = checkpoints or Checkpoints()
        with self._batcher:
            if crops is not None:
                return in_crops(pictures, crops, len(self._set), SQUARE, self._submit, kept)
            return following(pictures, info, len(self._set), SQUARE, self._people, self._submit, kept)

    def _submit(self, picture: Picture, window: Window) -> Future[Answer]:
        self._room.acquire()
        answer = self._batcher.submit((picture.rgb, window))
        answer.add_done_callback(lambda _: self._room.release())
        return answer

    def _work(self, items: list[tuple[np.ndarray, Window]]) -> list[Answer]:
        """Look at all windows of one picture in one request; their order is kept."""
        answers: list[Answer] = []
        start = 0
        for i in range(1, len(items) + 1):
            if i < len(items) and items[i][0] is items[start][0]:
                continue
            boxes = np.stack([_box(window) for _, window in items[start:i]])
            xy, score = self._worker.keypoints(items[start][0], boxes)
            answers += list(zip(xy, score, strict=True))
            start = i
        return answers


def _box(window: Window) -> np.ndarray:
    """Return the box that MMPose pads to this window."""
    half = window.size_px / (2 * PADDING)
    return np.concatenate([window.center_px - half, window.center_px + half])


def keypoint_set_from_meta(meta: dict[str, Any]) -> KeypointSet:
    """Return the keypoint set of a model's data set: one that the program knows, else a set made from its names."""
    names = tuple(str(n) for n in meta["names"])
    plain = [_plain(n) for n in names]
    known = [load_keypoint_set(n) for n in keypoint_set_names()]
    for candidate in known:
        if [_plain(n) for n in candidate.names] == plain:
            return candidate
    landmark_of = {_plain(n): mark for s in known for n, mark in zip(s.names, s.landmarks, strict=True) if mark}
    used: set[str] = set()
    landmarks: list[str] = []
    for name in plain:
        mark = landmark_of.get(name, "")
        landmarks.append("" if mark in used else mark)
        used.add(mark)
    mirror = tuple(int(k) for k in meta["mirror"])
    bones = tuple((int(a), int(b)) for a, b in meta["bones"])
    return KeypointSet(f"mmpose {meta['dataset']}", names, tuple(landmarks), bones, mirror)


def _plain(name: str) -> str:
    """Return a name as any data set would spell it: `left_eye` and `LEye` are one."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    for word in ("left", "right"):
        plain = word[0] + plain.removeprefix(word) if plain.startswith(word) else plain
    return plain


def _listen(stream: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Hand on every line; an empty one says that the process is gone."""
    for line in stream:
        answers.put(line)
    answers.put("")
    stream.close()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
