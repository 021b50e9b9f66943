"""GLB (binary glTF 2.0): metres, Y up, +Z forward; rest pose in the nodes, a skinned mesh of bones, linear samplers.

Specification: Khronos Group, "glTF 2.0", sections 3.5 (scenes), 3.7.3 (skins), 3.11 (animations) and 4 (GLB). Time
starts at 0.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from exporters.file_motion import FileMotion, bone_shapes, in_file_axes
from exporters.job import Job, max_distance_m, require
from mocap.core.conventions import world_from_yup

_FLOAT, _USHORT, _UINT = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963


class _Buffer:
    """The one binary buffer of a GLB and its accessors, filled piece by piece."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """Append an array and return its accessor's index; every view starts on a multiple of four bytes."""
        component = {"float32": _FLOAT, "uint16": _USHORT, "uint32": _UINT}[values.dtype.name]
        self.data.extend(b"\0" * (-len(self.data) % 4))
        raw = np.ascontiguousarray(values).tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)}
        self.views.append(view | ({"target": target} if target else {}))
        self.data.extend(raw)
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1, "componentType": component, "count": len(values), "type": kind
        }  # fmt: skip
        if bounds:
            rows = values.reshape(len(values), -1)
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def write(job: Job, path: Path) -> None:
    """Write the motion with a simple visible body."""
    import pygltflib

    motion = in_file_axes(job.take.motion)
    buffer, n = _Buffer(), len(motion.names)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Mocap Studio"},
        "scene": 0,
        "scenes": [{"nodes": [n]}],
        "nodes": [*_joint_nodes(motion), {"name": job.take.subject, "children": [0, n + 1]}],
        "meshes": [{"name": "Bones", "primitives": [_mesh(motion, buffer)]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.32, 0.52, 0.83, 1.0], "metallicFactor": 0.0}}],
        "skins": [{"joints": list(range(n)), "skeleton": 0, "inverseBindMatrices": _inverse_binds(motion, buffer)}],
    }
    document["nodes"].append({"name": "Bones", "mesh": 0, "skin": 0})
    if job.take.motion.timeline.n_frames:
        fps = job.take.motion.timeline.fps
        document["animations"] = [_animation(motion, float(fps), buffer)]
        document["asset"]["extras"] = {"fps": f"{fps.numerator}/{fps.denominator}"}
    document |= {"bufferViews": buffer.views, "accessors": buffer.accessors}
    document["buffers"] = [{"byteLength": len(buffer.data)}]
    gltf = pygltflib.GLTF2.from_json(json.dumps(document), infer_missing=True)
    gltf.set_binary_blob(bytes(buffer.data))
    path.write_bytes(b"".join(gltf.save_to_bytes()))


def _joint_nodes(motion: FileMotion) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for j, name in enumerate(motion.names):
        w, x, y, z = motion.rest_wxyz[j].tolist()
        node: dict[str, Any] = {"name": name, "translation": motion.rest_m[j].tolist(), "rotation": [x, y, z, w]}
        children = [c for c, p in enumerate(motion.parents) if p == j]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _mesh(motion: FileMotion, buffer: _Buffer) -> dict[str, Any]:
    vertices, owners, triangles = bone_shapes(motion)
    # Flat shading: every face has corners of its own, with the face's normal.
    corners, owner = vertices[triangles], owners[triangles].reshape(-1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.repeat(normals / np.linalg.norm(normals, axis=-1, keepdims=True), 3, axis=0)
    joints = np.zeros((len(owner), 4), np.uint16)
    joints[:, 0] = owner
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(owner), 1))
    return {
        "attributes": {
            "POSITION": buffer.add(corners.reshape(-1, 3).astype(np.float32), "VEC3", _ARRAY_BUFFER, bounds=True),
            "NORMAL": buffer.add(normals.astype(np.float32), "VEC3", _ARRAY_BUFFER),
            "JOINTS_0": buffer.add(joints, "VEC4", _ARRAY_BUFFER),
            "WEIGHTS_0": buffer.add(weights, "VEC4", _ARRAY_BUFFER),
        },
        "indices": buffer.add(np.arange(len(owner), dtype=np.uint32), "SCALAR", _ELEMENT_BUFFER),
        "material": 0,
    }


