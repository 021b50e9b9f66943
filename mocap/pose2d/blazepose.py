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
import sys
import threading
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.errors import SetupError
from mocap.core.keypoints import KeypointSet, load_keypoint_set
from mocap.core.progress import NoProgress, Progress
from mocap.media.decode import Frame
from mocap.media.packages import MEDIAPIPE_POSE, fetch
from mocap.media.probe import VideoInfo
from mocap.pose2d.blazepose_decode import DETECTOR_SIDE, LANDMARK_SIDE, decode_landmarks, decode_people
from mocap.pose2d.cards import load_card
from mocap.pose2d.crops import BODY_MARGIN, Crops, cut, image_from_crop
from mocap.pose2d.estimator import ModelIdentity
from mocap.pose2d.tracks import KEEP_SCORE, MAX_PERSONS, PersonTracks, Sighting, distinct

N_POINTS = 33
MIN_POSE = 0.5
"""Below this answer of the landmark model there is no person in the crop."""
OUTSIDE = 0.25
"""Factor on the score of a keypoint that the model places outside the picture: a guess, not a sight."""
KEY_INTERVAL_S = 1 / 6
"""The detector runs this often; between, crops are interpolated."""
MAX_BUFFER_BYTES = 160 * 2**20
"""Pictures kept between two key frames, per worker."""
SWEEP_EVERY = 4
"""Every so many key frames people who are small in the picture are looked for in tiles as well."""


