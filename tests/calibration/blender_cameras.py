"""Runs in a process with Blender's module: `blender_cameras.py SCRIPT POINTS.json OUT.json PICTURE.png`.

Runs the script of cameras as a user would, and tells where Blender sees points of the world through each camera, and
where a small sphere at the first point is in a render of the first camera.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector


def main(script: str, points_file: str, out: str, picture: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    made = runpy.run_path(script)
    with open(points_file, encoding="utf-8") as file:
        points = json.load(file)
    scene = bpy.context.scene
    seen = {}
    for name in [entry["name"] for entry in made["CAMERAS"]]:
        made["look_through"](name)
        bpy.context.view_layer.update()
        width, height = scene.render.resolution_x, scene.render.resolution_y
        at = [world_to_camera_view(scene, scene.camera, Vector(p)) for p in points]
        # (0, 0) is the lower left corner of the picture.
        seen[name] = [[u * width - 0.5, (1 - v) * height - 0.5] for u, v, _ in at]
    made["look_through"](made["CAMERAS"][0]["name"])
    render_sphere(scene, points[0], picture)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(seen, file)


def render_sphere(scene: bpy.types.Scene, point: list[float], picture: str) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.05, location=point)
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.light = "FLAT"
    scene.display.shading.color_type = "SINGLE"
    scene.display.shading.single_color = (1, 1, 1)
    scene.view_settings.view_transform = "Standard"
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = picture
    bpy.ops.render.render(write_still=True)


main(*sys.argv[1:])
sys.stdout.flush()
os._exit(0)
