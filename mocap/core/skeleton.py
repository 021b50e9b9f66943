"""Skeletons and their motion. Joint frames: R_world[j] = R_world[parent] @ R(local_wxyz[j])."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.timeline import Timeline


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A joint tree with its bind pose, parents before children, joint 0 the root.

    The studio's own rig has identity bind rotations and a T-pose bind: facing world +X, left arm along +Y, Z up.
    Other rigs (UE5) have bind rotations of their own.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the root."""
    offset_m: np.ndarray
    """[joint 3] origin of each joint in its parent's frame; the root's is its place in the bind pose, in the world."""
    bind_local_wxyz: np.ndarray
    """[joint 4] bind rotation parent_from_joint of each joint (root: world_from_root)."""
    tip_m: np.ndarray
    """[joint 3] end of a leaf bone in the leaf's frame (BVH End Site); NaN for joints with children."""

    def __post_init__(self) -> None:
        n = len(self.joint_names)
        if (
            len(self.parents) != n
            or self.parents[0] != -1
            or any(not 0 <= p < j for j, p in enumerate(self.parents) if j)
        ):
            raise ValueError("parents must list one earlier joint per joint, and -1 for the root alone")
        if len(set(self.joint_names)) != n:
            raise ValueError(f"joint names must be unique, got {self.joint_names}")
        object.__setattr__(self, "offset_m", frozen(self.offset_m, np.float64, (n, 3), "offset_m"))
        object.__setattr__(self, "bind_local_wxyz", frozen(self.bind_local_wxyz, np.float64, (n, 4), "bind_local_wxyz"))
        object.__setattr__(self, "tip_m", frozen(self.tip_m, np.float64, (n, 3), "tip_m"))
        leaf = ~np.isin(np.arange(n), self.parents)
        if (np.isfinite(self.tip_m).all(-1) != leaf).any():
            raise ValueError("exactly the leaf joints have a tip")

    def index(self, joint_name: str) -> int:
        """Return the index of a joint. Raises KeyError naming the available ones."""
        if joint_name not in self.joint_names:
            raise KeyError(f"no joint {joint_name!r} in {self.name}; available: {', '.join(self.joint_names)}")
        return self.joint_names.index(joint_name)

    def __len__(self) -> int:
        return len(self.joint_names)


@dataclass(frozen=True, eq=False)
class Motion:
    """A skeleton moving along a timeline, in the world (metres, Z up)."""

    skeleton: Skeleton
    timeline: Timeline
    root_translation_m: np.ndarray
    """[frame 3] world position of the root joint."""
    local_wxyz: np.ndarray
    """[frame joint 4] unit quaternions parent_from_joint (bind rotation included), continuous in time."""

    def __post_init__(self) -> None:
        f, j = self.timeline.n_frames, len(self.skeleton)
        object.__setattr__(
            self, "root_translation_m", frozen(self.root_translation_m, np.float64, (f, 3), "root_translation_m")
        )
        object.__setattr__(self, "local_wxyz", frozen(self.local_wxyz, np.float64, (f, j, 4), "local_wxyz"))
        if not np.isfinite(self.root_translation_m).all():
            raise ValueError("root translation must be finite")
        if not np.allclose(np.linalg.norm(self.local_wxyz, axis=-1), 1.0, atol=1e-6):
            raise ValueError("local rotations must be finite unit quaternions")
