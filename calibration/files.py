"""Reading calibrations of other programs, recognised by content, and writing ours (aniposelib TOML).

`calibration.rig_export` writes the formats of other programs.
"""

from __future__ import annotations

import json
import os
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.formats import blender, colmap, convert, opencv, qualisys, tables
from calibration.formats.convert import RawCamera
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.publish import published

_MAX_BYTES = 20_000_000
_KNOWN = (
    "aniposelib, Pose2Sim, Caliscope or FreeMoCap TOML, Qualisys .qca.txt, OpenCV or EasyMocap YAML, "
    "a COLMAP model, our script for Blender"
)
_FOLDER_SUFFIXES = (".toml", ".txt", ".json", ".py", *opencv.SUFFIXES)


@dataclass(frozen=True, eq=False)
class RigFile:
    """A rig and what its file was."""

    rig: CameraRig
    format: str
    """aniposelib, pose2sim, freemocap, caliscope, qualisys, opencv, easymocap, colmap, colmap-binary or blender."""
    diagnostics: tuple[Diagnostic, ...]


def read_rig(path: str | os.PathLike[str]) -> CameraRig:
    """Return the rig of a calibration file; see `read_rig_file`."""
    return read_rig_file(path).rig


def read_rig_file(path: str | os.PathLike[str]) -> RigFile:
    """Return the rig of a calibration file, or of a folder that holds one, with its format and findings.

    The world is taken as the file has it; where the cameras' upright directions contradict Z up this is reported.

    Raises: InputError rig-missing, rig-unreadable, rig-not-recognised, rig-value-invalid, rig-unit-unknown,
    rig-camera-twice, rig-ambiguous.
    """
    file = Path(path)
    if file.is_dir():
        return _read_folder(file)
    if colmap.is_binary(file):
        # With its points it may be larger than any other calibration.
        return _rig_file(file, *_colmap(file))
    name, raw, unit_m, diagnostics = _recognise(_read_bytes(file), file)
    return _rig_file(file, name, raw, unit_m, diagnostics)


def write_rig(
    path: str | os.PathLike[str],
    rig: CameraRig,
    findings: Sequence[Diagnostic] = (),
    error_px: float | None = None,
) -> None:
    """Write the rig as aniposelib reads it: `[cam_N]` in order, metres; published whole or not at all.

    All values come back bit for bit but the rotation, a Rodrigues vector: equal to 1e-15. `findings` about the
    calibration that the rig was read from are kept in `[metadata]` and come back with the rig; those that follow from
    the cameras themselves (a world that is not Z up) are left out, for they are found again. `error_px`: root mean
    square reprojection error of the calibration, where it is known.

    Raises: SetupError output-not-writable, output-full.
    """
    file = Path(path)
    kept = [found for found in findings if found.code != "rig-not-z-up"]
    with published(file) as temporary:
        temporary.write_text(tables.aniposelib_text(rig, kept, error_px), "utf-8")


def beside(file: Path, suffix: str) -> Path:
    """Return the path of what belongs to a rig file, in its folder: `rig.toml` and `.json` give `rig.json`.

    Only `.toml` is taken off: `rig.v1` and `rig.v2` are two rigs and have two reports.
    """
    name = file.stem if file.suffix.lower() == ".toml" else file.name
    return file.with_name(name + suffix)


def _read_bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise _not_recognised(file, f"{file.stat().st_size / 1e6:.0f} MB is too large for a calibration")
        return file.read_bytes()
    except FileNotFoundError as error:
        raise InputError("rig-missing", f"{file}: no such file.", "Check the path of the calibration file.") from error
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from error


def _not_recognised(file: Path, reason: str) -> InputError:
    return InputError(
        "rig-not-recognised",
        f"{file}: not a calibration that can be read ({reason}); expected {_KNOWN}.",
        "Give the calibration file of the rig, in one of these formats.",
    )


def _unreadable(file: Path, reason: str) -> InputError:
    advice = "Export the calibration again from the program that made it."
    return InputError("rig-unreadable", f"{file}: cannot be read: {reason}.", advice)


_Recognised = tuple[str, list[RawCamera], float, list[Diagnostic]]


def _recognise(data: bytes, file: Path) -> _Recognised:
    """Return format, cameras, unit in metres and findings."""
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:200]
    if not head:
        raise _unreadable(file, "the file is empty")
    if head.startswith(b"%YAML") or b"<opencv_storage" in data[:400]:
        return _opencv(file)
    if head.startswith(b"<"):
        return _xml(data, file)
    if b"\0" in data:
        raise _not_recognised(file, "it is not a text file")
    if head.startswith(blender.HEAD.encode()):
        return "blender", blender.read_blender(data.decode("utf-8-sig", "replace"), file), 1.0, []
    if file.suffix.lower() == ".txt" and colmap.is_colmap(data.decode("utf-8-sig", "replace")):
        return _colmap(file)
    document = _parse_text(data, head, file)
    if tables.is_camera_array(document):
        raw, diagnostics = tables.read_camera_array(document)
        unit_m, found = tables.unit_of(document, "caliscope", raw, file)
        return "caliscope", raw, unit_m, diagnostics + found
    if tables.is_camera_sections(document):
        kind, raw = tables.read_camera_sections(document)
        unit_m, diagnostics = tables.unit_of(document, kind, raw, file)
        return kind, raw, unit_m, tables.read_findings(document) + diagnostics
    raise _not_recognised(file, "it has no camera sections")


