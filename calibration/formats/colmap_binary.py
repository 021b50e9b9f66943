"""COLMAP's binary model, `cameras.bin` and `images.bin`, as the fields of its text model and back.

Source: COLMAP's documentation, "Output format", section "Binary File Format", and the numbers of its camera models.
Little endian. cameras.bin: count uint64, then id int32, model int32, width uint64, height uint64 and the parameters as
doubles. images.bin: count uint64, then id int32, QW QX QY QZ TX TY TZ as doubles, camera int32, the name up to a zero
byte, number of points uint64 and for each x double, y double, point int64. points3D.bin: count uint64.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from mocap.core.errors import InputError

CAMERAS, IMAGES, POINTS = "cameras.bin", "images.bin", "points3D.bin"
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}
"""Camera models by number, with how many parameters they have."""
_COUNT, _CAMERA, _IMAGE, _POINT_BYTES = struct.Struct("<Q"), struct.Struct("<iiQQ"), struct.Struct("<i7di"), 24


def camera_rows(file: Path) -> list[list[str]]:
    """Return the fields of cameras.txt. Raises: InputError rig-missing, rig-unreadable, rig-value-invalid."""
    data = _bytes(file)
    try:
        rows, at = list[list[str]](), _COUNT.size
        for _ in range(_COUNT.unpack_from(data)[0]):
            number, model, width, height = _CAMERA.unpack_from(data, at)
            if model not in _MODELS:
                raise InputError(
                    "rig-value-invalid",
                    f"{file}: camera {number}: there is no camera model {model}; known: 0 to {max(_MODELS)}.",
                    "Reconstruct with a common camera model, e.g. OPENCV or OPENCV_FISHEYE.",
                )
            name, n = _MODELS[model]
            values = struct.unpack_from(f"<{n}d", data, at + _CAMERA.size)
            at += _CAMERA.size + 8 * n
            rows.append([str(number), name, str(width), str(height), *(repr(v) for v in values)])
    except struct.error as error:
        raise _broken(file, error) from error
    return rows


def image_rows(file: Path) -> list[list[str]]:
    """Return the fields of the first lines of images in images.txt. Raises: InputError rig-missing, rig-unreadable."""
    data = _bytes(file)
    try:
        rows, at = list[list[str]](), _COUNT.size
        for _ in range(_COUNT.unpack_from(data)[0]):
            number, *pose, camera = _IMAGE.unpack_from(data, at)
            start = at + _IMAGE.size
            end = data.index(b"\0", start)
            (n_points,) = _COUNT.unpack_from(data, end + 1)
            at = end + 1 + _COUNT.size + _POINT_BYTES * n_points
            rows.append([str(number), *(repr(v) for v in pose), str(camera), data[start:end].decode("utf-8")])
    except (struct.error, ValueError) as error:
        raise _broken(file, error) from error
    if at > len(data):
        raise _broken(file, f"{len(data)} bytes, expected {at}")
    return rows


def binary_of(cameras: Sequence[Sequence[str]], images: Sequence[Sequence[str]]) -> Mapping[str, bytes]:
    """Return the files of a model without points from the fields of its text model."""
    number_of = {name: number for number, (name, _) in _MODELS.items()}
    out_cameras, out_images = _COUNT.pack(len(cameras)), _COUNT.pack(len(images))
    for number, model, width, height, *values in cameras:
        out_cameras += _CAMERA.pack(int(number), number_of[model], int(width), int(height))
        out_cameras += struct.pack(f"<{len(values)}d", *map(float, values))
    for number, *pose, camera, name in images:
        out_images += _IMAGE.pack(int(number), *map(float, pose), int(camera)) + name.encode() + b"\0" + _COUNT.pack(0)
    return {CAMERAS: out_cameras, IMAGES: out_images, POINTS: _COUNT.pack(0)}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        message = f"{file}: no such file; a binary COLMAP model is {CAMERAS} and {IMAGES} in one folder."
        raise InputError("rig-missing", message, "Give the folder of the model.") from error
    except OSError as error:
        raise _broken(file, error) from error


def _broken(file: Path, reason: object) -> InputError:
    message = f"{file}: cannot be read as a binary COLMAP model: {reason}."
    return InputError("rig-unreadable", message, "Write the model again with COLMAP, or as text (model_converter).")
