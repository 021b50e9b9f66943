"""Starting the command is quick and needs no heavy library; the Blender extension stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("cv2", "av", "torch", "onnxruntime", "bpy", "scipy", "ai_edge_litert", "ezc3d")
OURS = {"mocap", "calibration", "exporters", "sessions"}


def loaded_by(statement: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("module", ["mocap", "mocap.cli", "mocap.cli.main", "mocap.core.keypoints", "mocap.kernels"])
def test_the_command_starts_without_heavy_libraries(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_the_check_for_heavy_libraries_can_fail() -> None:
    assert loaded_by("import mocap.cli.main, scipy") == {"scipy"}


def imported_names(source: str) -> set[str]:
    """Return the top-level packages that a module imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def test_the_blender_extension_imports_nothing_of_ours() -> None:
    guilty = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / "blender_addon").rglob("*.py")
        if (found := imported_names(path.read_text("utf-8")) & OURS)
    }
    assert guilty == {}


def test_the_check_of_the_extensions_imports_can_fail() -> None:
    assert imported_names("def f():\n    from mocap.core import camera") & OURS == {"mocap"}


def test_our_packages_load_blender_only_where_it_runs_in_a_process_of_its_own() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if "bpy" in imported_names(path.read_text("utf-8")) and not is_worker(path)
    ]
    assert guilty == []


def is_worker(path: Path) -> bool:
    """Return whether a module says by its name that it is run inside Blender."""
    return "worker" in path.stem or "blender" in path.stem
