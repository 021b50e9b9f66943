"""The stages that look at footage: what the files are, how their pixels fit the calibration, and 2D keypoints."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from calibration.match import PixelFit, fit_footage
from mocap.analysis.quality import CONFIDENT_SCORE
from mocap.analysis.reprojection import detection_residuals_px, project_world
from mocap.analysis.sampling import sample_at
from mocap.core.camera import Camera, CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Keypoints2D
from mocap.core.progress import NoProgress, Progress
from mocap.core.take import PointsResult
from mocap.media.probe import VideoInfo, probe
from mocap.pose2d.crops import Crops, crops_from_keypoints
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.estimator import PoseEstimator, detect_video
from mocap.pose2d.models import identity_text, make_estimator, resolve
from mocap.pose2d.second_look import better_of
from mocap.pose2d.sides import untangle_sides
from sessions.runner import Config, Stage

Inputs = Mapping[str, Any]

MODEL_OPTIONS = ("model", "quality")

_MAKING = threading.Lock()


def estimator(config: Config) -> PoseEstimator:
    """Return a take's model (see `mocap.pose2d.models`), made once and used for all cameras.

    Raises InputError `model-unknown`, and SetupError where its weights cannot be had.
    """
    with _MAKING:
        return _made(resolve(config["model"], config["quality"]), config["quality"])


@cache
def _made(name: str, quality: str) -> PoseEstimator:
    return make_estimator(name, NoProgress(), quality=quality)


def model_identity(config: Config) -> str:
    """Return what makes a model's detections reproducible, without needing its weights."""
    return identity_text(config["model"], config["quality"])


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
    return Stage(
        name,
        2,
        inputs,
        _detect,
        MODEL_OPTIONS,
        each=True,
        identity=model_identity,
        label="finding 2D keypoints",
        keeps_parts=True,
    )


def _detect(inputs: Inputs, config: Config, progress: Progress) -> CameraDetections:
    info, quality = footage_here(inputs), config["quality"]
    return detect_video(
        inputs["videos"],
        estimator(config),
        info=info,
        progress=progress,
        quality=quality,
        unfinished=inputs["unfinished"],
    )


def recrop(name: str, inputs: tuple[str, ...]) -> Stage:
    """Return the row that looks again for the performer where the first reconstruction expects him.

    Its result is the performer alone: of both looks the better one, keypoint by keypoint.
    """
    return Stage(
        name,
        2,
        inputs,
        _recrop,
        (*MODEL_OPTIONS, "recrop"),
        each=True,
        identity=model_identity,
        label="looking again",
        keeps_parts=True,
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
    again = detect_video(
        inputs["videos"],
        estimator(config),
        crops=crops,
        expected_px=expected_px[:, None],
        info=info,
        progress=progress,
        quality=config["quality"],
        unfinished=inputs["unfinished"],
    )
    seen: Keypoints2D = inputs["identity"].detections
    c = seen.camera_names.index(camera.name)
    first_px = seen.xy_px[c, : info.n_frames, 0] @ to_video[:, :2].T + to_video[:, 2]
    return _better((first_px, seen.score[c, : info.n_frames, 0]), again, expected_px)


def _better(first: tuple[np.ndarray, np.ndarray], again: CameraDetections, expected_px: np.ndarray) -> CameraDetections:
    """Return the performer as the better of both looks shows him."""
    xy_px, score, _ = untangle_sides(*first, again.keypoint_set, expected_px)
    xy_px, score, _ = better_of((xy_px, score), (again.xy_px[:, 0], again.score[:, 0]), expected_px)
    return replace(again, xy_px=xy_px[:, None], score=score[:, None])


def gain(name: str, inputs: tuple[str, ...]) -> Stage:
    """Return the row that says what the second look has brought."""
    return Stage(name, 1, inputs, _gain, ("recrop",), label="comparing both looks")


def _gain(inputs: Inputs, _config: Config, _progress: Progress) -> tuple[Diagnostic, ...]:
    """Return the share of confident detections and their reprojection error, each look against its own points."""
    before: PointsResult | None = inputs["preview"]
    if before is None:
        return ()
    looks = {"before": (inputs["refine"].rig, before), "after": (inputs["cameras"].rig, inputs["points"])}
    figures = {k: _figures(rig, look) for k, (rig, look) in looks.items()}
    (share, p90), (share_after, p90_after) = figures["before"], figures["after"]
    return (
        Diagnostic(
            "second-look",
            Severity.INFO,
            "Looking again where the first reconstruction expected the performer: confident detections "
            f"{share:.2%} -> {share_after:.2%} of all keypoints, 90 % of them reprojected within {p90:.1f} -> "
            f"{p90_after:.1f} px.",
            {
                "confident_share": {"before": share, "after": share_after},
                "reprojection_p90_px": {"before": p90, "after": p90_after},
            },
        ),
    )


def _figures(rig: CameraRig, result: PointsResult) -> tuple[float, float]:
    """Return the share of keypoints that are confidently detected, and the 90th percentile of their errors in pixels.

    Over the camera frames within the time of the reconstruction.
    """
    seen = result.detections
    residual = detection_residuals_px(rig, seen, result.points)
    inside = (seen.time_s >= result.timeline.time_s[0]) & (seen.time_s <= result.timeline.time_s[-1])
    is_confident = (seen.score[:, :, 0] >= CONFIDENT_SCORE) & inside[..., None]
    known = is_confident & np.isfinite(residual)
    n = int(inside.sum()) * len(seen.keypoint_set)
    p90 = float(np.percentile(residual[known], 90)) if known.any() else float("nan")
    return float(is_confident.sum() / max(n, 1)), p90


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