class BlazePose:
    """The `PoseEstimator` of the embedded default."""

    is_fallback = True

    def __init__(self, progress: Progress | None = None) -> None:
        """Fetch the weights on first use and check them. Raises SetupError (see `mocap.media.packages.wheel_files`)."""
        self._card = load_card("blazepose")
        folder = fetch(MEDIAPIPE_POSE, progress or NoProgress())
        self._detector = _checked(folder, self._card["detector"])
        self._landmarks = _checked(folder, self._card["landmarks"])

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        return ModelIdentity(
            "blazepose",
            (self._card["detector"]["sha256"], self._card["landmarks"]["sha256"]),
            f"ai-edge-litert {metadata.version('ai-edge-litert')}",
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
        self, pictures: Iterable[Frame], info: VideoInfo, crops: Crops | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return xy_px [frame person 33 2] and score [frame person 33] of one video; see `PoseEstimator`."""
        models = _Models(self._detector, self._landmarks)
        if crops is not None:
            return _in_crops(models, pictures, crops)
        return _following(models, pictures, info)


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


class _Models:
    """Interpreters of one thread."""

    def __init__(self, detector: Path, landmarks: Path) -> None:
        self._detector = _Runner(detector)
        self._landmarks = _Runner(landmarks)

    def people(self, picture: np.ndarray, window: np.ndarray) -> list[Sighting]:
        """Return who is seen in a window of the picture ([2 3] map from normalised window coordinates to pixels)."""
        pixels = cut(picture, window, DETECTOR_SIDE).astype(np.float32)
        out = self._detector(pixels * (2 / 255) - 1.0)
        hips, tops, scores = decode_people(out["Identity"], out["Identity_1"], KEEP_SCORE)
        return [
            Sighting(_mapped(h, window), _mapped(t, window), float(s))
            for h, t, s in zip(hips, tops, scores, strict=True)
        ]

    def keypoints(self, picture: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray, Sighting]:
        """Return xy_px [33 2], score [33] and the person as a sighting, whose score says if there is one."""
        pixels = cut(picture, window, LANDMARK_SIDE).astype(np.float32)
        out = self._landmarks(pixels * (1 / 255))
        xy, score = decode_landmarks(out["Identity"], out["Identity_3"])
        xy_px = _mapped(xy, window)
        height, width = picture.shape[:2]
        inside = ((xy_px > -1.0) & (xy_px < (width, height))).all(-1)
        score = np.where(inside, score, OUTSIDE * score)
        pose = float(out["Identity_1"].ravel()[0])
        return xy_px[:N_POINTS], score[:N_POINTS] * pose, Sighting(xy_px[N_POINTS], xy_px[N_POINTS + 1], pose)


class _Runner:
    """One model in one interpreter with one thread: cameras are what is parallel."""

    def __init__(self, weights: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _without_greeting():
            self._interpreter = Interpreter(str(weights), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {d["name"]: d["index"] for d in self._interpreter.get_output_details()}

    def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._input, pixels[None])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


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


def _empty(n_frames: int, n_persons: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (n_frames, n_persons, N_POINTS)
    return np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)


def _in_crops(models: _Models, pictures: Iterable[Frame], crops: Crops) -> tuple[np.ndarray, np.ndarray]:
    xy_px, score = _empty(crops.n_frames, crops.n_persons)
    is_there = crops.is_there
    for f, _, picture in pictures:
        for p in np.flatnonzero(is_there[f]):
            window = image_from_crop(crops.center_px[f, p], crops.size_px[f, p], crops.angle_rad[f, p])
            _keep(xy_px, score, f, int(p), models.keypoints(picture, window))
    return xy_px, score


def _keep(
    xy_px: np.ndarray, score: np.ndarray, f: int, p: int, answer: tuple[np.ndarray, np.ndarray, Sighting]
) -> Sighting | None:
    """Store an answer if there is a person in it, and return where that person is."""
    points, confidence, sighting = answer
    if sighting.score < MIN_POSE or sighting.radius_px < 4.0:
        return None
    xy_px[f, p], score[f, p] = points, confidence
    return sighting


def _following(models: _Models, pictures: Iterable[Frame], info: VideoInfo) -> tuple[np.ndarray, np.ndarray]:
    """Find people at key frames, and their keypoints in every frame between two of them."""
    xy_px, score = _empty(info.n_frames, MAX_PERSONS)
    tracks = PersonTracks()
    by_memory = MAX_BUFFER_BYTES // (3 * info.width_px * info.height_px)
    step = max(1, min(round(KEY_INTERVAL_S * float(info.fps)), by_memory))
    buffer: list[Frame] = []
    here: list[Sighting | None] = []
    n_keys = 0
    for frame in pictures:
        if not buffer:
            here = tracks.update(_everyone(models, frame.rgb, tracks, is_sweep=True))
        elif len(buffer) == step:
            n_keys += 1
            people = _everyone(models, frame.rgb, tracks, is_sweep=n_keys % SWEEP_EVERY == 0)
            there = tracks.update(people)
            here = _between(models, buffer, here, there, tracks, xy_px, score)
            buffer = []
        buffer.append(frame)
    if buffer:
        there = tracks.update(_everyone(models, buffer[-1].rgb, tracks, is_sweep=False))
        _between(models, buffer, here, there, tracks, xy_px, score)
    present = np.isfinite(xy_px).any((-1, -2)).sum(0)
    keep = [int(p) for p in np.argsort(-present, kind="stable") if present[p] >= min(3, info.n_frames)]
    return xy_px[:, keep], score[:, keep]


def _everyone(models: _Models, picture: np.ndarray, tracks: PersonTracks, is_sweep: bool) -> list[Sighting]:
    """Return who is seen in the whole picture, and in square tiles of it when sweeping or when someone is missing."""
    height, width = picture.shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    found = models.people(picture, image_from_crop(middle, max(width, height), 0.0))
    n_alive = sum(tracks.is_alive)
    if is_sweep or len(distinct(found)) < max(1, n_alive):
        side = min(width, height)
        along = np.array([width, height]) - side
        for share in np.linspace(-0.5, 0.5, max(1, round(2 * along.max() / side + 1))):
            found += models.people(picture, image_from_crop(middle + share * along, side, 0.0))
    return distinct(found)


def _between(
    models: _Models,
    buffer: list[Frame],
    here: list[Sighting | None],
    there: list[Sighting | None],
    tracks: PersonTracks,
    xy_px: np.ndarray,
    score: np.ndarray,
) -> list[Sighting | None]:
    """Find keypoints in the buffered frames; return where each person is at the key frame that follows them.

    Someone seen at both ends is looked for in between. Someone seen at the first only is followed by the model's own
    points, and given up once it sees no person there.
    """
    after = list(there)
    for p, start in enumerate(here):
        if start is None:
            continue
        end = there[p]
        place: Sighting | None = start
        for i, (f, _, picture) in enumerate(buffer):
            if end is not None:
                place = start.towards(end, i / len(buffer))
            if place is None:
                break
            window = _window(place)
            found = _keep(xy_px, score, f, p, models.keypoints(picture, window))
            if end is None:
                place = found
        if end is None:
            after[p] = place
            tracks.is_alive[p] = place is not None
            if place is not None:
                tracks.last[p] = place
    return after


def _window(place: Sighting) -> np.ndarray:
    up = place.top_px - place.hip_px
    return image_from_crop(place.hip_px, 2 * BODY_MARGIN * place.radius_px, float(np.arctan2(up[0], -up[1])))
