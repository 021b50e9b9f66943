"""Any frame of a video by its index, for a viewer: exact, and quick where the next one asked for is near."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from mocap.media.decode import decoded
from mocap.media.picture import Developer
from mocap.media.probe import Chapter, VideoInfo, open_video, probe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

NEAR_FRAMES = 48
"""Frames nearer than this ahead are reached by decoding on; farther ones by seeking to a key frame."""

_TRIES = 4
"""How often a seek is repeated from farther back before the file is read from its beginning."""


class FrameReader:
    """An open recording whose frames can be read in any order; keeps the last pictures. Not for several threads.

    Reading a frame costs the decoding from the key frame before it; stepping forwards costs one frame, and stepping
    back over pictures that are kept costs nothing.
    """

    def __init__(
        self, path: str | os.PathLike[str], info: VideoInfo | None = None, cache_bytes: int = 256 << 20
    ) -> None:
        """Open a recording. `cache_bytes` bounds the pictures kept. Raises InputError as `probe`."""
        self.info = info or probe(path)
        self._ends = np.cumsum([f.n_frames for f in self.info.files])
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._n_kept = max(cache_bytes // (3 * self.info.width_px * self.info.height_px), 1)
        self._developer = Developer(self.info.rotation_deg)
        self._part = -1
        self._container: InputContainer | None = None
        self._ahead: Iterator[tuple[int, VideoFrame]] = iter(())
        self._last = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the pictures are let go."""
        self._cache.clear()
        self._ahead, self._part, self._last = iter(()), -1, -1
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self, index: int) -> np.ndarray | None:
        """Return the picture [height width 3] uint8 RGB, upright, of a frame; None where it cannot be decoded.

        Args:
            index: place in `VideoInfo.time_s`. Raises IndexError outside of it.
        """
        if not 0 <= index < self.info.n_frames:
            raise IndexError(f"frame {index} of {self.info.n_frames}")
        if index not in self._cache:
            self._fetch(index)
        rgb = self._cache.get(index)
        if rgb is not None:
            self._cache.move_to_end(index)
        return rgb

    def index_at(self, time_s: float) -> int:
        """Return the frame that is shown at a time: the last one that has begun, or the first."""
        return max(int(np.searchsorted(self.info.time_s, time_s + 1e-9, side="right")) - 1, 0)

    def _fetch(self, index: int) -> None:
        part = int(np.searchsorted(self._ends, index, side="right"))
        if part != self._part:
            self._open(part)
        begin = int(self._ends[part]) - self.info.files[part].n_frames
        if not self._last < index <= self._last + NEAR_FRAMES:
            self._seek(index, begin)
        for at, frame in self._ahead:
            self._last = at
            # Of the pictures on the way those nearest before the wanted one are kept: people step back.
            if index - at < self._n_kept // 2 or at == index:
                self._keep(at, frame)
            if at >= index:
                return

    def _keep(self, index: int, frame: VideoFrame) -> None:
        rgb = self._developer.rgb(frame)
        rgb.setflags(write=False)
        self._cache[index] = rgb
        self._cache.move_to_end(index)
        while len(self._cache) > self._n_kept:
            self._cache.popitem(last=False)

    def _open(self, part: int) -> None:
        if self._container is not None:
            self._container.close()
        self._container = open_video(Path(self.info.files[part].path))
        self._container.streams.video[0].thread_type = "AUTO"
        self._part = part
        begin = int(self._ends[part]) - self.info.files[part].n_frames
        self._ahead, self._last = self._frames_from(None, begin), begin - 1

    def _seek(self, index: int, begin: int) -> None:
        """Place the decoder so that the next frame that it gives is at or before `index`."""
        from av.error import FFmpegError

        container, part = self._container, self.info.files[self._part]
        assert container is not None
        stream = container.streams.video[0]
        if self.info.time_base == stream.time_base:
            back = index
            for attempt in range(_TRIES):
                try:
                    container.seek(int(self.info.pts[back]) - part.pts_shift, stream=stream)
                except FFmpegError:
                    break
                ahead = self._frames_from(part, begin)
                first = next(ahead, None)
                # A seek may land behind the frame: key frames are found by storage time, and open groups lose pictures.
                if first is not None and first[0] <= index:
                    self._ahead, self._last = _chain(first, ahead), first[0] - 1
                    return
                back = max(begin, back - (NEAR_FRAMES << attempt))
        self._open(self._part)

    def _frames_from(self, seeked: Chapter | None, begin: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield (index, picture) from where the decoder stands; without times only from the beginning."""
        container, part = self._container, self.info.files[self._part]
        assert container is not None
        pts = self.info.pts[begin : begin + part.n_frames] - part.pts_shift
        has_times = self.info.time_base == container.streams.video[0].time_base
        assert has_times or seeked is None
        at = -1
        for frame in decoded(container):
            at += 1
            if frame.pts is not None and has_times:
                at = int(np.searchsorted(pts, frame.pts))
                if at >= len(pts) or pts[at] != frame.pts:
                    continue
            if at >= len(pts):
                return
            yield begin + at, frame


def _chain(first: tuple[int, VideoFrame], rest: Iterator[tuple[int, VideoFrame]]) -> Iterator[tuple[int, VideoFrame]]:
    yield first
    yield from rest
