"""Progress and cancellation, passed beside the data; neither can change a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What long work calls. An implementation may raise `Cancelled` from `advance`."""

    def start(self, label: str, total: float | None) -> None:
        """Begin a piece of work of `total` units (None: unknown)."""
        ...

    def advance(self, amount: float = 1.0) -> None:
        """Count `amount` units as done. Raises Cancelled when the user asked to stop."""
        ...

    def finish(self) -> None:
        """End the piece of work begun last."""
        ...


class NoProgress:
    """Shows nothing and never cancels."""

    def start(self, label: str, total: float | None) -> None:
        """Ignore."""

    def advance(self, amount: float = 1.0) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


def track(items: Iterable[T], progress: Progress, label: str, total: float | None = None) -> Iterator[T]:
    """Yield `items` while reporting one unit per item."""
    progress.start(label, total)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.finish()
