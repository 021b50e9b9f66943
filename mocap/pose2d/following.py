"""Top-down estimation of a video: a person detector every few frames, tracked boxes between, keypoints in every frame.

Between two detections a person's box is interpolated, so no crop depends on the keypoints of the frame before: crops
of many frames, people and cameras can be in the works at once, and one bad frame spoils no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mocap.media.decode import Frame
from mocap.media.picture import Picture
from mocap.media.probe import VideoInfo
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import KEYPOINT_MARGIN, Crops
from mocap.pose2d.topdown_crop import PADDING, Window, shaped, window_from_box
from mocap.pose2d.tracks import KEEP_SCORE, PersonTracks, Sighting, from_json, to_json

KEY_INTERVAL_S = 1 / 6
"""The detector runs this often."""
MAX_BUFFER_BYTES = 160 * 2**20
"""Pictures kept between two detections, per video."""
MAX_IN_WORKS = 48
"""Crops of one video that wait for their keypoints."""
LOST_SCORE = 0.3
"""Someone whom the detector lost is followed by the keypoints while their mean score is above this."""
BOX_FROM_POINTS = 1.2
"""A detector's box in units of the extent of the keypoints in it."""
MAX_GROWTH = 1.1
"""From one frame to the next a box made of keypoints grows or shrinks by this factor at most: some are always wrong."""

Answer = tuple[np.ndarray, np.ndarray]
"""xy_px [keypoint 2] in the picture and score [keypoint]."""
People = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""A detector: [height width 3] RGB and lowest score in; boxes [person x0 y0 x1 y1] and scores [person] out."""
Submit = Callable[[Picture, Window], "Future[Answer]"]
"""Begins finding one person's keypoints in a picture."""


@dataclass(frozen=True, eq=False)
class Found:
    """One person's keypoints in one picture."""

    xy_px: np.ndarray
    """[keypoint 2]"""
    score: np.ndarray
    """[keypoint]"""
    place: Sighting | None
    """Where the person is by these keypoints; None where nobody is."""


Look = Callable[[Picture, PersonTracks], list[Sighting]]
"""Finds everyone in a picture, given who has been followed so far."""
Find = Callable[[Picture, Sighting], "Future[Found]"]
"""Begins finding the keypoints of a person at a place in a picture."""


def in_crops(
    pictures: Iterable[Frame],
    crops: Crops,
    n_points: int,
    input_size: tuple[int, int],
    submit: Submit,
    checkpoints: Checkpoints,
) -> Answer:
    """Return xy_px [frame person keypoint 2] and score [frame person keypoint] of people looked for in given crops."""

    def find(picture: Picture, center_px: np.ndarray, side_px: float, angle_rad: float) -> Future[Answer]:
        # A square crop is a circle around the body; upright, the body fills the circle's height.
        side = np.float32(PADDING / KEYPOINT_MARGIN * side_px)
        aspect = min(1.0, input_size[0] / input_size[1])
        size = np.array([aspect * side, side], np.float32)
        return submit(picture, shaped(center_px, size, input_size, angle_rad))

    return in_squares(pictures, crops, n_points, find, checkpoints)


def in_squares(
    pictures: Iterable[Frame],
    crops: Crops,
    n_points: int,
    find: Callable[[Picture, np.ndarray, float, float], Future[Answer]],
    checkpoints: Checkpoints,
) -> Answer:
    """Return what `in_crops` does, of a model whose windows are the crops: their centre, side and turn."""
    out = _Results(crops.n_frames, crops.n_persons, n_points, checkpoints)
    is_there = crops.is_there
    for f, _, picture in pictures:
        out.keep(f, None)
        for p in np.flatnonzero(is_there[f]):
            side_px, angle_rad = float(crops.size_px[f, p]), float(crops.angle_rad[f, p])
            out.add(f, int(p), find(picture, crops.center_px[f, p], side_px, angle_rad))
    return out.finished()


