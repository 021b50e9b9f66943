"""Writing rigs for other programs: the table of formats, what each cannot hold, and exchange with aniposelib.

What is written is read back and compared before it is put in place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calibration.files import read_rig
from calibration.formats import blender, colmap, convert, opencv, qualisys, tables
from mocap.core.camera import CameraRig, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.publish import published, published_set

_TOLERANCE = 1e-9
"""Largest difference, in pixels, metres and cosines, of a rig that is read back: rounding of rotation vectors."""


@dataclass(frozen=True)
class RigFormat:
    """How another program keeps a rig."""

    files: Callable[[CameraRig], Mapping[str, str | bytes]]
    """File name to content; of a format that is one file the name is empty."""
    about: str
    has_fisheye: bool = True
    names: str = r".+"
    """What camera names can be."""
    is_folder: bool = False
    """Whether it is a folder of files."""
    has_readout: bool = False
    """Whether read-out times of rolling shutters come back: other programs pass over a field of ours."""


def _one(text: Callable[[CameraRig], str]) -> Callable[[CameraRig], Mapping[str, str | bytes]]:
    return lambda rig: {"": text(rig)}


FORMATS: dict[str, RigFormat] = {
    "aniposelib": RigFormat(_one(tables.aniposelib_text), "aniposelib TOML, metres: our own", has_readout=True),
    "pose2sim": RigFormat(
        _one(tables.pose2sim_text),
        "Pose2Sim Calib.toml, metres",
        has_fisheye=False,  # it writes the flag and never reads it
        names=r"(?!(metadata|calibration)$).+",
        has_readout=True,
    ),
    "caliscope": RigFormat(_one(tables.caliscope_text), "Caliscope camera_array.toml, metres"),
    "freemocap": RigFormat(_one(tables.freemocap_text), "FreeMoCap TOML, millimetres", has_readout=True),
    "opencv": RigFormat(opencv.opencv_texts, "a folder of OpenCV YAML files, one per camera, metres", is_folder=True),
    "qualisys": RigFormat(_one(qualisys.qualisys_text), "Qualisys .qca.txt, millimetres", has_fisheye=False),
    "easymocap": RigFormat(
        opencv.easymocap_texts,
        "a folder with EasyMocap's intri.yml and extri.yml, metres",
        has_fisheye=False,
        names=r"[\w-]+",
        is_folder=True,
    ),
    "colmap": RigFormat(
        colmap.colmap_texts, "a folder with a COLMAP text model, metres", names=r"[^\s/]+", is_folder=True
    ),
    "colmap-binary": RigFormat(
        colmap.colmap_files, "a folder with a binary COLMAP model, metres", names=r"[^\s/]+", is_folder=True
    ),
    "blender": RigFormat(_one(blender.blender_text), "a Python script that makes the cameras in Blender"),
}
"""Formats by name."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    files: tuple[Path, ...]
    diagnostics: tuple[Diagnostic, ...]


def export_rig(path: str | os.PathLike[str], rig: CameraRig, format_name: str) -> Written:
    """Write the rig in another program's format; path is a file or, where the format is several files, a new folder.

    Raises: InputError rig-format-unknown, rig-format-cannot (a lens or a name that the format has no place for),
    output-exists (the folder is not empty), export-mismatch; SetupError output-not-writable, output-full.
    """
    target, kind = Path(path), FORMATS.get(format_name)
    if kind is None:
        listing = ", ".join(FORMATS)
        raise InputError(
            "rig-format-unknown", f"There is no rig format {format_name!r}; known: {listing}.", "Name one of them."
        )
    _require_holds(rig, format_name, kind)
    found = _losses(rig, format_name)
    contents = kind.files(rig)
    if not kind.is_folder:
        with published(target) as temporary:
            _write(temporary, contents[""])
            _require_same(rig, temporary, format_name, target)
        return Written((target,), found)
    if target.is_dir() and any(target.iterdir()):
        message = (
            f"{target}: the folder is not empty; {format_name} is written as {', '.join(list(contents)[:4])} there."
        )
        raise InputError("output-exists", message, "Name a new folder.")
    with published_set(target) as folder:
        for name, content in contents.items():
            _write(folder / name, content)
        _require_same(rig, folder, format_name, target)
    return Written(tuple(target / name for name in contents), found)


def _write(file: Path, content: str | bytes) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def _require_holds(rig: CameraRig, name: str, kind: RigFormat) -> None:
    fisheyes = [c.name for c in rig.cameras if c.intrinsics.model is LensModel.FISHEYE]
    if fisheyes and not kind.has_fisheye:
        able = ", ".join(n for n, f in FORMATS.items() if f.has_fisheye and n != "blender")
        raise InputError(
            "rig-format-cannot",
            f"{name} has Brown-Conrady lenses only; {', '.join(fisheyes)} is a fisheye and would be read wrongly.",
            f"Write one of {able}, or calibrate that lens with --model brown.",
        )
    odd = [c.name for c in rig.cameras if not re.fullmatch(kind.names, c.name, re.ASCII)]
    if odd:
        raise InputError(
            "rig-format-cannot",
            f"{name} cannot have cameras called {', '.join(map(repr, odd))}.",
            "Rename these cameras in the rig: letters, digits, - and _.",
        )


