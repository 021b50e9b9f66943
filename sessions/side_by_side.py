"""One progress for several equal pieces of work that run at once, such as the cameras of a stage."""

from __future__ import annotations

import threading

from mocap.core.progress import Progress


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
