"""`mocap doctor`: what is installed, what is missing, and the exact command that mends it."""

from __future__ import annotations

import argparse
import ctypes.util
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.cli.ui import Result, Ui
from mocap.core.installation import install_command

if TYPE_CHECKING:
    from mocap.media.packages import WheelSource

SUMMARY = "what is installed, what is missing, and the command that mends it"
EXAMPLE = "mocap doctor"
MIN_FREE_GB = 2.0
_PYTHON = ((3, 11), (3, 13))
_BPY_LIBRARIES = {
    "X11": "libx11-6",
    "Xrender": "libxrender1",
    "Xxf86vm": "libxxf86vm1",
    "Xfixes": "libxfixes3",
    "Xi": "libxi6",
    "xkbcommon": "libxkbcommon0",
    "SM": "libsm6",
    "ICE": "libice6",
    "GL": "libgl1",
}
"""What Blender's module links against on Linux, and the Debian/Ubuntu package that has it."""
_MODULES = {"opencv-contrib-python": "cv2"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    is_ok: bool
    found: str
    mend: str = ""
    """The exact command, or what to do; empty when nothing is wrong."""
    is_needed: bool = True
    """False: some tasks need it, others do without."""
    task: str = ""
    """What cannot be done without it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder that results would go to")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Look at everything; status 0 only when nothing is missing for any task, else 3."""
    checks = [_python(), *_packages(), _blender(), *_blender_libraries(), *_caches(), _cores(), *_folders(args.out)]
    is_ok = all(c.is_ok for c in checks)
    lines: list[str] = []
    for check in checks:
        mark = "ok     " if check.is_ok else "MISSING" if check.is_needed else "absent "
        lines.append(f"{mark} {check.name}: {check.found}")
        if check.mend:
            lines.append(f"          -> {check.mend}")
    lines += _verdict(checks)
    return Result({"is_ok": is_ok, "checks": [asdict(c) for c in checks]}, "\n".join(lines), quality_ok=is_ok)


def _verdict(checks: list[Check]) -> list[str]:
    """Return what is missing for which task, or that nothing is."""
    lines: list[str] = []
    if any(c.is_needed and not c.is_ok for c in checks):
        lines.append("Something that every task needs is missing, see MISSING above.")
    absent = [c for c in checks if not c.is_needed and not c.is_ok]
    if absent:
        lines.append("Not possible on this machine as it is:")
        lines += [f"  {c.task}: no {c.name}: {c.mend}" for c in absent]
    return lines or ["Everything is here."]


def _python() -> Check:
    version = sys.version_info[:2]
    is_ok = _PYTHON[0] <= version <= _PYTHON[1]
    mend = "" if is_ok else "Install Python 3.11 and make a new environment: python3.11 -m venv .venv"
    return Check("Python", is_ok, f"{platform.python_version()} at {sys.executable}", mend)


def _packages() -> Iterator[Check]:
    """Check every package that the distribution requires, by its metadata."""
    try:
        requirements = metadata.requires("mocap-studio") or []
    except metadata.PackageNotFoundError:
        yield Check("mocap-studio", False, "not installed", f"{sys.executable} -m pip install -e .")
        return
    for text in requirements:
        if "extra ==" in text:
            continue
        requirement = text.split(";")[0].strip()
        name = requirement
        for mark in "<>=!~[ ":
            name = name.split(mark)[0]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, False, "not installed", f'{sys.executable} -m pip install "{requirement}"')
            continue
        needed = requirement.partition(">=")[2].split(",")[0]
        is_ok = not needed or _numbers(version) >= _numbers(needed)
        mend = "" if is_ok else f'{sys.executable} -m pip install --upgrade "{requirement}"'
        yield Check(name, is_ok, version if is_ok else f"{version}, {needed} or newer is needed", mend)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int("".join(ch for ch in p if ch.isdigit()) or 0) for p in parts[:3])


