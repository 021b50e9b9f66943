"""Calibrations kept as a table per camera: aniposelib, Pose2Sim, FreeMoCap, Caliscope, Go2Kin.

aniposelib (and FreeMoCap, which adds metadata in millimetres) and Pose2Sim `Calib.toml`: one section per camera with
name, size, matrix, distortions, rotation (Rodrigues), translation, fisheye; `[metadata]` beside them. Caliscope
`camera_array.toml` and Go2Kin's JSON: `cameras.N` with the same fields, rotation as a matrix. Rotation and translation
are camera from world in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from calibration.formats.convert import UNIT_M, RawCamera
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

_LARGEST_M = 100.0
"""Cameras farther apart than this are not in metres."""
_SMALLEST_ROOM_MM = 700.0
"""Cameras of a rig in millimetres are farther apart than this; below, centimetres would be as likely."""


def is_camera_array(document: Mapping[str, Any]) -> bool:
    """Say whether a parsed TOML or JSON file is a Caliscope-like array of cameras."""
    cameras = document.get("cameras")
    return isinstance(cameras, dict) and bool(cameras) and all(isinstance(c, dict) for c in cameras.values())


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
