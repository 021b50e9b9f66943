# SPDX-FileCopyrightText: 2026 Mocap Studio contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and checking scene files (`<subject>.scene.json` + `.scene.npz`). Needs NumPy only, no Blender.

World: metres, right-handed, Z up, as Blender's. Camera frame: x right, y down, z forward. Pixel (0, 0): centre of the
upper-left pixel. Quaternions are wxyz. NaN is "missing", never zero.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "mocap-studio-scene"
NEWEST_VERSION = 1
N_DISTORTION = {"brown": 5, "fisheye": 4}


class SceneError(Exception):
    """A scene that cannot be shown; the text says what is wrong and what to do, for the user."""


@dataclass(frozen=True)
class SceneCamera:
    """A calibrated camera in the pixels of its footage."""

    name: str
    size_px: tuple[int, int]
    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    model: str
    distortion: np.ndarray
    R_cam_from_world: np.ndarray
    t_cam_from_world_m: np.ndarray
    video: Path | None
    time_s: np.ndarray
    """Master time of each frame of the footage (only known frames)."""


@dataclass(frozen=True)
class Marker:
    """A moment to look at; `frame` counts from 0."""

    frame: int
    severity: str
    label: str


@dataclass(frozen=True)
class Scene:
    """A checked scene."""

    path: Path
    subject: str
    fps: Fraction
    n_frames: int
    start_s: float
    cameras: list[SceneCamera]
    joint_names: list[str]
    parents: list[int]
    offset_m: np.ndarray
    bind_local_wxyz: np.ndarray
    tip_m: np.ndarray
    keypoint_names: list[str]
    contact_names: list[str]
    markers: list[Marker]
    arrays: dict[str, np.ndarray] = field(repr=False)


def read_scene(path: str | Path) -> Scene:
    """Read and check a scene. Raises SceneError for anything that is missing, damaged or from a newer program."""
    path = Path(path)
    data = _read_json(path)
    try:
        return _scene(path, data, _read_arrays(path, data["arrays"]))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise SceneError(f"{path.name} is damaged ({what}). Export the take for Blender again.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error.strerror}. Choose an existing .scene.json file.") from error
    except ValueError as error:
        raise SceneError(
            f"{path.name} is not a readable JSON file ({error}). Export the take for Blender again."
        ) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SceneError(f"{path.name} is not a Mocap Studio scene. Choose a file that ends with .scene.json.")
    version = data.get("version")
    if not isinstance(version, int) or version < 1:
        raise SceneError(f"{path.name} has no valid version number. Export the take for Blender again.")
    if version > NEWEST_VERSION:
        raise SceneError(
            f"{path.name} has scene version {version}; this add-on reads up to {NEWEST_VERSION}. Update the add-on."
        )
    return data


def _read_arrays(path: Path, described: dict[str, Any]) -> dict[str, np.ndarray]:
    # Only a plain file name: a scene must not make the add-on read elsewhere.
    npz = path.parent / Path(described["file"]).name
    try:
        content = npz.read_bytes()
    except OSError as error:
        raise SceneError(f"{npz} cannot be read: {error.strerror}. Keep it beside {path.name}.") from error
    if hashlib.sha256(content).hexdigest() != described["sha256"]:
        raise SceneError(f"{npz.name} is damaged or belongs to another {path.name}. Export the take for Blender again.")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise SceneError(
            f"{npz.name} is not a readable npz file ({error}). Export the take for Blender again."
        ) from error


def _scene(path: Path, data: dict[str, Any], arrays: dict[str, np.ndarray]) -> Scene:
    timeline, skeleton = data["timeline"], data["skeleton"]
    fps = Fraction(timeline["fps_num"], timeline["fps_den"])
    joints = len(skeleton["joint_names"])
    tips = [[np.nan] * 3 if t is None else t for t in skeleton["tip_m"]]
    scene = Scene(
        path=path,
        subject=str(data["subject"]),
        fps=fps,
        n_frames=int(timeline["n_frames"]),
        start_s=float(timeline["start_s"]),
        cameras=[_camera(path, c, arrays["camera_time_s"][i]) for i, c in enumerate(data["cameras"])],
        joint_names=[str(n) for n in skeleton["joint_names"]],
        parents=[int(p) for p in skeleton["parents"]],
        offset_m=_array(skeleton["offset_m"], (joints, 3), "offset_m"),
        bind_local_wxyz=_array(skeleton["bind_local_wxyz"], (joints, 4), "bind_local_wxyz"),
        tip_m=_array(tips, (joints, 3), "tip_m", finite=False),
        keypoint_names=[str(n) for n in data["keypoint_names"]],
        contact_names=[str(n) for n in data["contact_names"]],
        markers=[Marker(int(m["frame"]), str(m["severity"]), str(m["label"])) for m in data["quality_markers"]],
        arrays=arrays,
    )
    _check(scene)
    return scene


def _check(scene: Scene) -> None:
    f, j, k = scene.n_frames, len(scene.joint_names), len(scene.keypoint_names)
    if scene.fps <= 0 or f < 1:
        raise ValueError(f"it needs frames and a positive rate, got {f} at {scene.fps}")
    if scene.parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(scene.parents) if i):
        raise ValueError("parents of joints are not a tree")
    shapes: dict[str, tuple[int, ...]] = {
        "root_translation_m": (f, 3),
        "local_wxyz": (f, j, 4),
        "points_xyz_m": (f, k, 3),
        "points_source": (f, k),
        "keypoints_xyz_m": (f, k, 3),
        "contact": (f, len(scene.contact_names)),
    }
    for name, shape in shapes.items():
        finite = name in ("root_translation_m", "local_wxyz")
        scene.arrays[name] = _array(scene.arrays[name], shape, name, finite=finite)


def _camera(path: Path, data: dict[str, Any], time_s: np.ndarray) -> SceneCamera:
    if data["model"] not in N_DISTORTION:
        raise ValueError(f"camera {data['name']} has the unknown lens model {data['model']!r}")
    rotation = _array(data["R_cam_from_world"], (3, 3), "R_cam_from_world")
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-5):
        raise ValueError(f"camera {data['name']} has no rotation matrix")
    width, height = (int(v) for v in data["size_px"])
    focal = _array(data["focal_px"], (2,), "focal_px")
    if min(width, height) < 1 or (focal <= 0).any():
        raise ValueError(f"camera {data['name']} needs a positive size and focal length")
    center = _array(data["center_px"], (2,), "center_px")
    time_s = np.asarray(time_s, np.float64)
    return SceneCamera(
        name=str(data["name"]),
        size_px=(width, height),
        focal_px=(float(focal[0]), float(focal[1])),
        center_px=(float(center[0]), float(center[1])),
        model=data["model"],
        distortion=_array(data["distortion"], (N_DISTORTION[data["model"]],), "distortion"),
        R_cam_from_world=rotation,
        t_cam_from_world_m=_array(data["t_cam_from_world_m"], (3,), "t_cam_from_world_m"),
        video=None if data["video"] is None else path.parent / data["video"],
        time_s=time_s[: int(np.isfinite(time_s).sum())],
    )


def _array(value: Any, shape: tuple[int, ...], name: str, *, finite: bool = True) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    return array
