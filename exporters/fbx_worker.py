"""Runs inside an interpreter that has Blender's module: writes an FBX and reads it back. Imports nothing of ours.

Called as `<python> fbx_worker.py JOB.npz` or `blender --background --factory-startup --python fbx_worker.py --
JOB.npz`. The job holds a skeleton and its motion in Y-up axes and centimetres. The armature is built in those axes
under an object that Blender turns upright; the exporter's own conversion undoes that turn, so the file's top node and
bones are free of corrections (no -90 degrees, no scale of 100), and its unit is the centimetre.
"""

from __future__ import annotations

import sys
from math import pi
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

ARMATURE = "Armature"
"""Unreal drops a top node of this name instead of making a bone of it."""
MAX_CHECKED_FRAMES = 400


def main(job_path: str) -> None:
    """Write and re-import one job; the re-import's findings go into the job's `check_path`."""
    with np.load(job_path, allow_pickle=False) as data:
        job = {key: data[key] for key in data.files}
    path, check_path = str(job["path"]), str(job["check_path"])
    _empty_scene()
    _set_rate(int(job["fps_numerator"]), int(job["fps_denominator"]))
    bpy.context.scene.unit_settings.scale_length = 0.01
    rig = _build_armature(job)
    _animate(rig, job)
    _write(path)
    np.savez(check_path, **_read(path, len(job["root_cm"])))


def _empty_scene() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def _set_rate(numerator: int, denominator: int) -> None:
    """Set an exact rational rate: Blender's is an integer over a float."""
    render = bpy.context.scene.render
    fps = max(1, round(numerator / denominator))
    render.fps, render.fps_base = fps, fps * denominator / numerator


def _build_armature(job: dict[str, np.ndarray]) -> Any:
    armature = bpy.data.armatures.new(ARMATURE)
    rig = bpy.data.objects.new(ARMATURE, armature)
    rig.rotation_euler = (pi / 2, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bones: list[Any] = []
    for name, parent, place, wxyz, length in zip(
        job["names"], job["parents"], job["rest_world_cm"], job["rest_world_wxyz"], job["length_cm"], strict=True
    ):
        bone = armature.edit_bones.new(str(name))
        bone.tail = (0.0, float(length), 0.0)
        bone.matrix = Matrix.LocRotScale(Vector(place), Quaternion(wxyz), None)
        bone.parent = bones[parent] if parent >= 0 else None
        bones.append(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def _animate(rig: Any, job: dict[str, np.ndarray]) -> None:
    """Key every frame of every bone, relative to the rest pose that Blender really stored."""
    n = len(job["root_cm"])
    frames = np.arange(n, dtype=np.float64)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 0, max(n - 1, 0)
    curves = _curves(rig)
    for j, name in enumerate(job["names"]):
        bone, pose = rig.data.bones[str(name)], rig.pose.bones[str(name)]
        rest = bone.matrix_local if bone.parent is None else bone.parent.matrix_local.inverted() @ bone.matrix_local
        pose.rotation_mode = "QUATERNION"
        inverse = np.array(rest.to_quaternion().conjugated())
        basis = _multiply(np.tile(inverse, (n, 1)), job["local_wxyz"][:, j])
        _key(curves, pose, "rotation_quaternion", frames, basis)
        if bone.parent is None:
            turn = np.array(rest.to_3x3())
            _key(curves, pose, "location", frames, (job["root_cm"] - np.array(rest.translation)) @ turn)
    # The exporter writes the pose of the moment as the rest pose: let go of the action, which it still finds and bakes.
    rig.animation_data.action = None
    for pose in rig.pose.bones:
        pose.matrix_basis = Matrix.Identity(4)
    bpy.context.view_layer.update()


def _curves(rig: Any) -> Any:
    """Return the curve list of a new action on the rig, in the form that this version of Blender has."""
    action = bpy.data.actions.new("take")
    rig.animation_data_create().action = action
    if not hasattr(action, "slots"):
        return action.fcurves
    slot = action.slots.new(id_type="OBJECT", name=rig.name)
    rig.animation_data.action_slot = slot
    return action.layers.new("take").strips.new(type="KEYFRAME").channelbag(slot, ensure=True).fcurves


def _key(curves: Any, pose: Any, channel: str, frames: np.ndarray, values: np.ndarray) -> None:
    for i in range(values.shape[1]):
        curve = curves.new(data_path=pose.path_from_id(channel), index=i)
        curve.keyframe_points.add(len(frames))
        curve.keyframe_points.foreach_set("co", np.stack([frames, values[:, i]], -1).astype(np.float32).ravel())
        curve.keyframe_points.foreach_set("interpolation", np.ones(len(frames), np.int32))
        curve.update()


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = a[:, 0] * b[:, 0] - (a[:, 1:] * b[:, 1:]).sum(-1)
    return np.column_stack([w, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])])


def _write(path: str) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path,
        object_types={"ARMATURE"},
        add_leaf_bones=False,
        apply_unit_scale=True,
        apply_scale_options="FBX_SCALE_NONE",
        axis_forward="-Z",
        axis_up="Y",
        bake_anim=True,
        bake_anim_use_all_bones=True,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=True,
        bake_anim_force_startend_keying=True,
        bake_anim_step=1.0,
        bake_anim_simplify_factor=0.0,
    )


def _read(path: str, n_frames: int) -> dict[str, Any]:
    """Import the file with Blender's default options into an untouched scene and return what is seen there."""
    _empty_scene()
    bpy.ops.import_scene.fbx(filepath=path)
    scene = bpy.context.scene
    rig = next(o for o in scene.objects if o.type == "ARMATURE")
    keys = _key_frames(rig)
    n_frames = min(n_frames, len(keys))
    # Long takes are checked on frames spread over their whole length: stepping Blender through each costs 1 ms and
    # more.
    count = min(n_frames, MAX_CHECKED_FRAMES)
    frames = np.unique(np.linspace(0, n_frames - 1, count).round().astype(int)) if n_frames else np.zeros(0, int)
    positions = np.empty((len(frames), len(rig.pose.bones), 3))
    for i, f in enumerate(frames):
        scene.frame_set(int(keys[f]), subframe=float(keys[f] % 1.0))
        for j, bone in enumerate(rig.pose.bones):
            positions[i, j] = rig.matrix_world @ bone.head
    return {
        "names": np.array([b.name for b in rig.pose.bones]),
        "n_objects": len(scene.objects),
        "rest_world_m": np.array([rig.matrix_world @ bone.head_local for bone in rig.data.bones]),
        "frames": frames,
        "positions_world_m": positions,
        "fps": scene.render.fps / scene.render.fps_base,
        "keys": keys,
        # Blender's importer multiplies key times by the rounded rate: at 60000/1001 its keys lie 1.001 frames apart.
        "key_step": np.array([1.0, scene.render.fps_base]),
    }


def _key_frames(rig: Any) -> np.ndarray:
    """Return the frames, not always whole ones, that the importer put the keys of the first channel on."""
    action = rig.animation_data.action if rig.animation_data else None
    if action is None:
        return np.zeros(0)
    if hasattr(action, "slots"):
        curves = action.layers[0].strips[0].channelbag(action.slots[0]).fcurves
    else:
        curves = action.fcurves
    frames = np.empty(2 * len(curves[0].keyframe_points), np.float32)
    curves[0].keyframe_points.foreach_get("co", frames)
    return frames[0::2].astype(np.float64)


if __name__ == "__main__":
    main(sys.argv[-1])
