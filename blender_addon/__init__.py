# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mocap Studio for Blender: imports solved takes. Needs nothing but Blender."""

from __future__ import annotations

import bpy

from .interface import CLASSES, draw_import_menu


def register() -> None:
    """Add the importer to File > Import and the panel to the sidebar."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.TOPBAR_MT_file_import.append(draw_import_menu)


def unregister() -> None:
    """Take away everything that `register` added."""
    bpy.types.TOPBAR_MT_file_import.remove(draw_import_menu)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
