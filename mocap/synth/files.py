"""Write synthetic takes as other programs would: OpenPose-style JSON folders and an aniposelib rig file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tomlkit

from mocap.core.camera import Camera, CameraRig, LensModel
from mocap.core.keypoints import N_HAND, Keypoints2D


def write_take(folder: Path, rig: CameraRig, keypoints: Keypoints2D) -> Path:
    """Write `rig.toml` and `keypoints/<camera>_json/` into a new folder, published whole; return the folder.

    Raises FileExistsError when the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (partial / "rig.toml").write_text(rig_toml(rig), "utf-8")
        write_openpose(partial / "keypoints", keypoints)
        os.replace(partial, folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def write_openpose(folder: Path, keypoints: Keypoints2D, *, has_hand_arrays: bool = False) -> None:
    """Write one folder per camera and one OpenPose-style JSON file per frame; missing keypoints are `0, 0, 0` there.

    With `has_hand_arrays` the set's last points, those of both hands, are written apart from the body, as by OpenPose.
    """
    for c, name in enumerate(keypoints.camera_names):
        camera_folder = Path(folder) / f"{name}_json"
        camera_folder.mkdir(parents=True)
        for f in np.flatnonzero(np.isfinite(keypoints.time_s[c])):
            values = np.concatenate([keypoints.xy_px[c, f], keypoints.score[c, f][..., None]], axis=-1)
            people = [_person(person, has_hand_arrays) for person in values if np.isfinite(person).all(-1).any()]
            path = camera_folder / f"{name}_{f:012d}.json"
            path.write_text(json.dumps({"version": 1.3, "people": people}), "utf-8")


def _person(xys: np.ndarray, has_hand_arrays: bool) -> dict[str, list[float]]:
    """Return the entry of one person [keypoint 3]."""
    n_body = len(xys) - (2 * N_HAND if has_hand_arrays else 0)
    arrays = {"pose": xys[:n_body]}
    if has_hand_arrays:
        arrays |= {"hand_left": xys[n_body:-N_HAND], "hand_right": xys[-N_HAND:]}
    flat = {f"{part}_keypoints_2d": np.nan_to_num(a).round(4).ravel().tolist() for part, a in arrays.items()}
    return {"person_id": [-1], **flat}


def rig_toml(rig: CameraRig) -> str:
    """Return a rig in aniposelib's TOML: rotation as a Rodrigues vector, translation in metres."""
    document = tomlkit.document()
    for c, camera in enumerate(rig.cameras):
        document[f"cam_{c}"] = _camera_table(camera)
    document["metadata"] = {"adjusted": False, "error": 0.0}
    return tomlkit.dumps(document)


def _camera_table(camera: Camera) -> dict[str, object]:
    lens = camera.intrinsics
    table: dict[str, object] = {
        "name": camera.name,
        "size": list(lens.size_px),
        "matrix": lens.matrix.tolist(),
        "distortions": lens.distortion.tolist(),
        "rotation": cv2.Rodrigues(camera.R_cam_from_world)[0].ravel().tolist(),
        "translation": camera.t_cam_from_world_m.tolist(),
    }
    if lens.model is LensModel.FISHEYE:
        table["fisheye"] = True
    return table
