"""A video of all views side by side with the solved figure drawn over the footage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mocap.analysis.confidence import confidence
from mocap.analysis.draw import draw_detections, draw_figure, shade, write_text
from mocap.analysis.figure import SIDE_RGB, Figure, confidence_rgb, stick_figure
from mocap.analysis.footage import apply_map, compose, scaling, video_from_calibration
from mocap.analysis.moments import camera_frames
from mocap.analysis.quality import CONFIDENT_SCORE, INLIER_PROBABILITY, Quality, measure_quality
from mocap.analysis.reprojection import reprojections
from mocap.analysis.sampling import nearest
from mocap.core.errors import InputError
from mocap.core.progress import Progress
from mocap.core.take import SolvedTake
from mocap.media.decode import frames
from mocap.media.encode import write_video
from mocap.media.probe import VideoInfo, probe

MAX_SIDE_PX = 1920
"""Longest side of the tiles together: four Full HD views come out at exactly half size, the fastest to shrink to."""
_INK, _DIM, _PAPER = (245, 247, 250), (150, 158, 170), (18, 21, 27)
_LEGEND_PX = 44


@dataclass(frozen=True, eq=False)
class _View:
    """What is drawn over one camera's footage, in pixels of its tile."""

    name: str
    info: VideoInfo
    size_px: tuple[int, int]
    """Size of the footage within the tile."""
    figure_px: np.ndarray
    """[camera frame, keypoint, 2]"""
    detections_px: np.ndarray
    """[camera frame, keypoint, 2]"""
    is_used: np.ndarray
    """[camera frame, keypoint] bool."""
    confidence: np.ndarray
    """[camera frame, keypoint]"""
    error_px: np.ndarray
    """[camera frame] median distance to confident detections, in the calibration's pixels."""
    frame_of_master: np.ndarray
    """[master frame] the camera's frame nearest in time; -1 where there is none."""