def _inverse_binds(motion: FileMotion, buffer: _Buffer) -> int:
    R, place = motion.rest_world()
    inverse = np.tile(np.eye(4), (len(R), 1, 1))
    inverse[:, :3, :3] = R.transpose(0, 2, 1)
    inverse[:, :3, 3] = -np.einsum("jba,jb->ja", R, place)
    # Column-major, as glTF stores matrices.
    return buffer.add(inverse.transpose(0, 2, 1).astype(np.float32), "MAT4")


def _animation(motion: FileMotion, fps: float, buffer: _Buffer) -> dict[str, Any]:
    times = buffer.add((np.arange(len(motion.root_m)) / fps).astype(np.float32), "SCALAR", bounds=True)
    samplers = [
        {"input": times, "interpolation": "LINEAR", "output": buffer.add(motion.root_m.astype(np.float32), "VEC3")}
    ]
    channels = [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]
    for j in range(len(motion.names)):
        xyzw = motion.local_wxyz[:, j, [1, 2, 3, 0]].astype(np.float32)
        samplers.append({"input": times, "interpolation": "LINEAR", "output": buffer.add(xyzw, "VEC4")})
        channels.append({"sampler": j + 1, "target": {"node": j, "path": "rotation"}})
    return {"name": "take", "samplers": samplers, "channels": channels}


def read_glb(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return joint names, time_s [frame] and positions [frame joint 3] in the file's world.

    Reads the container's chunks by hand and multiplies the nodes' 4x4 matrices down from the scene's root.
    """
    raw = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", raw)
    require(magic == b"glTF" and version == 2 and length == len(raw), "not a whole GLB 2 file")
    json_length = struct.unpack_from("<I", raw, 12)[0]
    document = json.loads(raw[20 : 20 + json_length])
    blob = raw[20 + json_length + 8 :]
    nodes, joints = document["nodes"], document["skins"][0]["joints"]
    tracks: dict[tuple[int, str], np.ndarray] = {}
    time_s = np.zeros(0)
    for animation in document.get("animations", []):
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            time_s = _values(document, blob, sampler["input"])[:, 0]
            target = channel["target"]
            tracks[target["node"], target["path"]] = _values(document, blob, sampler["output"])
    world: dict[int, np.ndarray] = {}
    pending = [(i, np.tile(np.eye(4), (len(time_s), 1, 1))) for i in document["scenes"][document["scene"]]["nodes"]]
    while pending:
        i, parent = pending.pop()
        world[i] = parent @ _node_matrix(nodes[i], i, tracks, len(time_s))
        pending += [(c, world[i]) for c in nodes[i].get("children", [])]
    return [nodes[i]["name"] for i in joints], time_s, np.stack([world[i][:, :3, 3] for i in joints], 1)


def _node_matrix(node: dict[str, Any], index: int, tracks: dict[tuple[int, str], np.ndarray], n: int) -> np.ndarray:
    t = tracks.get((index, "translation"), np.tile(node.get("translation") or [0.0] * 3, (n, 1)))
    x, y, z, w = tracks.get((index, "rotation"), np.tile(node.get("rotation") or [0.0, 0, 0, 1], (n, 1))).T
    m = np.zeros((n, 4, 4))
    m[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1)
    m[:, 1, :3] = np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1)
    m[:, 2, :3] = np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1)
    m[:, :3, 3], m[:, 3, 3] = t, 1.0
    return m


def _values(document: dict[str, Any], blob: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    require(accessor["componentType"] == _FLOAT, "animation data that is not float")
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    values = np.frombuffer(blob, "<f4", accessor["count"] * width, start)
    return values.reshape(-1, width).astype(np.float64)


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the file's joints from the motion's."""
    motion = job.take.motion
    names, time_s, positions = read_glb(path)
    require(tuple(names) == motion.skeleton.joint_names, f"joint names {names}")
    expected_s = motion.timeline.time_s - motion.timeline.start_s
    require(
        len(time_s) == len(expected_s) and bool(np.allclose(time_s, expected_s, rtol=1e-6, atol=1e-6)), "other times"
    )
    return max_distance_m(world_from_yup(positions), job.joints_world[1], "joints")
