"""Person detectors: letterbox, suppression, boxes back in the picture, the real models on real footage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mocap.media.decode import frames
from mocap.pose2d.cards import load_card
from mocap.pose2d.detectors import PersonDetector, letterbox, suppressed

REAL = {
    "yolox-nano": "models/yolox_nano_humanart_8xb8-300e.onnx",
    "rtmdet-nano": "models/rtmdet-nano_HW140701_end2end.onnx",
}


def test_a_picture_is_fitted_in_proportion_with_grey_right_and_below() -> None:
    picture = np.full((101, 211, 3), 200, np.uint8)
    boxed, scale = letterbox(picture, (416, 416))
    assert boxed.shape == (416, 416, 3)
    np.testing.assert_allclose(scale, (416 / 211, 199 / 101))
    assert (boxed[:199] == 200).all()
    assert (boxed[199:] == 114).all()


def test_of_overlapping_boxes_the_best_is_kept() -> None:
    boxes = np.array([[0, 0, 99, 199], [5, 5, 104, 204], [300, 0, 399, 199], [0, 150, 99, 349]], float)
    scores = np.array([0.6, 0.9, 0.5, 0.4])
    assert suppressed(boxes, scores, 0.3).tolist() == [1, 2, 3]
    assert suppressed(boxes[:0], scores[:0], 0.3).tolist() == []


def test_boxes_come_back_in_the_pictures_pixels_and_only_people(
    fixed_model: Callable[[Path, dict[str, np.ndarray]], Path], tmp_path: Path
) -> None:
    dets = np.array([[[41.6, 20, 208, 190, 0.9], [0, 0, 30, 30, 0.8], [300, 100, 400, 200, 0.2]]], np.float32)
    file = fixed_model(tmp_path / "det.onnx", {"dets": dets, "labels": np.array([[0, 7, 0]])})
    detector = PersonDetector(file, load_card("yolox-nano"))
    boxes, scores = detector(np.zeros((500, 1000, 3), np.uint8), 0.3)
    np.testing.assert_allclose(boxes, [[100, 20 / 0.416, 500, 190 / 0.416]], rtol=1e-5)
    np.testing.assert_allclose(scores, [0.9])


@pytest.mark.parametrize("name", sorted(REAL))
def test_the_real_detectors_find_the_performer_in_every_tenth_frame(shared: Callable[[str], Path], name: str) -> None:
    """The whole footage (400 frames) is looked at by benchmarks/pose2d_detectors.py."""
    detector = PersonDetector(shared(REAL[name]), load_card(name))
    for video in sorted(shared("data/pose2sim_demo/SinglePerson/videos").glob("*.mp4")):
        for frame in frames(video, only=range(5, 100, 40)):
            boxes, _ = detector(frame.rgb, 0.3)
            size = boxes[:, 2:] - boxes[:, :2]
            # The man fills much of every picture; others stand small in the background.
            assert (size[:, 1] > 0.3 * frame.rgb.shape[0]).any(), f"{video.name} frame {frame.index}"
