"""Reading other programs' 2D keypoints: one folder, or one file, per camera of the rig."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mocap.core.camera_names import match_cameras, natural_key
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import KeypointSet
from mocap.core.progress import NoProgress, Progress
from mocap.pose2d.camera_sets import camera_sets, with_hand_arrays
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.mixed import in_common_set
from mocap.pose2d.readers.archive import read_archive
from mocap.pose2d.readers.coco import is_coco, read_coco
from mocap.pose2d.readers.frames import json_files, read_frames
from mocap.pose2d.readers.hdf5 import read_hdf5
from mocap.pose2d.readers.mmpose import is_mmpose, read_video
from mocap.pose2d.readers.raw import RawKeypoints, is_missing, load_json
from mocap.pose2d.readers.tables import read_table

SIZE_UNKNOWN = (0, 0)
"""`CameraDetections.size_px` of imported detections: the files do not say how large the images were."""
_SUFFIXES = (".npz", ".csv", ".h5", ".coco.json", ".json")
"""Of files that are alike but for these the first is read: programs write one table in several formats."""
MAX_CAMERAS = 16
"""More files than this in one folder, numbered like frames, are one camera's."""
_MAX_SPARSE = 50
"""Frame numbers may span this many times the number of files before they are taken for something else."""


class KeypointFiles(NamedTuple):
    """Detections of all cameras, with what the reading found."""

    detections: dict[str, CameraDetections]
    """By camera name, in the rig's order."""
    diagnostics: list[Diagnostic]


def read_keypoints(
    folder: str | os.PathLike[str],
    camera_names: Sequence[str],
    fps: Fraction | float,
    keypoint_set: str | None = None,
    progress: Progress | None = None,
    *,
    may_lack: bool = False,
) -> KeypointFiles:
    """Return the 2D detections under `folder`, one subfolder or file per camera (names: `match_cameras`).

    Formats, recognised by content: OpenPose-style JSON and MMPose JSON, one file per frame; AlphaPose, COCO and MMPose
    JSON, DeepLabCut and SLEAP CSV and HDF5, and our own archives, one file per camera. A file's number is the frame's
    number k in all cameras, at k / fps on the camera's clock unless the file holds times. All cameras start at the
    smallest number of the take; frames without a file are NaN. The person axis is the order in the file, not a track.

    With `may_lack` cameras may have no keypoints, which is said, where the names tell whose the others are.

    Hands that OpenPose's files hold in arrays of their own follow the body in its set, see `with_hand_arrays`. Cameras
    with different keypoint sets are brought to one, see `mocap.pose2d.mixed`.

    Raises: InputError keypoints-folder-missing, keypoints-folder-empty, keypoints-folder-of-one, keypoints-no-people,
    keypoints-broken, keypoints-count, keypoints-format-unknown, keypoints-frame-numbers, fps-invalid; those of
    `match_cameras`, `choose_keypoint_set` and `in_common_set`.
    """
    root = Path(folder)
    if not float(fps) > 0 or not np.isfinite(float(fps)):
        raise InputError("fps-invalid", f"The frame rate must be above 0, got {fps}.", "Give --fps, e.g. --fps 60.")
    sources = find_sources(root, len(camera_names))
    match = match_cameras(camera_names, list(sources), f"keypoint sources in {root}", may_lack)
    diagnostics = [*match.diagnostics, *_archives_taken(sources)]
    raw: dict[str, RawKeypoints] = {}
    progress = progress or NoProgress()
    paths = {camera: sources[name] for camera, name in match.found.items()}
    work = {camera: (path, json_files(path) if path.is_dir() else []) for camera, path in paths.items()}
    progress.start("Reading keypoints", sum(max(1, len(names)) for _, names in work.values()))
    try:
        for camera, (path, names) in work.items():
            raw[camera] = _read_source(path, names, progress)
    finally:
        progress.finish()
    _check_people(raw, root)
    sets, chosen = camera_sets(raw, keypoint_set)
    raw, sets, left_out = with_hand_arrays(raw, sets)
    diagnostics += [*chosen, *left_out]
    first = min(int(r.frame_numbers[0]) for r in raw.values() if len(r.frame_numbers))
    last = max(int(r.frame_numbers[-1]) for r in raw.values() if len(r.frame_numbers))
    detections, mixed = in_common_set({c: _detections(r, sets[c], first, fps) for c, r in raw.items()})
    diagnostics += mixed
    for camera, r in raw.items():
        diagnostics += _findings(camera, r, first, last)
    return KeypointFiles(detections, diagnostics)


