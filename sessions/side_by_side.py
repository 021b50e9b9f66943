"""Several equal pieces of work that run at once, such as the cameras of a stage, and one progress for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from mocap.core.progress import Progress

J = TypeVar("J")
R = TypeVar("R")


def all_of(work: Callable[[J], R], jobs: Sequence[J], n_threads: int) -> list[R]:
    """Return the results of jobs that run at once, in their order.

    After an error or Ctrl-C the jobs that have not begun never begin, and those that have are over when this returns.
    """
    gate = _Gate()
    try:
        with ThreadPoolExecutor(min(n_threads, len(jobs))) as pool:
            futures = [pool.submit(gate.through, work, job) for job in jobs]
            try:
                return [f.result() for f in futures]
            finally:
                for future in futures:
                    future.cancel()
    finally:
        # A pool that is interrupted while it starts a thread does not know that thread and does not wait for it.
        gate.close()


@dataclass(eq=False)
class _Gate:
    """Counts who is at work; once closed, nobody is and nobody begins."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    n_working: int = 0
    is_open: bool = True

    def through(self, work: Callable[[J], R], job: J) -> R:
        with self.changed:
            if not self.is_open:
                raise RuntimeError("this work was given up")
            self.n_working += 1
        try:
            return work(job)
        finally:
            with self.changed:
                self.n_working -= 1
                self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.is_open = False
            self.changed.wait_for(lambda: self.n_working == 0)


class SideBySide:
    """Counts parts of the piece of work that is open in `progress`, whose total is the number of parts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    def part(self) -> Part:
        """Return the progress of one more part."""
        return Part(self)

    def count(self, share: float) -> None:
        """Count a share of one part as done. Raises Cancelled when the user asked to stop."""
        with self._lock:
            self._progress.advance(share)


class Part:
    """What one part is told to report to; an implementation of `mocap.core.progress.Progress`.

    Only its outermost pieces of work of known size count; together they are never more than the whole part.
    """

    def __init__(self, whole: SideBySide) -> None:
        self._whole = whole
        self._totals: list[float | None] = []
        self._counted = 0.0

    def start(self, label: str, total: float | None) -> None:
        """Begin a piece of work; its label is that of the whole."""
        self._totals.append(total)
        self._whole.count(0.0)

    def advance(self, amount: float = 1.0) -> None:
        """Count work as done. Raises Cancelled when the user asked to stop."""
        total = self._totals[0] if len(self._totals) == 1 else None
        share = min(amount / total, 1.0 - self._counted) if total else 0.0
        self._counted += share
        self._whole.count(share)

    def finish(self) -> None:
        """End the piece of work begun last."""
        if self._totals:
            self._totals.pop()

    def close(self) -> None:
        """Count what is left of the part."""
        left, self._counted = 1.0 - self._counted, 1.0
        self._whole.count(left)