def following(
    pictures: Iterable[Frame],
    info: VideoInfo,
    n_points: int,
    input_size: tuple[int, int],
    people: People,
    submit: Submit,
    checkpoints: Checkpoints,
) -> Answer:
    """Return what `followed` does, of a detector and a model that know people by upright boxes."""

    def look(picture: Picture, _tracks: PersonTracks) -> list[Sighting]:
        boxes, scores = people(picture.rgb, KEEP_SCORE)
        return [sighting_from_box(b, float(s)) for b, s in zip(boxes, scores, strict=True)]

    def find(picture: Picture, place: Sighting) -> Future[Found]:
        answer = submit(picture, window_from_box(box_from_sighting(place), input_size))
        return then(answer, lambda a: Found(a[0], a[1], _place(a[0], a[1], place)))

    return followed(pictures, info, n_points, look, find, checkpoints)


def followed(
    pictures: Iterable[Frame], info: VideoInfo, n_points: int, look: Look, find: Find, checkpoints: Checkpoints
) -> Answer:
    """Return xy_px [frame person keypoint 2] and score [frame person keypoint] of everyone found in a video."""
    work = _Following(_Results(info.n_frames, 0, n_points, checkpoints), PersonTracks(), look, find)
    buffer: list[Frame] = []
    here: list[Sighting | None] | None = None
    if checkpoints.state is not None:
        work.tracks = PersonTracks.from_json(checkpoints.state["tracks"])
        here = from_json(checkpoints.state["here"])
    for frame in pictures:
        if here is None:
            here = work.seen(frame.picture)
        elif buffer and len(buffer) == frames_between(info, buffer[0].picture):
            here = work.between(buffer, here, work.seen(frame.picture))
            buffer = []
            work.out.keep(frame.index, {"tracks": work.tracks.to_json(), "here": to_json(here)})
        buffer.append(frame)
    if buffer and here is not None:
        work.between(buffer, here, work.seen(buffer[-1].picture), is_last=True)
    xy_px, score = work.out.finished()
    present = np.isfinite(xy_px).any((-1, -2)).sum(0)
    keep = [int(p) for p in np.argsort(-present, kind="stable") if present[p] >= min(3, info.n_frames)]
    return xy_px[:, keep], score[:, keep]


