"""Scene files: one solved take as the Blender add-on reads it, `<subject>.scene.json` beside `<subject>.scene.npz`.

The JSON holds names, the skeleton, cameras and markers; the npz the arrays. World: metres, right-handed, Z up, which
is Blender's own. Pixel (0, 0) is the centre of the upper-left pixel; cameras are described in the pixels of their
footage, upright. The pair is bound by the SHA-256 of the npz, so a half-updated pair is noticed instead of shown.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from exporters.job import Job, max_distance_m, require
from mocap.core.camera import Camera
from mocap.core.errors import InputError, SetupError
from mocap.core.keypoints import Source
from mocap.core.take import SolvedTake
from mocap.core.timeline import TimeMap
from mocap.kernels.kinematics import forward_kinematics

FORMAT = "mocap-studio-scene"
VERSION = 1
_MAX_DERIVED_MARKERS = 24


@dataclass(frozen=True)
class QualityMarker:
    """One moment that a person should look at, shown as a marker on Blender's timeline."""

    frame: int
    """Frame of the take's timeline, from 0."""
    severity: str
    """'info', 'warning' or 'quality', as `Severity`."""
    label: str
    """A few words."""


def write_scene(
    take: SolvedTake,
    folder: Path,
    videos: Mapping[str, Path] | None = None,
    pixel_maps: Mapping[str, np.ndarray] | None = None,
    quality_markers: Sequence[QualityMarker] | None = None,
    time_maps: Mapping[str, TimeMap] | None = None,
) -> Path:
    """Write both files and return the path of the JSON.

    `videos` names each camera's footage (frame j of it is frame j of `take.detections`); `pixel_maps` [2 3] are the
    affine maps from the calibration's pixels to the video's, where footage and calibration differ by more than the
    scale between their sizes; `quality_markers` defaults to what `quality_markers_of` finds; `time_maps` is kept for
    the reader's information, the frame times themselves are `take.detections.time_s`. Paths of footage are stored
    relative to `folder` where both share a folder below the file system's root.

    Raises InputError `scene-unknown-camera` for names that the rig does not have, `scene-pixel-map-turned` for a map
    that turns the picture, and what `probe` raises for footage that cannot be read; SetupError `scene-not-written` when
    the folder cannot be written or the files do not read back as written.
    """
    description, packed = _describe(
        take, Path(folder), videos or {}, pixel_maps or {}, quality_markers, time_maps or {}
    )
    stem = f"{take.subject}.scene"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _publish(folder, {f"{stem}.npz": packed, f"{stem}.json": description})
    except OSError as error:
        raise SetupError(
            "scene-not-written",
            f"The Blender scene could not be written to {folder}: {error}.",
            "Choose a folder that can be written and has free space.",
        ) from error
    return folder / f"{stem}.json"