def write_overlay(
    path: Path,
    take: SolvedTake,
    videos: Mapping[str, Path],
    *,
    pixel_maps: Mapping[str, np.ndarray] | None = None,
    quality: Quality | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write an MP4 of all views tiled, at the take's frame rate, and return its path.

    Each tile shows the camera's frame nearest to the master time, and over it the final keypoints of that frame's own
    instant through the camera's lens: bones coloured by confidence, rimmed by side, the raw detections as dots (used)
    and crosses (rejected), the camera, its frame, the master time and the median distance to confident detections.
    Frame k of the detections must be frame k of the video.

    Args:
        path: the file to write; replaced in one step when it is complete.
        take: the solved take.
        videos: camera name to its video; cameras without one are left out.
        pixel_maps: camera name to the affine map [2 3] from the calibration's pixels to the video's, where footage and
            calibration differ by more than a scale.
        quality: what `measure_quality` returned for the take; measured when absent.
        progress: told of every frame.

    Raises: InputError overlay-no-footage (no camera has a video), overlay-unknown-camera, and those of `probe`;
        SetupError and Cancelled as `write_video`.
    """
    unknown = sorted(set(videos) - set(take.detections.camera_names))
    if unknown:
        raise InputError(
            "overlay-unknown-camera",
            f"{path.name}: there is footage for {', '.join(unknown)}, but the take has the cameras "
            f"{', '.join(take.detections.camera_names)}.",
            "Name the footage after the cameras of the rig.",
        )
    if not videos:
        raise InputError(
            "overlay-no-footage",
            f"{path.name}: an overlay needs the footage of at least one camera, got none.",
            "Give the videos that the keypoints were detected in.",
        )
    views, tile_px, columns = _views(take, videos, pixel_maps or {}, quality or measure_quality(take))
    timeline = take.motion.timeline
    rows = -(-len(views) // columns)
    size_px = (columns * tile_px[0], rows * tile_px[1] + _LEGEND_PX)
    pictures = _pictures(take, views, tile_px, columns)
    return write_video(path, pictures, timeline.fps, size_px, timeline.n_frames, progress)


def _views(
    take: SolvedTake, videos: Mapping[str, Path], pixel_maps: Mapping[str, np.ndarray], quality: Quality
) -> tuple[list[_View], tuple[int, int], int]:
    """Return the views in the take's order, the size of a tile, and the number of columns."""
    detections = take.detections
    names = [name for name in detections.camera_names if name in videos and name in take.rig.names]
    infos = {name: probe(Path(videos[name])) for name in names}
    columns = int(np.ceil(np.sqrt(len(names))))
    rows = -(-len(names) // columns)
    width, height = np.max([info.size_px for info in infos.values()], axis=0)
    shrink = min(1.0, MAX_SIDE_PX / (columns * width), MAX_SIDE_PX / (rows * height))
    tile_px = (int(width * shrink) // 2 * 2, int(height * shrink) // 2 * 2)
    solved_px = reprojections(take, take.keypoints)
    trust = confidence(take.keypoints)
    master_s = take.motion.timeline.time_s
    views: list[_View] = []
    for name in names:
        c = detections.camera_names.index(name)
        info = infos[name]
        fit = min(tile_px[0] / info.width_px, tile_px[1] / info.height_px)
        size_px = (max(2, round(info.width_px * fit)), max(2, round(info.height_px * fit)))
        video_px = video_from_calibration(take.rig[name], info.size_px, pixel_maps.get(name))
        tile_map = compose(video_px, scaling(info.size_px, size_px))
        master_frame = np.maximum(nearest(master_s, detections.time_s[c]), 0)
        index = camera_frames(detections.time_s[c], master_s)
        views.append(
            _View(
                name=name,
                info=info,
                size_px=size_px,
                figure_px=apply_map(tile_map, solved_px[c]),
                detections_px=apply_map(tile_map, np.asarray(detections.xy_px[c, :, 0], np.float64)),
                is_used=(np.nan_to_num(take.inlier_probability[c]) >= INLIER_PROBABILITY)
                & (detections.score[c, :, 0] >= CONFIDENT_SCORE),
                confidence=trust[master_frame],
                error_px=quality.frame_median_px[c],
                frame_of_master=np.where(index < info.n_frames, index, -1),
            )
        )
    return views, tile_px, columns


@dataclass
class _Player:
    """Decodes one view in step with master time and keeps its last tile: slower cameras repeat theirs."""

    view: _View
    figure: Figure
    tile_px: tuple[int, int]
    _index: int = -2
    _tile: np.ndarray | None = None
    _frames: Iterator[tuple[int, np.ndarray]] = field(init=False)

    _empty: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._empty = np.full((self.tile_px[1], self.tile_px[0], 3), _PAPER, np.uint8)
        self._frames = ((f.index, f.rgb) for f in frames(self.view.info.path, self.view.info))

    def tile(self, master_frame: int, time_s: float) -> np.ndarray:
        """Return the tile [h w 3] of a master frame; frames must be asked for in order."""
        wanted = int(self.view.frame_of_master[master_frame])
        if wanted >= 0 and wanted != self._index:
            footage = next((rgb for index, rgb in self._frames if index >= wanted), None)
            self._index, self._tile = wanted, self._drawn(wanted, footage)
        tile = self._blank("no footage at this time") if wanted < 0 or self._tile is None else self._tile.copy()
        _label(tile, self.view, wanted, time_s)
        return tile

    def _drawn(self, index: int, footage: np.ndarray | None) -> np.ndarray:
        import cv2

        if footage is None:
            return self._blank("frame cannot be decoded")
        view = self.view
        picture = cv2.resize(footage, view.size_px, interpolation=cv2.INTER_AREA)
        width_px = _bone_width_px(view.figure_px[index])
        draw_figure(picture, self.figure, view.figure_px[index], view.confidence[index], width_px)
        draw_detections(picture, view.detections_px[index], view.is_used[index], max(1.0, width_px * 0.5))
        if view.size_px == self.tile_px:
            return picture
        tile = self._empty.copy()
        tile[: view.size_px[1], : view.size_px[0]] = picture
        return tile

    def _blank(self, text: str) -> np.ndarray:
        tile = self._empty.copy()
        write_text(tile, text, 14, self.tile_px[1] / 2, 11, _DIM)
        return tile


def _pictures(take: SolvedTake, views: list[_View], tile_px: tuple[int, int], columns: int) -> Iterator[np.ndarray]:
    """Yield the tiled pictures [h w 3], one per master frame; the next is prepared while the last is being encoded."""
    figure = stick_figure(take.detections.keypoint_set)
    players = [_Player(view, figure, tile_px) for view in views]
    rows = -(-len(players) // columns)
    empty = np.full((rows * tile_px[1] + _LEGEND_PX, columns * tile_px[0], 3), _PAPER, np.uint8)
    empty[-_LEGEND_PX:] = _legend(tile_px[0] * columns)
    times = take.motion.timeline.time_s
    with ThreadPoolExecutor(max_workers=len(players)) as pool:

        def begin(frame: int) -> list:
            return [pool.submit(p.tile, frame, float(times[frame])) for p in players] if frame < len(times) else []

        pending = begin(0)
        for frame in range(len(times)):
            tiles = [future.result() for future in pending]
            pending = begin(frame + 1)
            picture = empty.copy()
            for n, tile in enumerate(tiles):
                top, left = n // columns * tile_px[1], n % columns * tile_px[0]
                picture[top : top + tile_px[1], left : left + tile_px[0]] = tile
            yield picture


def _bone_width_px(figure_px: np.ndarray) -> float:
    """Return a width of bones that suits the figure's size, so that a far one is not hidden by its own drawing."""
    known = figure_px[np.isfinite(figure_px).all(-1)]
    return float(np.clip(np.linalg.norm(np.ptp(known, axis=0)) / 90, 1.4, 5.0)) if len(known) else 1.4


def _label(tile: np.ndarray, view: _View, index: int, time_s: float) -> None:
    """Write the camera, its frame, the master time and the error into the tile's upper edge."""
    height, width = tile.shape[:2]
    letter = float(np.clip(width / 50, 7, 12))
    shade(tile, 0, round(letter * 2.8), 0, width)
    baseline = letter * 1.9
    at = 10 + write_text(tile, view.name, 10, baseline, letter * 1.1, _INK)
    frame = f"frame {index}" if index >= 0 else "no frame"
    write_text(tile, f"{frame}   {time_s:.3f} s", at + 14, baseline, letter * 0.9, _DIM)
    error = view.error_px[index] if index >= 0 else np.nan
    text = f"{error:.1f} px" if np.isfinite(error) else "- px"
    write_text(tile, text, width - 7.5 * letter, baseline, letter * 1.1, _INK)
    tile[:, width - 1] = _PAPER
    tile[height - 1] = _PAPER


def _legend(width: int) -> np.ndarray:
    """Return the strip [h w 3] under the tiles that explains colours and marks."""
    import cv2

    strip = np.full((_LEGEND_PX, width, 3), _PAPER, np.uint8)
    letter = float(np.clip(width / 150, 6, 9))
    middle, base = _LEGEND_PX / 2, _LEGEND_PX / 2 + letter / 2
    gap = letter * 1.6
    x = gap + write_text(strip, "confidence  low", gap, base, letter, _INK) + letter
    ramp = confidence_rgb(np.linspace(0.0, 1.0, round(letter * 12)))
    strip[round(middle - 5) : round(middle + 5), round(x) : round(x) + len(ramp)] = ramp
    x += len(ramp) + letter
    x += write_text(strip, "high", x, base, letter, _INK) + 2 * gap
    for side, text in (("L", "left"), ("R", "right")):
        ends = (round(x), round(middle)), (round(x + 3 * letter), round(middle))
        cv2.line(strip, *ends, SIDE_RGB[side], 7, cv2.LINE_AA)
        cv2.line(strip, *ends, (120, 126, 136), 3, cv2.LINE_AA)
        x += 4 * letter
        x += write_text(strip, text, x, base, letter, _INK) + 1.4 * gap
    for is_used, text in ((True, "detection used"), (False, "detection rejected")):
        draw_detections(strip, np.array([[x + letter, middle]]), np.array([is_used]), 2.5)
        x += 2.6 * letter
        x += write_text(strip, text, x, base, letter, _INK) + 1.4 * gap
    if x + 34 * letter < width:
        text = "px: median over all detections, rejected ones too"
        write_text(strip, text, x, base, letter, _DIM)
    return strip