def frames_between(info: VideoInfo, picture: Picture) -> int:
    """Return every how many frames the detector runs, given one of the video's pictures: all between are kept."""
    return max(1, min(round(KEY_INTERVAL_S * float(info.fps)), MAX_BUFFER_BYTES // picture.n_bytes))


Before = TypeVar("Before")
After = TypeVar("After")


def then(before: Future[Before], change: Callable[[Before], After]) -> Future[After]:
    """Return the future of a changed answer; an error stays one."""
    after: Future[After] = Future()

    def pass_on(done: Future[Before]) -> None:
        error = done.exception()
        if error is not None:
            after.set_exception(error)
            return
        try:
            after.set_result(change(done.result()))
        except Exception as failure:  # noqa: BLE001 - handed to whoever waits for the answer
            after.set_exception(failure)

    before.add_done_callback(pass_on)
    return after


def sighting_from_box(box: np.ndarray, score: float) -> Sighting:
    """Return a box as a sighting: its centre, and its upper right corner as the point on the circle."""
    box = np.asarray(box, np.float64)
    return Sighting((box[:2] + box[2:]) / 2, np.array([box[2], box[1]]), score)


def box_from_sighting(place: Sighting) -> np.ndarray:
    """Return the box [x0 y0 x1 y1] that `sighting_from_box` was given."""
    half = np.abs(place.top_px - place.hip_px)
    return np.concatenate([place.hip_px - half, place.hip_px + half])


class _Results:
    """Where keypoints go once they are there: room for the whole video, of everyone who was seen so far."""

    def __init__(self, n_frames: int, n_persons: int, n_points: int, checkpoints: Checkpoints) -> None:
        shape = (n_frames, max(n_persons, checkpoints.n_persons), n_points)
        # Filled, not only promised: an hour's results take their memory at once, and no more as it goes on.
        self._xy_px = np.full((*shape, 2), np.nan, np.float32)
        self._score = np.full(shape, 0.0, np.float32)
        self._checkpoints = checkpoints
        checkpoints.restore(self._xy_px, self._score)
        self._in_works: deque[tuple[int, int, Future[Answer] | Future[Found]]] = deque()

    def add(self, f: int, p: int, answer: Future[Answer] | Future[Found]) -> None:
        """Expect an answer; waits while too many are in the works."""
        if p >= self._score.shape[1]:
            n_more = ((0, 0), (0, p + 1 - self._score.shape[1]), (0, 0))
            self._xy_px = np.pad(self._xy_px, (*n_more, (0, 0)), constant_values=np.nan)
            self._score = np.pad(self._score, n_more)
        self._in_works.append((f, p, answer))
        while len(self._in_works) > MAX_IN_WORKS:
            self._store()

    def keep(self, frame: int, state: Any) -> None:
        """Keep everything before a frame where it is time to; `state` is what the work needs to go on from there."""
        if self._checkpoints.is_due(frame):
            self._checkpoints.save(frame, state, *self.finished())

    def finished(self) -> Answer:
        """Return everything once the last answer is there."""
        while self._in_works:
            self._store()
        return self._xy_px, self._score

    def _store(self) -> None:
        f, p, answer = self._in_works.popleft()
        found = answer.result()
        xy, score = (found.xy_px, found.score) if isinstance(found, Found) else found
        is_there = np.isfinite(xy).all(-1) & (score > 0)
        self._xy_px[f, p] = np.where(is_there[:, None], xy, np.nan)
        # Some models' scores exceed 1 a little: the height of a peak, not a probability.
        self._score[f, p] = np.where(is_there, np.clip(score, 0.0, 1.0), 0.0)


@dataclass
class _Following:
    out: _Results
    tracks: PersonTracks
    look: Look
    find: Find

    def seen(self, picture: Picture) -> list[Sighting | None]:
        """Return where each track's person is, as the detector sees it."""
        return self.tracks.update(self.look(picture, self.tracks))

    def between(
        self, buffer: list[Frame], here: list[Sighting | None], there: list[Sighting | None], is_last: bool = False
    ) -> list[Sighting | None]:
        """Begin finding keypoints in the buffered frames; return where each person is at the end.

        `there` belongs to the frame after them, or to their last one. Someone seen at both ends is looked for in
        between; someone seen only first is followed by the keypoints until these fade.
        """
        after = list(there)
        n_steps = max(1, len(buffer) - 1 if is_last else len(buffer))
        for p, start in enumerate(here):
            if start is None:
                continue
            end = there[p]
            if end is None:
                after[p] = self._by_keypoints(buffer, p, start)
                continue
            for i, (f, _, picture) in enumerate(buffer):
                self.out.add(f, p, self.find(picture, start.towards(end, i / n_steps)))
        return after

    def _by_keypoints(self, buffer: list[Frame], p: int, start: Sighting) -> Sighting | None:
        place: Sighting | None = start
        for f, _, picture in buffer:
            answer = self.find(picture, place)
            place = answer.result().place
            if place is None:
                break
            self.out.add(f, p, answer)
        self.tracks.is_alive[p] = place is not None
        if place is not None:
            self.tracks.last[p] = place
        return place


def _place(xy: np.ndarray, score: np.ndarray, before: Sighting) -> Sighting | None:
    """Return where someone is by the keypoints, or None where nobody is; the box keeps about its size."""
    sure = (score > LOST_SCORE) & np.isfinite(xy).all(-1)
    if sure.sum() < 4 or float(np.mean(score)) < LOST_SCORE:
        return None
    low, high = xy[sure].min(0), xy[sure].max(0)
    was = np.abs(before.top_px - before.hip_px)
    middle, half = (low + high) / 2, np.clip((high - low) / 2 * BOX_FROM_POINTS, was / MAX_GROWTH, was * MAX_GROWTH)
    return sighting_from_box(np.concatenate([middle - half, middle + half]), KEEP_SCORE)
