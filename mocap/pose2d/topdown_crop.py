"""The window that a top-down model sees, as MMPose cuts it: a box made 1.25 times larger and given the input's shape.

Sources: MMPose 1.3 `GetBBoxCenterScale` (padding 1.25), `TopdownAffine` (the shorter side grows to the input's aspect;
an affine map through three points in float32), OpenCV's linear sampling with black outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PADDING = 1.25
_BITS, _STEPS = 10, 32
"""OpenCV 4 computes with coordinates of 10 binary places and samples at 32 steps per pixel. OpenCV 5 samples more
finely, which models trained on OpenCV 4 never saw; `cut` keeps to 4 so that crops are those of MMPose to the bit."""


@dataclass(frozen=True, eq=False)
class Window:
    """Where to look for one person."""

    center_px: np.ndarray
    """[2] float32."""
    size_px: np.ndarray
    """[2] float32 width and height."""
    angle_rad: float = 0.0
    """How far the person's up is turned clockwise from the picture's up."""

    @property
    def turn(self) -> np.ndarray:
        """[2 2] from directions in the window to directions in the picture."""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return np.array([[cos, -sin], [sin, cos]])


def window_from_box(box: np.ndarray, input_size: tuple[int, int], padding: float = PADDING) -> Window:
    """Return the window for a box [x0 y0 x1 y1] in pixels and a model's input [width height]."""
    box = np.asarray(box, np.float32)
    return shaped((box[:2] + box[2:]) * np.float32(0.5), (box[2:] - box[:2]) * np.float32(padding), input_size)


def shaped(center_px: np.ndarray, size_px: np.ndarray, input_size: tuple[int, int], angle_rad: float = 0.0) -> Window:
    """Return the smallest window of the input's aspect that holds a rectangle of a centre and a size."""
    width, height = np.asarray(size_px, np.float32)
    aspect = np.float32(input_size[0] / input_size[1])
    grown = (width, width / aspect) if width > height * aspect else (height * aspect, height)
    return Window(np.asarray(center_px, np.float32), np.array(grown, np.float32), angle_rad)


def crop_from_image(window: Window, input_size: tuple[int, int]) -> np.ndarray:
    """Return the [2 3] map from the picture's pixels to the crop's."""
    import cv2

    out = np.array(input_size, np.float32)
    up = np.array([0.0, -0.5])
    first, second = out * np.float32(0.5), out * np.float32(0.5) + np.float32(out[0]) * up.astype(np.float32)
    source = window.center_px.astype(np.float32)
    above = source + (window.turn @ up * float(window.size_px[0])).astype(np.float32)
    return cv2.getAffineTransform(
        np.stack([source, above, _third(source, above)]), np.stack([first, second, _third(first, second)])
    )


def _third(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the corner that makes a right angle at b."""
    way = a - b
    return (b + np.array([-way[1], way[0]], np.float32)).astype(np.float32)


def cut(picture: np.ndarray, window: Window, input_size: tuple[int, int]) -> np.ndarray:
    """Return the [height width 3] uint8 crop."""
    import cv2

    image_from = _inverse(crop_from_image(window, input_size))
    x, y = np.arange(input_size[0]), np.arange(input_size[1])
    part, whole = np.zeros((len(y), len(x)), np.uint16), np.empty((len(y), len(x), 2), np.int16)
    one, half = 1 << _BITS, (1 << _BITS) // _STEPS // 2
    for axis, (from_x, from_y, offset) in enumerate(image_from):
        along = np.rint(from_x * x * one).astype(np.int32)
        down = np.rint((from_y * y + offset) * one).astype(np.int32) + half
        # an upright window's columns lie alike in every row, and its rows in every column
        along, down = (v[:1] if v[0] == v[-1] else v for v in (along, down))
        at = (down[:, None] + along) >> (_BITS - 5)
        part |= ((at & (_STEPS - 1)) << (5 * axis)).astype(np.uint16)
        whole[..., axis] = np.clip(at >> 5, -(2**15), 2**15 - 1)
    return cv2.remap(picture, whole, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _inverse(affine: np.ndarray) -> np.ndarray:
    """Return the inverse of a [2 3] map, with OpenCV's order of operations."""
    a, b, c, d = affine[0, 0], affine[0, 1], affine[1, 0], affine[1, 1]
    factor = 1.0 / (a * d - b * c)
    inverse = np.array([[d * factor, -b * factor], [-c * factor, a * factor]])
    return np.column_stack([inverse, -(inverse @ affine[:, 2])])


def image_points(points: np.ndarray, window: Window, input_size: tuple[int, int]) -> np.ndarray:
    """Return points [... 2] of the crop in the picture's pixels."""
    size = np.array(input_size, np.float64)
    offset = (np.asarray(points, np.float64) / size - 0.5) * window.size_px
    return offset @ window.turn.T + window.center_px
