"""Pictures of single frames out of long videos, and how the calibration's pixels lie in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mocap.core.camera import Camera
from mocap.media.decode import upright
from mocap.media.probe import VideoInfo, open_video, probe

_NEAR_FRAMES = 60
"""Frames nearer than this ahead are reached by decoding on; farther ones by seeking."""


def grab_frames(path: Path, indices: Iterable[int], info: VideoInfo | None = None) -> dict[int, np.ndarray]:
    """Return the pictures [h w 3] uint8 RGB, upright, of the frames named by `indices` (as in `VideoInfo.time_s`).

    Seeks to the key frame before each, so the cost does not grow with the length of the video. Frames that the video
    does not have, or that cannot be decoded, are absent from the result.

    Raises: InputError as `mocap.media.probe.probe`.
    """
    from av.error import FFmpegError

    info = info or probe(path)
    wanted = sorted({i for i in indices if 0 <= i < info.n_frames})
    out: dict[int, np.ndarray] = {}
    with open_video(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        base = stream.time_base or info.time_base
        ticks = float(info.time_base / base)
        half_frame = 0.5 / float(info.fps * base)
        at = -_NEAR_FRAMES - 1
        decoder = iter(container.decode(stream))
        for index in wanted:
            target = round(int(info.pts[index]) * ticks)
            if index - at > _NEAR_FRAMES:
                container.seek(target, stream=stream)
                decoder = iter(container.decode(stream))
            try:
                for frame in decoder:
                    if frame.pts is not None and frame.pts > target - half_frame:
                        out[index] = upright(frame.to_ndarray(format="rgb24"), info.rotation_deg)
                        break
            except FFmpegError:
                continue
            at = index
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
