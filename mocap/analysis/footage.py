"""Pictures of single frames out of long videos, and how the calibration's pixels lie in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mocap.core.camera import Camera
from mocap.media.seek import FrameReader
from mocap.media.video_info import VideoInfo


def grab_frames(path: Path, indices: Iterable[int], info: VideoInfo | None = None) -> dict[int, np.ndarray]:
    """Return the pictures [h w 3] uint8 RGB, upright, of the frames named by `indices` (as in `VideoInfo.time_s`).

    Exact for variable rates and over chapters; the cost does not grow with the length of the video. Frames that the
    video does not have, or that cannot be decoded, are absent from the result.

    Raises: InputError as `mocap.media.probe.probe`.
    """
    out: dict[int, np.ndarray] = {}
    with FrameReader(path, info, cache_bytes=0) as reader:
        for index in sorted({i for i in indices if 0 <= i < reader.info.n_frames}):
            picture = reader.read(index)
            if picture is not None:
                out[index] = picture
    return out


def video_from_calibration(camera: Camera, video_size_px: tuple[int, int], given: np.ndarray | None) -> np.ndarray:
    """Return the affine map [2 3] from the calibration's pixels to the video's.

    `given` where there is one; else the scale between the two sizes, with (0, 0) the centre of a pixel in both.
    """
    if given is not None:
        return np.asarray(given, np.float64).reshape(2, 3)
    return scaling(camera.intrinsics.size_px, video_size_px)


def scaling(from_size_px: tuple[int, int], to_size_px: tuple[int, int]) -> np.ndarray:
    """Return the map [2 3] between two sizes of one picture; (0, 0) is the centre of the first pixel in both."""
    scale = np.array(to_size_px, np.float64) / np.array(from_size_px, np.float64)
    return np.column_stack([np.diag(scale), (scale - 1.0) / 2.0])


def compose(b_from_a: np.ndarray, c_from_b: np.ndarray) -> np.ndarray:
    """Return the map c_from_a [2 3] of two affine maps [2 3]."""
    return np.column_stack([c_from_b[:, :2] @ b_from_a[:, :2], c_from_b[:, :2] @ b_from_a[:, 2] + c_from_b[:, 2]])


def apply_map(b_from_a: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    """Return pixels [... 2] mapped by an affine map [2 3]."""
    return xy_px @ b_from_a[:, :2].T + b_from_a[:, 2]
