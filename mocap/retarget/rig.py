"""Target rigs: skeletons with their bind pose, and which studio joint drives each joint.

A rig is a TOML file in `mocap/retarget/rigs`: `name`, and one `[[joints]]` table per joint, parents first, with
`name`, `parent` (absent for the root), `offset_m` in the parent's frame (the root's is its place in the world),
`bind_wxyz` parent_from_joint (identity when absent), `tip_m` for leaves, `studio` (the studio joint whose turn it
follows; absent: it keeps its bind rotation), `place` (the studio joint that it sits on in the performer's proportions:
`studio` when absent, "none": none) and, instead of `studio`, `chain`: the first studio joint of a chain and the one
after its last, for bones that together lie along that chain but are cut otherwise (spines). The joint after them has
that last one as its `place`. `finger` instead of `studio` names a joint that only motions with fingers have: in others
the joint keeps its bind rotation.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from mocap.core.errors import InputError
from mocap.core.skeleton import Skeleton
from mocap.kernels.kinematics import forward_kinematics


@dataclass(frozen=True, eq=False)
class TargetRig:
    """A rig that motion can be transferred to."""

    skeleton: Skeleton
    """The rig in its own proportions."""
    studio_joints: tuple[str, ...]
    """For each joint the studio joint that it follows; '' for joints that keep their bind rotation."""
    places: tuple[str, ...]
    """For each joint the studio joint that it sits on in the performer's proportions; '' for none."""
    chains: Mapping[tuple[str, str], tuple[int, ...]]
    """Joints that lie along a chain of studio joints, by the chain's first joint and the one after its last."""
    fingers: tuple[str, ...]
    """For each joint the studio's finger joint that it follows and sits on in motions that have it; '' for none."""

    @property
    def name(self) -> str:
        """The rig's name."""
        return self.skeleton.name

    def driven_by(self, source: Skeleton) -> TargetRig:
        """Return the rig as a motion on `source` drives it: with its fingers, as far as that has any."""
        fingers = [name if name in source.joint_names else "" for name in self.fingers]
        return replace(
            self,
            studio_joints=tuple(a or b for a, b in zip(self.studio_joints, fingers, strict=True)),
            places=tuple(a or b for a, b in zip(self.places, fingers, strict=True)),
        )


def bind_pose(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations [joint 3 3] and positions [joint 3] of a skeleton's bind pose."""
    R, positions = forward_kinematics(
        skeleton.parents, skeleton.offset_m, skeleton.offset_m[:1], skeleton.bind_local_wxyz[None]
    )
    return R[0], positions[0]


def target_names() -> tuple[str, ...]:
    """Return the names of the rigs that motion can be transferred to."""
    files = resources.files("mocap.retarget.rigs").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def target_rig(name: str) -> TargetRig:
    """Return a rig by name. Raises InputError `rig-unknown` naming the available ones."""
    if name not in target_names():
        raise InputError(
            "rig-unknown",
            f"Unknown target rig {name!r}; available: {', '.join(target_names())}.",
            "Choose one of these.",
        )
    data = tomllib.loads(resources.files("mocap.retarget.rigs").joinpath(f"{name}.toml").read_text("utf-8"))
    joints = data["joints"]
    at = {joint["name"]: i for i, joint in enumerate(joints)}
    skeleton = Skeleton(
        name=data["name"],
        joint_names=tuple(at),
        parents=tuple(at[joint["parent"]] if "parent" in joint else -1 for joint in joints),
        offset_m=np.array([joint["offset_m"] for joint in joints], np.float64),
        bind_local_wxyz=_unit(np.array([joint.get("bind_wxyz", [1.0, 0.0, 0.0, 0.0]) for joint in joints], np.float64)),
        tip_m=np.array([joint.get("tip_m", [np.nan] * 3) for joint in joints], np.float64),
    )
    places = (joint.get("place", joint.get("studio", "none")) for joint in joints)
    return TargetRig(
        skeleton,
        studio_joints=tuple(joint.get("studio", "") for joint in joints),
        places=tuple("" if place == "none" else place for place in places),
        chains=_chains(joints),
        fingers=tuple(joint.get("finger", "") for joint in joints),
    )


def _chains(joints: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, ...]]:
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for i, joint in enumerate(joints):
        if "chain" in joint:
            first, end = joint["chain"]
            found[first, end] = (*found.get((first, end), ()), i)
    return found


def _unit(q_wxyz: np.ndarray) -> np.ndarray:
    return q_wxyz / np.linalg.norm(q_wxyz, axis=-1, keepdims=True)
