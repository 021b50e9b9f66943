# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconstructed points as animated empties: absent where they are missing, never at the origin."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .curves import Curves, changes
from .scene_file import Scene


def add_points(
    scene: Scene, which: str, collection: Any, first_frame: int, take_id: str, size_m: float = 0.012
) -> list[Any]:
    """Return one empty per keypoint that was ever known; `which` is 'points' (before the solve) or 'keypoints' (after).

    Only known frames are keyed; in between the empty is hidden in the viewport and in renders.
    """
    xyz = scene.arrays[f"{which}_xyz_m"]
    empties: list[Any] = []
    for k, name in enumerate(scene.keypoint_names):
        known = np.isfinite(xyz[:, k]).all(-1)
        if not known.any():
            continue
        empty = bpy.data.objects.new(name, None)
        empty.empty_display_type = "SPHERE"
        empty.empty_display_size = size_m
        empty["known_share"] = float(known.mean())
        collection.objects.link(empty)
        curves = Curves(empty, f"{scene.subject} {which} {name}", take_id)
        frames = first_frame + np.flatnonzero(known)
        for axis in range(3):
            curves.add("location", axis, frames, xyz[known, k, axis])
        if not known.all():
            at = changes(known)
            for path in ("hide_viewport", "hide_render"):
                curves.add(path, 0, first_frame + at, ~known[at], "CONSTANT")
        empties.append(empty)
    return empties
