"""COLMAP's model: `cameras.txt` (lenses) and `images.txt` (places), camera from world; binary: `colmap_binary`.

Sources: COLMAP's documentation, "Output format", and its camera models. Pixel (0, 0) is the outer corner of the upper
left pixel. Each image becomes a camera, named after its file, or its folder where all files have one name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from calibration.formats import colmap_binary
from calibration.formats.convert import CORNER_FROM_CENTER_PX, RawCamera
from mocap.core.camera import CameraRig, LensModel
from mocap.core.errors import InputError
from mocap.kernels.rotations import matrix_to_quat, quat_to_matrix

CAMERAS, IMAGES, POINTS = "cameras.txt", "images.txt", "points3D.txt"
UNIT_LINE = "# Lengths are metres."
"""A model from pictures alone has no unit; one with this line has."""
UNIT_FILE = "unit.txt"
"""Beside a binary model, which has no place for the line."""
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_MODELS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""Camera models and their parameters in order."""
_BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


def is_colmap(text: str) -> bool:
    """Say whether a file is the `cameras.txt` or `images.txt` of a model, by its first line of data."""
    fields = next(iter(_rows(text)), [])
    return (len(fields) >= 5 and fields[1] in _MODELS) or (len(fields) == 10 and _are_numbers(fields[:9]))


def is_model(folder: Path) -> bool:
    """Say whether a folder holds a model, or a part of a binary one."""
    return is_binary(folder) or _is_text(folder)


def _is_text(folder: Path) -> bool:
    return (folder / CAMERAS).exists() and (folder / IMAGES).exists()


def is_binary(path: Path) -> bool:
    """Say whether what is read of a folder, or this file itself, is a binary model.

    Of both kinds COLMAP takes the binary one where its three files are whole; else what there is of it is read only
    where there is no text model.
    """
    names = (colmap_binary.CAMERAS, colmap_binary.IMAGES)
    if not path.is_dir():
        return path.name in names
    is_there = [(path / name).exists() for name in (*names, colmap_binary.POINTS)]
    return all(is_there) or (any(is_there[:2]) and not _is_text(path))


def read_colmap(path: Path) -> tuple[list[RawCamera], bool]:
    """Return the images of a model as cameras, and whether its lengths are said to be metres.

    path: the folder, or either of its files. Raises: InputError rig-missing, rig-unreadable, rig-value-invalid.
    """
    folder = path if path.is_dir() else path.parent
    if is_binary(path):
        sources = [folder / name for name in (colmap_binary.CAMERAS, colmap_binary.IMAGES)]
        is_metric = (folder / UNIT_FILE).exists() and UNIT_LINE in _text(folder / UNIT_FILE)
        cameras, images = colmap_binary.camera_rows(sources[0]), colmap_binary.image_rows(sources[1])
    else:
        sources = [folder / CAMERAS, folder / IMAGES]
        cameras, text = _rows(_text(sources[0])), _text(sources[1])
        images, is_metric = _image_rows(text), UNIT_LINE in text.splitlines()
    lenses = {fields[0]: _lens(fields, sources[0]) for fields in cameras}
    for fields in images:
        if len(fields) < 10 or not _are_numbers(fields[1:8]) or fields[8] not in lenses:
            raise _unreadable(sources[1], f"expected ID QW QX QY QZ TX TY TZ CAMERA NAME, got {fields}")
    names = _camera_names([" ".join(fields[9:]) for fields in images])
    raw = [_camera(name, fields, *lenses[fields[8]]) for name, fields in zip(names, images, strict=True)]
    return raw, is_metric


