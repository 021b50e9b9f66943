"""Long takes in overlapping windows, several at a time: memory stays bounded, and all cores have work."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TypeVar

import numpy as np

from mocap.core.progress import Progress

MAX_FRAMES = 1500
OVERLAP_S = 1.0
"""How far a window looks beyond its own frames. Where there is data, a cut that far away moves nothing; what is hidden
for longer is told from one side only, so that neighbours disagree there: `Window.fade` joins them without a step."""
OVERLAP_SHARE = 4
"""At most one in so many of MAX_FRAMES: memory stays bounded at any frame rate, and no frame has three windows."""
MAX_AT_ONCE = 4
"""Windows worked on at once."""
AHEAD = 2
"""For each of those, windows begun or waiting whose results nobody took yet: a slow one does not keep threads idle."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Window:
    """Frames that a window answers for, and those that it looks at."""

    start: int
    stop: int
    low: int
    high: int

    @property
    def n_frames(self) -> int:
        """Frames that it looks at."""
        return self.high - self.low

    @property
    def own(self) -> slice:
        """Frames of the take that it answers for."""
        return slice(self.start, self.stop)

    @property
    def keep(self) -> slice:
        """The same frames, counted from the first that it looks at."""
        return slice(self.start - self.low, self.stop - self.low)

    @property
    def looked_at(self) -> slice:
        """Frames of the take that it looks at."""
        return slice(self.low, self.high)

    @property
    def shared(self) -> slice:
        """Frames of the take that the window before looks at, too."""
        return slice(self.low, 2 * self.start - self.low)

    @property
    def fade(self) -> np.ndarray:
        """[frame] share of this window against the one before in `shared`: from 0 to 1, level at both ends."""
        n = 2 * (self.start - self.low)
        share = (np.arange(n) + 0.5) / max(n, 1)
        return share**2 * (3 - 2 * share)


def windows(n_frames: int, fps: float) -> list[Window]:
    """Return windows of about equal length; how many there are depends on the frames alone."""
    overlap = min(round(OVERLAP_S * fps), MAX_FRAMES // OVERLAP_SHARE)
    n_windows = max(1, math.ceil(n_frames / MAX_FRAMES))
    edges = [round(i * n_frames / n_windows) for i in range(n_windows + 1)]
    return [
        Window(start, stop, max(start - overlap, 0), min(stop + overlap, n_frames)) for start, stop in pairwise(edges)
    ]


def in_parts(work: Callable[[slice], Result], n_frames: int, size: int) -> list[Result]:
    """Return what `work` returns for each part of `size` frames, in order, worked on in threads.

    For what looks at every frame on its own: how many parts there are depends on the frames alone.
    """
    parts = [slice(low, min(low + size, n_frames)) for low in range(0, n_frames, size)]
    with ThreadPoolExecutor(max(1, min(len(parts), os.cpu_count() or 1, MAX_AT_ONCE))) as pool:
        return list(pool.map(work, parts))


def in_windows(
    work: Callable[[Window], Result], n_frames: int, fps: float, progress: Progress
) -> Iterator[tuple[Window, Result]]:
    """Yield each window with what `work` returns for it, in order; the windows are worked on in threads.

    The progress is advanced by one for each. NumPy lets go of the interpreter while it works on arrays of this size.
    """
    cuts = windows(n_frames, fps)
    n_workers = max(1, min(len(cuts), os.cpu_count() or 1, MAX_AT_ONCE))
    with ThreadPoolExecutor(n_workers) as pool:
        # a future keeps its result: few are ahead of what was taken, and those that were taken are let go of
        waiting = iter(cuts)
        futures = deque(pool.submit(work, window) for window in islice(waiting, AHEAD * n_workers))
        try:
            for window in cuts:
                yield window, futures.popleft().result()
                futures.extend(pool.submit(work, later) for later in islice(waiting, 1))
                progress.advance()
        finally:
            # After an error or Ctrl-C the windows that have not begun never begin.
            for future in futures:
                future.cancel()
