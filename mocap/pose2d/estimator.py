"""The seam that every 2D keypoint model fits, and the work of running one over the cameras of a take."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import KeypointSet
from mocap.core.progress import NoProgress, Progress
from mocap.media.decode import Frame, frames, frames_lost
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d.checkpoints import Checkpoints
from mocap.pose2d.crops import Crops
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.quality import QUALITIES, STANDARD
from mocap.pose2d.sides import untangle_sides


@dataclass(frozen=True)
class ModelIdentity:
    """What makes detections reproducible; part of the cache key."""

    name: str
    weights_sha256: tuple[str, ...]
    runtime: str
    """Name and version of what runs the weights."""
    method: str = "1"
    """Version of our own decoding and tracking around the model."""

    def to_json(self) -> dict[str, Any]:
        """Return the identity as a JSON object."""
        return {
            "name": self.name,
            "weights_sha256": list(self.weights_sha256),
            "runtime": self.runtime,
            "method": self.method,
        }


class PoseEstimator(Protocol):
    """A 2D keypoint model. `estimate` is called from several threads at once, one video each."""

    @property
    def identity(self) -> ModelIdentity:
        """What it is, for cache keys and reports."""
        ...

    @property
    def keypoint_set(self) -> KeypointSet:
        """What it finds."""
        ...

    @property
    def is_fallback(self) -> bool:
        """Whether it stands in for a better model."""
        ...

    @property
    def notice(self) -> str:
        """What a person should know who relies on it."""
        ...

    def estimate(
        self,
        pictures: Iterable[Frame],
        info: VideoInfo,
        crops: Crops | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return xy_px [frame person keypoint 2] and score [frame person keypoint] of one video.

        With `crops` it looks there and keeps their person axis; without, it finds and follows people by itself. With
        `checkpoints` of an earlier run `pictures` begin at their frame, and the result is of the whole video.
        """
        ...


def detect_video(
    path: str | os.PathLike[str],
    estimator: PoseEstimator,
    *,
    crops: Crops | None = None,
    expected_px: np.ndarray | None = None,
    info: VideoInfo | None = None,
    progress: Progress | None = None,
    quality: str = STANDARD,
    unfinished: Path | None = None,
) -> CameraDetections:
    """Return everyone that a model sees in one video. Arguments and errors as `detect_videos`."""
    name = Path(path).stem
    return detect_videos(
        {name: path},
        estimator,
        crops=None if crops is None else {name: crops},
        expected_px=None if expected_px is None else {name: expected_px},
        infos=None if info is None else {name: info},
        progress=progress,
        quality=quality,
        unfinished=None if unfinished is None else {name: unfinished},
    )[name]


def detect_videos(
    videos: Mapping[str, str | os.PathLike[str]],
    estimator: PoseEstimator,
    *,
    crops: Mapping[str, Crops] | None = None,
    expected_px: Mapping[str, np.ndarray] | None = None,
    infos: Mapping[str, VideoInfo] | None = None,
    progress: Progress | None = None,
    n_workers: int | None = None,
    quality: str = STANDARD,
    unfinished: Mapping[str, Path] | None = None,
) -> dict[str, CameraDetections]:
    """Return everyone that a model sees, camera by camera; cameras are worked on in parallel, decoded once each.

    Args:
        videos: path by camera name.
        estimator: the model.
        crops: where to look, per camera, e.g. `crops_from_points`; cameras that are absent are searched.
        expected_px: per camera [frame person keypoint 2] where keypoints should be, from 3D: helps telling left from
            right (needs `crops` with the same persons); NaN where unknown.
        infos: what `probe` said of the videos; probed again when absent.
        progress: told of every frame.
        n_workers: threads; by default one per processor, at most one per camera.
        quality: which frames are looked at, a name of `QUALITIES`; the others have no keypoints.
        unfinished: folder per camera where parts of the result are kept, so that a killed run goes on; a folder belongs
            to one video, model, quality and set of crops, and whoever gave it removes it in the end.

    Raises: InputError as `probe`; crops-do-not-fit. Cancelled from `progress`.
    """
    progress = progress or NoProgress()
    known = {name: (infos or {}).get(name) or probe(path) for name, path in videos.items()}
    crops, expected_px = crops or {}, expected_px or {}
    for name, crop in crops.items():
        if name in known and crop.n_frames != known[name].n_frames:
            raise InputError(
                "crops-do-not-fit",
                f"camera {name}: expected crops for {known[name].n_frames} frames, got {crop.n_frames}.",
                "Make the crops from the same video.",
            )
    n_workers = max(1, min(n_workers or os.cpu_count() or 1, len(known)))
    progress.start("Finding 2D keypoints", float(sum(i.n_frames for i in known.values())))
    ticks: queue.SimpleQueue[int] = queue.SimpleQueue()
    stop = threading.Event()
    try:
        with ThreadPoolExecutor(n_workers, thread_name_prefix="mocap-detect") as pool:
            # Longest first, so that no worker is left alone with a long video at the end.
            order = sorted(known, key=lambda n: -known[n].n_frames)
            jobs = {
                name: pool.submit(
                    _detect,
                    known[name],
                    estimator,
                    crops.get(name),
                    expected_px.get(name),
                    ticks,
                    stop,
                    QUALITIES[quality].stride(known[name].fps),
                    Checkpoints((unfinished or {}).get(name)),
                    # Decoding alone with its share: more threads only take processor time from the model.
                    max(1, (os.cpu_count() or 1) // n_workers),
                )
                for name in order
            }
            try:
                _follow(list(jobs.values()), ticks, progress)
            finally:
                stop.set()
        return {name: jobs[name].result() for name in known}
    finally:
        progress.finish()


def _follow(jobs: list[Future[CameraDetections]], ticks: queue.SimpleQueue[int], progress: Progress) -> None:
    """Report progress from this thread until all jobs are done or one failed."""
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=0.1, return_when=FIRST_EXCEPTION)
        n = 0
        while not ticks.empty():
            n += ticks.get()
        progress.advance(float(n))
        if any(job.exception() for job in done):
            return


