"""OpenCV FileStorage calibrations (YAML, XML or JSON).

Layouts: one file per camera with the matrix, distortion, size, rotation and translation under any of the usual names; a
pair `intri.yml` and `extri.yml` with `names` and `K_<camera>`, `dist_<camera>`, `Rot_<camera>` or `R_<camera>`,
`T_<camera>` (EasyMocap). Rotation and translation are camera from world.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from calibration.formats.convert import RawCamera, rodrigues
from mocap.core.camera import CameraRig, LensModel
from mocap.core.camera_names import natural_key
from mocap.core.errors import InputError

SUFFIXES = (".yml", ".yaml", ".xml")
_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "CameraMatrix", "K", "intrinsic", "intrinsics", "M1")
_DISTORTION = (
    "distortion_coefficients",
    "distCoeffs",
    "Distortion_Coefficients",
    "dist_coeffs",
    "dist",
    "D",
    "distortion",
)
_ROTATION = ("rotation_matrix", "rotation", "Rot", "R", "rvec", "rotation_vector")
_TRANSLATION = ("translation_vector", "translation", "T", "t", "tvec")
_WIDTH, _HEIGHT = ("image_width", "image_Width", "width", "W"), ("image_height", "image_Height", "height", "H")
_SIZE = ("image_size", "imageSize", "size", "resolution")


def load_storage(path: Path) -> dict[str, Any]:
    """Return the top-level entries: matrices, lists, numbers and strings. Raises InputError rig-unreadable."""
    import cv2

    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        root = storage.root()
        values = {key: _value(root.getNode(key)) for key in root.keys()}  # noqa: SIM118  a FileNode is no dict
        storage.release()
    except (cv2.error, SystemError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "syntax error"
        raise InputError(
            "rig-unreadable",
            f"{path}: not readable as an OpenCV file: {reason}.",
            "Export the calibration again from the program that made it.",
        ) from error
    return values


def _value(node: Any) -> Any:
    if node.isMap():
        return node.mat()
    if node.isSeq():
        return [_value(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def read_opencv(path: Path) -> tuple[str, list[RawCamera]]:
    """Return the kind (opencv, easymocap) and the cameras of a folder, of a pair (either of its files), or of one file.

    Raises: InputError rig-unreadable, rig-not-recognised.
    """
    files = _storage_files(path) if path.is_dir() else _pair(path)
    documents = {f: load_storage(f) for f in files}
    merged = {k: v for d in documents.values() for k, v in d.items()}
    if isinstance(merged.get("names"), list):
        return "easymocap", [_from_pair(merged, _name(name), files) for name in merged["names"]]
    cameras = [_single(d, f) for f, d in documents.items() if _first(d, _MATRIX) is not None]
    if not cameras:
        raise InputError(
            "rig-not-recognised",
            f"{path}: an OpenCV file without a camera matrix (looked for {', '.join(_MATRIX)}).",
            "Give a file with camera_matrix, distortion_coefficients, image_width, image_height, R and T per camera.",
        )
    return "opencv", cameras


def _name(value: Any) -> str:
    """Return a camera's name; unquoted digits are read as a number."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _storage_files(folder: Path) -> list[Path]:
    return sorted((f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES), key=lambda f: natural_key(f.name))


def _pair(path: Path) -> list[Path]:
    """Return intrinsics and extrinsics files that belong together, or the file alone."""
    for a, b in (("intri", "extri"), ("extri", "intri")):
        if a in path.stem.lower():
            other = path.with_name(path.name.lower().replace(a, b))
            other = other if other.exists() else path.with_name(path.name.replace(a, b).replace(a.upper(), b.upper()))
            return [path, other] if other.exists() and other != path else [path]
    return [path]


def _first(document: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((document[k] for k in keys if k in document), None)


def _size(document: dict[str, Any], suffix: str = "") -> Any:
    both = [_first(document, tuple(k + suffix for k in keys)) for keys in (_WIDTH, _HEIGHT)]
    return both if None not in both else _first(document, tuple(k + suffix for k in _SIZE))


def _from_pair(merged: dict[str, Any], name: str, files: list[Path]) -> RawCamera:
    where = " + ".join(f.name for f in files)
    rotation = merged.get(f"Rot_{name}", merged.get(f"R_{name}"))
    size = _size(merged, f"_{name}") or _size(merged)
    distortion = merged.get(f"dist_{name}", merged.get(f"D_{name}"))
    return RawCamera(name, where, size, merged.get(f"K_{name}"), distortion, rotation, merged.get(f"T_{name}"))


def _single(document: dict[str, Any], file: Path) -> RawCamera:
    name = document.get("camera_name", document.get("name"))
    fisheye = document.get("fisheye", 0) == 1 or str(document.get("model", "")).lower() == "fisheye"
    return RawCamera(
        name if isinstance(name, str) and name else file.stem,
        file.name,
        _size(document),
        _first(document, _MATRIX),
        _first(document, _DISTORTION),
        _first(document, _ROTATION),
        _first(document, _TRANSLATION),
        fisheye,
    )


def opencv_texts(rig: CameraRig) -> dict[str, str]:
    """Return one file per camera, by file name: OpenCV YAML with intrinsics and camera from world, metres."""
    texts: dict[str, str] = {}
    stems = list(rig.names)
    # The name in the file counts; files cannot be called everything that cameras can.
    if not all(re.fullmatch(r"[\w-]+", n) for n in stems) or len({n.casefold() for n in stems}) < len(stems):
        stems = [f"camera_{i + 1}" for i in range(len(rig))]
    for stem, camera in zip(stems, rig.cameras, strict=True):
        lens = camera.intrinsics
        entries = [
            f"camera_name: {json.dumps(camera.name, ensure_ascii=False)}",
            f"image_width: {lens.size_px[0]}",
            f"image_height: {lens.size_px[1]}",
            _matrix("camera_matrix", lens.matrix),
            _matrix("distortion_coefficients", lens.distortion[None]),
            f"fisheye: {int(lens.model is LensModel.FISHEYE)}",
            _matrix("R", camera.R_cam_from_world),
            _matrix("T", camera.t_cam_from_world_m[:, None]),
        ]
        texts[f"{stem}.yml"] = _storage(entries)
    return texts


def easymocap_texts(rig: CameraRig) -> dict[str, str]:
    """Return `intri.yml` and `extri.yml` of EasyMocap: metres, camera from world; Brown-Conrady lenses only."""
    names = "\n".join(["names:", *(f"  - {json.dumps(n)}" for n in rig.names)])
    intrinsics, extrinsics = [names], [names]
    for camera in rig.cameras:
        name, lens = camera.name, camera.intrinsics
        intrinsics += [_matrix(f"K_{name}", lens.matrix), _matrix(f"dist_{name}", lens.distortion[None])]
        intrinsics += [f"H_{name}: {lens.size_px[1]}", f"W_{name}: {lens.size_px[0]}"]
        extrinsics += [
            _matrix(f"R_{name}", rodrigues(camera)[:, None]),
            _matrix(f"Rot_{name}", camera.R_cam_from_world),
            _matrix(f"T_{name}", camera.t_cam_from_world_m[:, None]),
        ]
    return {"intri.yml": _storage(intrinsics), "extri.yml": _storage(extrinsics)}


def _storage(entries: list[str]) -> str:
    return "\n".join(["%YAML:1.0", "---", *entries, ""])


def _matrix(key: str, values: np.ndarray) -> str:
    rows, columns = values.shape
    data = ", ".join(repr(float(v)) for v in values.ravel())
    return f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {data} ]"
