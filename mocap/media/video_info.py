"""What is known of one recording: the result of probing it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.diagnostics import Diagnostic
from mocap.media.gopro_facts import GoProFacts
from mocap.media.timecode import Timecode


@dataclass(frozen=True)
class Chapter:
    """One file of a recording that the camera split."""

    path: Path
    n_frames: int
    pts_shift: int
    """What is added to the file's own timestamps to give those of the whole recording."""


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """One recording: a video file, or the chapters of one. Sizes are those of the upright picture."""

    path: Path
    """The file; the first one of a recording in chapters."""
    width_px: int
    height_px: int
    rotation_deg: int
    """Clockwise turn (0, 90, 180, 270) that the file asks for; already applied to the size and by `frames`."""
    fps: Fraction
    """True average rate; exact (60000/1001) where the timestamps agree with a standard or the declared rate."""
    nominal_fps: Fraction
    """Rate that the container declares."""
    n_frames: int
    """Frames that can be read (a truncated file has fewer than it declares)."""
    time_s: np.ndarray
    """[frame] float64 presentation time on the camera's clock; the first frame is at 0."""
    pts: np.ndarray
    """[frame] int64 presentation timestamps in units of `time_base`, increasing."""
    time_base: Fraction
    start_s: float
    """Presentation time of the first frame in the container, where the audio shares the same zero."""
    codec: str
    is_variable_rate: bool
    has_audio: bool
    diagnostics: tuple[Diagnostic, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    """The files of a recording that the camera split, in order; empty for a single file."""
    timecode: Timecode | None = None
    """Label of the first frame."""
    gopro: GoProFacts | None = None
    """What a GoPro says of itself; None for other cameras."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64, (self.n_frames,), "time_s"))
        object.__setattr__(self, "pts", frozen(self.pts, np.int64, (self.n_frames,), "pts"))

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return self.width_px, self.height_px

    @property
    def duration_s(self) -> float:
        """Time from the first frame to one period after the last."""
        return float(self.time_s[-1]) + 1.0 / float(self.fps)

    @property
    def files(self) -> tuple[Chapter, ...]:
        """The files that hold the frames, in order: one or more."""
        return self.chapters or (Chapter(self.path, self.n_frames, 0),)

    def at(self, path: Path) -> Self:
        """Return the same recording where its first file now lies at `path`, and its chapters beside it."""
        chapters = tuple(
            replace(c, path=path if n == 0 else path.parent / c.path.name) for n, c in enumerate(self.chapters)
        )
        return replace(self, path=path, chapters=chapters)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON object (without the list of times)."""
        return {
            "path": str(self.path),
            "codec": self.codec,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "rotation_deg": self.rotation_deg,
            "n_frames": self.n_frames,
            "fps": float(self.fps),
            "fps_exact": f"{self.fps.numerator}/{self.fps.denominator}",
            "nominal_fps": float(self.nominal_fps),
            "duration_s": self.duration_s,
            "start_s": self.start_s,
            "is_variable_rate": self.is_variable_rate,
            "has_audio": self.has_audio,
            "chapters": [{"path": str(c.path), "n_frames": c.n_frames} for c in self.chapters],
            "timecode": str(self.timecode) if self.timecode is not None else None,
            "gopro": self.gopro.to_json() if self.gopro is not None else None,
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }
