"""COCO annotations of a solved take: labels where the body is, in the pixels of the footage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from exporters.coco import MAX_SIGMA_PX
from exporters.table import export
from mocap.core.coco import HIDDEN, SEEN, UNLABELLED
from mocap.core.keypoints import Source
from mocap.core.take import SolvedTake
from mocap.kernels.projection import project


def exported(take: SolvedTake, folder: Path, **options: Any) -> dict[str, np.ndarray]:
    """Return the rows x, y, visibility [keypoint 3] by picture."""
    export(take, ["coco"], folder, **options)
    document = json.loads((folder / f"{take.subject}.coco.json").read_text())
    names = {i["id"]: i["file_name"] for i in document["images"]}
    return {names[a["image_id"]]: np.reshape(a["keypoints"], (-1, 3)) for a in document["annotations"]}


@pytest.fixture
def take(samples: ModuleType) -> SolvedTake:
    """A take whose cameras have the times of its frames, every keypoint sure and every detection kept."""
    take: SolvedTake = samples.sample_take()
    points, detections = take.keypoints, take.detections
    n_frames = min(len(points.time_s), detections.n_frames)
    times = np.full(detections.time_s.shape, np.nan)
    times[:, :n_frames] = points.time_s[:n_frames]
    sure = replace(
        points, sigma_m=np.full(points.sigma_m.shape, 1e-4), source=np.full(points.source.shape, Source.MEASURED)
    )
    kept = np.ones(take.inlier_probability.shape)
    return replace(take, keypoints=sure, detections=replace(detections, time_s=times), inlier_probability=kept)


def expected_px(take: SolvedTake, camera: str, frame: int) -> np.ndarray:
    c = take.rig[camera]
    points_cam = take.keypoints.xyz_m[frame] @ c.R_cam_from_world.T + c.t_cam_from_world_m
    return project(points_cam, c.intrinsics.focal_px, c.intrinsics.center_px, c.intrinsics.distortion)


def test_labels_are_where_the_solved_keypoints_appear(take: SolvedTake, tmp_path: Path) -> None:
    rows = exported(take, tmp_path)
    camera = take.detections.camera_names[1]
    found = rows[f"{camera}_000003.jpg"]
    labelled = found[:, 2] > UNLABELLED
    assert labelled.sum() > 5
    np.testing.assert_allclose(found[labelled, :2], expected_px(take, camera, 3)[labelled], atol=0.01)


def test_a_detection_that_was_not_kept_is_labelled_hidden(take: SolvedTake, tmp_path: Path) -> None:
    kept = take.inlier_probability.copy()
    kept[1, 3] = 0.0
    rows = exported(replace(take, inlier_probability=kept), tmp_path)
    camera = take.detections.camera_names[1]
    assert set(rows[f"{camera}_000003.jpg"][:, 2]) <= {HIDDEN, UNLABELLED}
    assert set(rows[f"{camera}_000002.jpg"][:, 2]) <= {SEEN, UNLABELLED}


def test_what_is_vague_or_only_the_skeletons_word_is_no_label(take: SolvedTake, tmp_path: Path) -> None:
    sigma_m, source = take.keypoints.sigma_m.copy(), take.keypoints.source.copy()
    camera = take.detections.camera_names[1]
    lens = take.rig[camera].intrinsics
    sigma_m[:, 0] = 100 * MAX_SIGMA_PX / lens.focal_px.mean()
    source[:, 1] = Source.SOLVED
    rows = exported(replace(take, keypoints=replace(take.keypoints, sigma_m=sigma_m, source=source)), tmp_path)
    assert {row[0, 2] for row in rows.values()} == {UNLABELLED}
    assert {row[1, 2] for row in rows.values()} == {UNLABELLED}


def test_a_pixel_map_brings_labels_into_the_footage(take: SolvedTake, tmp_path: Path) -> None:
    camera = take.detections.camera_names[1]
    half = np.array([[0.5, 0.0, 3.0], [0.0, 0.5, -2.0]])
    plain = exported(take, tmp_path / "a")[f"{camera}_000003.jpg"]
    moved = exported(take, tmp_path / "b", pixel_maps={camera: half})[f"{camera}_000003.jpg"]
    both = (plain[:, 2] > 0) & (moved[:, 2] > 0)
    assert both.sum() > 5
    np.testing.assert_allclose(moved[both, :2], plain[both, :2] * 0.5 + [3.0, -2.0], atol=0.01)


def test_pictures_in_which_nothing_is_labelled_are_left_out(take: SolvedTake, tmp_path: Path) -> None:
    """A picture without labels would teach that nobody is in it."""
    sigma_m = take.keypoints.sigma_m.copy()
    sigma_m[3] = 1.0
    export(replace(take, keypoints=replace(take.keypoints, sigma_m=sigma_m)), ["coco"], tmp_path)
    document = json.loads((tmp_path / f"{take.subject}.coco.json").read_text())
    names = {image["file_name"] for image in document["images"]}
    assert not any(name.endswith("_000003.jpg") for name in names)
    assert len(names) == len({a["image_id"] for a in document["annotations"]})
