"""Reading `--times FILE`: each camera's clock in master time."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mocap.core.camera_names import normal_name
from mocap.core.errors import InputError
from mocap.core.timeline import TimeMap

_ADVICE = "Give the JSON that `mocap sync` writes, or a CSV with the columns camera,offset_s,drift_ppm."


def read_times(path: str | os.PathLike[str], camera_names: Sequence[str]) -> dict[str, TimeMap]:
    """Return a time map per camera of the rig: t_master = offset_s + (1 + drift_ppm * 1e-6) * t_camera.

    JSON: `{"reference": camera, "cameras": {camera: {"offset_s", "drift_ppm", ...}}}`; the reference has offset and
    drift 0. CSV: `camera,offset_s,drift_ppm`. Names match without separators, leading zeros and case; cameras that the
    rig does not have are passed over.

    Raises: InputError times-missing, times-unreadable, times-camera-missing, times-reference, camera-twice.
    """
    file = Path(path)
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise InputError("times-missing", f"{file}: {error.strerror}.", "Check the path given with --times.") from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, "it is not a text file") from error
    entries = _from_json(text, file) if text.lstrip().startswith("{") else _from_csv(text, file)
    by_key: dict[str, TimeMap] = {}
    for name, entry in entries:
        key = normal_name(name)
        if key in by_key:
            raise InputError("camera-twice", f"{file}: two entries for camera {name}.", "Leave one of them out.")
        by_key[key] = _time_map(entry, name, file)
    missing = [c for c in camera_names if normal_name(c) not in by_key]
    if missing:
        raise InputError(
            "times-camera-missing",
            f"{file}: nothing about {', '.join(missing)}; it names {', '.join(n for n, _ in entries) or 'no camera'}.",
            "Add a line for each camera of the rig, under the rig's camera names.",
        )
    return {c: by_key[normal_name(c)] for c in camera_names}


def _unreadable(file: Path, reason: str) -> InputError:
    return InputError("times-unreadable", f"{file}: not readable as camera times: {reason}.", _ADVICE)


def _from_json(text: str, file: Path) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _unreadable(file, f"broken JSON ({error})") from error
    cameras = document.get("cameras")
    if not isinstance(cameras, dict) or not all(isinstance(e, dict) for e in cameras.values()):
        raise _unreadable(file, "expected an object `cameras` with one object per camera")
    reference = document.get("reference")
    if reference is not None:
        entry = cameras.get(reference)
        if entry is None or entry.get("offset_s", 0) or entry.get("drift_ppm", 0):
            raise InputError(
                "times-reference",
                f"{file}: the reference camera {reference} must be listed with offset 0 and drift 0, got {entry}.",
                "Subtract the reference's offset and drift from all cameras, or run `mocap sync` again.",
            )
    return list(cameras.items())


def _from_csv(text: str, file: Path) -> list[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    fields = [f.strip() for f in reader.fieldnames or ()]
    if not {"camera", "offset_s"} <= set(fields):
        raise _unreadable(file, f"expected the columns camera,offset_s,drift_ppm, got {','.join(fields) or 'nothing'}")
    reader.fieldnames = fields
    return [((row["camera"] or "").strip(), row) for row in reader]


def _time_map(entry: Mapping[str, Any], name: str, file: Path) -> TimeMap:
    values: dict[str, float] = {}
    for key, default in (("offset_s", None), ("drift_ppm", 0.0), ("sigma_s", math.nan)):
        value = entry.get(key)
        if value in (None, "") and default is not None:
            values[key] = default
            continue
        try:
            values[key] = float(value)  # type: ignore[arg-type]  # None and text raise here
        except (TypeError, ValueError) as error:
            raise _unreadable(file, f"camera {name}, {key}: expected a number, got {value!r}") from error
        if key != "sigma_s" and not math.isfinite(values[key]):
            raise _unreadable(file, f"camera {name}, {key}: expected a finite number, got {value!r}")
    methods = entry.get("methods") or ()
    methods = tuple(str(m) for m in methods) if isinstance(methods, (list, tuple)) else ()
    return TimeMap(values["offset_s"], values["drift_ppm"], values["sigma_s"], methods)
