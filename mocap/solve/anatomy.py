"""What a joint tree that is solved is made of: joints, their degrees of freedom, and where landmarks sit on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Joint:
    """One joint: its place in the parent's frame, and the axes it turns about in its own frame."""

    name: str
    parent: str
    offset_m: Vector
    axes: tuple[Vector, ...]
    """Three axes: a ball joint. Two: swing without twist. One: a hinge. None: rigid."""
    prior_deg: float
    """Standard deviation of the pull towards the pose at rest, for what nothing measures."""
    length_name: str = ""
    """Segment whose estimated length scales `offset_m`; left and right are held alike. Empty: scales with the body."""
    rest_deg: tuple[float, ...] = ()
    """Turn about each axis in the pose at rest; empty: the bind pose."""


@dataclass(frozen=True)
class Landmark:
    """Where a canonical landmark sits."""

    joint: str
    offset_m: Vector
    is_free: bool
    """Whether the offset is estimated per performer; else the landmark is the joint's own centre."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A joint tree, parents before children; all bind rotations are identity."""

    joints: tuple[Joint, ...]
    landmarks: Mapping[str, Landmark]
    shared: str = ""
    """Segment name that joints share: one factor for all of them, as for the bones of a spine."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the joints."""
        return tuple(j.name for j in self.joints)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Index of each joint's parent, -1 for the root."""
        return tuple(self.names.index(j.parent) if j.parent else -1 for j in self.joints)

    @cached_property
    def offsets_m(self) -> np.ndarray:
        """[joint 3] place of each joint in its parent's frame, of the reference body."""
        return np.array([j.offset_m for j in self.joints])

    @cached_property
    def segments(self) -> tuple[tuple[int, ...], ...]:
        """Return the joints of each estimated factor: those of `shared` have one, every other has its own."""
        long = [i for i, j in enumerate(self.joints) if j.length_name]
        shared = tuple(i for i in long if self.joints[i].length_name == self.shared)
        return (*((shared,) if shared else ()), *((i,) for i in long if i not in shared))

    @cached_property
    def segment_names(self) -> tuple[str, ...]:
        """Name of each segment: that of the joint at its far end."""
        return tuple(self.joints[at[0]].name if len(at) == 1 else self.shared.capitalize() for at in self.segments)
