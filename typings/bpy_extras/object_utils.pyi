"""bpy_extras.object_utils has no types: anything may be asked of it."""

from typing import Any

def __getattr__(name: str) -> Any: ...
