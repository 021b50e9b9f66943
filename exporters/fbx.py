"""FBX by way of Blender's module in a process of its own: centimetres (UnitScaleFactor 1), Y up, every frame keyed.

Blender is GPL software and its module does not tolerate sharing a process; it is run as a program and exchanges files.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from exporters.file_motion import along_bones, in_file_axes
from exporters.job import Job, Mismatch, max_distance_m, require
from mocap.core.conventions import world_from_yup
from mocap.core.errors import SetupError
from mocap.core.installation import install_command
from mocap.kernels.rotations import matrix_to_quat

WORKER = Path(__file__).with_name("fbx_worker.py")
START_TIMEOUT_S = 120.0
"""For starting Blender, on a cold disk too."""
FRAME_TIMEOUT_S = 0.1
"""Per frame on top; measured: 0.004."""
_MIN_LENGTH_CM = 1.0
_BLENDER_RIGHT_FROM_WORLD = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""Blender's importer turns +Z forward of a Y-up file into its own front, -Y; the studio's world faces +X."""


def blender_command() -> list[str] | None:
    """Return the command that runs a script with Blender's module, or None where there is no Blender."""
    if importlib.util.find_spec("bpy") is not None:
        return [sys.executable]
    program = shutil.which("blender")
    return [program, "--background", "--factory-startup", "--python-exit-code", "1", "--python"] if program else None


def write(job: Job, path: Path) -> None:
    """Write the motion, and beside it what a re-import into an empty Blender scene shows."""
    command = blender_command()
    if command is None:
        raise SetupError(
            "blender-missing",
            "FBX is written by Blender, and neither its Python module nor a `blender` program was found.",
            f"Run: {install_command('blender')} (Python 3.11), or install Blender 4.2 or newer.",
        )
    job_path = path.with_name(path.name + ".job.npz")
    _write_job(job, path, job_path)
    tail = [str(job_path)] if len(command) == 1 else ["--", str(job_path)]
    _run([*command, str(WORKER), *tail], START_TIMEOUT_S + FRAME_TIMEOUT_S * job.take.motion.timeline.n_frames)
    if not path.exists() or not _check_path(path).exists():
        raise OSError(f"Blender ended without writing {path.name}")


def _check_path(path: Path) -> Path:
    return path.with_name(path.name + ".check.npz")


def _write_job(job: Job, path: Path, job_path: Path) -> None:
    motion = along_bones(in_file_axes(job.take.motion))
    R, place = motion.rest_world()
    length_cm = np.maximum(100.0 * np.linalg.norm(motion.bone_ends_m(), axis=-1), _MIN_LENGTH_CM)
    fps = job.take.motion.timeline.fps
    np.savez(
        job_path,
        allow_pickle=False,
        names=np.array(motion.names),
        parents=np.array(motion.parents),
        rest_world_cm=100.0 * place,
        rest_world_wxyz=matrix_to_quat(R),
        length_cm=length_cm,
        root_cm=100.0 * motion.root_m,
        local_wxyz=motion.local_wxyz,
        fps_numerator=fps.numerator,
        fps_denominator=fps.denominator,
        path=str(path.resolve()),
        check_path=str(_check_path(path).resolve()),
    )


def _run(command: list[str], timeout_s: float) -> None:
    """Run the worker. Raises SetupError `blender-timeout` or `blender-failed` with the end of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            "blender-timeout",
            f"Blender did not finish writing the FBX within {timeout_s:.0f} s and was stopped.",
            "Export again when the machine is less busy, or export a shorter take.",
        ) from error
    if done.returncode != 0:
        said = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]) or "it said nothing"
        raise SetupError(
            "blender-failed",
            f"Blender ended with status {done.returncode} while writing the FBX: {said}",
            "Run `mocap doctor` to see whether Blender works here, then export again.",
        )


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the joints that a default import into Blender shows from the motion's."""
    motion = job.take.motion
    with np.load(_check_path(path), allow_pickle=False) as seen:
        names, n = seen["names"].tolist(), motion.timeline.n_frames
        require(sorted(names) == sorted(motion.skeleton.joint_names), f"joint names {names}")
        require(int(seen["n_objects"]) == 1, "more objects than the armature")
        rate = float(seen["fps"])
        require(abs(rate / float(motion.timeline.fps) - 1) < 1e-5, f"{rate} frames per second")
        order = [motion.skeleton.index(name) for name in names]
        rest = world_from_yup(in_file_axes(motion).rest_world()[1])[order] @ _BLENDER_RIGHT_FROM_WORLD.T
        error_m = max_distance_m(seen["rest_world_m"], rest, "rest pose")
        if n == 0:
            return error_m
        keys = seen["keys"]
        require(len(keys) == n, f"{len(keys)} keys for {n} frames")
        if n > 1 and np.abs((keys[-1] - keys[0]) / (n - 1) - seen["key_step"]).min() > 1e-4:
            raise Mismatch(f"keys from frame {keys[0]:.2f} to {keys[-1]:.2f} for {n} frames")
        source = job.joints_world[1][seen["frames"]][:, order] @ _BLENDER_RIGHT_FROM_WORLD.T
        return max(error_m, max_distance_m(seen["positions_world_m"], source, "joints"))
