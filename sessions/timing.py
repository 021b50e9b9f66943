"""Where the time went: laps that leave no gap, so that they add up to the total."""

from __future__ import annotations

import time
from collections.abc import Mapping

OTHER = "other"


class Laps:
    """Names the time since the last lap."""

    def __init__(self) -> None:
        self._last_s = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Give the time since the last lap to `name`."""
        now = time.perf_counter()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last_s
        self._last_s = now

    def laps(self, seconds: Mapping[str, float]) -> None:
        """Give the time since the last lap to several names; what they do not explain is `other`."""
        now = time.perf_counter()
        left = now - self._last_s - sum(seconds.values())
        for name, value in {**seconds, OTHER: left}.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + value
        self._last_s = now

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by name, and their sum as `total`."""
        rounded = {name: round(value, 4) for name, value in self._seconds.items()}
        return {**rounded, "total": round(sum(rounded.values()), 4)}
