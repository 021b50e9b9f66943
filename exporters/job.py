"""What a writer is given, what it must return, and how two versions of the same points are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics

TOLERANCE_M = 0.5e-3
"""How far a point that is read back may lie from its source: the rounding of the coarsest format stays below a tenth
of it."""


class Mismatch(Exception):
    """A file that was read back is not what was meant to be written. `export` turns it into an error for the user."""


@dataclass(frozen=True, eq=False)
class Job:
    """One subject to be written: `take.motion` is already on the wanted rig and at the wanted rate."""

    take: SolvedTake
    units: str = "m"
    """`m` or `cm`: the unit of BVH, the one format that names none."""
    videos: Mapping[str, Path] | None = None
    """Footage of each camera, for formats that show it."""
    pixel_maps: Mapping[str, np.ndarray] | None = None
    """Affine maps [2 3] from the calibration's pixels to the footage's, where they differ by more than their size."""
    folder: Path | None = None
    """Where the files will stand in the end; None: where they are written."""

    @cached_property
    def joints_world(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations [frame joint 3 3] and positions [frame joint 3] of the motion."""
        m = self.take.motion
        return forward_kinematics(m.skeleton.parents, m.skeleton.offset_m, m.root_translation_m, m.local_wxyz)


@dataclass(frozen=True)
class Format:
    """One row of the table of formats."""

    name: str
    suffix: str
    """What follows the subject's name in the file name, e.g. `.bvh`."""
    write: Callable[[Job, Path], None]
    read_back: Callable[[Job, Path], float]
    """Reads the file by code that shares nothing with `write`, returns the largest distance from the source in
    metres."""
    about: str
    """Axes, unit and content in one line."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written, compared and published."""

    path: Path
    format: str
    seconds: float
    max_error_m: float
    """Largest distance between a point of the file and its source."""


def require(is_same: bool, what: str) -> None:
    """Raise Mismatch naming `what` unless it is the same."""
    if not is_same:
        raise Mismatch(what)


def max_distance_m(read_m: np.ndarray, source_m: np.ndarray, what: str) -> float:
    """Return the largest distance between points [... 3]; both must be NaN in the same places. Raises Mismatch."""
    read_m, source_m = np.asarray(read_m, np.float64), np.asarray(source_m, np.float64)
    require(read_m.shape == source_m.shape, f"{what}: {read_m.shape} values instead of {source_m.shape}")
    seen = np.isfinite(source_m).all(-1)
    require(bool((np.isfinite(read_m).all(-1) == seen).all()), f"{what}: other points are missing than in the source")
    distance = np.linalg.norm(read_m[seen] - source_m[seen], axis=-1)
    return float(distance.max()) if distance.size else 0.0