def write(job: Job, path: Path) -> None:
    """Write the scene of `job` with its JSON at `path`; the npz goes to its own place, last.

    A reader of an older JSON notices by its SHA-256 that the npz is not its own.
    """
    folder = job.folder or path.parent
    description, packed = _describe(job.take, folder, job.videos or {}, job.pixel_maps or {}, None, {})
    path.write_bytes(description)
    _publish(path.parent, {f"{job.take.subject}.scene.npz": packed})


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of joints, points and keypoints from their source. Raises Mismatch."""
    data = json.loads(path.read_text("utf-8"))
    packed = (path.parent / data["arrays"]["file"]).read_bytes()
    require(hashlib.sha256(packed).hexdigest() == data["arrays"]["sha256"], "the npz is not the one that was written")
    skeleton, timeline = data["skeleton"], data["timeline"]
    require(tuple(skeleton["joint_names"]) == job.take.motion.skeleton.joint_names, "joint names differ")
    require(Fraction(timeline["fps_num"], timeline["fps_den"]) == job.take.motion.timeline.fps, "the rate differs")
    require([c["name"] for c in data["cameras"]] == list(job.take.rig.names), "camera names differ")
    with np.load(BytesIO(packed), allow_pickle=False) as arrays:
        _, joints = forward_kinematics(
            skeleton["parents"], np.array(skeleton["offset_m"]), arrays["root_translation_m"], arrays["local_wxyz"]
        )
        return max(
            max_distance_m(joints, job.joints_world[1], "joints"),
            max_distance_m(arrays["points_xyz_m"], job.take.points.xyz_m, "points"),
            max_distance_m(arrays["keypoints_xyz_m"], job.take.keypoints.xyz_m, "keypoints"),
        )


def _describe(
    take: SolvedTake,
    folder: Path,
    videos: Mapping[str, Path],
    pixel_maps: Mapping[str, np.ndarray],
    quality_markers: Sequence[QualityMarker] | None,
    time_maps: Mapping[str, TimeMap],
) -> tuple[bytes, bytes]:
    """Return the content of the JSON and of the npz."""
    for what, mapping in {"videos": videos, "pixel_maps": pixel_maps, "time_maps": time_maps}.items():
        _check_camera_names(take, what, mapping)
    markers = quality_markers_of(take) if quality_markers is None else quality_markers
    packed = _pack(_arrays(take))
    names = take.rig.names
    description = {
        "format": FORMAT,
        "version": VERSION,
        "subject": take.subject,
        "arrays": {"file": f"{take.subject}.scene.npz", "sha256": hashlib.sha256(packed).hexdigest()},
        "timeline": _timeline(take),
        "cameras": [
            _camera(take.rig[n], videos.get(n), pixel_maps.get(n), folder) | {"time_map": _time_map(time_maps.get(n))}
            for n in names
        ],
        "skeleton": _skeleton(take),
        "keypoint_set": take.points.keypoint_set.name,
        "keypoint_names": list(take.points.keypoint_set.names),
        "keypoint_bones": [list(b) for b in take.points.keypoint_set.bones],
        "sources": {str(int(s)): s.name.lower() for s in Source},
        "contact_names": list(take.contact_names),
        "quality_markers": [asdict(m) for m in markers],
    }
    return json.dumps(description, indent=1, allow_nan=False).encode(), packed


def quality_markers_of(take: SolvedTake) -> list[QualityMarker]:
    """Return markers where less than half of the points were measured, longest runs first, in order of time.

    The first, longest 24 runs are kept: a timeline full of markers says nothing.
    """
    measured = take.points.source == Source.MEASURED
    ever = measured.any(0)
    n = int(ever.sum())
    if n == 0:
        return []
    weak = measured[:, ever].sum(1) * 2 < n
    edges = np.flatnonzero(np.diff(np.concatenate([[False], weak, [False]]).astype(np.int8)))
    runs = sorted(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), key=lambda r: r[0] - r[1])
    return [
        QualityMarker(a, "warning", f"{int(measured[a:b, ever].sum(1).min())}/{n} points measured, {b - a} frames")
        for a, b in sorted(runs[:_MAX_DERIVED_MARKERS])
    ]


def _check_camera_names(take: SolvedTake, what: str, mapping: Mapping[str, object]) -> None:
    unknown = sorted(set(mapping) - set(take.rig.names))
    if unknown:
        raise InputError(
            "scene-unknown-camera",
            f"{what} of {take.subject} name {', '.join(unknown)}; the rig has {', '.join(take.rig.names)}.",
            "Name the footage after the rig's cameras.",
        )


def _timeline(take: SolvedTake) -> dict[str, Any]:
    timeline = take.motion.timeline
    return {
        "fps_num": timeline.fps.numerator,
        "fps_den": timeline.fps.denominator,
        "n_frames": timeline.n_frames,
        "start_s": timeline.start_s,
    }


def _skeleton(take: SolvedTake) -> dict[str, Any]:
    skeleton = take.motion.skeleton
    tips = [t if np.isfinite(t).all() else None for t in skeleton.tip_m]
    return {
        "name": skeleton.name,
        "joint_names": list(skeleton.joint_names),
        "parents": list(skeleton.parents),
        "offset_m": skeleton.offset_m.tolist(),
        "bind_local_wxyz": skeleton.bind_local_wxyz.tolist(),
        "tip_m": [None if t is None else t.tolist() for t in tips],
    }


def _camera(
    camera: Camera, video: Path | None, video_from_calibration: np.ndarray | None, folder: Path
) -> dict[str, Any]:
    """Return a camera in the pixels of its footage: K_video = video_from_calibration @ K."""
    lens = camera.intrinsics
    size_px, rotation_deg = lens.size_px, 0
    if video is not None:
        from mocap.media.probe import probe  # Loads a video library: only where there is footage.

        info = probe(video)
        size_px, rotation_deg = info.size_px, info.rotation_deg
    scale, shift = _scale_and_shift(camera, size_px, video_from_calibration)
    return {
        "name": camera.name,
        "size_px": list(size_px),
        "focal_px": (lens.focal_px * scale).tolist(),
        "center_px": (lens.center_px * scale + shift).tolist(),
        "model": str(lens.model),
        "distortion": lens.distortion.tolist(),
        "R_cam_from_world": camera.R_cam_from_world.tolist(),
        "t_cam_from_world_m": camera.t_cam_from_world_m.tolist(),
        "video": None if video is None else _portable_path(Path(video), folder),
        "video_rotation_deg": rotation_deg,
    }


def _scale_and_shift(
    camera: Camera, size_px: tuple[int, int], video_from_calibration: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return scale [2] and shift [2] per axis; without a map the scale between both sizes, pixel centres kept."""
    if video_from_calibration is None:
        scale = np.array(size_px) / np.array(camera.intrinsics.size_px)
        return scale, (scale - 1.0) / 2.0
    turn = np.asarray(video_from_calibration, np.float64)[:, :2]
    if turn[0, 1] != 0.0 or turn[1, 0] != 0.0 or min(turn[0, 0], turn[1, 1]) <= 0.0:
        raise InputError(
            "scene-pixel-map-turned",
            f"The pixel map of camera {camera.name} turns or mirrors the picture: {turn.tolist()}; "
            "a scene can only scale and shift it.",
            "Calibrate the camera with footage that stands upright as the take's does.",
        )
    return turn.diagonal(), np.asarray(video_from_calibration, np.float64)[:, 2]


