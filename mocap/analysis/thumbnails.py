"""Small pictures of single moments with the solved figure drawn over the footage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mocap.analysis.confidence import confidence
from mocap.analysis.draw import draw_detections, draw_figure
from mocap.analysis.figure import stick_figure
from mocap.analysis.footage import apply_map, grab_frames, video_from_calibration
from mocap.analysis.moments import Moment
from mocap.analysis.quality import INLIER_PROBABILITY
from mocap.analysis.reprojection import reprojections
from mocap.core.progress import NoProgress, Progress
from mocap.core.take import SolvedTake
from mocap.media.probe import probe

SIZE_PX = (384, 288)
_MARGIN = 1.5
"""Width of the crop relative to the figure in it."""
_RING_RGB = (255, 230, 70)


def moment_thumbnails(
    take: SolvedTake,
    moments: Sequence[Moment],
    videos: Mapping[str, Path],
    pixel_maps: Mapping[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> list[bytes | None]:
    """Return one JPEG per moment: its camera's frame cropped to the figure; None where there is no footage for it.

    The keypoint that the moment names is ringed. Raises InputError as `mocap.media.probe.probe`.
    """
    progress = progress or NoProgress()
    progress.start("pictures of the worst moments", len(moments))
    out: list[bytes | None] = [None] * len(moments)
    for camera in {m.camera: None for m in moments}:
        here = [i for i, m in enumerate(moments) if m.camera == camera]
        if camera in videos and camera in take.rig.names:
            info = probe(Path(videos[camera]))
            pictures = grab_frames(info.path, [moments[i].camera_frame for i in here], info)
            video_px = video_from_calibration(take.rig[camera], info.size_px, (pixel_maps or {}).get(camera))
            for i in here:
                if moments[i].camera_frame in pictures:
                    out[i] = _thumbnail(take, moments[i], pictures[moments[i].camera_frame], video_px)
        progress.advance(len(here))
    progress.finish()
    return out


def _thumbnail(take: SolvedTake, moment: Moment, picture: np.ndarray, video_from_calibration_px: np.ndarray) -> bytes:
    import cv2

    c = take.detections.camera_names.index(moment.camera)
    solved_px = apply_map(video_from_calibration_px, reprojections(take, take.keypoints)[c, moment.camera_frame])
    seen_px = apply_map(video_from_calibration_px, take.detections.xy_px[c, moment.camera_frame, 0].astype(np.float64))
    crop = _crop_map(np.concatenate([solved_px, seen_px]), picture.shape[1], picture.shape[0])
    small = cv2.warpAffine(
        picture, crop, SIZE_PX, flags=cv2.INTER_AREA if crop[0, 0] < 1 else cv2.INTER_LINEAR, borderValue=(24, 27, 33)
    )
    trust = confidence(take.keypoints)[moment.frame]
    solved_px = apply_map(crop, solved_px)
    draw_figure(small, stick_figure(take.detections.keypoint_set), solved_px, trust, 2.5)
    is_used = np.nan_to_num(take.inlier_probability[c, moment.camera_frame]) >= INLIER_PROBABILITY
    draw_detections(small, apply_map(crop, seen_px), is_used, 1.6)
    if moment.keypoint:
        at = solved_px[take.detections.keypoint_set.names.index(moment.keypoint)]
        if np.isfinite(at).all():
            cv2.circle(small, (round(at[0]), round(at[1])), 14, _RING_RGB, 2, cv2.LINE_AA)
    done, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done, "OpenCV always encodes an RGB picture as JPEG"
    return jpeg.tobytes()


def _crop_map(xy_px: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """Return the map [2 3] from the picture to a thumbnail around the positions [n 2] that lie within the picture."""
    inside = np.isfinite(xy_px).all(-1) & (
        (xy_px > -0.1 * width_px) & (xy_px < 1.1 * np.array([width_px, height_px]))
    ).all(-1)
    xy = xy_px[inside] if inside.any() else np.array([[0.0, 0.0], [width_px, height_px]])
    centre = (xy.min(0) + xy.max(0)) / 2
    extent = np.ptp(xy, axis=0) * _MARGIN
    scale = float(min(SIZE_PX[0] / max(extent[0], 64.0), SIZE_PX[1] / max(extent[1], 48.0), 4.0))
    return np.array(
        [[scale, 0.0, SIZE_PX[0] / 2 - scale * centre[0]], [0.0, scale, SIZE_PX[1] / 2 - scale * centre[1]]]
    )
