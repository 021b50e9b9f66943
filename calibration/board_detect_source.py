"""Footage of a board: videos or photographs, and which of their pictures belong to one instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.timeline import TimeMap
from mocap.media.decode import frames
from mocap.media.picture import upright
from mocap.media.probe import VideoInfo, open_video, probe

PHOTO_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"))
_DECODE_WHOLE = 400
"""Up to this many frames are decoded in order for samples; longer clips are sampled at their key frames."""


class Source(Protocol):
    """Pictures of one camera."""

    is_photos: bool

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of pictures."""
        ...

    @property
    def time_s(self) -> np.ndarray:
        """[frame] on the camera's clock; photographs are one second apart."""
        ...

    def pictures(self, only: AbstractSet[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and grey picture [height width] uint8 of some frames, in order."""
        ...

    def samples(self, n: int) -> list[np.ndarray]:
        """Return about n grey pictures spread over the material."""
        ...


class Clip:
    """A video."""

    is_photos = False

    def __init__(self, info: VideoInfo) -> None:
        self.info = info
        self.size_px = info.size_px
        self.n_frames = info.n_frames
        self.time_s = info.time_s

    def pictures(self, only: AbstractSet[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and grey picture of some frames, in order; nothing after the last of them is decoded."""
        last = max(only, default=-1)
        for frame in frames(self.info.path, self.info, only=only):
            yield frame.index, _gray(frame.rgb)
            if frame.index >= last:
                return

    def samples(self, n: int) -> list[np.ndarray]:
        """Return about n grey pictures spread over the clip."""
        if self.n_frames > _DECODE_WHOLE:
            found = self._key_frames(n)
            if len(found) >= n // 2:
                return found
        wanted = np.unique(np.linspace(0, self.n_frames - 1, n).round().astype(int))
        return [gray for _, gray in self.pictures(set(wanted.tolist()))]

    def _key_frames(self, n: int) -> list[np.ndarray]:
        """Return the pictures at the key frames before n instants: quick, however long the clip is."""
        found: dict[int, np.ndarray] = {}
        with open_video(self.info.path) as container:
            stream = container.streams.video[0]
            for pts in self.info.pts[np.linspace(0, self.n_frames - 1, n).astype(int)]:
                container.seek(int(pts), stream=stream, backward=True)
                frame = next(container.decode(stream), None)
                if frame is not None and frame.pts is not None and frame.pts not in found:
                    found[frame.pts] = upright(frame.to_ndarray(format="gray"), self.info.rotation_deg)
        return list(found.values())


class Photos:
    """Photographs by one camera with one zoom."""

    is_photos = True

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self.n_frames = len(files)
        self.time_s = np.arange(len(files), dtype=np.float64)
        first = read_photo(self.files[0])
        self.size_px = (first.shape[1], first.shape[0])

    def pictures(self, only: AbstractSet[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and grey picture. Raises InputError photo-unreadable, photos-differ-in-size."""
        for index in sorted(only):
            gray = read_photo(self.files[index])
            size = (gray.shape[1], gray.shape[0])
            if size != self.size_px:
                raise InputError(
                    "photos-differ-in-size",
                    f"{self.files[index]} has {size[0]}x{size[1]} pixels, {self.files[0].name} has "
                    f"{self.size_px[0]}x{self.size_px[1]}; one lens is calibrated from pictures of one size.",
                    "Leave out the pictures of another size or orientation.",
                )
            yield index, gray

    def samples(self, n: int) -> list[np.ndarray]:
        """Return about n of the photographs."""
        wanted = np.unique(np.linspace(0, self.n_frames - 1, n).round().astype(int))
        return [gray for _, gray in self.pictures(set(wanted.tolist()))]


def open_source(material: Path | Sequence[Path]) -> Source:
    """Return the footage of one camera: a video, or photographs."""
    if isinstance(material, Path):
        if not is_photo(material):
            return Clip(probe(material))
        material = [material]
    return Photos(list(material))


def is_photo(path: Path) -> bool:
    """Return whether a file is a photograph by its name."""
    return path.suffix.lower() in PHOTO_SUFFIXES


def read_photo(path: Path) -> np.ndarray:
    """Return a grey picture [height width] uint8, turned as the camera noted. Raises InputError photo-unreadable."""
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(
            "photo-unreadable", f"{path}: cannot be opened: {error.strerror}.", "Check the path of the picture."
        ) from error
    gray = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if gray is None:
        raise InputError(
            "photo-unreadable", f"{path}: is no picture that can be read.", "Give JPEG or PNG pictures, or a video."
        )
    return np.asarray(gray)


def _gray(rgb: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


@dataclass(frozen=True, eq=False)
class Plan:
    """Which pictures to look at."""

    frame_idx: np.ndarray
    """[camera instant] index of the camera's picture; -1 where it has none."""
    diagnostics: tuple[Diagnostic, ...]


def plan_frames(sources: Mapping[str, Source], time_maps: Mapping[str, TimeMap] | None, max_frames: int) -> Plan:
    """Return the pictures of each instant, evenly spread over what the cameras share.

    Without clocks, clips of one frame count belong together frame by frame (recorders that write synchronous files do
    so); clips of other lengths are taken to have started together, which is reported.
    """
    counts = [s.n_frames for s in sources.values()]
    if len(sources) == 1 or (time_maps is None and len(set(counts)) == 1):
        index = _spread(counts[0], max_frames)
        return Plan(np.repeat(index[None], len(counts), axis=0), ())
    times = {c: _master_time_s(s, (time_maps or {}).get(c)) for c, s in sources.items()}
    period_s = max(float(np.median(np.diff(t))) if len(t) > 1 else 1.0 for t in times.values())
    start_s, end_s = min(t[0] for t in times.values()), max(t[-1] for t in times.values())
    instants = start_s + period_s * np.arange(int((end_s - start_s) / period_s + 1.5))
    instants = instants[_spread(len(instants), max_frames)]
    frame_idx = np.stack([_nearest(t, instants, 0.5 * period_s) for t in times.values()])
    return Plan(frame_idx, () if time_maps is not None else (_assumed(sources),))


def _master_time_s(source: Source, time_map: TimeMap | None) -> np.ndarray:
    return source.time_s if time_map is None else time_map.master_time_s(source.time_s)


def _spread(n: int, max_frames: int) -> np.ndarray:
    if n <= max_frames:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, max_frames).round().astype(np.int64))


def _nearest(time_s: np.ndarray, instants_s: np.ndarray, tolerance_s: float) -> np.ndarray:
    """Return the index of the picture nearest to each instant; -1 where none is within the tolerance."""
    right = np.searchsorted(time_s, instants_s).clip(1, max(len(time_s) - 1, 1))
    if len(time_s) == 1:
        right = np.zeros_like(right)
    left = (right - 1).clip(0)
    right = right.clip(0, len(time_s) - 1)
    nearest = np.where(np.abs(time_s[left] - instants_s) <= np.abs(time_s[right] - instants_s), left, right)
    return np.where(np.abs(time_s[nearest] - instants_s) <= tolerance_s + 1e-9, nearest, -1)


def _assumed(sources: Mapping[str, Source]) -> Diagnostic:
    counts = {c: s.n_frames for c, s in sources.items()}
    listing = ", ".join(f"{c} {n}" for c, n in counts.items())
    return Diagnostic(
        "board-clips-assumed-synchronous",
        Severity.WARNING,
        f"The clips have different numbers of frames ({listing}) and no clocks were given; they are taken to have "
        "started together. Give --times where they did not.",
        {"n_frames": counts},
    )
