"""The stages that look at footage: what the files are, how their pixels fit the calibration, and 2D keypoints."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from calibration.match import PixelFit, fit_footage
from mocap.analysis.reprojection import project_world
from mocap.analysis.sampling import sample_at
from mocap.core.camera import Camera
from mocap.core.progress import NoProgress, Progress
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d.crops import Crops, crops_from_keypoints
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.estimator import PoseEstimator, detect_video
from mocap.pose2d.models import identity_text, make_estimator, resolve
from sessions.runner import Config, Stage

Inputs = Mapping[str, Any]

_MAKING = threading.Lock()


def estimator(name: str) -> PoseEstimator:
    """Return a model by name (see `mocap.pose2d.models`), made once and used for all cameras.

    Raises InputError `model-unknown`, and SetupError where its weights cannot be had.
    """
    with _MAKING:
        return _made(resolve(name))


@cache
def _made(name: str) -> PoseEstimator:
    return make_estimator(name, NoProgress())


def model_identity(config: Config) -> str:
    """Return what makes a model's detections reproducible, without needing its weights."""
    return identity_text(str(config["model"]))


def probe_video(inputs: Inputs, _config: Config, _progress: Progress) -> VideoInfo:
    """Return what one camera's video is."""
    path: Path = inputs["videos"]
    return probe(path)


def footage_here(inputs: Inputs) -> VideoInfo:
    """Return what one camera's video is, found where it lies now: its content is known, its place may have changed."""
    info: VideoInfo = inputs["footage"]
    return info.at(inputs["videos"])


def fit_pixels(inputs: Inputs, _config: Config, _progress: Progress) -> PixelFit:
    """Return how one video's pixels belong to the calibration's."""
    return fit_footage(inputs["camera"], footage_here(inputs))


def detect(name: str, inputs: tuple[str, ...]) -> Stage:
    """Return the row that finds everybody's 2D keypoints in one camera's video."""
    return Stage(name, 1, inputs, _detect, ("model",), each=True, identity=model_identity, label="finding 2D keypoints")


def _detect(inputs: Inputs, config: Config, progress: Progress) -> CameraDetections:
    return detect_video(inputs["videos"], estimator(config["model"]), info=footage_here(inputs), progress=progress)


def recrop(name: str, inputs: tuple[str, ...]) -> Stage:
    """Return the row that looks again for the performer where the first reconstruction expects him."""
    return Stage(
        name, 1, inputs, _recrop, ("model", "recrop"), each=True, identity=model_identity, label="looking again"
    )


def _recrop(inputs: Inputs, config: Config, progress: Progress) -> CameraDetections | None:
    preview = inputs["preview"]
    if preview is None:
        return None
    info = footage_here(inputs)
    camera: Camera = inputs["refine"].rig[inputs["camera"].name]
    master_s = inputs["times"].maps[camera.name].master_time_s(info.time_s)
    xyz_m = sample_at(preview.points.time_s, preview.points.xyz_m, master_s)
    to_video = np.asarray(inputs["fit"].video_from_calibration)
    expected_px = project_world(camera, xyz_m) @ to_video[:, :2].T + to_video[:, 2]
    crops = _without_gaps(crops_from_keypoints(expected_px[:, None], preview.points.keypoint_set))
    return detect_video(
        inputs["videos"],
        estimator(config["model"]),
        crops=crops,
        expected_px=expected_px[:, None],
        info=info,
        progress=progress,
    )


def _without_gaps(crops: Crops) -> Crops:
    """Return crops that go on straight where the reconstruction has none, so that nobody is lost there."""
    known = np.flatnonzero(crops.is_there[:, 0])
    if len(known) == 0:
        return crops
    at = np.arange(crops.n_frames)

    def filled(values: np.ndarray) -> np.ndarray:
        return np.interp(at, known, values[known])

    center = np.stack([filled(crops.center_px[:, 0, i]) for i in (0, 1)], axis=-1)
    angle = np.full(crops.n_frames, np.nan)
    angle[known] = np.unwrap(crops.angle_rad[known, 0])
    return Crops(center[:, None], filled(crops.size_px[:, 0])[:, None], filled(angle)[:, None])