def _parse_text(data: bytes, head: bytes, file: Path) -> dict[str, Any]:
    """Return the parsed JSON object or TOML document."""
    try:
        text = data.decode("utf-8-sig")
        document = json.loads(text) if head.startswith(b"{") else tomllib.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        if head.startswith((b"{", b"[")) or b"[cam" in data:
            raise _unreadable(file, str(error)) from error
        raise _not_recognised(file, "neither TOML, JSON, XML nor YAML") from error
    return document


def _xml(data: bytes, file: Path) -> _Recognised:
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise _unreadable(file, f"broken XML ({error})") from error
    if not qualisys.is_qualisys(root):
        raise _not_recognised(file, f"XML of another kind, <{root.tag}>")
    raw, diagnostics = qualisys.read_qualisys(root, file)
    return "qualisys", raw, qualisys.UNIT_M, diagnostics


def _opencv(path: Path) -> _Recognised:
    kind, raw = opencv.read_opencv(path)
    unit_m, diagnostics = tables.unit_of({}, kind, raw, path)
    return kind, raw, unit_m, diagnostics


def _colmap(path: Path) -> _Recognised:
    raw, is_metric = colmap.read_colmap(path)
    kind = "colmap-binary" if colmap.is_binary(path) else "colmap"
    if is_metric:
        return kind, raw, 1.0, []
    message = (
        f"{path}: a COLMAP model has no unit of length of its own; its numbers are taken as metres. Check the distance "
        "of two cameras, and scale the model in COLMAP (model_aligner) where it is not so."
    )
    return kind, raw, 1.0, [Diagnostic("rig-unit-assumed", Severity.WARNING, message, {"unit": "m"})]


def _read_folder(folder: Path) -> RigFile:
    """Return the rig of a folder: the one calibration in it, of one file or of several that belong together."""
    if colmap.is_model(folder):
        return _rig_file(folder, *_colmap(folder))
    names = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in _FOLDER_SUFFIXES)
    found: dict[Path, _Recognised] = {}
    for file in names:
        try:
            found[file] = _recognise(_read_bytes(file), file)
        except InputError as error:
            if error.code not in ("rig-not-recognised", "rig-unreadable"):
                raise
    if found and all(kind in ("opencv", "easymocap") for kind, *_ in found.values()):
        return _rig_file(folder, *_opencv(folder))
    if len(found) == 1:
        file, recognised = next(iter(found.items()))
        return _rig_file(file, *recognised)
    if found:
        listing = ", ".join(f.name for f in found)
        raise InputError("rig-ambiguous", f"{folder}: several calibrations: {listing}.", "Name the file to use.")
    raise _not_recognised(folder, f"no calibration among its {len(names)} files")


def _rig_file(path: Path, kind: str, raw: list[RawCamera], unit_m: float, diagnostics: list[Diagnostic]) -> RigFile:
    if not raw:
        raise _not_recognised(path, "it names no camera")
    names = [r.name for r in raw]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(
            "rig-camera-twice",
            f"{path}: camera names must differ, but {', '.join(twice)} occurs more than once in {', '.join(names)}.",
            "Give each camera its own name in the file.",
        )
    rig = CameraRig(tuple(convert.camera(r, path, unit_m) for r in raw))
    return RigFile(rig, kind, (*diagnostics, *_check_up(rig, path)))


def _check_up(rig: CameraRig, path: Path) -> list[Diagnostic]:
    """Report a world that is not Z up, judged by the cameras' own upright directions (most stand upright)."""
    up = np.mean([-c.R_cam_from_world[1] for c in rig.cameras], axis=0)
    size = float(np.linalg.norm(up))
    axis = int(np.argmax(np.abs(up)))
    if size < 0.5 or abs(up[axis]) / size < 0.8 or (axis == 2 and up[2] > 0):
        return []
    name = ("-" if up[axis] < 0 else "+") + "XYZ"[axis]
    message = (
        f"{path.name}: the cameras stand upright along world {name}; the studio's world has +Z up."
        " Figures will lie or stand on their heads until the rig is turned."
    )
    data = {"up_world": [round(float(v), 3) for v in up / size]}
    return [Diagnostic("rig-not-z-up", Severity.WARNING, message, data)]
