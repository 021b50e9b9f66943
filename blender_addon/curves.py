# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves of actions, over Blender's generations of the animation API."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

INTERPOLATION = {"CONSTANT": 0, "LINEAR": 1}


class Curves:
    """Writes curves into a new action of `datablock`."""

    def __init__(self, datablock: Any, name: str, take_id: str) -> None:
        self._action = bpy.data.actions.new(name)
        self._action["mocap_studio_take"] = take_id
        animation = datablock.animation_data or datablock.animation_data_create()
        animation.action = self._action
        self._target: Any = self._action
        if hasattr(self._action, "slots"):  # Blender 4.4 and later: curves live in a channel bag of a slot.
            slot = self._action.slots.new(id_type=datablock.id_type, name=datablock.name)
            animation.action_slot = slot
            strip = self._action.layers.new("Layer").strips.new(type="KEYFRAME")
            self._target = strip.channelbag(slot, ensure=True)
            self._is_layered = True
        else:
            self._is_layered = False

    def add(
        self,
        data_path: str,
        index: int,
        frames: np.ndarray,
        values: np.ndarray,
        interpolation: str = "LINEAR",
        group: str = "",
    ) -> None:
        """Add one curve with a key at each of `frames` [n] (Blender's numbers) holding `values` [n]."""
        curve = self._new_curve(data_path, index, group)
        curve.keyframe_points.add(len(frames))
        keys = np.empty((len(frames), 2), np.float32)
        keys[:, 0], keys[:, 1] = frames, values
        curve.keyframe_points.foreach_set("co", keys.ravel())
        kinds = np.full(len(frames), INTERPOLATION[interpolation], np.int32)
        curve.keyframe_points.foreach_set("interpolation", kinds)
        curve.update()

    def _new_curve(self, data_path: str, index: int, group: str) -> Any:
        if not self._is_layered:
            return self._target.fcurves.new(data_path, index=index, action_group=group)
        curve = self._target.fcurves.new(data_path, index=index)
        if group:
            curve.group = self._target.groups.get(group) or self._target.groups.new(group)
        return curve


def changes(values: np.ndarray) -> np.ndarray:
    """Return the indices at which `values` [n] begin or change: the only keys that a constant curve needs."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
