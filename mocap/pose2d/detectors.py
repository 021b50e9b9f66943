"""Person detectors in onnxruntime: YOLOX and RTMDet as OpenMMLab exports them (`end2end.onnx`, boxes and scores out).

Sources: the test pipelines of MMDetection 3 (`Resize(keep_ratio=True)`, `Pad(pad_val=114)`, `DetDataPreprocessor`) for
what goes in and how boxes come back to the picture, and MMPose's demo for what follows: persons above a score, then
greedy suppression at an overlap of 0.3 with areas counted in whole pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mocap.pose2d.onnx_model import OnnxModel, expected_outputs

PERSON = 0
"""Label of people in COCO and in HumanArt."""
MAX_OVERLAP = 0.3
PAD = 114


class PersonDetector:
    """Finds people's boxes in a picture. Calling it is safe from several threads at once."""

    def __init__(self, file: Path, card: dict[str, Any], device: str = "cpu", threads: int = 1) -> None:
        """Load the weights of a detector's card. Raises as `OnnxModel`."""
        self._side = tuple(card["input_size_px"])
        self._mean = np.array(card["mean_bgr"], np.float32)[:, None, None]
        self._factor = (1 / np.array(card["std_bgr"], np.float64)).astype(np.float32)[:, None, None]
        self._model = OnnxModel(file, expected_outputs(card), device, threads)

    def __call__(self, picture: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes [person x0 y0 x1 y1] in pixels and scores [person], best first, in an RGB picture."""
        boxed, scale = letterbox(picture, self._side)
        blob = (boxed[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) - self._mean) * self._factor
        dets, labels = self._model(np.ascontiguousarray(blob[None]))
        rows = dets[0][(labels[0] == PERSON) & (dets[0][:, 4] > min_score)]
        rows = rows[suppressed(rows[:, :4], rows[:, 4], MAX_OVERLAP)]
        return rows[:, :4] / np.tile(scale, 2).astype(np.float32), rows[:, 4]


def letterbox(picture: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture made to fit [width height] in proportion, grey to the right and below, and its scale [x y].

    The size is rounded to whole pixels, so both axes have a scale of their own, as in MMDetection.
    """
    import cv2

    height, width = picture.shape[:2]
    factor = min(max(size) / max(height, width), min(size) / min(height, width))
    new = int(width * factor + 0.5), int(height * factor + 0.5)
    out = np.full((size[1], size[0], 3), PAD, np.uint8)
    out[: new[1], : new[0]] = cv2.resize(picture, new, interpolation=cv2.INTER_LINEAR)
    return out, np.array([new[0] / width, new[1] / height])


def suppressed(boxes: np.ndarray, scores: np.ndarray, max_overlap: float) -> np.ndarray:
    """Return the indices of boxes to keep, best first: none overlaps a better one by more than `max_overlap` (IoU).

    Args:
        boxes: [box x0 y0 x1 y1] in pixels; the last pixel belongs to the box.
        scores: [box].
        max_overlap: intersection over union.
    """
    left = np.argsort(scores)[::-1]
    size = np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0.0)
    area = size.prod(-1)
    kept: list[int] = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.maximum(high - low + 1, 0.0).prod(-1)
        left = left[shared <= max_overlap * (area[best] + area[left] - shared)]
    return np.array(kept, int)
