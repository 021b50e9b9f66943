"""Runs inside Blender's module: `worker.py FOLDER ZIP SCENE FIRST_FRAME`; writes FOLDER/result.json.

Ends by `os._exit`: with movie clips loaded, the module can wait for ever for its threads at a normal exit.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

MODULE = "bl_ext.user_default.mocap_studio"


def main(folder: Path, zip_path: str, scene_path: str, first_frame: int) -> dict[str, Any]:
    """Install, import, look at everything, unregister."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    types_before = set(dir(bpy.types))
    menu_before = menu_functions()
    bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True)
    seen: dict[str, Any] = {"installed": MODULE in bpy.context.preferences.addons}
    bpy.ops.import_scene.mocap_studio(filepath=scene_path, first_frame=first_frame, with_sticks=True)
    scene = bpy.context.scene
    render = scene.render
    seen |= {
        "fps": [render.fps, render.fps_base],
        "range": [scene.frame_start, scene.frame_end],
        "markers": sorted([m.frame, m.name] for m in scene.timeline_markers),
        "top_collections": [c.name for c in scene.collection.children],
        "joints": joints(scene, first_frame),
        "bones": {b.name: [b.length, [*b.matrix_local.col[1]][:3]] for b in bpy.data.objects["subject_0"].data.bones},
        "quaternion_step": quaternion_step(),
        "contact": contact(scene, first_frame),
        "empties": empties(scene, first_frame),
        "cameras": cameras(scene, first_frame),
        "clips": clips(),
        "sticks": sticks(scene, first_frame),
        "pictures": pictures(scene, folder, first_frame),
    }
    seen["errors"] = [error_of(folder / "nothing.scene.json")]
    seen["counts"] = [counts()]
    bpy.ops.import_scene.mocap_studio(filepath=scene_path, first_frame=first_frame, with_sticks=True)
    seen["counts"].append(counts())
    bpy.ops.import_scene.mocap_studio(filepath=scene_path, replace=False, with_sticks=True)
    seen["counts"].append(counts())
    # Last: Blender goes on building in a thread of its own, which must not lose its clip.
    seen["undistorted"] = undistorted(folder)
    bpy.ops.preferences.addon_disable(module=MODULE)
    seen["left_behind"] = sorted(set(dir(bpy.types)) - types_before)
    seen["menu_is_as_before"] = menu_functions() == menu_before
    return seen


def menu_functions() -> list[str]:
    """Return what draws the menu File > Import."""
    draw = bpy.types.TOPBAR_MT_file_import.draw
    return [f.__module__ + "." + f.__name__ for f in getattr(draw, "_draw_funcs", [])]


def error_of(path: Path) -> str:
    """Return what the importer reports for a file that it cannot read."""
    try:
        bpy.ops.import_scene.mocap_studio(filepath=str(path))
    except RuntimeError as error:
        return str(error)
    return ""


def joints(scene: Any, first_frame: int) -> dict[str, list[list[float]]]:
    """Return world positions of all joints at some frames of the take."""
    armature = bpy.data.objects["subject_0"]
    found: dict[str, list[list[float]]] = {}
    for frame in (0, 7, 19, 30):
        scene.frame_set(first_frame + frame)
        found[str(frame)] = [[*(armature.matrix_world @ b.head)] for b in armature.pose.bones]
    return found


def quaternion_step() -> float:
    """Return the largest change of any quaternion component between neighbouring keys."""
    step = 0.0
    for curve in bpy.data.objects["subject_0"].animation_data.action.fcurves:
        if curve.data_path.endswith("rotation_quaternion"):
            values = [k.co[1] for k in curve.keyframe_points]
            step = max(step, *(abs(b - a) for a, b in itertools.pairwise(values)))
    return step


def contact(scene: Any, first_frame: int) -> list[bool]:
    """Return the contact of the left foot at every frame."""
    found: list[bool] = []
    for frame in range(31):
        scene.frame_set(first_frame + frame)
        found.append(bool(bpy.data.objects["subject_0"]["contact LeftFoot"]))
    return found


