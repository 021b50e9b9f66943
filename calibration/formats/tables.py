"""Calibrations kept as a table per camera: aniposelib, Pose2Sim, FreeMoCap, Caliscope, Go2Kin.

aniposelib (and FreeMoCap, which adds metadata in millimetres) and Pose2Sim `Calib.toml`: one section per camera with
name, size, matrix, distortions, rotation (Rodrigues), translation, fisheye; `[metadata]` beside them. Caliscope
`camera_array.toml` and Go2Kin's JSON: `cameras.N` with the same fields, rotation as a matrix. Rotation and translation
are camera from world in all of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from calibration.formats.convert import UNIT_M, RawCamera, rodrigues
from mocap.core.camera import Camera, CameraRig, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

_LARGEST_M = 100.0
"""Cameras farther apart than this are not in metres."""
_SMALLEST_ROOM_MM = 700.0
"""Cameras of a rig in millimetres are farther apart than this; below, centimetres would be as likely."""


def is_camera_array(document: Mapping[str, Any]) -> bool:
    """Say whether a parsed TOML or JSON file is a Caliscope-like array of cameras."""
    cameras = document.get("cameras")
    if not isinstance(cameras, dict) or not all(isinstance(c, dict) for c in cameras.values()):
        return False
    return any("matrix" in c or "size" in c for c in cameras.values())


def is_camera_sections(document: Mapping[str, Any]) -> bool:
    """Say whether a parsed TOML file has aniposelib-like camera sections."""
    return any(isinstance(s, dict) and ("matrix" in s or "translation" in s) for s in document.values())


def read_camera_sections(document: Mapping[str, Any]) -> tuple[str, list[RawCamera]]:
    """Return the kind of file (aniposelib, freemocap or pose2sim) and its cameras."""
    sections = {k: s for k, s in document.items() if isinstance(s, dict) and k not in ("metadata", "calibration")}
    cameras = [_camera(str(s.get("name", key)), f"[{key}]", s) for key, s in sections.items() if _is_camera(s)]
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and "charuco_square_size" in metadata:
        return "freemocap", cameras
    return ("aniposelib" if all(k.startswith("cam_") for k in sections) else "pose2sim"), cameras


def camera_sections(rig: CameraRig, keys: Sequence[str], unit_m: float = 1.0) -> str:
    """Return one TOML section per camera as aniposelib, Pose2Sim and FreeMoCap read it."""
    return "\n".join(_section(key, camera, unit_m) for key, camera in zip(keys, rig.cameras, strict=True))


def _section(key: str, camera: Camera, unit_m: float) -> str:
    lens = camera.intrinsics
    rows = {
        "name": json.dumps(camera.name, ensure_ascii=False),
        "size": list(lens.size_px),
        "matrix": lens.matrix.tolist(),
        "distortions": lens.distortion.tolist(),
        "rotation": rodrigues(camera).tolist(),
        "translation": (camera.t_cam_from_world_m / unit_m).tolist(),
        "fisheye": "true" if lens.model is LensModel.FISHEYE else "false",
    }
    if camera.readout_s is not None:
        rows["readout_s"] = repr(float(camera.readout_s))
    return f"[{key}]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items())


def aniposelib_text(rig: CameraRig, findings: Sequence[Diagnostic] = (), error_px: float | None = None) -> str:
    """Return the rig as aniposelib reads it: `[cam_N]` in order, metres; findings and the error in its metadata."""
    cameras = camera_sections(rig, [f"cam_{i}" for i in range(len(rig))])
    error = "" if error_px is None or not math.isfinite(error_px) else f"error = {error_px!r}\n"
    metadata = f'[metadata]\nadjusted = false\n{error}units = "m"\nup = "z"\n'
    return "\n".join([cameras, metadata, *(finding_section(found) for found in findings)])


def freemocap_text(rig: CameraRig) -> str:
    """Return the rig as FreeMoCap reads it: aniposelib's layout in millimetres."""
    cameras = camera_sections(rig, [f"cam_{i}" for i in range(len(rig))], UNIT_M["mm"])
    return cameras + '\n[metadata]\nadjusted = false\nunits = "mm"\n'


def pose2sim_text(rig: CameraRig) -> str:
    """Return the rig as Pose2Sim's `Calib.toml`: sections by camera name, metres."""
    cameras = camera_sections(rig, [_toml_key(c.name) for c in rig.cameras])
    return cameras + "\n[metadata]\nadjusted = false\n"