@dataclass(frozen=True, eq=False)
class _Wanted:
    """Every n-th frame of a video; told of every frame that is decoded, also of those that nobody looks at."""

    stride: int
    is_decoded: np.ndarray
    """[frame] bool"""
    ticks: queue.SimpleQueue[int]

    def __contains__(self, index: object) -> bool:
        assert isinstance(index, int)
        self.is_decoded[index] = True
        self.ticks.put(1)
        return index % self.stride == 0


def _detect(
    info: VideoInfo,
    estimator: PoseEstimator,
    crops: Crops | None,
    expected_px: np.ndarray | None,
    ticks: queue.SimpleQueue[int],
    stop: threading.Event,
    stride: int,
    checkpoints: Checkpoints,
    n_decoder_threads: int,
) -> CameraDetections:
    found: list[Diagnostic] = list(info.diagnostics)
    begin = checkpoints.begin
    ticks.put(begin)
    wanted = _Wanted(stride, np.zeros(info.n_frames, bool), ticks)
    wanted.is_decoded[:begin] = checkpoints.is_decoded
    checkpoints.is_decoded = wanted.is_decoded

    def pictures() -> Iterator[Frame]:
        for frame in frames(info.path, info, only=wanted, begin=begin, n_threads=n_decoder_threads):
            if stop.is_set():
                return
            yield frame

    # To the model, a video of which it sees every n-th picture is one of that rate.
    xy_px, score = estimator.estimate(pictures(), replace(info, fps=info.fps / stride), crops, checkpoints)
    if not wanted.is_decoded.all():
        found.append(frames_lost(info, wanted.is_decoded))
    if xy_px.shape[1] == 0:
        found.append(
            Diagnostic(
                "nobody-found",
                Severity.WARNING,
                f"{info.path.name}: nobody was found in any of {info.n_frames} frames; this view adds nothing.",
                {"frames": info.n_frames},
            )
        )
    n_swapped = 0
    for p in range(xy_px.shape[1]):
        expected = None if expected_px is None else expected_px[::stride, p]
        seen = slice(None, None, stride)
        xy_px[seen, p], score[seen, p], swapped = untangle_sides(
            xy_px[seen, p], score[seen, p], estimator.keypoint_set, expected
        )
        n_swapped += int(swapped.any(-1).sum())
    if n_swapped:
        found.append(
            Diagnostic(
                "sides-exchanged",
                Severity.INFO,
                f"{info.path.name}: in {n_swapped} poses the model had exchanged left and right against the frames "
                "around them; they were exchanged back, with a lower score.",
                {"poses": n_swapped},
            )
        )
    return CameraDetections(estimator.keypoint_set, xy_px, score, info.time_s, info.size_px, diagnostics=tuple(found))
