# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The character: an armature with one key per frame, and a stick mesh that renders."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Quaternion, Vector

from .curves import Curves, changes
from .scene_file import Scene

_FALLBACK_LENGTH_M = 0.05
_MIN_LENGTH_M = 1e-4  # Blender deletes bones of no length when edit mode ends.


def add_armature(scene: Scene, collection: Any, first_frame: int, take_id: str) -> Any:
    """Return the armature object, animated. Bones keep the joints' names; heads are the joints, in metres."""
    data = bpy.data.armatures.new(scene.subject)
    data.display_type = "STICK"
    armature = bpy.data.objects.new(scene.subject, data)
    collection.objects.link(armature)
    armature.show_in_front = True
    _add_bones(armature, scene)
    _animate(armature, scene, first_frame, take_id)
    return armature


def bind_world(scene: Scene) -> tuple[list[Quaternion], list[Vector]]:
    """Return the world rotation and position of every joint in the bind pose."""
    rotations: list[Quaternion] = []
    positions: list[Vector] = []
    for j, parent in enumerate(scene.parents):
        local, offset = Quaternion(scene.bind_local_wxyz[j]), Vector(scene.offset_m[j])
        if parent < 0:
            rotations.append(local)
            positions.append(offset)
        else:
            rotations.append(rotations[parent] @ local)
            positions.append(positions[parent] + rotations[parent] @ offset)
    return rotations, positions


def _add_bones(armature: Any, scene: Scene) -> None:
    rotations, heads = bind_world(scene)
    view_layer = bpy.context.view_layer
    view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    main = _main_children(scene, heads)
    for j, name in enumerate(scene.joint_names):
        bone = bones.new(name)
        parent = scene.parents[j]
        bone.head = heads[j]
        bone.tail = heads[j] + _along(scene, j, main[j], rotations, heads)
        direction = (bone.tail - bone.head).normalized()
        # Bone X then is the axis that knees and elbows bend about: the rig faces +X in its bind pose.
        bone.align_roll(Vector((1, 0, 0)) if abs(direction.x) < 0.8 else Vector((0, 0, 1)))
        if parent >= 0:
            bone.parent = bones[scene.joint_names[parent]]
            bone.use_connect = main[parent] == j and (bone.parent.tail - bone.head).length < 1e-6
    bpy.ops.object.mode_set(mode="OBJECT")


def _main_children(scene: Scene, heads: list[Vector]) -> list[int | None]:
    """Return the child that each joint's bone points at: the one that goes on straightest, at the root the longest."""
    n = len(scene.parents)
    below = [1] * n
    for j in range(n - 1, 0, -1):
        below[scene.parents[j]] += below[j]
    main: list[int | None] = []
    for j in range(n):
        children = [c for c in range(n) if scene.parents[c] == j and (heads[c] - heads[j]).length > _MIN_LENGTH_M]
        parent = scene.parents[j]
        if not children:
            main.append(None)
        elif parent < 0 or (heads[j] - heads[parent]).length < _MIN_LENGTH_M:
            main.append(max(children, key=lambda c: below[c]))
        else:
            along = (heads[j] - heads[parent]).normalized()
            main.append(max(children, key=lambda c: (heads[c] - heads[j]).normalized().dot(along)))
    return main


def _along(scene: Scene, j: int, main: int | None, rotations: list[Quaternion], heads: list[Vector]) -> Vector:
    if main is not None:
        return heads[main] - heads[j]
    if np.isfinite(scene.tip_m[j]).all() and np.linalg.norm(scene.tip_m[j]) > _MIN_LENGTH_M:
        return rotations[j] @ Vector(scene.tip_m[j])
    parent = scene.parents[j]
    onward = heads[j] - heads[parent] if parent >= 0 else Vector((0, 0, 1))
    return (onward.normalized() if onward.length > _MIN_LENGTH_M else Vector((0, 0, 1))) * _FALLBACK_LENGTH_M


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of wxyz quaternions, broadcast."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def _continuous(q: np.ndarray) -> np.ndarray:
    """Return [frame 4] with signs such that neighbouring frames are closest, beginning with w >= 0."""
    flips = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    first = -1.0 if q[0, 0] < 0 else 1.0
    return q * (first * np.concatenate([[1.0], np.cumprod(flips)]))[:, None]


def _animate(armature: Any, scene: Scene, first_frame: int, take_id: str) -> None:
    """Key every joint at every frame.

    Blender's bones have axes of their own (Y along the bone). With the constant c = joint_from_bone, the pose of a
    bone against its rest is conj(c) conj(bind) local c; parents' axes cancel.
    """
    rotations, heads = bind_world(scene)
    frames = first_frame + np.arange(scene.n_frames)
    curves = Curves(armature, f"{scene.subject} motion", take_id)
    for j, name in enumerate(scene.joint_names):
        rest = armature.data.bones[name].matrix_local.to_quaternion()
        c = rotations[j].conjugated() @ rest
        left = (c.conjugated() @ Quaternion(scene.bind_local_wxyz[j]).conjugated()).normalized()
        q = _multiply(np.array(left), _multiply(scene.arrays["local_wxyz"][:, j], np.array(c)))
        armature.pose.bones[name].rotation_mode = "QUATERNION"
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"]'
        for axis, values in enumerate(_continuous(q).T):
            curves.add(f"{path}.rotation_quaternion", axis, frames, values, group=name)
        if scene.parents[j] < 0:
            in_bone = np.array(rest.to_matrix())
            moved = (scene.arrays["root_translation_m"] - np.array(heads[j])) @ in_bone
            for axis, values in enumerate(moved.T):
                curves.add(f"{path}.location", axis, frames, values, group=name)
    for i, name in enumerate(scene.contact_names):
        armature[f"contact {name}"] = 0.0
        touches = scene.arrays["contact"][:, i]
        at = changes(touches)
        curves.add(f'["contact {bpy.utils.escape_identifier(name)}"]', 0, frames[at], touches[at], "CONSTANT")


def add_sticks(scene: Scene, armature: Any, collection: Any, radius_m: float = 0.018) -> Any:
    """Return a mesh that follows the armature rigidly, one long diamond per bone: armatures themselves never render."""
    vertices: list[Vector] = []
    faces: list[tuple[int, ...]] = []
    owner: list[str] = []
    for bone in armature.data.bones:
        matrix, length, base = bone.matrix_local, bone.length, len(vertices)
        radius = min(radius_m, 0.25 * length)
        ring = [(radius, 0), (0, radius), (-radius, 0), (0, -radius)]
        local = [(0.0, 0.0, 0.0), *((x, 0.2 * length, z) for x, z in ring), (0.0, length, 0.0)]
        vertices += [matrix @ Vector(v) for v in local]
        for i in range(4):
            a, b = base + 1 + i, base + 1 + (i + 1) % 4
            faces += [(base, a, b), (base + 5, b, a)]
        owner += [bone.name] * 6
    mesh = bpy.data.meshes.new(f"{scene.subject} sticks")
    mesh.from_pydata(vertices, [], faces)
    sticks = bpy.data.objects.new(f"{scene.subject} sticks", mesh)
    for name in scene.joint_names:
        group = sticks.vertex_groups.new(name=name)
        group.add([i for i, o in enumerate(owner) if o == name], 1.0, "REPLACE")
    sticks.modifiers.new("Armature", "ARMATURE").object = armature
    sticks.parent = armature
    sticks.color = (1.0, 0.45, 0.1, 1.0)
    collection.objects.link(sticks)
    return sticks