def find_sources(root: Path, n_cameras: int) -> dict[str, Path]:
    """Return what may hold one camera each: name -> subfolder with keypoint files, or file, in natural order.

    Raises: InputError keypoints-folder-missing, keypoints-folder-empty, keypoints-folder-of-one.
    """
    if not root.is_dir():
        raise InputError(
            "keypoints-folder-missing",
            f"{root}: no such folder of 2D keypoints.",
            "Give the folder that holds one folder of keypoint files per camera.",
        )
    with os.scandir(root) as scan:
        entries = sorted((e for e in scan if not e.name.startswith(".")), key=lambda e: natural_key(e.name))
    folders = {e.name: Path(e.path) for e in entries if e.is_dir()}
    filled = {name: path for name, path in folders.items() if _keypoint_files(path)}
    if filled:
        # The archive beside a folder holds the same detections with their exact times.
        archives = {name: root / f"{name.removesuffix('_json')}.npz" for name in filled}
        return {name: archives[name] if archives[name].is_file() else path for name, path in filled.items()}
    files = {name: root / name for name in _keypoint_files(root)}
    if n_cameras == 1 and len(files) > 1:
        return {root.name: root}
    if _is_one_camera(list(files), n_cameras):
        raise InputError(
            "keypoints-folder-of-one",
            f"{root} holds the keypoint files of one camera, one per frame ({', '.join(list(files)[:2])}, ...: "
            f"{len(files)} of them); the rig has {n_cameras} cameras.",
            f"Give the folder above, {root.resolve().parent}, with one such folder per camera.",
        )
    if files:
        return files
    raise InputError(
        "keypoints-folder-empty",
        f"{root}: no 2D keypoint files ({', '.join(_SUFFIXES)}) in it or in its subfolders "
        f"({', '.join(folders) or 'none'}).",
        _advice_for_empty(folders),
    )


def _is_one_camera(files: Sequence[str], n_cameras: int) -> bool:
    """Say whether files are frames rather than cameras: many more than cameras, alike but for one running number."""
    numbers = [re.findall(r"\d+", name) for name in files]
    names = {re.sub(r"\d+", "#", name) for name in files}
    running = sum(len(set(column)) > 1 for column in zip(*numbers, strict=True)) if len(names) == 1 else 0
    return len(files) > n_cameras + 1 and len(files) > MAX_CAMERAS and running == 1


def _archives_taken(sources: dict[str, Path]) -> list[Diagnostic]:
    taken = {name: path.name for name, path in sources.items() if path.suffix == ".npz" and name != path.name}
    if not taken:
        return []
    message = (
        f"Read from the archives with exact times ({', '.join(taken.values())}), not from the folders beside them."
    )
    return [Diagnostic("keypoints-archive-taken", Severity.INFO, message, {"archives": taken})]


def _advice_for_empty(folders: dict[str, Path]) -> str:
    """Return where to look instead: a subfolder that itself holds a folder of keypoint files per camera."""
    for name, path in folders.items():
        with os.scandir(path) as scan:
            inner = sorted(e.path for e in scan if e.is_dir() and not e.name.startswith("."))
        if any(_keypoint_files(Path(p)) for p in inner):
            return f"Give the folder one level deeper, {name}: it has keypoint files."
    return "Give the folder that holds one folder of keypoint files per camera."


def _keypoint_files(folder: Path) -> list[str]:
    with os.scandir(folder) as scan:
        names = [e.name for e in scan if e.name.endswith(_SUFFIXES) and not e.name.startswith(".")]
    best: dict[str, str] = {}
    for name in names:
        suffix = next(x for x in _SUFFIXES if name.endswith(x))
        stem = name.removesuffix(suffix)
        if stem not in best or _SUFFIXES.index(suffix) < _SUFFIXES.index(best[stem].removeprefix(stem)):
            best[stem] = name
    return sorted(best.values(), key=natural_key)


