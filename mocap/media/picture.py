"""A decoded picture whose colours are computed only where somebody looks.

A decoder gives brightness per pixel (Y) and two colours per block of 2 x 2 pixels (U, V); most of a picture is never
looked at, so making RGB of all of it is mostly in vain. From planes to RGB leads one affine map, which is measured on
the very converter that makes whole pictures RGB: it knows the file's colour matrix and range.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

PLANAR = ("yuv420p", "yuvj420p")
"""Formats whose planes are used; pictures of others (10 bit, 4:2:2) are made RGB as a whole."""
PATCH_PX = 16
"""Side of the patches of one colour on which the converter is measured."""
_BRIGHTNESS, _COLOUR = (72, 104, 136, 168), (112, 128, 144)
"""Values of the patches: all far from black, white and full colour, where the converter clips."""


@dataclass(frozen=True, eq=False)
class Colours:
    """How RGB follows from Y, U, V."""

    rgb_from_yuv: np.ndarray
    """[3 4] affine map, in steps of 8 bits."""

    @cached_property
    def black_yuv(self) -> tuple[int, ...]:
        """Y, U, V of black."""
        matrix, offset = self.rgb_from_yuv[:, :3], self.rgb_from_yuv[:, 3]
        return tuple(int(v) for v in np.clip(np.rint(np.linalg.solve(matrix, -offset)), 0, 255))

    def rgb(self, yuv: list[np.ndarray]) -> np.ndarray:
        """Return [height width 3] uint8 RGB of three planes of equal size."""
        import cv2

        return cv2.transform(cv2.merge(yuv), self.rgb_from_yuv)


@dataclass(frozen=True, eq=False)
class Planes:
    """A picture as the decoder gives it, upright."""

    y: np.ndarray
    """[height width] uint8, both even."""
    u: np.ndarray
    """[height/2 width/2] uint8; one value for 2 x 2 pixels."""
    v: np.ndarray
    colours: Colours


class Picture:
    """An upright picture: its size, its RGB, and the planes that this would be made of where there are any.

    It is looked at one way or the other: once RGB is made of it the decoder's frame is let go, and planes are there
    only if they were asked for before.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        rgb: Callable[[], np.ndarray],
        planes: Callable[[], Planes | None],
        source_bytes: int = 0,
    ) -> None:
        """Take height and width, what makes RGB and planes when they are asked for, and the size of what they hold."""
        self.shape = shape
        """Height and width."""
        self.n_bytes = max(source_bytes, 3 * shape[0] * shape[1])
        """Memory that it takes at most, looked at one way: that of the decoder's frame or that of the RGB."""
        self._make_rgb: Callable[[], np.ndarray] | None = rgb
        self._make_planes: Callable[[], Planes | None] | None = planes
        self._rgb: np.ndarray | None = None
        self._planes: Planes | None = None
        # Its own: `cached_property` of Python 3.11 lets one picture of all be made at a time.
        self._lock = threading.Lock()

    @classmethod
    def of(cls, rgb: np.ndarray) -> Picture:
        """Return a picture of [height width 3] uint8 RGB."""
        return cls((rgb.shape[0], rgb.shape[1]), lambda: rgb, lambda: None)

    @property
    def rgb(self) -> np.ndarray:
        """[height width 3] uint8, made on first use and kept."""
        with self._lock:
            if self._rgb is None:
                assert self._make_rgb is not None
                self._rgb = self._make_rgb()
                self._make_rgb = self._make_planes = None  # they hold the decoder's frame
            return self._rgb

    @property
    def planes(self) -> Planes | None:
        """The planes, made on first use and kept; None where only RGB is there."""
        with self._lock:
            if self._make_planes is not None:
                self._planes, self._make_planes = self._make_planes(), None
            return self._planes


class Developer:
    """Makes pictures of one video's decoded frames; it keeps the converter's tables from picture to picture.

    A conversion set up anew for each picture took a quarter of the time of decoding 1080p.
    """

    def __init__(self, rotation_deg: int = 0) -> None:
        """Take how far pictures are to be turned clockwise: 0, 90, 180 or 270."""
        from av.video.reformatter import VideoReformatter

        self._rotation_deg = rotation_deg
        self._reformatter = VideoReformatter()
        self._lock = threading.Lock()
        self._colours: dict[tuple[str, int, int], Colours] = {}

    def picture(self, frame: VideoFrame) -> Picture:
        """Return a frame as a picture."""
        shape = (frame.height, frame.width) if self._rotation_deg % 180 == 0 else (frame.width, frame.height)
        size = sum(plane.buffer_size for plane in frame.planes)
        return Picture(shape, lambda: self.rgb(frame), lambda: self._planes(frame), size)

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """Return a frame as [height width 3] uint8 RGB, upright."""
        with self._lock:
            rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        return upright(rgb, self._rotation_deg)

    def _planes(self, frame: VideoFrame) -> Planes | None:
        # The converter treats pictures of odd sizes differently.
        if frame.format.name not in PLANAR or frame.height % 2 or frame.width % 2:
            return None
        key = (frame.format.name, int(frame.colorspace), int(frame.color_range))
        colours = self._colours.get(key)
        if colours is None:
            colours = self._colours[key] = measured_colours(*key)
        y, u, v = (upright(_plane(frame, i), self._rotation_deg) for i in range(3))
        return Planes(y, u, v, colours)


def upright(picture: np.ndarray, rotation_deg: int) -> np.ndarray:
    """Return a picture turned clockwise by 0, 90, 180 or 270 degrees."""
    if rotation_deg == 0:
        return picture
    import cv2

    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return cv2.rotate(picture, turns[rotation_deg])


def measured_colours(pixel_format: str, colorspace: int, color_range: int) -> Colours:
    """Return the affine map that the converter applies to frames of these properties, measured on patches.

    The converter computes with whole numbers, so that it is off the standard's matrix by up to two steps; the fit is
    what it does on average.
    """
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

    yuv = np.stack(np.meshgrid(_BRIGHTNESS, _COLOUR, _COLOUR, indexing="ij"), axis=-1).reshape(-1, 3)
    y, u, v = (np.kron(yuv[:, i], np.ones((n, n), int)) for i, n in enumerate((PATCH_PX, PATCH_PX // 2, PATCH_PX // 2)))
    frame = VideoFrame(PATCH_PX * len(yuv), PATCH_PX, pixel_format)
    for i, plane in enumerate((y, u, v)):
        _plane(frame, i)[:] = plane
    frame.colorspace, frame.color_range = colorspace, color_range
    rgb = VideoReformatter().reformat(frame, format="rgb24").to_ndarray()
    mean = rgb.reshape(PATCH_PX, len(yuv), PATCH_PX, 3).mean((0, 2))
    fit, *_ = np.linalg.lstsq(np.column_stack([yuv, np.ones(len(yuv))]), mean, rcond=None)
    return Colours(fit.T)


def _plane(frame: VideoFrame, i: int) -> np.ndarray:
    """Return the [height width] uint8 view of a frame's plane."""
    plane = frame.planes[i]
    buffer: Any = plane  # it is one, though its type does not say so
    return np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
