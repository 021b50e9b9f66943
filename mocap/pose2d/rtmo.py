"""RTMO in onnxruntime: all people of a picture with their keypoints in one pass, as OpenMMLab exports it.

Source: Lu et al., "RTMO: Towards High-Performance One-Stage Real-Time Multi-Person Pose Estimation" (2023). The picture
is made to fit the input as for its detector sister YOLOX; boxes and keypoints come out in the input's pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.media.decode import Frame
from mocap.media.probe import VideoInfo
from mocap.pose2d.batching import Batcher
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.detectors import MAX_OVERLAP, letterbox, suppressed
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.following import sighting_from_box
from mocap.pose2d.onnx_model import OnnxModel, choose_device, expected_outputs
from mocap.pose2d.tracks import KEEP_SCORE, MAX_PERSONS, PersonTracks

MAX_IN_WORKS = 8

People = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows [person x0 y0 x1 y1 score] and xy_px [person keypoint 2] in the picture, score [person keypoint]."""


class Rtmo:
    """The `PoseEstimator` of a one-stage model."""

    is_fallback = False

    def __init__(
        self, card: dict[str, Any], weights: Path, *, device: str = "auto", n_threads: int | None = None
    ) -> None:
        """Load the weights. Raises as `OnnxModel` and `choose_device`."""
        self._card = card
        self.device = choose_device(device)
        self._set = load_keypoint_set(card["keypoint_set"])
        self._size = tuple(card["input_size_px"])
        self._model = OnnxModel(weights, expected_outputs(card), self.device)
        with weights.open("rb") as stream:
            self._hash = hashlib.file_digest(stream, "sha256").hexdigest()
        n_workers = (n_threads or os.cpu_count() or 1) if self.device == "cpu" else 1
        self._batcher: Batcher[np.ndarray, People] = Batcher(
            lambda items: [self.people(i) for i in items], n_workers, 1
        )

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        import onnxruntime

        return ModelIdentity(self._card["name"], (self._hash,), f"onnxruntime {onnxruntime.__version__} {self.device}")

    @property
    def keypoint_set(self) -> KeypointSet:
        """What it finds."""
        return self._set

    @property
    def notice(self) -> str:
        """What a person should know who relies on it."""
        return self._card["notice"]

    def people(self, picture: np.ndarray) -> People:
        """Return everyone in an RGB picture."""
        boxed, scale = letterbox(picture, self._size)
        blob = np.ascontiguousarray(boxed[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
        dets, points = (out[0] for out in self._model(blob))
        is_person = dets[:, 4] > KEEP_SCORE
        dets, points = dets[is_person], points[is_person]
        best = suppressed(dets[:, :4], dets[:, 4], MAX_OVERLAP)
        dets, points = dets[best], points[best]
        rows = np.column_stack([dets[:, :4] / np.tile(scale, 2), dets[:, 4]])
        return rows, points[..., :2] / scale, np.clip(points[..., 2], 0.0, 1.0)

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return xy_px [frame person keypoint 2] and score [frame person keypoint]; see `PoseEstimator`.

        With `crops`, each keeps the person found nearest to its centre, if any is inside.
        """
        n_persons = MAX_PERSONS if crops is None else crops.n_persons
        shape = (info.n_frames, n_persons, len(self._set))
        xy_px, score = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
        kept = checkpoints or Checkpoints()
        kept.restore(xy_px, score)
        tracks = PersonTracks() if kept.state is None else PersonTracks.from_json(kept.state)
        in_works: deque[tuple[int, Future[People]]] = deque()

        def store() -> None:
            f, answer = in_works.popleft()
            rows, xy, confidence = answer.result()
            chosen = _slots(tracks, rows) if crops is None else _nearest(crops, f, rows)
            for p, i in chosen.items():
                is_there = confidence[i] > 0
                xy_px[f, p] = np.where(is_there[:, None], xy[i], np.nan)
                score[f, p] = np.where(is_there, confidence[i], 0.0)

        with self._batcher:
            for f, _, picture in pictures:
                in_works.append((f, self._batcher.submit(picture.rgb)))
                if len(in_works) > MAX_IN_WORKS:
                    store()
                if kept.is_due(f + 1):
                    while in_works:
                        store()
                    kept.save(f + 1, tracks.to_json(), xy_px, score)
            while in_works:
                store()
        if crops is not None:
            return xy_px, score
        present = np.isfinite(xy_px).any((-1, -2)).sum(0)
        keep = [int(p) for p in np.argsort(-present, kind="stable") if present[p] >= min(3, info.n_frames)]
        return xy_px[:, keep], score[:, keep]


def _slots(tracks: PersonTracks, rows: np.ndarray) -> dict[int, int]:
    """Return the row of each track that is seen."""
    sightings = [sighting_from_box(row[:4], float(row[4])) for row in rows]
    seen = tracks.update(sightings)
    return {p: next(i for i, s in enumerate(sightings) if s is there) for p, there in enumerate(seen) if there}


def _nearest(crops: Crops, f: int, rows: np.ndarray) -> dict[int, int]:
    """Return the row whose box centre is nearest to each crop's, if it is inside the crop."""
    chosen: dict[int, int] = {}
    if len(rows) == 0:
        return chosen
    centers = (rows[:, :2] + rows[:, 2:4]) / 2
    for p in np.flatnonzero(crops.is_there[f]):
        distance = np.hypot(*(centers - crops.center_px[f, p]).T)
        if distance.min() < crops.size_px[f, p] / 2:
            chosen[int(p)] = int(distance.argmin())
    return chosen
