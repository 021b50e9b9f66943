"""BVH: Y up, +Z forward, rest pose = bind pose = T-pose with zero rotations, metres (or centimetres on demand).

The root has six channels, every other joint three: Zrotation Xrotation Yrotation, intrinsic and in degrees. A joint's
axes at rest are those of the file, so the channels hold each joint's turn away from the bind pose; rigs with bind
rotations of their own keep their pose but not their bone axes, which the format cannot hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporters.euler import continuous_zxy_deg
from exporters.job import Job, max_distance_m, require
from mocap.core.conventions import R_YUP_FROM_WORLD, world_from_yup, yup_from_world
from mocap.core.skeleton import Skeleton
from mocap.kernels.kinematics import forward_kinematics

UNITS = {"m": 1.0, "cm": 100.0}
_MIN_TIP_M = 0.01
"""End sites shorter than this make bones that importers drop."""


def write(job: Job, path: Path) -> None:
    """Write the motion."""
    motion = job.take.motion
    order, text = _hierarchy(motion.skeleton, UNITS[job.units])
    # The turn away from the bind pose, in file axes: C (R R_bind^T) C^T, then relative to the parent's.
    R_bind = _bind_world(motion.skeleton)[0]
    C = R_YUP_FROM_WORLD
    turn = C @ job.joints_world[0] @ R_bind.transpose(0, 2, 1) @ C.T
    local = turn.copy()
    for j, p in enumerate(motion.skeleton.parents):
        if p >= 0:
            local[:, j] = turn[:, p].transpose(0, 2, 1) @ turn[:, j]
    angles = continuous_zxy_deg(local)[:, order].reshape(len(local), -1)
    places = yup_from_world(motion.root_translation_m) * UNITS[job.units]
    template = "%.6f %.6f %.6f " + " ".join(["%.6f"] * angles.shape[1])
    rows = [template % tuple(row) for row in np.concatenate([places, angles], -1)]
    frame_time_s = 1 / motion.timeline.fps
    head = f"MOTION\nFrames: {len(rows)}\nFrame Time: {float(frame_time_s):.10f}\n"
    path.write_text(text + head + "\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def _bind_world(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations [joint 3 3] and positions [joint 3] of the bind pose."""
    R, positions = forward_kinematics(
        skeleton.parents, skeleton.offset_m, skeleton.offset_m[:1], skeleton.bind_local_wxyz[None]
    )
    return R[0], positions[0]


def _hierarchy(skeleton: Skeleton, scale: float) -> tuple[list[int], str]:
    """Return the joints depth first, as the format lists them, and the HIERARCHY section."""
    R_bind, place = _bind_world(skeleton)
    order: list[int] = []
    lines = ["HIERARCHY"]

    def triple(v_world_m: np.ndarray) -> str:
        return " ".join(f"{v:.6f}" for v in yup_from_world(v_world_m) * scale + 0.0)

    def joint(j: int, depth: int) -> None:
        order.append(j)
        tab, parent = "\t" * depth, skeleton.parents[j]
        offset = np.zeros(3) if parent < 0 else place[j] - place[parent]
        channels = "Zrotation Xrotation Yrotation"
        kind, count = ("ROOT", "6 Xposition Yposition Zposition") if parent < 0 else ("JOINT", "3")
        lines.extend([f"{tab}{kind} {skeleton.joint_names[j]}", f"{tab}{{", f"{tab}\tOFFSET {triple(offset)}"])
        lines.append(f"{tab}\tCHANNELS {count} {channels}")
        children = [c for c, p in enumerate(skeleton.parents) if p == j]
        for c in children:
            joint(c, depth + 1)
        if not children:
            tip = triple(_end_site(R_bind[j] @ skeleton.tip_m[j]))
            lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {tip}", f"{tab}\t}}"])
        lines.append(f"{tab}}}")

    joint(0, 0)
    return order, "\n".join(lines) + "\n"


def _end_site(tip_m: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(tip_m))
    return tip_m if length >= _MIN_TIP_M else np.array([0.0, 0.0, _MIN_TIP_M])


def read_bvh(path: Path) -> tuple[list[str], float, np.ndarray]:
    """Return joint names, frame time in s and positions [frame joint 3] in the file's unit and axes.

    Turns the channels into positions one elementary rotation at a time, in whatever order the file lists them.
    """
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    names, parents, offsets, channels = _read_hierarchy(lines)
    n_frames = int(next(lines).split(":")[1])
    frame_time_s = float(next(lines).split(":")[1])
    data = np.array([line.split() for line in lines if line.strip()], dtype=np.float64)
    require(len(data) == n_frames, f"{len(data)} rows of motion where the header says {n_frames}")
    data = data.reshape(n_frames, -1)
    require(data.shape[1] == sum(map(len, channels)) or not n_frames, "rows of another width than the channels")
    rotation: list[np.ndarray] = []
    position: list[np.ndarray] = []
    at = 0
    for parent, offset, names_of in zip(parents, offsets, channels, strict=True):
        turned = np.tile(np.eye(3), (n_frames, 1, 1))
        t = np.tile(offset, (n_frames, 1))
        for channel in names_of:
            axis, column = "XYZ".index(channel[0]), data[:, at]
            at += 1
            if channel.endswith("position"):
                t[:, axis] = t[:, axis] + column
            else:
                turned = turned @ _elementary(axis, np.radians(column))
        if parent >= 0:
            t = position[parent] + np.einsum("fab,fb->fa", rotation[parent], t)
            turned = rotation[parent] @ turned
        rotation.append(turned)
        position.append(t)
    return names, frame_time_s, np.stack(position, 1)


def _read_hierarchy(lines: Iterator[str]) -> tuple[list[str], list[int], list[np.ndarray], list[list[str]]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[np.ndarray] = []
    channels: list[list[str]] = []
    stack: list[int] = []
    for line in lines:
        word, *rest = line.split()
        if word == "MOTION":
            break
        if word in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(rest[0])
        elif word == "End":
            # Its braces open a level that holds no joint.
            for _ in range(3):
                next(lines)
        elif word == "{":
            stack.append(len(names) - 1)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            offsets.append(np.array(rest, np.float64))
        elif word == "CHANNELS":
            channels.append(rest[1:])
    return names, parents, offsets, channels


def _elementary(axis: int, angle_rad: np.ndarray) -> np.ndarray:
    R = np.zeros((len(angle_rad), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R[:, axis, axis] = 1.0
    R[:, a, a] = R[:, b, b] = np.cos(angle_rad)
    R[:, a, b], R[:, b, a] = -np.sin(angle_rad), np.sin(angle_rad)
    return R


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the file's joints from the motion's."""
    motion = job.take.motion
    names, frame_time_s, positions = read_bvh(path)
    require(set(names) == set(motion.skeleton.joint_names), f"joint names {names}")
    require(abs(frame_time_s * float(motion.timeline.fps) - 1) < 1e-6, f"frame time {frame_time_s} s")
    source = job.joints_world[1][:, [motion.skeleton.index(n) for n in names]]
    return max_distance_m(world_from_yup(positions) / UNITS[job.units], source, "joints")
