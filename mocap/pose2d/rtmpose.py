"""RTMPose, RTMW and DWPose in onnxruntime: top-down models with a SimCC head, as OpenMMLab exports them.

Sources: Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose" (2023); MMPose 1.3's test
pipeline for what goes in and out (`topdown_crop`, `simcc`); `benchmarks/pose2d_agree.py` compares with MMPose itself.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.media.decode import Frame
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo
from mocap.pose2d.batching import Batcher
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.following import Answer, People, following, in_crops, then
from mocap.pose2d.onnx_model import OnnxModel, choose_device, expected_outputs
from mocap.pose2d.simcc import decode_simcc, mirrored_back
from mocap.pose2d.topdown_crop import Window, cut, image_points

BATCH = {"cpu": 2}
"""Crops in one run of the model; on a processor more only waits longer."""
GPU_BATCH = 32


class RtmPose:
    """A `PoseEstimator` made of a person detector and a keypoint model."""

    is_fallback = False

    def __init__(
        self,
        card: dict[str, Any],
        weights: Path,
        people: People,
        detector_sha256: str,
        *,
        device: str = "auto",
        flip_test: bool = False,
        n_threads: int | None = None,
    ) -> None:
        """Load the weights.

        Args:
            card: what the model is, see `mocap.pose2d.cards`.
            weights: its ONNX file.
            people: the person detector.
            detector_sha256: hash of the detector's weights.
            device: `auto`, `cpu`, `cuda`, `directml` or `coreml`.
            flip_test: also look at the mirrored crop and average: a little better, twice the time.
            n_threads: processor threads; all by default.

        Raises: as `OnnxModel` and `choose_device`.
        """
        self._card, self._people, self._flip_test = card, people, flip_test
        self.device = choose_device(device)
        self._set = load_keypoint_set(card["keypoint_set"])
        self._input_size: tuple[int, int] = (card["input_size_px"][0], card["input_size_px"][1])
        self._ratio = float(card["simcc_split_ratio"])
        is_cpu = self.device == "cpu"
        self._model = OnnxModel(weights, expected_outputs(card), self.device)
        self._mean = np.array(card["mean_rgb"], np.float32)[:, None, None]
        self._std = np.array(card["std_rgb"], np.float32)[:, None, None]
        self._memory = threading.local()
        self._hashes = (_sha256(weights), detector_sha256)
        n_workers = (n_threads or os.cpu_count() or 1) if is_cpu else 2
        batch = min(BATCH.get(self.device, GPU_BATCH), self._model.max_batch or GPU_BATCH)
        self._batcher: Batcher[np.ndarray, Answer] = Batcher(self.crops, n_workers, batch)

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        import onnxruntime

        flip = " with flip test" if self._flip_test else ""
        runtime = f"onnxruntime {onnxruntime.__version__} {self.device}{flip}"
        return ModelIdentity(self._card["name"], self._hashes, runtime)

    @property
    def keypoint_set(self) -> KeypointSet:
        """What it finds."""
        return self._set

    @property
    def notice(self) -> str:
        """What a person should know who relies on it."""
        return self._card["notice"]

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return xy_px [frame person keypoint 2] and score [frame person keypoint]; see `PoseEstimator`."""
        n_points = len(self._set)
        kept = checkpoints or Checkpoints()
        with self._batcher:
            if crops is not None:
                return in_crops(pictures, crops, n_points, self._input_size, self._submit, kept)
            return following(pictures, info, n_points, self._input_size, self._people, self._submit, kept)

    def keypoints(self, picture: np.ndarray, windows: list[Window]) -> Answer:
        """Return xy_px [person keypoint 2] and score [person keypoint] of windows of one RGB picture, unclipped."""
        found = self.crops([cut(picture, w, self._input_size) for w in windows])
        xy = [image_points(points, w, self._input_size) for (points, _), w in zip(found, windows, strict=True)]
        return np.stack(xy), np.stack([score for _, score in found])

    def crops(self, crops: list[np.ndarray]) -> list[Answer]:
        """Return xy in crop pixels [keypoint 2] and score [keypoint] of each crop [height width 3], as one batch."""
        blob = self._input(len(crops))
        for place, crop in zip(blob, crops, strict=True):
            np.subtract(crop.transpose(2, 0, 1), self._mean, out=place)
        np.divide(blob, self._std, out=blob)
        x, y = self._model(blob)
        if self._flip_test:
            flipped = self._model(np.ascontiguousarray(blob[..., ::-1]))
            other_x, other_y = mirrored_back(flipped[0], flipped[1], self._set.mirror)
            x, y = (x + other_x) * np.float32(0.5), (y + other_y) * np.float32(0.5)
        xy, score = decode_simcc(x, y, self._ratio)
        return list(zip(xy, score, strict=True))

    def _input(self, n_crops: int) -> np.ndarray:
        """Return this thread's own memory for a batch: a fresh megabyte a run costs more than filling it."""
        blob: np.ndarray | None = getattr(self._memory, "blob", None)
        if blob is None or len(blob) < n_crops:
            width, height = self._input_size
            blob = self._memory.blob = np.empty((n_crops, 3, height, width), np.float32)
        return blob[:n_crops]

    def _submit(self, picture: Picture, window: Window) -> Future[Answer]:
        cropped = self._batcher.submit(cut(picture.rgb, window, self._input_size))
        return then(cropped, lambda answer: (image_points(answer[0], window, self._input_size), answer[1]))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
