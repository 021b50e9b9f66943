"""COCO annotations of the solved keypoints in every camera's picture: corrected takes as training data.

Pixels are those of the footage. A keypoint is SEEN where this camera's own detection of it was kept by the solve,
HIDDEN where only the others tell its place, and unlabelled where it is outside the picture, the solve knows it from the
skeleton alone, or its uncertainty is more than MAX_SIGMA_PX in this picture. Frames are named `<camera>_<frame>.jpg`,
counted from 0 in the video; pictures without a label are left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from exporters.job import Job, require
from mocap.core.camera import Camera
from mocap.core.coco import HIDDEN, SEEN, UNLABELLED, CocoView, coco_document
from mocap.core.jsontext import dumps, write_text
from mocap.core.keypoints import Source
from mocap.kernels.projection import project, undistort
from mocap.kernels.robust import INLIER
from mocap.kernels.trajectories import sample_cubic

MAX_SIGMA_PX = 10.0
"""A vaguer label would teach a model its noise; detectors are off by 5 to 8 pixels themselves."""


def write(job: Job, path: Path) -> None:
    """Write all cameras as one document."""
    write_text(
        path, dumps(coco_document(job.take.keypoints.keypoint_set, _views(job), only_labelled=True), indent=None)
    )


def read_back(job: Job, path: Path) -> float:
    """Return 0 when the file's labels are those of the take, to a hundredth of a pixel."""
    document = json.loads(path.read_text("utf-8"))
    views = _views(job)
    labels = {
        (view.camera, int(frame)): (view.xy_px[frame, 0], view.visibility[frame, 0])
        for view in views
        for frame in np.flatnonzero((view.visibility > UNLABELLED).any((-1, -2)))
    }
    require(len(document["annotations"]) == len(labels), "another number of annotated pictures")
    require(len(document["images"]) == len(labels), "pictures without labels")
    names = {image["id"]: image["file_name"] for image in document["images"]}
    for annotation in document["annotations"]:
        camera, _, frame = names[annotation["image_id"]].removesuffix(".jpg").rpartition("_")
        xy_px, visibility = labels[camera, int(frame)]
        rows = np.reshape(annotation["keypoints"], (-1, 3))
        require(bool((rows[:, 2] == visibility).all()), f"{camera}, frame {frame}: other visibilities")
        known = visibility > UNLABELLED
        require(bool((np.abs(rows[known, :2] - xy_px[known]) < 0.01).all()), f"{camera}, frame {frame}: other pixels")
    return 0.0


def _views(job: Job) -> list[CocoView]:
    return [_view(job, c, job.take.rig[name]) for c, name in enumerate(job.take.detections.camera_names)]


def _view(job: Job, c: int, camera: Camera) -> CocoView:
    take, lens = job.take, camera.intrinsics
    points, times = take.keypoints, take.detections.time_s[c]
    n_frames = int(np.isfinite(times).sum())
    fps = float(take.motion.timeline.fps)
    at: np.ndarray = (times[:n_frames] - take.motion.timeline.start_s) * fps
    inside = (at >= -1e-6) & (at <= len(points.xyz_m) - 1 + 1e-6)
    nearest = np.rint(np.clip(at, 0, max(len(points.xyz_m) - 1, 0))).astype(int)
    points_cam = sample_cubic(points.xyz_m, at) @ camera.R_cam_from_world.T + camera.t_cam_from_world_m
    xy_px = project(points_cam, lens.focal_px, lens.center_px, lens.distortion)
    # Beyond its valid field a lens model folds points from outside back into the picture.
    ray = undistort(xy_px, lens.focal_px, lens.center_px, lens.distortion)
    with np.errstate(invalid="ignore"):
        is_true = (np.abs(ray - points_cam[..., :2] / points_cam[..., 2:]) < 1e-4).all(-1)
        sigma_px = points.sigma_m[nearest] / points_cam[..., 2] * np.mean(lens.focal_px)
    pixel_map = (job.pixel_maps or {}).get(camera.name)
    size_px = lens.size_px
    if job.videos and camera.name in job.videos:
        from mocap.media.probe import probe  # Loads a video library: only where there is footage.

        size_px = probe(job.videos[camera.name]).size_px
        pixel_map = pixel_map if pixel_map is not None else _scaled(lens.size_px, size_px)
    if pixel_map is not None:
        xy_px = xy_px @ np.asarray(pixel_map)[:, :2].T + np.asarray(pixel_map)[:, 2]
    with np.errstate(invalid="ignore"):
        in_picture = ((xy_px >= -0.5) & (xy_px <= np.array(size_px) - 0.5)).all(-1)
        known = inside[:, None] & is_true & in_picture & (sigma_px <= MAX_SIGMA_PX)
    known &= points.source[nearest] != Source.SOLVED
    kept = np.nan_to_num(take.inlier_probability[c, :n_frames], nan=0.0)
    visibility = np.where(known, np.where(kept >= INLIER, SEEN, HIDDEN), UNLABELLED)
    xy_px = np.where(known[..., None], xy_px, np.nan)
    return CocoView(camera.name, size_px, xy_px[:, None], kept[:, None], visibility[:, None])


def _scaled(calibrated_px: tuple[int, int], video_px: tuple[int, int]) -> np.ndarray:
    """Return the map [2 3] between pictures of two sizes; pixel (0, 0) is the centre of the upper left one."""
    scale = np.array(video_px) / np.array(calibrated_px)
    return np.column_stack([np.diag(scale), (scale - 1) / 2])