def _time_map(time_map: TimeMap | None) -> dict[str, Any] | None:
    if time_map is None:
        return None
    return {
        "offset_s": time_map.offset_s,
        "drift_ppm": time_map.drift_ppm,
        "sigma_s": time_map.sigma_s if np.isfinite(time_map.sigma_s) else None,
        "methods": list(time_map.methods),
    }


def _portable_path(path: Path, folder: Path) -> str:
    """Return a path relative to the scene when both move together, else absolute; always with forward slashes."""
    path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    if path.anchor != folder.anchor or Path(os.path.commonpath([path, folder])) == Path(path.anchor):
        return path.as_posix()
    return Path(os.path.relpath(path, folder)).as_posix()


def _arrays(take: SolvedTake) -> dict[str, np.ndarray]:
    """Return the arrays of the npz; `camera_time_s` [camera frame] is in the rig's camera order, NaN where unknown."""
    time_s = np.full((len(take.rig), take.detections.n_frames), np.nan)
    for c, name in enumerate(take.detections.camera_names):
        if name in take.rig.names:
            time_s[take.rig.names.index(name)] = take.detections.time_s[c]
    return {
        "root_translation_m": take.motion.root_translation_m,
        "local_wxyz": take.motion.local_wxyz,
        "points_xyz_m": take.points.xyz_m,
        "points_sigma_m": take.points.sigma_m,
        "points_source": take.points.source,
        "keypoints_xyz_m": take.keypoints.xyz_m,
        "keypoints_source": take.keypoints.source,
        "contact": take.contact,
        "camera_time_s": time_s,
    }


def _pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Return a compressed npz (its dates are fixed, so equal takes give equal bytes)."""
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _publish(folder: Path, contents: dict[str, bytes]) -> None:
    """Write every file under a temporary name, compare it with what was meant, then rename them in order."""
    temporary: dict[str, Path] = {}
    try:
        for name, data in contents.items():
            temporary[name] = folder / f".{name}.{os.getpid()}.tmp"
            temporary[name].write_bytes(data)
            if temporary[name].read_bytes() != data:
                raise OSError(f"{name} does not read back as it was written")
        for name, path in temporary.items():
            path.replace(folder / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