def _read_source(path: Path, names: Sequence[str], progress: Progress) -> RawKeypoints:
    """Read one camera: a folder with a file per frame, a folder with one file, or a file."""
    if path.is_dir():
        if len(names) > 1:
            return read_frames(path, names, progress)
        files = _keypoint_files(path)
        if len(files) > 1:
            raise InputError(
                "keypoints-format-unknown",
                f"{path}: {len(files)} tables for one camera ({', '.join(files[:4])}).",
                "Leave one keypoint file per camera.",
            )
        path = path / files[0]
    progress.advance()
    if path.suffix == ".csv":
        return read_table(path)
    if path.suffix == ".h5":
        return read_hdf5(path)
    if path.suffix == ".npz":
        return read_archive(path)
    document = load_json(path)
    if is_mmpose(document) and not _is_one_image(document):
        return read_video(document, path)
    if is_coco(document):
        return read_coco(document, path)
    return read_frames(path.parent, [path.name], NoProgress())


def _is_one_image(document: object) -> bool:
    """Say whether an MMPose document is one image's list of instances rather than a video's list of frames."""
    if isinstance(document, dict):
        return "instance_info" not in document
    return not (
        isinstance(document, list) and document and isinstance(document[0], dict) and "instances" in document[0]
    )


def _check_people(raw: dict[str, RawKeypoints], root: Path) -> None:
    """Raise when nobody is seen by any camera."""
    if all(is_missing(r.xys).all() for r in raw.values()):
        n = sum(len(r.frame_numbers) for r in raw.values())
        raise InputError(
            "keypoints-no-people",
            f"{root}: no people in any of the {n} frames of {len(raw)} cameras.",
            "Check that the person is in the picture and that the detector ran on the right videos.",
        )


def _detections(raw: RawKeypoints, points: KeypointSet, first: int, fps: Fraction | float) -> CameraDetections:
    """Return the instances on a regular grid of frames from number `first` on."""
    numbers = raw.frame_numbers
    n_frames = int(numbers[-1]) - first + 1 if len(numbers) else 0
    if n_frames > _MAX_SPARSE * len(numbers) + 10_000:
        raise InputError(
            "keypoints-frame-numbers",
            f"{raw.where}: {len(numbers)} frames are numbered {numbers[0]} to {numbers[-1]} in a take that starts at"
            f" {first}: these are not frame numbers.",
            "Number the files by frame, from one start in all cameras.",
        )
    n_persons = int(raw.person.max()) + 1 if len(raw.person) else 0
    xy = np.full((n_frames, n_persons, len(points), 2), np.nan, np.float32)
    score = np.zeros(xy.shape[:-1], np.float32)
    if len(raw.frame):
        missing = is_missing(raw.xys)
        xy[raw.frame - first, raw.person] = np.where(missing[..., None], np.nan, raw.xys[..., :2])
        score[raw.frame - first, raw.person] = np.where(missing, 0.0, np.minimum(raw.xys[..., 2], 1.0))
    time_s = np.array([float(k / Fraction(fps)) for k in range(first, first + n_frames)])
    if raw.time_s is not None:
        time_s[numbers - first] = raw.time_s
    return CameraDetections(points, xy, score, time_s, SIZE_UNKNOWN)


def _findings(camera: str, raw: RawKeypoints, first: int, last: int) -> list[Diagnostic]:
    """Return what the user must hear of one camera's files in a take of the frames `first` to `last`.

    A camera whose files end before the others' was stopped before them: nothing is missing there.
    """
    findings: list[Diagnostic] = []
    numbers = raw.frame_numbers
    bounds = np.concatenate([[first - 1], numbers])
    gaps = [(int(a) + 1, int(b) - 1) for a, b in pairwise(bounds) if b - a > 1] if len(numbers) else []
    if len(numbers) and numbers[-1] < last:
        message = f"{camera}: its files end at frame {numbers[-1]}, those of the take at {last}."
        data = {"camera": camera, "last": int(numbers[-1]), "last_of_take": last}
        findings.append(Diagnostic("keypoints-camera-ends-early", Severity.INFO, message, data))
    if gaps:
        n_missing, n = sum(b - a + 1 for a, b in gaps), int(numbers[-1]) - first + 1
        text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in gaps[:5]) + (" ..." if len(gaps) > 5 else "")
        message = f"{camera}: {n_missing} of {n} frames are missing in its files ({text}); they count as not seen."
        data = {"camera": camera, "missing": n_missing, "gaps": gaps[:50]}
        findings.append(Diagnostic("keypoints-missing-frames", Severity.WARNING, message, data))
    if not len(raw.frame) or bool(is_missing(raw.xys).all()):
        message = f"{camera}: no people in any of its {len(numbers)} frames; this view adds nothing."
        findings.append(Diagnostic("keypoints-camera-without-people", Severity.WARNING, message, {"camera": camera}))
    return findings