def _toml_key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def caliscope_text(rig: CameraRig) -> str:
    """Return the rig as Caliscope's `camera_array.toml`: metres; cameras have numbers (`caliscope_ids`), no names."""
    parts: list[str] = []
    for number, camera in zip(caliscope_ids(rig.names), rig.cameras, strict=True):
        lens = camera.intrinsics
        rows = {
            "cam_id": number,
            "size": list(lens.size_px),
            "rotation_count": 0,
            "ignore": "false",
            "fisheye": "true" if lens.model is LensModel.FISHEYE else "false",
            "matrix": lens.matrix.tolist(),
            "distortions": lens.distortion.tolist(),
            "translation": camera.t_cam_from_world_m.tolist(),
            "rotation": camera.R_cam_from_world.tolist(),
        }
        parts.append(f"[cameras.{number}]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items()))
    return "\n".join(parts)


def caliscope_ids(names: Sequence[str]) -> list[int]:
    """Return the number in each camera's name, or 0, 1, ... where those are missing or not different."""
    found = [re.search(r"\d+", name) for name in names]
    numbers = [int(f[0]) for f in found if f]
    return numbers if len(set(numbers)) == len(names) else list(range(len(names)))


def finding_section(found: Diagnostic) -> str:
    """Return a finding about the original calibration as a section of our own rig files."""
    rows = {
        "code": found.code,
        "severity": str(found.severity),
        "message": found.message,
        "data": json.dumps(found.data),
    }
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in rows.items())
    return f"[[metadata.findings]]\n{text}"


def read_findings(document: Mapping[str, Any]) -> list[Diagnostic]:
    """Return the findings kept in a rig file; what is not of `finding_section`'s making is passed over."""
    metadata = document.get("metadata")
    entries = metadata.get("findings") if isinstance(metadata, dict) else None
    found: list[Diagnostic] = []
    for entry in entries if isinstance(entries, list) else ():
        with suppress(KeyError, TypeError, ValueError):
            found.append(Diagnostic.from_json({**entry, "data": json.loads(entry["data"])}))
    return found


def _is_camera(section: Mapping[str, Any]) -> bool:
    return bool({"matrix", "rotation", "translation", "distortions"} & section.keys())


def read_camera_array(document: Mapping[str, Any]) -> tuple[list[RawCamera], list[Diagnostic]]:
    """Return the cameras of a Caliscope-like file, named cam_N; those marked `ignore` are left out and reported."""
    entries = {key: entry for key, entry in document["cameras"].items() if not entry.get("ignore", False)}
    ignored = [key for key in document["cameras"] if key not in entries]
    raw = [_camera(f"cam_{e.get('cam_id', e.get('port', k))}", f"[cameras.{k}]", e) for k, e in entries.items()]
    if not ignored:
        return raw, []
    message = f"The rig file marks camera {', '.join(ignored)} as ignored: left out."
    return raw, [Diagnostic("rig-camera-ignored", Severity.INFO, message, {"cameras": ignored})]


def _camera(name: str, where: str, entry: Mapping[str, Any]) -> RawCamera:
    return RawCamera(
        name,
        where,
        entry.get("size"),
        entry.get("matrix"),
        entry.get("distortions", entry.get("distortion")),
        entry.get("rotation"),
        entry.get("translation"),
        bool(entry.get("fisheye", False)),
        entry.get("readout_s"),
    )


def unit_of(document: Mapping[str, Any], kind: str, raw: list[RawCamera], path: Path) -> tuple[float, list[Diagnostic]]:
    """Return the file's length unit in metres, and what was assumed.

    Stated by `[metadata] units`; FreeMoCap writes millimetres; else metres unless cameras would be over 100 m apart.
    Raises: InputError rig-unit-unknown.
    """
    metadata = document.get("metadata")
    stated = metadata.get("units") if isinstance(metadata, dict) else None
    if stated is not None:
        if str(stated).lower() not in UNIT_M:
            raise _unit_error(path, f"metadata.units is {stated!r}, expected one of {', '.join(UNIT_M)}")
        return UNIT_M[str(stated).lower()], []
    apart = _farthest_apart(raw)
    if apart <= _LARGEST_M and not (kind == "freemocap" and apart > 20.0):
        return 1.0, []
    if apart < _SMALLEST_ROOM_MM and kind != "freemocap":
        raise _unit_error(
            path, f"the cameras are up to {apart:.0f} units apart, which is neither metres nor clearly mm"
        )
    message = f"{path.name}: cameras up to {apart:.0f} units apart: read as millimetres."
    return 0.001, [Diagnostic("rig-unit-assumed", Severity.INFO, message, {"unit": "mm", "apart": round(apart, 3)})]


def _unit_error(path: Path, problem: str) -> InputError:
    return InputError(
        "rig-unit-unknown",
        f"{path}: the unit of length cannot be told: {problem}.",
        'Add the lines [metadata] and units = "m" (or "cm", "mm") to the file.',
    )


def _farthest_apart(raw: list[RawCamera]) -> float:
    """Return twice the largest camera-from-world translation: near enough to tell metres from millimetres."""
    try:
        t = np.array([np.asarray(r.translation, np.float64).reshape(3) for r in raw])
    except (TypeError, ValueError):
        return 0.0
    return 2.0 * float(np.linalg.norm(t, axis=1).max(initial=0.0)) if np.isfinite(t).all() else 0.0
