"""The import order is checked by import-linter; these tests check that the check covers everything and can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mocap", "calibration", "exporters", "sessions")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the source tree that may be spoiled."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "chain"),
    [
        ("mocap/core/camera.py", "import mocap.cli.main", r"mocap\.core\.camera -> mocap\.cli\.main"),
        ("exporters/__init__.py", "import calibration", r"exporters -> calibration"),
        ("mocap/kernels/projection.py", "import sessions", r"mocap\.kernels\.projection -> sessions"),
    ],
    ids=["upwards", "sideways", "between packages"],
)
def test_an_import_against_the_order_is_reported(copy: Path, module: str, line: str, chain: str) -> None:
    path = copy / module
    path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")
    result = lint_imports(copy)
    assert result.returncode != 0
    assert re.search(chain, result.stdout), result.stdout


def test_every_part_of_the_tree_has_its_place_in_the_order() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = " | ".join(config["tool"]["importlinter"]["contracts"][0]["layers"])
    placed = {name.strip(" ()") for name in layers.split("|")}
    parts = {p.parent.name for p in (ROOT / "mocap").glob("*/__init__.py")}
    assert {f"mocap.{part}" for part in parts} | set(PACKAGES[1:]) <= placed
