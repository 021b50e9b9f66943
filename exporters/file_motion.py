"""A motion in the axes of Y-up files, with the joint frames that a format should show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap.core.conventions import YUP_FROM_WORLD_WXYZ, yup_from_world
from mocap.core.skeleton import Motion
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import (
    matrix_to_quat,
    quat_conjugate,
    quat_continuous,
    quat_multiply,
    quat_rotate,
)


@dataclass(frozen=True, eq=False)
class FileMotion:
    """Joints and their motion, metres, Y up, parents first."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest_m: np.ndarray
    """[joint 3] origin in the parent's frame at rest; the root's in the file's world."""
    rest_wxyz: np.ndarray
    """[joint 4] rotation parent_from_joint at rest."""
    root_m: np.ndarray
    """[frame 3] the root's place."""
    local_wxyz: np.ndarray
    """[frame joint 4] parent_from_joint, continuous in time."""
    tip_m: np.ndarray
    """[joint 3] end of leaf bones in their own frame; NaN for others."""

    def rest_world(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rotations [joint 3 3] and positions [joint 3] at rest in the file's world."""
        R, positions = forward_kinematics(self.parents, self.rest_m, self.rest_m[:1], self.rest_wxyz[None])
        return R[0], positions[0]

    def bone_ends_m(self) -> np.ndarray:
        """Return where each joint's bone ends [joint 3], in the joint's frame: a child, or a leaf's tip.

        Of several children the one that goes on straightest, a hand's middle finger, and the root's first.
        """
        ends = self.tip_m.copy()
        place = self.rest_world()[1]
        for j, parent in enumerate(self.parents):
            children = [c for c, p in enumerate(self.parents) if p == j]
            if children:
                ways = _unit(place[children] - place[j])
                ends[j] = self.rest_m[children[0 if parent < 0 else int((ways @ (place[j] - place[parent])).argmax())]]
        return ends


def in_file_axes(motion: Motion) -> FileMotion:
    """Return the motion in Y-up axes.

    Rigs whose joints are all aligned with the world at bind stay so in the file: their joint axes turn with the
    world. Rigs with bone axes of their own keep them, and only the root is turned.
    """
    skeleton, c = motion.skeleton, YUP_FROM_WORLD_WXYZ
    rest_m, rest, local, tip = skeleton.offset_m.copy(), skeleton.bind_local_wxyz, motion.local_wxyz, skeleton.tip_m
    rest_m[0] = yup_from_world(rest_m[0])
    if np.allclose(np.abs(rest[:, 0]), 1.0):
        rest_m[1:], tip = yup_from_world(rest_m[1:]), yup_from_world(tip)
        local = quat_multiply(quat_multiply(c, local), quat_conjugate(c))
    else:
        rest, local = rest.copy(), local.copy()
        rest[0] = quat_multiply(c, rest[0])
        local[:, 0] = quat_multiply(c, local[:, 0])
    root_m = yup_from_world(motion.root_translation_m)
    return FileMotion(
        skeleton.joint_names, skeleton.parents, rest_m, rest, root_m, quat_continuous(local), np.asarray(tip)
    )


def along_bones(motion: FileMotion) -> FileMotion:
    """Return the same motion with each joint's Y axis along its bone and its Z axis forward (up if the bone is).

    This is how Blender and Mixamo characters are built: joints that are aligned with the world would all show as bones
    that stand upright. Rigs with bone axes of their own are returned as they are.
    """
    if not np.allclose(np.abs(motion.rest_wxyz[:, 0]), 1.0):
        return motion
    along = _unit(motion.bone_ends_m())
    is_forward = np.abs(along[:, 2:]) > 0.8
    side = _unit(np.cross(along, np.where(is_forward, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])))
    axes = matrix_to_quat(np.stack([side, along, np.cross(side, along)], -1))
    parent = np.array(motion.parents)
    parent_axes = np.where((parent >= 0)[:, None], axes[parent], [1.0, 0.0, 0.0, 0.0])
    turn = quat_conjugate(parent_axes)
    return replace(
        motion,
        rest_m=quat_rotate(turn, motion.rest_m),
        rest_wxyz=quat_multiply(turn, axes),
        local_wxyz=quat_continuous(quat_multiply(quat_multiply(turn, motion.local_wxyz), axes)),
        tip_m=quat_rotate(quat_conjugate(axes), motion.tip_m),
    )


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def bone_shapes(motion: FileMotion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a mesh of eight-sided bones: vertices [v 3] in the file's world at rest, joint [v], triangles [n 3].

    Each bone runs from its joint to each of its children, or to its tip, and belongs to its joint alone.
    """
    R, place = motion.rest_world()
    pieces = [(p, place[j]) for j, p in enumerate(motion.parents) if p >= 0]
    leaves = [j for j, tip in enumerate(motion.tip_m) if np.isfinite(tip).all()]
    pieces += [(j, place[j] + R[j] @ motion.tip_m[j]) for j in leaves]
    vertices: list[np.ndarray] = []
    owners: list[int] = []
    triangles: list[list[int]] = []
    for joint, end in pieces:
        start, axis = place[joint], end - place[joint]
        length = float(np.linalg.norm(axis))
        if length < 1e-6:
            continue
        other = np.eye(3)[np.argmin(np.abs(axis))]
        u = np.cross(axis / length, other)
        u /= np.linalg.norm(u)
        v = np.cross(axis / length, u)
        waist, half = start + 0.12 * axis, 0.08 * length
        corners = [start, waist + half * u, waist + half * v, waist - half * u, waist - half * v, end]
        first = len(vertices)
        vertices += corners
        owners += [joint] * len(corners)
        for a in range(4):
            b = (a + 1) % 4
            # Outward faces: anticlockwise seen from outside.
            triangles += [[first, first + 1 + b, first + 1 + a], [first + 5, first + 1 + a, first + 1 + b]]
    return np.array(vertices), np.array(owners), np.array(triangles)
