"""Following people through one camera's video by where a person detector sees them every few frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

START_SCORE = 0.5
"""A person is followed from a detection of this score on."""
KEEP_SCORE = 0.3
"""A detection of this score is enough to go on following someone."""
MAX_PERSONS = 4


@dataclass(frozen=True, eq=False)
class Sighting:
    """A person as the detector gives one: the hips, and a point on the circle around them that holds the body."""

    hip_px: np.ndarray
    """[2]"""
    top_px: np.ndarray
    """[2] on the circle, beyond the head when standing."""
    score: float

    @property
    def radius_px(self) -> float:
        """Radius of the circle."""
        return float(np.hypot(*(self.top_px - self.hip_px)))

    def towards(self, other: Sighting, share: float) -> Sighting:
        """Return the sighting that lies `share` of the way to another one."""
        return Sighting(
            self.hip_px + share * (other.hip_px - self.hip_px),
            self.top_px + share * (other.top_px - self.top_px),
            self.score,
        )


def to_json(sightings: list[Sighting | None]) -> list[Any]:
    """Return sightings as JSON, exactly: Python writes as many digits as a number has."""
    return [None if s is None else [s.hip_px.tolist(), s.top_px.tolist(), float(s.score)] for s in sightings]


def from_json(data: list[Any]) -> list[Sighting | None]:
    """Return what `to_json` was given."""
    return [None if d is None else Sighting(np.array(d[0]), np.array(d[1]), d[2]) for d in data]


def distinct(sightings: list[Sighting]) -> list[Sighting]:
    """Return the best sighting of each person: of those whose hips are within half a radius, the one scored highest."""
    kept: list[Sighting] = []
    for s in sorted(sightings, key=lambda s: -s.score):
        if all(_distance(s, k) > 0.5 * max(s.radius_px, k.radius_px) for k in kept):
            kept.append(s)
    return kept


def _distance(a: Sighting, b: Sighting) -> float:
    return float(np.hypot(*(a.hip_px - b.hip_px)))


@dataclass
class PersonTracks:
    """Slots for people; a slot is one person over time as far as one camera can tell."""

    last: list[Sighting | None] = field(default_factory=lambda: [None] * MAX_PERSONS)
    """Where each slot's person was seen last; None: never used."""
    is_alive: list[bool] = field(default_factory=lambda: [False] * MAX_PERSONS)
    n_updates: int = 0
    """Key frames so far."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return {"last": to_json(self.last), "is_alive": list(self.is_alive), "n_updates": self.n_updates}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PersonTracks:
        """Return what `to_json` was called on."""
        return cls(from_json(data["last"]), list(data["is_alive"]), data["n_updates"])

    def update(self, sightings: list[Sighting]) -> list[Sighting | None]:
        """Return the sighting of each slot at this key frame, None where its person was not seen.

        Nearest pairs are joined first, while the hips moved less than 0.8 radii and the size changed less than
        two-fold; who is left over takes a slot whose person vanished nearby, else a fresh one.
        """
        self.n_updates += 1
        seen: list[Sighting | None] = [None] * MAX_PERSONS
        left = [s for s in sightings if s.score >= KEEP_SCORE]
        for slot, s in self._pairs(left):
            if seen[slot] is None and any(s is other for other in left):
                seen[slot] = s
                left = [other for other in left if other is not s]
        fresh = [slot for slot, previous in enumerate(self.last) if previous is None]
        for slot, s in zip(fresh, [s for s in left if s.score >= START_SCORE], strict=False):
            seen[slot] = s
        for slot, s in enumerate(seen):
            if s is not None:
                self.last[slot] = s
                self.is_alive[slot] = True
        return seen

    def _pairs(self, sightings: list[Sighting]) -> list[tuple[int, Sighting]]:
        """Return slots and sightings that may be one person, people who are still followed and near ones first."""
        pairs = []
        for slot, previous in enumerate(self.last):
            for s in sightings if previous is not None else ():
                assert previous is not None
                reach = (0.8 if self.is_alive[slot] else 1.5) * max(s.radius_px, previous.radius_px)
                ratio = s.radius_px / max(previous.radius_px, 1e-6)
                if _distance(s, previous) < reach and 0.5 < ratio < 2.0:
                    pairs.append((not self.is_alive[slot], _distance(s, previous) / reach, slot, s))
        return [(slot, s) for *_, slot, s in sorted(pairs, key=lambda pair: pair[:3])]
