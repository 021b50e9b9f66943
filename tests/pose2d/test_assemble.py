"""Cameras brought together on master time."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.errors import InputError
from mocap.core.keypoints import load_keypoint_set
from mocap.core.timeline import TimeMap
from mocap.pose2d.assemble import assemble
from mocap.pose2d.detections import CameraDetections


def camera(n_frames: int, n_persons: int, fill: float, name: str = "coco17") -> CameraDetections:
    keypoints = load_keypoint_set(name)
    shape = (n_frames, n_persons, len(keypoints))
    xy = np.full((*shape, 2), fill)
    return CameraDetections(keypoints, xy, np.full(shape, 0.5), np.arange(n_frames) / 50, (640, 480))


def test_cameras_of_different_length_are_padded_with_nothing() -> None:
    out = assemble({"b": camera(7, 2, 1.0), "a": camera(5, 1, 2.0)}, {})
    assert out.xy_px.shape == (2, 7, 2, 17, 2)
    assert out.camera_names == ("b", "a")
    assert np.isnan(out.xy_px[1, 5:]).all()
    assert np.isnan(out.xy_px[1, :, 1]).all()
    assert (out.score[1, 5:] == 0).all()
    assert np.isnan(out.time_s[1, 5:]).all()
    assert (out.xy_px[1, :5, 0] == 2.0).all()


def test_each_camera_keeps_its_own_frames_at_master_time() -> None:
    maps = {"a": TimeMap(offset_s=2.0, drift_ppm=1000.0)}
    out = assemble({"a": camera(7, 1, 1.0), "b": camera(7, 1, 1.0)}, maps)
    np.testing.assert_allclose(out.time_s[0], 2.0 + 1.001 * np.arange(7) / 50)
    np.testing.assert_allclose(out.time_s[1], np.arange(7) / 50)


def test_a_camera_that_sees_nobody_has_one_absent_person() -> None:
    out = assemble({"a": camera(7, 0, 1.0)}, {})
    assert out.n_persons == 1
    assert np.isnan(out.xy_px).all()


def test_different_keypoint_sets_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        assemble({"a": camera(7, 1, 1.0), "b": camera(7, 1, 1.0, "halpe26")}, {})
    assert caught.value.code == "keypoint-sets-differ"
    assert "b: halpe26" in caught.value.message


def test_no_camera_at_all_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        assemble({}, {})
    assert caught.value.code == "no-detections"


def test_missing_keypoints_may_not_have_a_score() -> None:
    keypoints = load_keypoint_set("coco17")
    with pytest.raises(ValueError, match="score 0"):
        CameraDetections(keypoints, np.full((7, 1, 17, 2), np.nan), np.ones((7, 1, 17)), np.arange(7.0), (64, 48))
