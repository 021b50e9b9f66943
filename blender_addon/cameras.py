# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrated cameras, each with its footage behind the scene, in sync."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .curves import Curves, changes
from .lens import SENSOR_WIDTH_MM, FootageSync, blender_lens, clip_lens, departure_px, footage_sync
from .scene_file import Scene, SceneCamera

_BLENDER_FROM_CV = np.diag([1.0, -1.0, -1.0])  # Blender's cameras look along -Z with Y up.


def add_camera(
    scene: Scene, camera: SceneCamera, collection: Any, first_frame: int, take_id: str, *, with_footage: bool
) -> tuple[Any, list[str]]:
    """Return the camera object and what the user should know of it."""
    lens = blender_lens(camera)
    data = bpy.data.cameras.new(camera.name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH_MM
    data.lens_unit = "MILLIMETERS"
    data.lens, data.shift_x, data.shift_y = lens.lens_mm, lens.shift_x, lens.shift_y
    data.clip_start, data.display_size = 0.05, 0.3
    view = bpy.data.objects.new(camera.name, data)
    world_from_cam = camera.R_cam_from_world.T
    matrix = np.eye(4)
    matrix[:3, :3] = world_from_cam @ _BLENDER_FROM_CV
    matrix[:3, 3] = -world_from_cam @ camera.t_cam_from_world_m
    view.matrix_world = Matrix(matrix.tolist())
    collection.objects.link(view)
    view["mocap_studio_size_px"] = list(camera.size_px)
    view["mocap_studio_pixel_aspect"] = [lens.pixel_aspect_x, lens.pixel_aspect_y]
    view["mocap_studio_lens_model"] = camera.model
    view["mocap_studio_distortion"] = camera.distortion.tolist()
    view["mocap_studio_departure_px"] = departure_px(camera)
    notes = _add_footage(scene, camera, view, first_frame, take_id) if with_footage else []
    return view, notes


def look_through(scene: Any, view: Any) -> None:
    """Make `view` the scene's camera, with the resolution and pixel aspect that its calibration needs."""
    scene.camera = view
    scene.render.resolution_x, scene.render.resolution_y = (int(v) for v in view["mocap_studio_size_px"])
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = view["mocap_studio_pixel_aspect"]


def _add_footage(scene: Scene, camera: SceneCamera, view: Any, first_frame: int, take_id: str) -> list[str]:
    if camera.video is None:
        return []
    if not camera.video.is_file():
        return [f"{camera.name}: the footage {camera.video} is not there; the camera has no background."]
    try:
        clip = bpy.data.movieclips.load(str(camera.video.resolve()))
    except RuntimeError as error:
        return [f"{camera.name}: the footage {camera.video.name} cannot be opened ({error})."]
    clip.name = f"{scene.subject} {camera.name}"
    clip["mocap_studio_take"] = take_id
    size = (int(clip.size[0]), int(clip.size[1]))
    if min(size) < 1:
        bpy.data.movieclips.remove(clip)
        return [f"{camera.name}: the footage {camera.video.name} holds no pictures that Blender can read."]
    notes = _synchronise(scene, camera, clip, first_frame, take_id)
    background = _add_background(view, clip)
    if size != camera.size_px:
        expected = "x".join(str(v) for v in camera.size_px)
        notes.append(f"{camera.name}: the footage is {size[0]}x{size[1]}, calibrated is {expected}; it is stretched.")
        return notes
    notes += _set_distortion(camera, clip, view)
    background.clip_user.use_render_undistorted = view["mocap_studio_departure_px"] > 0.1
    return notes


def _add_background(view: Any, clip: Any) -> Any:
    view.data.show_background_images = True
    background = view.data.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = clip
    background.frame_method = "STRETCH"
    background.display_depth = "BACK"
    background.alpha = 1.0
    background.clip_user.proxy_render_size = "FULL"
    return background


def _synchronise(scene: Scene, camera: SceneCamera, clip: Any, first_frame: int, take_id: str) -> list[str]:
    """Set the frame at which the clip begins; key its offset where rates or clocks differ."""
    sync = footage_sync(camera, float(scene.fps), scene.start_s, scene.n_frames) or FootageSync(
        0, np.zeros(scene.n_frames, np.int64), float("nan")
    )
    clip.frame_start = first_frame - sync.offset
    clip.frame_offset = 0
    clip["mocap_studio_sync_residual_ms"] = 1000 * sync.residual_s
    if sync.change.any():
        at = changes(sync.change)
        curves = Curves(clip, f"{clip.name} retiming", take_id)
        curves.add("frame_offset", 0, first_frame + at, sync.change[at], "CONSTANT")
    if np.isnan(sync.residual_s):
        return [f"{camera.name}: no frame times are known; its footage starts with the take."]
    return []


def _set_distortion(camera: SceneCamera, clip: Any, view: Any) -> list[str]:
    """Give the clip the camera's lens, so that Blender can undistort the footage to match its own pinhole camera."""
    (width, height), (fx, fy), (cx, cy) = camera.size_px, camera.focal_px, camera.center_px
    lens, solved = clip_lens(camera), clip.tracking.camera
    solved.sensor_width = SENSOR_WIDTH_MM
    solved.pixel_aspect = fy / fx
    solved.units = "MILLIMETERS"
    solved.focal_length = fx * SENSOR_WIDTH_MM / width
    solved.principal_point_pixels = (cx, height - 1 - cy)
    solved.distortion_model = "BROWN"
    solved.brown_k1, solved.brown_k2, solved.brown_k3, solved.brown_k4 = lens.k
    solved.brown_p1, solved.brown_p2 = lens.p
    view["mocap_studio_undistortion_residual_px"] = lens.residual_px
    if lens.residual_px > 1.0:
        return [f"{camera.name}: the fisheye lens is undistorted to within {lens.residual_px:.1f} px only."]
    return []