def _blender() -> Check:
    name, task = "Blender", "fbx export"
    if importlib.util.find_spec("bpy") is not None:
        return Check(name, True, f"module bpy {metadata.version('bpy')}", is_needed=False, task=task)
    if (program := shutil.which("blender")) is not None:
        return Check(name, True, program, is_needed=False, task=task)
    if sys.version_info[:2] == (3, 11):
        mend = install_command("blender")
    else:
        mend = "Install Blender 4.2 or newer and put `blender` on the PATH (its module needs Python 3.11)"
    return Check(name, False, "neither the module bpy nor a program `blender`", mend, is_needed=False, task=task)


def _blender_libraries() -> Iterator[Check]:
    """Check the system libraries of Blender's module; other systems bring them along."""
    if sys.platform != "linux" or importlib.util.find_spec("bpy") is None:
        return
    missing = [package for library, package in _BPY_LIBRARIES.items() if ctypes.util.find_library(library) is None]
    mend = f"sudo apt-get install {' '.join(missing)}" if missing else ""
    found = f"missing {', '.join(missing)}" if missing else "all found"
    yield Check("system libraries of Blender", not missing, found, mend, is_needed=False, task="fbx export")


def _caches() -> Iterator[Check]:
    """Check downloaded models and footage."""
    from mocap.media.cache import cache_dir
    from mocap.media.packages import POSE2SIM_DEMO

    is_writable = _is_writable(cache_dir())
    mend = "" if is_writable else "Set the environment variable MOCAP_CACHE to a folder that you may write to"
    yield Check("cache", is_writable, str(cache_dir()), mend)
    yield _wheel("demo footage", POSE2SIM_DEMO, "mocap demo", "mocap models pull demo-footage")
    yield _pose_model()


def _wheel(name: str, wheel: WheelSource, task: str, mend: str) -> Check:
    if wheel.is_here:
        return Check(name, True, str(wheel.folder), is_needed=False, task=task)
    found = f"not here yet; {wheel.size_mb} MB are fetched on first use"
    return Check(name, False, found, mend, is_needed=False, task=task)


def _pose_model() -> Check:
    """Check that there is a model that finds people in footage; any will do, the fallback too."""
    from mocap.media.packages import MEDIAPIPE_POSE

    name, task = "2D keypoint model", "2D keypoints from video (detect, run, demo)"
    fallback = _wheel(name, MEDIAPIPE_POSE, task, "mocap models pull blazepose")
    try:
        from mocap.pose2d.cards import card_names, load_card
        from mocap.pose2d.weights import is_here
    except ImportError:
        # A package that models need is missing: it has a line of its own.
        return fallback
    here = [n for n in card_names() if load_card(n)["task"] != "detector" and is_here(n)]
    if not here:
        return fallback
    more = ["blazepose"] if MEDIAPIPE_POSE.is_here else []
    return Check(name, True, ", ".join(here + more), is_needed=False, task=task)


def _cores() -> Check:
    n = os.cpu_count() or 1
    return Check("processor", True, f"{n} cores, {platform.machine()}, {platform.system()} {platform.release()}")


def _folders(out: Path) -> Iterator[Check]:
    folder = out.resolve()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    is_roomy = free_gb >= MIN_FREE_GB
    mend = "" if is_roomy else f"Free some space on the disk of {existing}; {MIN_FREE_GB:g} GB are needed"
    yield Check("disk space", is_roomy, f"{free_gb:.1f} GB free at {existing}", mend)
    is_writable = _is_writable(folder)
    mend = "" if is_writable else f"Choose a folder that you may write to, or: chmod u+w {existing}"
    yield Check("output folder", is_writable, str(folder), mend)


def _is_writable(folder: Path) -> bool:
    """Return whether a file can be made in a folder, or in the nearest one above that exists; nothing is left."""
    existing = next((p for p in (folder, *folder.parents) if p.exists()), None)
    try:
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False
