"""What may not lie in the repository: large files, unfinished marks, paths of one machine, a second OpenCV."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import mocap
from mocap.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 2_000_000
FORBIDDEN = (
    (r"TO" + r"DO|FIX" + r"ME|XX" + r"X\b|NotImplemented" + r"Error", "an unfinished mark"),
    (r"/wor" + r"k/|/roo" + r"t/|/opt/py" + r"pi|/home/\w+/", "a path of one machine"),
    (r"\bissue #?\d", "a number that only one tracker knows"),
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".html", ".js", ".css", ".cfg", ".yml", ".yaml", ""}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        skipped = {".venv", "dist", "build", "__pycache__"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not skipped & set(p.relative_to(ROOT).parts)]
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listing.decode().split("\0") if name and (path := ROOT / name).is_file()]


def offences(name: str, text: str) -> list[str]:
    """Return what a text may not contain, with its line."""
    return [
        f"{name}:{number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, what in FORBIDDEN
        if re.search(pattern, line)
    ]


def test_the_text_of_the_project_is_finished_and_speaks_of_itself_alone() -> None:
    found: list[str] = []
    for path in tracked_files():
        if path.suffix in TEXT_SUFFIXES and path.name != "LICENSE":
            found += offences(str(path.relative_to(ROOT)), path.read_text("utf-8"))
    assert found == []


@pytest.mark.parametrize(
    "line", ["# TO" + "DO later", "open('/wor" + "k/x')", "see issue " + "12", "raise NotImplemented" + "Error"]
)
def test_the_check_of_texts_can_fail(line: str) -> None:
    assert len(offences("x.py", line)) == 1


def test_no_large_file_is_in_the_repository() -> None:
    assert [str(p.relative_to(ROOT)) for p in tracked_files() if p.stat().st_size > MAX_BYTES] == []


def printing(source: str) -> list[int]:
    """Return the lines that call print."""
    calls = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call))
    return [n.lineno for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"]


def test_only_the_command_line_prints() -> None:
    packages = ("mocap", "calibration", "exporters", "sessions")
    files = [p for package in packages for p in (ROOT / package).rglob("*.py")]
    guilty = [str(p) for p in files if (ROOT / "mocap/cli") not in p.parents and printing(p.read_text("utf-8"))]
    assert guilty == []


def test_the_check_of_prints_can_fail() -> None:
    assert printing("def f():\n    print(1)") == [2]


def test_the_licences_are_in_place() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")[:200]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text("utf-8"))
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == mocap.__version__
    assert f"## {mocap.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8") or "## Unreleased" in (
        ROOT / "CHANGELOG.md"
    ).read_text("utf-8")


def test_every_dependency_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    names = {re.split(r"[<>=!;\[ ]", dependency)[0].lower() for dependency in wanted}
    assert sorted(names - pinned) == []


def test_exactly_one_opencv_is_installed() -> None:
    names = {d.metadata["Name"].lower().replace("_", "-") for d in metadata.distributions()}
    assert {n for n in names if n.startswith("opencv")} == {"opencv-contrib-python"}


def commands_named(text: str) -> set[str]:
    """Return the verbs that a document's code blocks and inline code call."""
    return set(
        re.findall(r"(?:^|[`\s/])mocap ([a-z]+)\b", "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)))
    )


@pytest.mark.parametrize("document", ["README.md", "docs/files.md", "docs/errors.md", "docs/development.md"])
def test_documents_name_only_verbs_that_exist(document: str) -> None:
    assert commands_named((ROOT / document).read_text("utf-8")) <= set(VERBS)


def unknown_options(text: str) -> list[str]:
    """Return the options that a document gives to a verb which does not take them."""
    found: list[str] = []
    for block in re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL):
        for verb, rest in re.findall(r"(?:^|[`\s/])mocap ([a-z]+)\b([^\n`]*)", block):
            parser = argparse.ArgumentParser(allow_abbrev=False)
            parser.add_argument("--json")
            importlib.import_module(VERBS[verb]).add_arguments(parser)
            taken = set(parser._option_string_actions)
            for action in parser._actions:  # what a verb's own verb takes, as in `calibrate rig --board`
                if isinstance(action, argparse._SubParsersAction):
                    inner = next((action.choices[word] for word in rest.split() if word in action.choices), None)
                    taken |= set(inner._option_string_actions) if inner else set()
            found += [f"{verb} {option}" for option in re.findall(r"--[a-z][a-z-]*", rest) if option not in taken]
    return found


@pytest.mark.parametrize("document", ["README.md", "docs/files.md", "docs/errors.md", "docs/development.md"])
def test_documents_give_only_options_that_the_verbs_take(document: str) -> None:
    assert unknown_options((ROOT / document).read_text("utf-8")) == []


def test_the_check_of_documents_can_fail() -> None:
    assert unknown_options("```\nmocap demo --frobnicate x\n```") == ["demo --frobnicate"]
    assert unknown_options("`mocap calibrate rig --frobnicate`") == ["calibrate --frobnicate"]
    assert unknown_options("`mocap calibrate board --board B --world board:V`") == ["calibrate --world"]
    assert commands_named("Run `mocap frobnicate x`.") == {"frobnicate"}


def test_the_architecture_names_every_part() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    parts = [f"mocap/{p.parent.name}" for p in (ROOT / "mocap").glob("*/__init__.py")]
    assert [
        part for part in [*parts, "calibration", "exporters", "sessions", "blender_addon"] if part not in text
    ] == []
