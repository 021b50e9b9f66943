"""Detecting a board in the footage of several cameras, in parallel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from calibration.board import BoardSpec
from calibration.board_detect_failure import (
    not_found,
    notes_on_cameras,
    notes_on_layout,
)
from calibration.board_detect_image import BoardFinder, sharpness
from calibration.board_detect_layout import Finding, Samples, find_layout, shows_other_markers
from calibration.board_detect_print import lengths_contradict, notes_on_print
from calibration.board_detect_select import without_blurred
from calibration.board_detect_source import Plan, Source, open_source, plan_frames
from calibration.board_views import BoardViews
from mocap.core.progress import NoProgress, Progress
from mocap.core.timeline import TimeMap

_Item = TypeVar("_Item")
_Out = TypeVar("_Out")

MAX_FRAMES = 240
"""Instants looked at: more of one board add time and no accuracy (errors of neighbouring frames are alike)."""
N_SAMPLES = 12
"""Pictures of each camera that decide how the board is seen."""


@dataclass
class _Work:
    """Shared by the threads: how much is done, and whether to stop."""

    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_done: int = 0

    def count(self) -> None:
        with self.lock:
            self.n_done += 1


def detect_board(
    footage: Mapping[str, Path | Sequence[Path]],
    board: BoardSpec,
    progress: Progress | None = None,
    n_workers: int | None = None,
    *,
    time_maps: Mapping[str, TimeMap] | None = None,
    max_frames: int = MAX_FRAMES,
) -> BoardViews:
    """Return where each camera saw each corner of the board.

    Args:
        footage: camera name to its video, or to photographs (which are then its frames, one after another).
        board: the board as it was meant; as it was found it is in the result, with a finding where it differs.
        progress: told of every picture looked at.
        n_workers: threads, one video each; OpenCV and FFmpeg work without Python's lock.
        time_maps: clocks of the cameras; without them the clips are taken as synchronous (same frame count: frame by
            frame, otherwise from their first frames on).
        max_frames: instants to look at, evenly spread.

    Raises: InputError board-not-found, board-blurred, board-dictionary-wrong, board-size-wrong, photo-unreadable,
    photos-differ-in-size, and what `mocap.media.probe.probe` raises.
    """
    progress = progress or NoProgress()
    sources = {camera: open_source(material) for camera, material in footage.items()}
    plan = plan_frames(sources, time_maps, max_frames)
    n_workers = n_workers or min(len(sources), max(2, (os.cpu_count() or 2) // 2), 8)
    samples = dict(zip(sources, _in_parallel(_sample, list(sources.values()), n_workers, progress), strict=True))
    finding = find_layout(samples, board)
    if not finding.is_found and (not _is_rare(sources, plan) or _is_in_vain(samples, board)):
        raise not_found(samples, board)
    jobs = [(source, plan.frame_idx[c], finding, camera) for c, (camera, source) in enumerate(sources.items())]
    found = _in_parallel(_detect, jobs, n_workers, progress, int((plan.frame_idx >= 0).sum()))
    views = _views(sources, plan, finding, found)
    if not views.is_seen.any():
        raise not_found(samples, board)
    notes = (*plan.diagnostics, *notes_on_layout(board, finding), *notes_on_print(samples, finding))
    notes = (*notes, *notes_on_cameras(views, samples))
    return without_blurred(replace(views, diagnostics=notes))


def _is_rare(sources: Mapping[str, Source], plan: Plan) -> bool:
    """Return whether the samples may have missed the board: there are many more pictures than samples."""
    return plan.frame_idx.shape[1] > N_SAMPLES and any(s.n_frames > N_SAMPLES for s in sources.values())


def _is_in_vain(samples: Samples, board: BoardSpec) -> bool:
    """Return whether the samples show that another board was filmed than the one described."""
    return lengths_contradict(samples, board) is not None or shows_other_markers(samples, board)


def _sample(source: Source, _work: _Work) -> list[np.ndarray]:
    return source.samples(N_SAMPLES)


@dataclass(frozen=True)
class _Found:
    xy_px: np.ndarray
    sharpness: np.ndarray
    n_mirrored: int
    n_front: int


def _detect(job: tuple[Source, np.ndarray, Finding, str], work: _Work) -> _Found:
    source, frame_idx, finding, camera = job
    finder = BoardFinder(finding.board, is_thorough=source.is_photos)
    sides = finding.sides(camera)
    xy = np.full((len(frame_idx), finding.board.n_corners, 2), np.nan)
    sharp = np.full(len(frame_idx), np.nan)
    places: dict[int, list[int]] = {}
    for f, index in enumerate(frame_idx):
        if index >= 0:
            places.setdefault(int(index), []).append(f)
    n = {False: 0, True: 0}
    for index, gray in source.pictures(set(places)):
        if work.stop.is_set():
            break
        for is_mirrored in sides:
            corners = finder.find(gray, is_mirrored)
            if np.isfinite(corners).any():
                n[is_mirrored] += 1
                xy[places[index]] = corners
                sharp[places[index]] = sharpness(gray, corners)
                break
        work.count()
    return _Found(xy, sharp, n[True], n[False])


def _in_parallel(
    function: Callable[[_Item, _Work], _Out],
    items: Sequence[_Item],
    n_workers: int,
    progress: Progress,
    total: int | None = None,
) -> list[_Out]:
    """Return the function of each item, in order, reporting what the threads count; stops them when cancelled."""
    work = _Work()
    progress.start("board" if total else "board: first look", total or len(items))
    n_reported = 0
    pool = ThreadPoolExecutor(n_workers)
    try:
        futures: list[Future[_Out]] = [pool.submit(function, item, work) for item in items]
        left = set(futures)
        while left:
            done, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                if not total:
                    work.count()
            progress.advance(work.n_done - n_reported)
            n_reported = work.n_done
        return [future.result() for future in futures]
    finally:
        work.stop.set()
        pool.shutdown(cancel_futures=True)
        progress.finish()


def _views(sources: Mapping[str, Source], plan: Plan, finding: Finding, found: list[_Found]) -> BoardViews:
    time_s = np.full(plan.frame_idx.shape, np.nan)
    for c, source in enumerate(sources.values()):
        has = plan.frame_idx[c] >= 0
        time_s[c, has] = source.time_s[plan.frame_idx[c, has]]
    return BoardViews(
        board=finding.board,
        camera_names=tuple(sources),
        size_px=tuple(s.size_px for s in sources.values()),
        xy_px=np.stack([f.xy_px for f in found]),
        time_s=time_s,
        sharpness=np.stack([f.sharpness for f in found]),
        is_mirrored=np.array([f.n_mirrored > f.n_front for f in found]),
    )
