"""Imports files into Blender with its default options and saves what is seen; run by an interpreter that has `bpy`.

    python blender_reader.py OUT.npz N_FRAMES FILE...

For each file: joint names, world positions at the time of each key, the object's count, and the key times in frames.
With `--render` as the last argument each import is also rendered with Workbench beside its file.
"""

from __future__ import annotations

import sys
from math import pi
from pathlib import Path
from typing import Any

import bpy
import numpy as np


def main(out: str, n_frames: int, files: list[str], is_rendered: bool) -> None:
    """Import each file and save the findings."""
    found: dict[str, Any] = {}
    for file in files:
        path = Path(file)
        bpy.ops.wm.read_factory_settings(use_empty=True)
        importer = {
            ".bvh": bpy.ops.import_anim.bvh,
            ".fbx": bpy.ops.import_scene.fbx,
            ".glb": bpy.ops.import_scene.gltf,
        }
        importer[path.suffix](filepath=file)
        for key, value in look(n_frames).items():
            found[f"{path.name}:{key}"] = value
        if is_rendered:
            render(path.with_name(path.name + ".png"))
    np.savez(out, **found)


def look(n_frames: int) -> dict[str, Any]:
    """Return what the scene holds."""
    scene = bpy.context.scene
    rig = next(o for o in scene.objects if o.type == "ARMATURE")
    action = rig.animation_data.action
    curve = max(action.fcurves, key=lambda c: len(c.keyframe_points))
    keys = np.array([k.co.x for k in curve.keyframe_points])
    positions = np.empty((len(keys), len(rig.pose.bones), 3))
    for i, key in enumerate(keys):
        scene.frame_set(int(key), subframe=float(key % 1.0))
        for j, bone in enumerate(rig.pose.bones):
            positions[i, j] = rig.matrix_world @ bone.head
    rest = np.array([rig.matrix_world @ b.head_local for b in rig.data.bones])
    return {
        "names": np.array([b.name for b in rig.pose.bones]),
        "positions": positions,
        "rest": rest,
        "keys": keys,
        "fps": scene.render.fps / scene.render.fps_base,
        "lengths": np.array([b.length for b in rig.data.bones]),
    }


def render(path: Path) -> None:
    """Save a Workbench picture of the scene from its front left, with bones as a mesh where there is none."""
    scene = bpy.context.scene
    rig = next(o for o in scene.objects if o.type == "ARMATURE")
    if not any(o.type == "MESH" and o.visible_get() for o in scene.objects):
        for bone in rig.pose.bones:
            a, b = rig.matrix_world @ bone.head, rig.matrix_world @ bone.tail
            bpy.ops.mesh.primitive_cone_add(
                vertices=4, radius1=0.12 * (b - a).length, depth=(b - a).length, location=(a + b) / 2,
                rotation=(b - a).to_track_quat("Z", "Y").to_euler(),
            )  # fmt: skip
    bpy.ops.mesh.primitive_plane_add(size=4, location=(0, 0, 0))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.rotation_euler = (2.2, -4.2, 1.5), (pi / 2 - 0.08, 0.0, 0.48)
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine = camera, "BLENDER_WORKBENCH"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.filepath = 480, 480, str(path)
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    is_rendered = sys.argv[-1] == "--render"
    files = sys.argv[3:-1] if is_rendered else sys.argv[3:]
    main(sys.argv[1], int(sys.argv[2]), files, is_rendered)
