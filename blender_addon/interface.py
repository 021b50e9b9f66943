# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: File > Import, and a panel in the 3D view's sidebar."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from .cameras import look_through
from .scene_file import SceneError, read_scene
from .take import ImportOptions, import_take, take_collections


class IMPORT_SCENE_OT_mocap_studio(bpy.types.Operator, ImportHelper):
    """Import a take that Mocap Studio solved: character, points, cameras with footage, quality markers."""

    bl_idname = "import_scene.mocap_studio"
    bl_label = "Import Mocap Studio Take"
    bl_options: ClassVar = {"REGISTER", "UNDO", "PRESET"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.scene.json", options={"HIDDEN"})
    first_frame: IntProperty(name="First Frame", description="Scene frame of the take's first frame", default=1)
    points: EnumProperty(
        name="Points",
        items=[
            ("points", "Reconstructed", "Points as triangulated from the footage, before the skeleton was solved"),
            ("keypoints", "Solved", "Points that move with the solved skeleton"),
            ("none", "None", "No empties"),
        ],
        default="points",
    )
    with_cameras: BoolProperty(name="Cameras", description="Add the calibrated cameras", default=True)
    with_footage: BoolProperty(
        name="Footage", description="Show each camera's footage behind the scene, in sync", default=True
    )
    with_markers: BoolProperty(
        name="Quality Markers", description="Mark doubtful moments on the timeline", default=True
    )
    with_sticks: BoolProperty(
        name="Bone Meshes for Rendering",
        description="Add a simple mesh that follows the armature; armatures themselves never render",
        default=False,
    )
    set_timing: BoolProperty(
        name="Scene Rate and Range",
        description="Set the scene's frame rate and frame range to the take's",
        default=True,
    )
    replace: BoolProperty(
        name="Replace Earlier Import", description="Remove what an earlier import of this file made", default=True
    )

    def execute(self, context: Any) -> set[str]:
        """Import, or report what is wrong with the file."""
        try:
            scene = read_scene(self.filepath)
        except SceneError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        names = ImportOptions.__dataclass_fields__
        _, notes = import_take(scene, ImportOptions(**{n: getattr(self, n) for n in names}))
        for note in notes:
            self.report({"WARNING"}, note)
        self.report({"INFO"}, f"{scene.subject}: {scene.n_frames} frames, {len(scene.cameras)} cameras")
        return {"FINISHED"}


class MOCAP_STUDIO_OT_look_through(bpy.types.Operator):
    """Look through a calibrated camera, with the resolution and pixel aspect that its footage needs."""

    bl_idname = "mocap_studio.look_through"
    bl_label = "Look Through"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    camera: StringProperty(name="Camera")

    def execute(self, context: Any) -> set[str]:
        """Switch the scene's camera and, where there is a 3D view, its view."""
        view = bpy.data.objects.get(self.camera)
        if view is None or "mocap_studio_size_px" not in view:
            self.report({"ERROR"}, f"{self.camera!r} is not a camera of an imported take. Choose one of the panel's.")
            return {"CANCELLED"}
        look_through(context.scene, view)
        if context.space_data is not None and context.space_data.type == "VIEW_3D":
            context.space_data.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


class VIEW3D_PT_mocap_studio(bpy.types.Panel):
    """Takes and their cameras."""

    bl_label = "Mocap Studio"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Mocap Studio"

    def draw(self, context: Any) -> None:
        """Draw the import button and one row per camera."""
        self.layout.operator(IMPORT_SCENE_OT_mocap_studio.bl_idname, text="Import Take", icon="IMPORT")
        for collection in take_collections():
            box = self.layout.box()
            box.label(text=collection.name, icon="ARMATURE_DATA")
            for item in collection.all_objects:
                if "mocap_studio_size_px" in item:
                    is_active = item == context.scene.camera
                    row = box.operator(
                        MOCAP_STUDIO_OT_look_through.bl_idname,
                        text=item.name,
                        icon="OUTLINER_OB_CAMERA" if is_active else "CAMERA_DATA",
                    )
                    row.camera = item.name


CLASSES = (IMPORT_SCENE_OT_mocap_studio, MOCAP_STUDIO_OT_look_through, VIEW3D_PT_mocap_studio)


def draw_import_menu(self: Any, context: Any) -> None:
    """Add the entry of File > Import."""
    self.layout.operator(IMPORT_SCENE_OT_mocap_studio.bl_idname, text="Mocap Studio take (.scene.json)")
