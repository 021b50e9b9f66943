"""bpy_extras has no types."""
