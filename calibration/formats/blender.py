"""Cameras for Blender: a Python script that makes them, with the calibration inside, from which it is read back.

Blender's cameras are pinholes (look along -Z, Y up) with one focal length, a shift in shares of the picture's width,
and a pixel aspect that belongs to the render. Distortion stays in the script as a custom property; no camera shows it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from calibration.formats.convert import (
    BLENDER_SENSOR_MM,
    R_OPENCV_FROM_BACKWARD,
    RawCamera,
    blender_lens,
    distortion_px,
)
from mocap.core.camera import Camera, CameraRig, LensModel
from mocap.core.errors import InputError

HEAD = "# Cameras of a calibrated rig for Blender, made by Mocap Studio."
_START, _END = "CAMERAS = json.loads(r'''", "''')"
_SCRIPT = """# Run it in Blender's text editor, or: blender --python THIS_FILE. Metres, Z up.
# look_through("NAME") sets what the picture of one camera needs of the scene: its size and pixel aspect.
import json

import bpy
from mathutils import Matrix

@CAMERAS@


def add_camera(entry, collection):
    made = entry["blender"]
    data = bpy.data.cameras.new(entry["name"])
    data.sensor_fit, data.sensor_width, data.lens_unit = "HORIZONTAL", made["sensor_width_mm"], "MILLIMETERS"
    data.lens, data.shift_x, data.shift_y = made["lens_mm"], made["shift_x"], made["shift_y"]
    data.clip_start, data.display_size = 0.05, 0.3
    view = bpy.data.objects.new(entry["name"], data)
    view.matrix_world = Matrix(made["matrix_world"])
    for key in ("size_px", "focal_px", "center_px", "model", "distortion"):
        view["mocap_studio_" + key] = entry[key]
    view["mocap_studio_pixel_aspect"] = made["pixel_aspect"]
    view["mocap_studio_departure_px"] = made["departure_px"]
    collection.objects.link(view)
    return view


def look_through(name):
    scene, view = bpy.context.scene, VIEWS[name]
    scene.camera = view
    scene.render.resolution_x, scene.render.resolution_y = (int(v) for v in view["mocap_studio_size_px"])
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = view["mocap_studio_pixel_aspect"]


collection = bpy.data.collections.new("Cameras")
bpy.context.scene.collection.children.link(collection)
VIEWS = {entry["name"]: add_camera(entry, collection) for entry in CAMERAS}
look_through(CAMERAS[0]["name"])
"""


def blender_text(rig: CameraRig) -> str:
    """Return the script; run in Blender it adds a collection of cameras and looks through the first."""
    # An apostrophe in a name must not end Python's string.
    entries = ",\n".join(json.dumps(_entry(c)).replace("'", "\\u0027") for c in rig.cameras)
    return f"{HEAD}\n{_SCRIPT.replace('@CAMERAS@', f'{_START}[{chr(10)}{entries}{chr(10)}]{_END}')}"


def _entry(camera: Camera) -> dict[str, Any]:
    lens, made = camera.intrinsics, blender_lens(camera.intrinsics)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = camera.R_cam_from_world.T @ R_OPENCV_FROM_BACKWARD
    world_from_cam[:3, 3] = camera.center_world_m
    return {
        "name": camera.name,
        "size_px": list(lens.size_px),
        "focal_px": lens.focal_px.tolist(),
        "center_px": lens.center_px.tolist(),
        "model": str(lens.model),
        "distortion": lens.distortion.tolist(),
        "R_cam_from_world": camera.R_cam_from_world.tolist(),
        "t_cam_from_world_m": camera.t_cam_from_world_m.tolist(),
        "blender": {
            "sensor_width_mm": BLENDER_SENSOR_MM,
            "lens_mm": made.lens_mm,
            "shift_x": made.shift_x,
            "shift_y": made.shift_y,
            "pixel_aspect": [made.pixel_aspect_x, made.pixel_aspect_y],
            "matrix_world": world_from_cam.tolist(),
            "departure_px": distortion_px(lens),
        },
    }


def read_blender(text: str, path: Path) -> list[RawCamera]:
    """Return the cameras of a script of `blender_text`, in metres. Raises InputError rig-unreadable."""
    start, end = text.find(_START), text.rfind(_END)
    try:
        entries = json.loads(text[start + len(_START) : end]) if 0 <= start < end else []
        return [_raw(e) for e in entries]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            "rig-unreadable",
            f"{path}: the cameras inside cannot be read: {error!r}.",
            "Write the script again with `mocap calibrate convert`.",
        ) from error


def _raw(entry: dict[str, Any]) -> RawCamera:
    (fx, fy), (cx, cy) = entry["focal_px"], entry["center_px"]
    return RawCamera(
        str(entry["name"]),
        "CAMERAS",
        entry["size_px"],
        [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]],
        entry["distortion"],
        entry["R_cam_from_world"],
        entry["t_cam_from_world_m"],
        entry["model"] == LensModel.FISHEYE,
    )
