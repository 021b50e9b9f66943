"""The one place where calibration files become cameras and back: units, axes, pixel centres, distortion models.

Most formats put pixel (0, 0) at the centre of the upper-left pixel, as we do: OpenCV's detectors and calibration count
so, and Qualisys gives sensor bounds of 0 to (width - 1) * 64. COLMAP and Blender put it at that pixel's outer corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.camera import MAX_READOUT_S, N_DISTORTION, Camera, Intrinsics, LensModel
from mocap.core.errors import InputError
from mocap.kernels.projection import distort
from mocap.kernels.rotations import matrix_to_quat, quat_exp, quat_log, quat_to_matrix

R_OPENCV_FROM_BACKWARD = np.diag([1.0, -1.0, -1.0])
"""[3 3] from camera axes that look along -Z with Y up (Qualisys, OpenGL) to OpenCV's: half a turn about X."""
CORNER_FROM_CENTER_PX = 0.5
"""Added to pixels where a format counts from the outer corner of the upper-left pixel (COLMAP, Blender)."""
BLENDER_SENSOR_MM = 36.0
UNIT_M = {"m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
"""Names of length units in metres."""
_RIGID_TOLERANCE = 1e-3
"""Largest deviation of R R^T from the identity that counts as rounding in the file."""


@dataclass(frozen=True, eq=False)
class RawCamera:
    """One camera as its file has it, in OpenCV's axes; values unchecked, None where the file has none."""

    name: str
    where: str
    """The place in the file, for messages: section or element."""
    size: Any
    matrix: Any
    """[3 3] camera matrix in pixels."""
    distortions: Any
    rotation: Any
    """Camera from world: Rodrigues vector [3] or matrix [3 3]."""
    translation: Any
    """[3] camera from world, in the file's unit."""
    fisheye: bool = False
    readout_s: Any = None


@dataclass(frozen=True)
class BlenderLens:
    """Settings of a Blender camera with sensor fit 'HORIZONTAL', and of the render that it needs."""

    lens_mm: float
    shift_x: float
    shift_y: float
    pixel_aspect_x: float
    pixel_aspect_y: float


def blender_lens(lens: Intrinsics) -> BlenderLens:
    """Return the settings with which Blender projects as the lens does without its distortion.

    Blender has one focal length, of the width; fy differs through the pixel aspect, and shifts are shares of the width.
    """
    (width, height), (fx, fy) = lens.size_px, lens.focal_px
    cx, cy = lens.center_px + CORNER_FROM_CENTER_PX
    ratio = float(fx / fy)
    return BlenderLens(
        lens_mm=float(fx * BLENDER_SENSOR_MM / width),
        shift_x=float((width / 2 - cx) / width),
        shift_y=float((cy - height / 2) * ratio / width),
        pixel_aspect_x=max(1.0, 1.0 / ratio),
        pixel_aspect_y=max(1.0, ratio),
    )


def distortion_px(lens: Intrinsics) -> float:
    """Return how far the lens, at most over its picture, is from the pinhole that Blender has.

    Taken over the rays of the pinhole's own picture; beyond an angle where the distortion folds back it says too much.
    """
    u, v = (np.linspace(0, n - 1, 25) for n in lens.size_px)
    xy = (np.stack(np.meshgrid(u, v), -1) - lens.center_px) / lens.focal_px
    return float(np.linalg.norm((distort(xy, lens.distortion) - xy) * lens.focal_px, axis=-1).max())


def rodrigues(camera: Camera) -> np.ndarray:
    """Return the camera's rotation from the world as a vector [3] along its axis, in radians."""
    return quat_log(matrix_to_quat(camera.R_cam_from_world))


def rig_error(path: Path, camera: str, field: str, problem: str) -> InputError:
    """Return the error for a calibration value that cannot be used."""
    return InputError(
        "rig-value-invalid",
        f"{path}: camera {camera}, {field}: {problem}.",
        "Correct the file, or export the calibration again from the program that made it.",
    )


def camera(raw: RawCamera, path: Path, unit_m: float) -> Camera:
    """Return the camera in metres. Raises InputError rig-value-invalid naming the camera and the field."""
    size = _array(raw, path, "size", (2,))
    if (size < 1).any():
        raise rig_error(path, raw.name, "size", f"expected width and height above 0, got {_text(raw.size)}")
    matrix = _array(raw, path, "matrix", (3, 3))
    focal = np.array([matrix[0, 0], matrix[1, 1]])
    if (focal <= 0).any():
        raise rig_error(path, raw.name, "matrix", f"expected focal lengths above 0, got {focal[0]:g} and {focal[1]:g}")
    if abs(matrix[0, 1]) > 1e-6 * focal[0] or not np.allclose(matrix[2], [0, 0, 1]) or matrix[1, 0] != 0:
        raise rig_error(
            path, raw.name, "matrix", f"expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {_text(matrix)}"
        )
    model = LensModel.FISHEYE if raw.fisheye else LensModel.BROWN
    distortion = _distortion(raw, path, N_DISTORTION[model])
    intrinsics = Intrinsics(
        (round(float(size[0])), round(float(size[1]))), focal, np.array([matrix[0, 2], matrix[1, 2]]), distortion, model
    )
    translation = _array(raw, path, "translation", (3,)) * unit_m
    return Camera(raw.name, intrinsics, _rotation(raw, path), translation, _readout_s(raw, path))


def _readout_s(raw: RawCamera, path: Path) -> float | None:
    """Return the read-out time; None where the file has none."""
    if raw.readout_s is None:
        return None
    value = float(_array(raw, path, "readout_s", (1,))[0])
    if not 0 <= value <= MAX_READOUT_S:
        raise rig_error(path, raw.name, "readout_s", f"expected 0 to {MAX_READOUT_S} seconds, got {value:g}")
    return value


def _array(raw: RawCamera, path: Path, field: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return a field as finite float64 of the given shape (single rows and columns flattened; None: a vector)."""
    value = getattr(raw, field)
    if value is None:
        raise rig_error(path, raw.name, field, f"missing in {raw.where}")
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise rig_error(path, raw.name, field, f"expected numbers, got {_text(value)}") from error
    if shape is None or len(shape) == 1:
        array = array.reshape(-1)
    if shape is not None and array.shape != shape:
        raise rig_error(path, raw.name, field, f"expected {' x '.join(map(str, shape))} numbers, got {_text(value)}")
    if not np.isfinite(array).all():
        raise rig_error(path, raw.name, field, f"expected finite numbers, got {_text(value)}")
    return array


def _text(value: Any) -> str:
    text = str(np.asarray(value).tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= 120 else text[:117] + "..."


def _distortion(raw: RawCamera, path: Path, n: int) -> np.ndarray:
    """Return n coefficients: shorter lists are padded with 0, longer ones must end in 0."""
    if raw.distortions is None:
        raise rig_error(path, raw.name, "distortions", f"missing in {raw.where}")
    values = _array(raw, path, "distortions", None)
    if len(values) < n:
        return np.concatenate([values, np.zeros(n - len(values))])
    if values[n:].any():
        kind = "fisheye coefficients k1..k4" if raw.fisheye else "coefficients k1 k2 p1 p2 k3"
        raise rig_error(
            path, raw.name, "distortions", f"expected {n} {kind}, got {len(values)}: {_text(raw.distortions)}"
        )
    return values[:n]


def _rotation(raw: RawCamera, path: Path) -> np.ndarray:
    """Return the [3 3] rotation nearest to the file's, which may be rounded to a few digits."""
    value = _array(raw, path, "rotation", (3, 3) if np.size(raw.rotation) == 9 else (3,))
    if value.ndim == 1:
        return quat_to_matrix(quat_exp(value))
    error = float(np.abs(value @ value.T - np.eye(3)).max())
    if error > _RIGID_TOLERANCE or np.linalg.det(value) < 0:
        problem = f"not a rotation (R R^T differs from the identity by {error:.2g}, det {np.linalg.det(value):.3f})"
        raise rig_error(path, raw.name, "rotation", problem)
    if error < 1e-12:
        return value
    u, _, vt = np.linalg.svd(value)
    return u @ vt
