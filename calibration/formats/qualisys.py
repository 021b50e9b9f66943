"""Qualisys Track Manager calibration, `.qca.txt` (XML).

Lengths in millimetres, intrinsics in 1/64 pixel, r11..r33 = R_cam_from_world row by row with a camera that looks along
-Z, x y z the camera's place in the world (verified against 2D detections and published 3D points of the same take).
The radial and tangential terms are OpenCV's k1 k2 p1 p2 k3: an OpenCV calibration of the same cameras finds the same.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from calibration.formats.convert import R_OPENCV_FROM_BACKWARD, RawCamera, rig_error
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity

SUBPIXELS = 64.0
UNIT_M = 0.001


def is_qualisys(root: ET.Element) -> bool:
    """Say whether an XML document is a Qualisys calibration."""
    return root.tag == "calibration" and root.find("cameras/camera") is not None


def read_qualisys(root: ET.Element, path: Path) -> tuple[list[RawCamera], list[Diagnostic]]:
    """Return the active cameras, translations in millimetres. Raises InputError rig-value-invalid."""
    cameras: list[RawCamera] = []
    diagnostics: list[Diagnostic] = []
    for element in root.iterfind("cameras/camera"):
        name = element.get("serial") or f"camera {len(cameras) + 1}"
        if element.get("active", "1") == "0":
            message = f"The rig file marks camera {name} as not active: left out."
            diagnostics.append(Diagnostic("rig-camera-ignored", Severity.INFO, message, {"cameras": [name]}))
            continue
        if element.get("viewrotation", "0") not in ("0", "-1"):
            message = (
                f"Camera {name} is shown rotated by {element.get('viewrotation')} degrees in Qualisys;"
                " its calibration is of the unrotated picture."
            )
            diagnostics.append(Diagnostic("rig-view-rotated", Severity.WARNING, message, {"camera": name}))
        cameras.append(_camera(element, name, path))
    return cameras, diagnostics


def _numbers(element: ET.Element, tags: tuple[str, ...], keys: list[str], name: str, path: Path) -> np.ndarray:
    """Return attributes of the first child found among `tags`."""
    child = next((c for c in (element.find(t) for t in tags) if c is not None), None)
    if child is None:
        raise rig_error(path, name, tags[0], "missing")
    values: list[float] = []
    for key in keys:
        text = child.get(key)
        try:
            values.append(float(text or ""))
        except ValueError as error:
            problem = "missing" if text is None else f"expected a number, got {text!r}"
            raise rig_error(path, name, f"{tags[0]} {key}", problem) from error
    return np.array(values)


def _camera(element: ET.Element, name: str, path: Path) -> RawCamera:
    view = _numbers(element, ("fov_video", "fov_video_max"), ["left", "top", "right", "bottom"], name, path)
    keys = ["focalLengthU", "focalLengthV", "centerPointU", "centerPointV"]
    focal_u, focal_v, center_u, center_v = _numbers(element, ("intrinsic",), keys, name, path) / SUBPIXELS
    # The picture shows the part of the sensor from left to right, from top to bottom, both included.
    matrix = [[focal_u, 0.0, center_u - view[0]], [0.0, focal_v, center_v - view[1]], [0.0, 0.0, 1.0]]
    radial, tangential = "radialDistortion", "tangentalDistortion"
    keys = [f"{radial}1", f"{radial}2", f"{tangential}1", f"{tangential}2", f"{radial}3"]
    distortions = _numbers(element, ("intrinsic",), keys, name, path)
    keys = [f"r{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3)]
    rotation = R_OPENCV_FROM_BACKWARD @ _numbers(element, ("transform",), keys, name, path).reshape(3, 3)
    center_mm = _numbers(element, ("transform",), ["x", "y", "z"], name, path)
    size = [view[2] - view[0] + 1, view[3] - view[1] + 1]
    return RawCamera(name, f"camera {name}", size, matrix, distortions, rotation, -rotation @ center_mm)


def qualisys_text(rig: CameraRig) -> str:
    """Return the rig as a Qualisys calibration: millimetres, 1/64 pixels, cameras that look along -Z.

    Brown-Conrady lenses only. The nominal focal length in mm is not known and left out; the residual, which readers
    need, is 0 for unknown, as converters write it.
    """
    root = ET.Element("calibration", {"type": "regular", "source": "Mocap Studio"})
    cameras = ET.SubElement(root, "cameras")
    for camera in rig.cameras:
        lens = camera.intrinsics
        width, height = lens.size_px
        about = {"active": "1", "avg-residual": "0", "serial": camera.name, "model": "none", "viewrotation": "0"}
        element = ET.SubElement(cameras, "camera", about)
        view = {"left": "0", "top": "0", "right": str(width - 1), "bottom": str(height - 1)}
        for tag in ("fov_marker", "fov_marker_max", "fov_video", "fov_video_max"):
            ET.SubElement(element, tag, view)
        R = R_OPENCV_FROM_BACKWARD @ camera.R_cam_from_world
        place = dict(zip("xyz", camera.center_world_m / UNIT_M, strict=True))
        turn = {f"r{i + 1}{j + 1}": R[i, j] for i in range(3) for j in range(3)}
        ET.SubElement(element, "transform", _texts(place | turn))
        k1, k2, p1, p2, k3 = lens.distortion
        (fu, fv), (cu, cv) = lens.focal_px * SUBPIXELS, lens.center_px * SUBPIXELS
        numbers = {"focalLengthU": fu, "focalLengthV": fv, "centerPointU": cu, "centerPointV": cv, "skew": 0.0}
        numbers |= {"sensorMinU": 0.0, "sensorMaxU": (width - 1) * SUBPIXELS}
        numbers |= {"sensorMinV": 0.0, "sensorMaxV": (height - 1) * SUBPIXELS}
        numbers |= {"radialDistortion1": k1, "radialDistortion2": k2, "radialDistortion3": k3}
        numbers |= {"tangentalDistortion1": p1, "tangentalDistortion2": p2}
        ET.SubElement(element, "intrinsic", _texts(numbers))
    ET.indent(root)
    return ET.tostring(root, "unicode", xml_declaration=False).join(['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"])


def _texts(numbers: dict[str, float]) -> dict[str, str]:
    return {key: repr(float(value)) for key, value in numbers.items()}