def empties(scene: Any, first_frame: int) -> dict[str, Any]:
    """Return where the left wrist's empty is, when it is hidden and keyed, and which empties there are."""
    wrist = bpy.data.objects["LWrist"]
    scene.frame_set(first_frame + 9)
    hidden = wrist.hide_viewport
    scene.frame_set(first_frame + 14)
    return {
        "names": [o.name for o in bpy.data.objects if o.type == "EMPTY"],
        "hidden_at_9": hidden,
        "hidden_at_14": wrist.hide_viewport,
        "at_14": [*wrist.matrix_world.translation],
        "keys": len(wrist.animation_data.action.fcurves.find("location", index=0).keyframe_points),
    }


def cameras(scene: Any, first_frame: int) -> dict[str, Any]:
    """Return each camera's pixels of all joints at frame 19, as Blender's camera projects them."""
    scene.frame_set(first_frame + 19)
    armature = bpy.data.objects["subject_0"]
    found: dict[str, Any] = {}
    for view in [o for o in bpy.data.objects if o.type == "CAMERA"]:
        bpy.ops.mocap_studio.look_through(camera=view.name)
        size = (scene.render.resolution_x, scene.render.resolution_y)
        pixels: list[list[float]] = []
        for bone in armature.pose.bones:
            at = world_to_camera_view(scene, view, Vector(armature.matrix_world @ bone.head))
            pixels.append([at.x * size[0] - 0.5, (1 - at.y) * size[1] - 0.5])
        backgrounds = [b.clip.name for b in view.data.background_images if b.clip]
        found[view.name] = {"size": size, "pixels": pixels, "backgrounds": backgrounds}
    return found


def clips() -> dict[str, Any]:
    """Return the timing of every clip."""
    return {c.name: [c.frame_start, c.frame_duration, c.animation_data is not None] for c in bpy.data.movieclips}


def sticks(scene: Any, first_frame: int) -> list[float]:
    """Return the place of the first vertex of the mesh, which is the root joint, at frame 19."""
    scene.frame_set(first_frame + 19)
    item = bpy.data.objects["subject_0 sticks"].evaluated_get(bpy.context.evaluated_depsgraph_get())
    return [*(item.matrix_world @ item.data.vertices[0].co)]


def pictures(scene: Any, folder: Path, first_frame: int) -> dict[str, list[str]]:
    """Render what the clips of cam1 and cam2 show at some frames, through the compositor."""
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    source = tree.nodes.new("CompositorNodeMovieClip")
    tree.links.new(source.outputs["Image"], tree.nodes.new("CompositorNodeComposite").inputs[0])
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.view_settings.view_transform = "Standard"
    found: dict[str, list[str]] = {}
    for name in ("cam1", "cam2"):
        bpy.ops.mocap_studio.look_through(camera=name)
        source.clip = bpy.data.movieclips[f"subject_0 {name}"]
        found[name] = []
        for frame in (0, 7, 19, 30):
            scene.frame_set(first_frame + frame)
            scene.render.filepath = str(folder / f"{name}_{frame}.png")
            bpy.ops.render.render(write_still=True)
            found[name].append(scene.render.filepath)
    return found


def undistorted(folder: Path) -> list[str]:
    """Let Blender undistort cam2's footage to files, by the code that its viewport uses."""
    clip = bpy.data.movieclips["subject_0 cam2"]
    clip.use_proxy = clip.use_proxy_custom_directory = True
    clip.proxy.directory = str(folder / "proxy")
    clip.proxy.build_25, clip.proxy.build_undistorted_100, clip.proxy.quality = False, True, 100
    window = bpy.context.window
    area = window.screen.areas[0]
    area.type = "CLIP_EDITOR"
    area.spaces.active.clip = clip
    with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
        bpy.ops.clip.rebuild_proxy()
    found: list[str] = []
    for _ in range(200):
        found = [str(p) for p in sorted((folder / "proxy").rglob("*.jpg")) if p.stat().st_size]
        if len(found) > 1:
            break
        time.sleep(0.01)
    return found


def counts() -> dict[str, int]:
    """Return how many data blocks of each kind there are."""
    data = bpy.data
    kinds = ("objects", "actions", "movieclips", "cameras", "armatures", "meshes", "collections")
    return {k: len(getattr(data, k)) for k in kinds} | {"markers": len(bpy.context.scene.timeline_markers)}


if __name__ == "__main__":
    out = Path(sys.argv[1])
    try:
        result = main(out, sys.argv[2], sys.argv[3], int(sys.argv[4]))
        (out / "result.json").write_text(json.dumps(result), "utf-8")
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
