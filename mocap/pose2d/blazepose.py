"""BlazePose in ai-edge-litert: people found by its detector every few frames, keypoints in a turned crop every frame.

MediaPipe's own tracker crops by the previous frame's keypoints, so one bad frame spoils the next. Here crops come from
the person detector on both sides of a frame, or from the 3D reconstruction. Measured on four cameras x 100 frames of a
man balancing (reprojection after plain triangulation of 12 joints, bodies about 900 px tall): median 6.3, p90 15.5 px
with crops from the detector, 6.4 and 14.5 px with crops from the reconstruction.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mocap.core.errors import SetupError
from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.core.progress import NoProgress, Progress
from mocap.media.decode import Frame
from mocap.media.packages import MEDIAPIPE_POSE, fetch
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo
from mocap.pose2d.batching import Batcher
from mocap.pose2d.blazepose_decode import (
    DETECTOR_SIDE,
    LANDMARK_SIDE,
    averaged,
    decode_landmarks,
    decode_people,
    mirrored_back,
)
from mocap.pose2d.cards import load_card
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import BODY_MARGIN, Crops, cut, image_from_crop
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.following import Answer, Found, followed, in_squares, then
from mocap.pose2d.tracks import KEEP_SCORE, PersonTracks, Sighting, distinct

Answers = TypeVar("Answers")

N_POINTS = 33
MIN_POSE = 0.5
"""Below this answer of the landmark model there is no person in the crop."""
OUTSIDE = 0.25
"""Factor on the score of a keypoint that the model places outside the picture: a guess, not a sight."""
MIN_RADIUS_PX = 4.0
"""Nor is there one whose body would be this small."""
SWEEP_EVERY = 4
"""Every so many key frames people who are small in the picture are looked for in tiles as well."""


class BlazePose:
    """The `PoseEstimator` of the embedded default."""

    is_fallback = True

    def __init__(self, progress: Progress | None = None, *, flip_test: bool = False) -> None:
        """Fetch the weights on first use and check them; `flip_test` looks at mirrored crops too, in twice the time.

        Raises SetupError (see `mocap.media.packages.wheel_files`).
        """
        self._flip_test = flip_test
        self._card = load_card("blazepose")
        folder = fetch(MEDIAPIPE_POSE, progress or NoProgress())
        self._detector = _Runners(_checked(folder, self._card["detector"]), 2 / 255, -1.0)
        self._landmarks = _Runners(_checked(folder, self._card["landmarks"]), 1 / 255, 0.0)
        self._batcher: Batcher[_Crop, Found] = Batcher(
            lambda crops: [self._keypoints(c) for c in crops], os.cpu_count() or 1, 1
        )

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        flip = " with flip test" if self._flip_test else ""
        return ModelIdentity(
            "blazepose",
            (self._card["detector"]["sha256"], self._card["landmarks"]["sha256"]),
            f"ai-edge-litert {metadata.version('ai-edge-litert')}{flip}",
            self._card["method"],
        )

    @property
    def keypoint_set(self) -> KeypointSet:
        """What it finds."""
        return load_keypoint_set(self._card["keypoint_set"])

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
        """Return xy_px [frame person 33 2] and score [frame person 33] of one video; see `PoseEstimator`."""
        with self._batcher:
            if crops is not None:
                return in_squares(pictures, crops, N_POINTS, self._find_in, checkpoints or Checkpoints())
            return followed(pictures, info, N_POINTS, self._everyone, self._find, checkpoints or Checkpoints())

    def _people(self, picture: Picture, window: np.ndarray) -> list[Sighting]:
        """Return who is seen in a window of the picture ([2 3] map from normalised window coordinates to pixels)."""
        hips, tops, scores = self._detector(
            cut(picture, window, DETECTOR_SIDE),
            lambda out: decode_people(out["Identity"], out["Identity_1"], KEEP_SCORE),
        )
        return [
            Sighting(_mapped(h, window), _mapped(t, window), float(s))
            for h, t, s in zip(hips, tops, scores, strict=True)
        ]

    def _everyone(self, picture: Picture, tracks: PersonTracks) -> list[Sighting]:
        """Return who is seen in the whole picture; when sweeping or missing someone, also in tiles of it."""
        height, width = picture.shape
        middle = np.array([width - 1, height - 1]) / 2
        found = self._people(picture, image_from_crop(middle, max(width, height), 0.0))
        is_sweep = tracks.n_updates % SWEEP_EVERY == 0
        if is_sweep or len(distinct(found)) < max(1, sum(tracks.is_alive)):
            side = min(width, height)
            along = np.array([width, height]) - side
            for share in np.linspace(-0.5, 0.5, max(1, round(2 * along.max() / side + 1))):
                found += self._people(picture, image_from_crop(middle + share * along, side, 0.0))
        return distinct(found)

    def _find(self, picture: Picture, place: Sighting) -> Future[Found]:
        return self._submit(picture, _window(place))

    def _find_in(self, picture: Picture, center_px: np.ndarray, side_px: float, angle_rad: float) -> Future[Answer]:
        found = self._submit(picture, image_from_crop(center_px, side_px, angle_rad))
        return then(found, lambda f: (f.xy_px, f.score))

    def _submit(self, picture: Picture, window: np.ndarray) -> Future[Found]:
        return self._batcher.submit(_Crop(cut(picture, window, LANDMARK_SIDE), window, picture.shape))

    def _keypoints(self, crop: _Crop) -> Found:
        """Return one person's keypoints; all missing where the model sees nobody."""
        xy, score, pose = self._answer(crop.pixels)
        if self._flip_test:
            other = mirrored_back(*self._answer(crop.pixels[:, ::-1])[:2], self.keypoint_set.mirror)
            xy, score = averaged(xy, score, *other)
        xy_px = _mapped(xy, crop.window)
        height, width = crop.picture_shape
        inside = ((xy_px > -1.0) & (xy_px < (width, height))).all(-1)
        score = np.where(inside, score, OUTSIDE * score)
        place = Sighting(xy_px[N_POINTS], xy_px[N_POINTS + 1], pose)
        if pose < MIN_POSE or place.radius_px < MIN_RADIUS_PX:
            return Found(np.full((N_POINTS, 2), np.nan), np.zeros(N_POINTS), None)
        return Found(xy_px[:N_POINTS], score[:N_POINTS] * pose, place)

    def _answer(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return points in normalised crop coordinates [39 2], their scores [39], and whether there is a person."""
        return self._landmarks(
            pixels,
            lambda out: (
                *decode_landmarks(out["Identity"], out["Identity_3"]),
                float(out["Identity_1"].ravel()[0]),
            ),
        )


def _checked(folder: Path, part: dict[str, Any]) -> Path:
    file = folder / part["file"]
    got = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"
    if got != part["sha256"]:
        raise SetupError(
            "model-damaged",
            f"{file}: expected weights with sha256 {part['sha256']}, got {got}.",
            f"Delete the folder {folder} and run again.",
        )
    return file


@dataclass(frozen=True, eq=False)
class _Crop:
    """What the landmark model looks at."""

    pixels: np.ndarray
    """[LANDMARK_SIDE LANDMARK_SIDE 3] uint8."""
    window: np.ndarray
    """[2 3] map from normalised crop coordinates to pixels of the picture."""
    picture_shape: tuple[int, int]
    """Height and width of the picture."""


class _Runners:
    """Interpreters of one model, each used by one thread at a time, and kept: making one takes as long as ten runs."""

    def __init__(self, weights: Path, factor: float, offset: float) -> None:
        """Take the model's file, and what makes its input of 8-bit colours."""
        self.weights = weights
        self._factor, self._offset = factor, offset
        self._idle: queue.SimpleQueue[_Runner] = queue.SimpleQueue()

    def __call__(self, pixels: np.ndarray, read: Callable[[Mapping[str, np.ndarray]], Answers]) -> Answers:
        """Return what `read` makes of the outputs for [side side 3] uint8 RGB.

        The outputs are the runtime's own memory: copying them takes as long as reading the keypoints off them. Nothing
        of them may be kept.
        """
        try:
            runner = self._idle.get_nowait()
        except queue.Empty:
            runner = _Runner(self.weights)
        try:
            return runner(pixels, self._factor, self._offset, read)
        finally:
            self._idle.put(runner)


class _Runner:
    """One model in one interpreter with one thread: crops are what is parallel."""

    def __init__(self, weights: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _without_greeting():
            self._interpreter = Interpreter(str(weights), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {d["name"]: d["index"] for d in self._interpreter.get_output_details()}

    def __call__(
        self, pixels: np.ndarray, factor: float, offset: float, read: Callable[[Mapping[str, np.ndarray]], Answers]
    ) -> Answers:
        self._fill(pixels, factor, offset)
        self._interpreter.invoke()
        return read({name: self._interpreter.tensor(index)()[0] for name, index in self._outputs.items()})

    def _fill(self, pixels: np.ndarray, factor: float, offset: float) -> None:
        blob = self._interpreter.tensor(self._input)()[0]
        np.copyto(blob, pixels, casting="unsafe")
        blob *= factor
        if offset:
            blob += offset


_GREETED = threading.Event()
_GREETING = threading.Lock()


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Keep the runtime's one line of greeting, which no setting turns off, from breaking into the user's screen."""
    with _GREETING:
        if _GREETED.is_set():
            yield
            return
        _GREETED.set()
        sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _mapped(points: np.ndarray, window: np.ndarray) -> np.ndarray:
    return points @ window[:, :2].T + window[:, 2]


def _window(place: Sighting) -> np.ndarray:
    up = place.top_px - place.hip_px
    return image_from_crop(place.hip_px, 2 * BODY_MARGIN * place.radius_px, float(np.arctan2(up[0], -up[1])))