def _image_rows(text: str) -> list[list[str]]:
    """Return the fields of images.txt; every other line lists an image's points and may be empty."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line.split() for line in lines[::2] if line.strip()]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError as error:
        message = f"{file}: no such file; a COLMAP model is {CAMERAS} and {IMAGES} in one folder."
        advice = "Give the folder of the model."
        raise InputError("rig-missing", message, advice) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error


def _unreadable(file: Path, reason: str) -> InputError:
    return InputError("rig-unreadable", f"{file}: cannot be read: {reason}.", "Export the model again with COLMAP.")


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _are_numbers(fields: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite([float(f) for f in fields]).all())
    except ValueError:
        return False


def _lens(fields: list[str], file: Path) -> tuple[str, list[str], dict[str, float]]:
    """Return model, size and parameters of a line of cameras.txt."""
    model = fields[1] if len(fields) > 1 else ""
    if model not in _MODELS:
        raise InputError(
            "rig-value-invalid",
            f"{file}: camera {fields[0]}: the model {model or 'nothing'} is none of {', '.join(_MODELS)}.",
            "Reconstruct with one of these camera models, e.g. OPENCV or OPENCV_FISHEYE.",
        )
    names, values = _MODELS[model], fields[4:]
    if len(values) != len(names) or not _are_numbers(values):
        raise _unreadable(file, f"camera {fields[0]}: expected {' '.join(names)}, got {' '.join(values)}")
    return model, fields[2:4], dict(zip(names, map(float, values), strict=True))


def _camera_names(files: list[str]) -> list[str]:
    paths = [PurePosixPath(f) for f in files]
    stems = [p.stem if p.suffix.lower() in _PICTURES else p.name for p in paths]
    if len(set(stems)) == len(stems):
        return stems
    folders = [p.parent.name for p in paths]
    is_unique = len(set(folders)) == len(folders)
    return folders if is_unique else [str(p.parent / s) for p, s in zip(paths, stems, strict=True)]


def _camera(name: str, fields: list[str], model: str, size: list[str], value: dict[str, float]) -> RawCamera:
    numbers = np.array([float(f) for f in fields[1:8]])
    fx, fy = (value.get(key, value.get("f", np.nan)) for key in ("fx", "fy"))
    cx, cy = (value[key] - CORNER_FROM_CENTER_PX for key in ("cx", "cy"))
    is_fisheye = model.endswith("FISHEYE")
    order = ("k1", "k2", "k3", "k4") if is_fisheye else _BROWN
    return RawCamera(
        name,
        f"camera {fields[8]}",
        size,
        [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]],
        [value.get(key, 0.0) for key in order],
        quat_to_matrix(numbers[:4] / np.linalg.norm(numbers[:4])),
        numbers[4:],
        is_fisheye,
    )


def colmap_texts(rig: CameraRig) -> dict[str, str]:
    """Return the files of a model without points: one camera and one image `<name>.png` each, metres."""
    cameras = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"]
    images = [UNIT_LINE, "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", "# POINTS2D[] as X Y POINT3D_ID"]
    for i, camera in enumerate(rig.cameras, 1):
        lens = camera.intrinsics
        values = [*lens.focal_px, *(lens.center_px + CORNER_FROM_CENTER_PX), *lens.distortion]
        if lens.model is LensModel.FISHEYE:
            model = "OPENCV_FISHEYE"
        elif lens.distortion[4] == 0:
            model, values = "OPENCV", values[:8]
        else:
            model, values = "FULL_OPENCV", [*values, 0.0, 0.0, 0.0]
        cameras.append(" ".join([str(i), model, *map(str, lens.size_px), *_numbers(values)]))
        pose = [*matrix_to_quat(camera.R_cam_from_world), *camera.t_cam_from_world_m]
        images += [" ".join([str(i), *_numbers(pose), str(i), f"{camera.name}.png"]), ""]
    texts = {CAMERAS: cameras, IMAGES: images, POINTS: ["# POINT3D_ID X Y Z R G B ERROR TRACK[]"]}
    return {name: "\n".join(lines) + "\n" for name, lines in texts.items()}


def colmap_files(rig: CameraRig) -> Mapping[str, str | bytes]:
    """Return the files of a binary model without points: as `colmap_texts`, the unit in a file of its own."""
    texts = colmap_texts(rig)
    model = colmap_binary.binary_of(_rows(texts[CAMERAS]), _image_rows(texts[IMAGES]))
    return {**model, UNIT_FILE: UNIT_LINE + "\n"}


def _numbers(values: Sequence[float]) -> list[str]:
    return [repr(float(v)) for v in values]
