"""MMPose's own environment: its pins fight everyone else's, so it lives in a folder of the cache and runs as a process.

The recipe was found by trying: `chumpy`, which MMPose lists, cannot be built, and torchvision, MMDetection and mmcv's
compiled operators are not needed for top-down models; `mmpose_worker/stand_ins.py` stands in for what is imported of
them. Everything comes from the Python package index as wheels; there is nothing to compile.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mocap.core.errors import SetupError
from mocap.core.progress import NoProgress, Progress
from mocap.core.publish import published
from mocap.media.cache import cache_dir

PYTHON = (3, 11)
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("torch", ("torch==2.13.0",)),
    (
        "MMPose's dependencies",
        (
            "setuptools<81",
            "numpy==1.26.4",
            "opencv-python==4.11.0.86",
            "mmengine==0.10.7",
            "mmcv-lite==2.1.0",
            "xtcocotools==1.14.3",
            "json_tricks",
            "munkres",
            "scipy",
            "matplotlib",
            "pillow",
            "six",
        ),
    ),
    ("MMPose", ("--no-deps", "mmpose==1.3.2")),
)
"""What pip is asked for, in this order. MMPose's own list of dependencies is left aside (see above)."""
SIZE_GB = 1.6
CHECK_TIMEOUT_S = 180.0
WORKER = Path(__file__).parent / "mmpose_worker" / "worker.py"


@dataclass(frozen=True)
class MmposeEnv:
    """Where the environment is, or would be."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def is_ready(self) -> bool:
        """Whether it was set up to the end."""
        return (self.folder / "ready.json").is_file() and self.python.exists()

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages in it that make results what they are."""
        try:
            return json.loads((self.folder / "ready.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}


def mmpose_env() -> MmposeEnv:
    """Return the environment of this version of the recipe."""
    recipe = hashlib.sha256(repr(STEPS).encode()).hexdigest()[:10]
    return MmposeEnv(cache_dir() / "mmpose" / f"py{PYTHON[0]}{PYTHON[1]}-{recipe}")


def ready_env() -> MmposeEnv:
    """Return the environment. Raises SetupError mmpose-not-set-up."""
    env = mmpose_env()
    if not env.is_ready:
        raise SetupError(
            "mmpose-not-set-up",
            f"MMPose runs in an environment of its own, and there is none at {env.folder}.",
            "Run `mocap models setup-mmpose` (once, with network).",
        )
    return env


def setup_mmpose(progress: Progress | None = None) -> MmposeEnv:
    """Make the environment if it is not there, check that MMPose works in it, and return it.

    One that was interrupted is made again from the start.

    Raises: SetupError mmpose-python-missing, mmpose-setup-failed, cache-not-writable; Cancelled from `progress`.
    """
    env, progress = mmpose_env(), progress or NoProgress()
    if env.is_ready:
        return env
    python = _base_python()
    try:
        shutil.rmtree(env.folder, ignore_errors=True)
        env.folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            "cache-not-writable",
            f"{env.folder.parent}: MMPose's environment cannot be kept there: {error}.",
            "Free some space or set the environment variable MOCAP_CACHE to a folder that you may write to.",
        ) from error
    log = env.folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    _run([*python, "-m", "venv", str(env.folder)], "Making MMPose's environment", log, progress)
    # Only what is imported is compiled, by the check below: all of it takes a quarter of the processor time.
    options = ["--disable-pip-version-check", "--no-input", "--only-binary=:all:", "--no-compile"]
    pip = [str(env.python), "-m", "pip", "install", *options]
    for label, packages in STEPS:
        _run([*pip, *packages], f"Installing {label} ({SIZE_GB} GB in all)", log, progress)
    checked = _run([str(env.python), "-I", str(WORKER), "--check"], "Checking MMPose", log, progress)
    versions = json.loads(checked.strip().splitlines()[-1])
    with published(env.folder / "ready.json") as file:
        file.write_text(json.dumps(versions), encoding="utf-8")
    return env


def _base_python() -> list[str]:
    """Return the command of a Python of the version that the recipe is for."""
    if sys.version_info[:2] == PYTHON:
        return [sys.executable]
    name = f"python{PYTHON[0]}.{PYTHON[1]}"
    if (found := shutil.which(name)) is not None:
        return [found]
    if (launcher := shutil.which("py")) is not None:
        return [launcher, f"-{PYTHON[0]}.{PYTHON[1]}"]
    raise SetupError(
        "mmpose-python-missing",
        f"MMPose needs Python {PYTHON[0]}.{PYTHON[1]}; this is {sys.version.split()[0]}, and there is no {name}.",
        f"Install Python {PYTHON[0]}.{PYTHON[1]} and run `mocap models setup-mmpose` again.",
    )


def _run(command: list[str], label: str, log: Path, progress: Progress) -> str:
    """Run one step, its output added to `log`; return what it printed. Raises SetupError mmpose-setup-failed."""
    progress.start(label, None)
    # A Python started for another environment must not look into this one.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    start = log.stat().st_size if log.exists() else 0
    with log.open("a", encoding="utf-8") as out:
        try:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=clean
            )
        except OSError as error:
            raise _failed(label, str(error), log) from error
        try:
            while process.poll() is None:
                time.sleep(0.2)
                progress.advance(0.0)  # keeps the display alive, and lets the user cancel
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            progress.finish()
    with log.open("rb") as stream:
        stream.seek(start)
        said = stream.read().decode("utf-8", "replace")
    if process.returncode != 0:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-2:] or ["no message"]
        raise _failed(label, " ".join(errors[:2]), log)
    return said


def _failed(label: str, why: str, log: Path) -> SetupError:
    return SetupError(
        "mmpose-setup-failed",
        f"{label}: {why} The whole output is in {log}.",
        "Connect to the network, check that pip can reach a package index, and run `mocap models setup-mmpose` again.",
    )
