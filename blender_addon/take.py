# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One take in Blender: everything in one collection, replaced or removed as a whole."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import bpy

from .cameras import add_camera, look_through
from .character import add_armature, add_sticks
from .points import add_points
from .scene_file import Scene

_SEVERITY_SIGN = {"quality": "!!", "warning": "!", "info": "i"}


@dataclass(frozen=True)
class ImportOptions:
    """What to make of a take."""

    first_frame: int = 1
    points: str = "points"
    """'points' (reconstructed), 'keypoints' (solved) or 'none'."""
    with_cameras: bool = True
    with_footage: bool = True
    with_markers: bool = True
    with_sticks: bool = False
    set_timing: bool = True
    replace: bool = True


def import_take(scene: Scene, options: ImportOptions) -> tuple[Any, list[str]]:
    """Build the take in the current Blender scene; return its collection and notes for the user."""
    target = bpy.context.scene
    take_id = str(scene.path.resolve())
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    if options.replace:
        remove_take(take_id)
    collection = bpy.data.collections.new(scene.subject)
    collection["mocap_studio_take"] = take_id
    target.collection.children.link(collection)
    notes = _set_timing(target, scene, options) if options.set_timing else []
    # Clips keep the take's name so that a second copy of a take owns its own data.
    owner = f"{take_id}#{collection.name}"
    collection["mocap_studio_owner"] = owner
    armature = add_armature(scene, collection, options.first_frame, owner)
    if options.with_sticks:
        add_sticks(scene, armature, collection)
    if options.points != "none":
        parent = _child_collection(collection, f"{scene.subject} {options.points}")
        add_points(scene, options.points, parent, options.first_frame, owner)
    if options.with_cameras and scene.cameras:
        notes += _add_cameras(target, scene, collection, options, owner)
    if options.with_markers:
        _add_markers(target, scene, collection, options.first_frame)
    target.frame_set(options.first_frame)
    return collection, notes


def take_collections(take_id: str | None = None) -> list[Any]:
    """Return the collections of imported takes (of one scene file, or all)."""
    return [
        c
        for c in bpy.data.collections
        if "mocap_studio_take" in c and (take_id is None or c["mocap_studio_take"] == take_id)
    ]


def remove_take(take_id: str) -> None:
    """Remove what earlier imports of this scene file made, and nothing else."""
    for collection in take_collections(take_id):
        owner = collection.get("mocap_studio_owner", "")
        _remove_markers(json.loads(collection.get("mocap_studio_markers", "[]")))
        for item in list(collection.all_objects):
            data = item.data
            bpy.data.objects.remove(item, do_unlink=True)
            if data is not None and data.users == 0:
                bpy.data.batch_remove([data])
        for child in [*collection.children_recursive, collection]:
            bpy.data.collections.remove(child)
        for store in (bpy.data.actions, bpy.data.movieclips):
            for item in [i for i in store if i.get("mocap_studio_take") == owner]:
                store.remove(item)


def blender_rate(fps: Fraction) -> tuple[int, float]:
    """Return Blender's whole rate and divisor: 60000/1001 becomes 60 and 1.001."""
    whole = max(1, math.ceil(fps - Fraction(1, 10**6)))
    return whole, float(whole / fps)


def _set_timing(target: Any, scene: Scene, options: ImportOptions) -> list[str]:
    rate, base = blender_rate(scene.fps)
    others = [c for c in take_collections() if c["mocap_studio_take"] != str(scene.path.resolve())]
    changed = abs(target.render.fps / target.render.fps_base - float(scene.fps)) > 1e-3
    target.render.fps, target.render.fps_base = rate, base
    last = options.first_frame + scene.n_frames - 1
    if others and target.get("mocap_studio_last_frame"):
        last = max(last, int(target["mocap_studio_last_frame"]))
        target.frame_start = min(target.frame_start, options.first_frame)
    else:
        target.frame_start = options.first_frame
    target.frame_end = last
    target["mocap_studio_last_frame"] = last
    if others and changed:
        return ["The scene's frame rate changed: takes of another rate now play too fast or too slow."]
    return []


def _child_collection(collection: Any, name: str) -> Any:
    child = bpy.data.collections.new(name)
    collection.children.link(child)
    return child


def _add_cameras(target: Any, scene: Scene, collection: Any, options: ImportOptions, owner: str) -> list[str]:
    parent = _child_collection(collection, f"{scene.subject} cameras")
    notes: list[str] = []
    views: list[Any] = []
    for camera in scene.cameras:
        view, said = add_camera(scene, camera, parent, options.first_frame, owner, with_footage=options.with_footage)
        views.append(view)
        notes += said
    look_through(target, views[0])
    return notes


def _add_markers(target: Any, scene: Scene, collection: Any, first_frame: int) -> None:
    made: list[tuple[int, str]] = []
    for marker in scene.markers:
        name = f"{_SEVERITY_SIGN.get(marker.severity, marker.severity)} {marker.label}"
        item = target.timeline_markers.new(name, frame=first_frame + marker.frame)
        made.append((item.frame, item.name))
    collection["mocap_studio_markers"] = json.dumps(made)


def _remove_markers(made: list[list[Any]]) -> None:
    left = [tuple(m) for m in made]
    for target in bpy.data.scenes:
        for item in list(target.timeline_markers):
            if (item.frame, item.name) in left:
                left.remove((item.frame, item.name))
                target.timeline_markers.remove(item)