def _losses(rig: CameraRig, name: str) -> tuple[Diagnostic, ...]:
    """Return what the format leaves out, by camera."""
    found: list[Diagnostic] = []
    known_s = {c.name: c.readout_s for c in rig.cameras if c.readout_s is not None}
    if known_s and not FORMATS[name].has_readout:
        listing = ", ".join(f"{n} {1e3 * s:.1f} ms" for n, s in known_s.items())
        message = f"{name} has no place for the read-out time of a rolling shutter: {listing}."
        found.append(Diagnostic("rig-format-loses", Severity.WARNING, message, {"readout_s": known_s}))
    if name == "caliscope":
        ids = dict(zip(rig.names, tables.caliscope_ids(rig.names), strict=True))
        changed = {n: i for n, i in ids.items() if n != f"cam_{i}"}
        if changed:
            listing = ", ".join(f"{n} is {i}" for n, i in changed.items())
            message = f"Caliscope numbers its cameras and keeps no names: {listing}."
            found.append(Diagnostic("rig-format-loses", Severity.WARNING, message, {"ids": changed}))
    if name == "blender":
        bent = {c.name: convert.distortion_px(c.intrinsics) for c in rig.cameras}
        bent = {n: round(v, 1) for n, v in bent.items() if v > 0.1}
        if bent:
            listing = ", ".join(f"{n} {v:.0f} px" for n, v in bent.items())
            message = (
                "Blender's cameras have no lens distortion: straight renders differ from the footage by up to "
                f"{listing}. Undistort the footage, or import a take with the extension, which does so."
            )
            found.append(Diagnostic("rig-format-loses", Severity.WARNING, message, {"departure_px": bent}))
    return tuple(found)


def _require_same(rig: CameraRig, written: Path, name: str, target: Path) -> None:
    """Raise unless the rig that is read back is the one that was meant."""
    back = read_rig(written)
    expected = rig
    if name == "caliscope":
        ids = tables.caliscope_ids(rig.names)
        expected = CameraRig(tuple(replace(c, name=f"cam_{i}") for c, i in zip(rig.cameras, ids, strict=True)))
    is_same = sorted(back.names) == sorted(expected.names) and rig_difference(expected, back) <= _TOLERANCE
    if is_same and FORMATS[name].has_readout:
        is_same = all(c.readout_s == back[c.name].readout_s for c in expected.cameras)
    if not is_same:
        message = f"{target}: what was written as {name} does not read back as the rig; it was discarded."
        raise InputError("export-mismatch", message, "Report this with the rig file.")


def rig_difference(a: CameraRig, b: CameraRig) -> float:
    """Return the largest difference of any parameter (pixels as shares of the focal length, metres, cosines)."""
    worst = 0.0
    for camera in a.cameras:
        lens, other = camera.intrinsics, b[camera.name].intrinsics
        if (lens.size_px, lens.model) != (other.size_px, other.model):
            return float("inf")
        pairs = (
            (lens.focal_px / lens.focal_px, other.focal_px / lens.focal_px),
            (lens.center_px / lens.focal_px, other.center_px / lens.focal_px),
            (lens.distortion, other.distortion),
            (camera.R_cam_from_world, b[camera.name].R_cam_from_world),
            (camera.t_cam_from_world_m, b[camera.name].t_cam_from_world_m),
        )
        worst = max(worst, *(float(np.abs(x - y).max()) for x, y in pairs))
    return worst


class CameraGroup(Protocol):
    """What is used of aniposelib's `CameraGroup`, so that it need not be installed."""

    def get_dicts(self) -> Sequence[Mapping[str, Any]]:
        """Return one table per camera, as in its files."""
        ...


def rig_from_camera_group(group: CameraGroup, unit_m: float = 1.0) -> CameraRig:
    """Return the rig of an `aniposelib.cameras.CameraGroup`; unit_m is the length of its unit (that of its board).

    Raises: InputError rig-value-invalid.
    """
    tables_of = {f"cam_{i}": dict(entry) for i, entry in enumerate(group.get_dicts())}
    _, raw = tables.read_camera_sections(tables_of)
    return CameraRig(tuple(convert.camera(r, Path("CameraGroup"), unit_m) for r in raw))


def camera_group_dicts(rig: CameraRig) -> list[dict[str, Any]]:
    """Return the tables of which `aniposelib.cameras.CameraGroup.from_dicts` makes the rig, in metres."""
    return [
        {
            "name": camera.name,
            "size": list(camera.intrinsics.size_px),
            "matrix": camera.intrinsics.matrix.tolist(),
            "distortions": camera.intrinsics.distortion.tolist(),
            "rotation": convert.rodrigues(camera).tolist(),
            "translation": camera.t_cam_from_world_m.tolist(),
            "fisheye": camera.intrinsics.model is LensModel.FISHEYE,
        }
        for camera in rig.cameras
    ]
