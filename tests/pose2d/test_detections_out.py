"""Detections written and read again: every keypoint set in every format."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.keypoints import keypoint_set_names, load_keypoint_set
from mocap.pose2d.detections import CameraDetections
from mocap.pose2d.detections_out import check_files, write_files
from mocap.pose2d.files import read_keypoints
from mocap.pose2d.openpose_out import write_openpose

N_FRAMES, N_PERSONS, FPS = 7, 2, Fraction(60000, 1001)


def detections(name: str, seed: int = 3) -> CameraDetections:
    """Two people, some keypoints missing, the first away in frame 4 and both in frame 5; frame 0 has the first."""
    keypoint_set, rng = load_keypoint_set(name), np.random.default_rng(seed)
    shape = (N_FRAMES, N_PERSONS, len(keypoint_set))
    xy = rng.uniform(1, 900, (*shape, 2)).round(2).astype(np.float32)
    score = rng.uniform(0.05, 1, shape).round(3).astype(np.float32)
    gone = rng.random(shape) < 0.2
    gone[4, 0] = gone[5] = True
    xy[gone], score[gone] = np.nan, 0
    return CameraDetections(keypoint_set, xy, score, np.arange(N_FRAMES) / float(FPS), (1920, 1080))


@pytest.mark.parametrize("name", keypoint_set_names())
@pytest.mark.parametrize("kind", ["openpose", "coco", "npz"])
def test_every_set_survives_every_format(tmp_path: Path, name: str, kind: str) -> None:
    given = {"cam1": detections(name, 3), "cam2": detections(name, 5)}
    if kind == "openpose":
        write_openpose(tmp_path, given)
    else:
        write_files(tmp_path, given, kind)
    wanted = name if kind == "openpose" else None
    read = read_keypoints(tmp_path, ["cam1", "cam2"], FPS, wanted)
    for camera, d in given.items():
        out = read.detections[camera]
        assert out.keypoint_set.names == d.keypoint_set.names
        assert out.keypoint_set.landmarks == d.keypoint_set.landmarks
        same = slice(None) if kind != "openpose" else [0, 1, 2, 3, 5, 6]
        np.testing.assert_allclose(out.xy_px[same], d.xy_px[same], atol=1e-3)
        np.testing.assert_allclose(out.score[same], d.score[same], atol=1e-4)
        np.testing.assert_allclose(out.time_s, d.time_s, atol=1e-12)
    # OpenPose's people are a list: who is alone is the first.
    if kind == "openpose":
        np.testing.assert_allclose(read.detections["cam1"].xy_px[4, 0], given["cam1"].xy_px[4, 1], atol=1e-3)


def test_the_archive_keeps_uneven_times(tmp_path: Path) -> None:
    d = detections("coco17")
    times = np.array([0, 0.02, 0.03, 0.07, 0.08, 0.1, 0.15])
    uneven = CameraDetections(d.keypoint_set, d.xy_px, d.score, times, d.size_px)
    write_files(tmp_path, {"cam1": uneven}, "npz")
    out = read_keypoints(tmp_path, ["cam1"], FPS).detections["cam1"]
    np.testing.assert_array_equal(out.time_s, times)


def test_coco_annotations_are_as_the_format_says(tmp_path: Path) -> None:
    d = detections("coco17")
    write_files(tmp_path, {"cam1": d}, "coco")
    document = json.loads((tmp_path / "cam1.coco.json").read_text())
    assert document["images"][3] == {"id": 3, "file_name": "cam1_000003.jpg", "width": 1920, "height": 1080}
    assert len(document["categories"][0]["keypoints"]) == 17
    assert min(min(bone) for bone in document["categories"][0]["skeleton"]) >= 1
    first = document["annotations"][0]
    rows = np.reshape(first["keypoints"], (17, 3))
    seen = np.isfinite(d.xy_px[0, 0]).all(-1)
    assert (rows[:, 2] == np.where(seen, 2, 0)).all()
    assert (rows[~seen] == 0).all()
    assert first["num_keypoints"] == seen.sum()
    x, y, width, height = first["bbox"]
    low, high = d.xy_px[0, 0][seen].min(0), d.xy_px[0, 0][seen].max(0)
    np.testing.assert_allclose([x, y, x + width, y + height], [*low, *high], atol=0.01)
    assert {a["image_id"] for a in document["annotations"]} == {0, 1, 2, 3, 4, 6}


def test_the_archive_is_preferred_to_its_copies(tmp_path: Path) -> None:
    given = {"cam1": detections("coco17")}
    write_files(tmp_path, given, "coco")
    write_files(tmp_path, given, "npz")
    (tmp_path / "cam1.coco.json").write_text("broken")
    assert read_keypoints(tmp_path, ["cam1"], FPS).detections["cam1"].n_frames == N_FRAMES


def test_what_detect_writes_by_default_is_read_with_its_own_times(tmp_path: Path) -> None:
    """Folders of JSON know no times: a camera of half the rate would be read at double speed."""
    fast, slow = detections("coco17"), detections("coco17", 5)
    slow = CameraDetections(slow.keypoint_set, slow.xy_px, slow.score, 2 * slow.time_s, slow.size_px)
    given = {"cam1": fast, "cam2": slow}
    write_files(tmp_path, given, "npz")
    write_openpose(tmp_path, given)
    read = read_keypoints(tmp_path, ["cam1", "cam2"], FPS)
    np.testing.assert_array_equal(read.detections["cam2"].time_s, slow.time_s)
    assert "keypoints-archive-taken" in [d.code for d in read.diagnostics]


@pytest.mark.parametrize("kind", ["coco", "npz"])
def test_existing_files_are_not_replaced_unasked(tmp_path: Path, kind: str) -> None:
    given = {"cam1": detections("coco17")}
    write_files(tmp_path, given, kind)
    with pytest.raises(InputError) as error:
        check_files(tmp_path, given, kind, replace_existing=False)
    assert error.value.code == "output-exists"
    assert check_files(tmp_path, given, kind, replace_existing=True)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_a_broken_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cam1.npz").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_keypoints(tmp_path, ["cam1"], FPS)
    assert error.value.code == "keypoints-broken"
    assert "cam1.npz" in error.value.message


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "cam1.npz", xy_px=np.zeros((3, 1, 4, 2)), score=np.zeros((3, 1, 4)), time_s=np.zeros(3), names=[]
    )
    with pytest.raises(InputError, match="do not fit together"):
        read_keypoints(tmp_path, ["cam1"], FPS)
