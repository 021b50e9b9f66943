"""What is known of an unfinished video, kept part by part: a killed run goes on where its last part ended.

A part holds the keypoints of its frames and, as JSON, what the work needs to go on from its end. The result is the same
as without the interruption. Parts appear whole or not at all.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mocap.core.publish import published

EVERY_FRAMES = 600
"""Frames between two parts: what a killed run loses at most. Ten seconds at 60 Hz, half a minute's work or less."""


class Checkpoints:
    """The parts of one video in a folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None, every_frames: int = EVERY_FRAMES) -> None:
        """Read the parts that are there, up to the first that is missing or damaged."""
        self._folder, self._every_frames = folder, every_frames
        self._parts: list[tuple[int, np.ndarray, np.ndarray]] = []
        self.begin = 0
        """The first frame that is not known yet."""
        self.state: Any = None
        """What was given to `save` at that frame; None at the start."""
        self.is_decoded = np.zeros(0, bool)
        """[frame] which frames before that one could be decoded; whoever decodes the video puts an array for all of it
        here."""
        while folder is not None and (part := _read(folder / _name(self.begin))) is not None:
            xy_px, score, self.state, is_decoded = part
            self._parts.append((self.begin, xy_px, score))
            self.begin += len(xy_px)
            self.is_decoded = np.concatenate([self.is_decoded, is_decoded])

    @property
    def n_persons(self) -> int:
        """Persons that the parts know, before they are restored."""
        return max((xy.shape[1] for _, xy, _ in self._parts), default=0)

    def restore(self, xy_px: np.ndarray, score: np.ndarray) -> None:
        """Put what is known into arrays [frame person keypoint 2] and [frame person keypoint] of the whole video."""
        for first, xy, s in self._parts:
            part = (slice(first, first + len(xy)), slice(xy.shape[1]))
            xy_px[part], score[part] = xy, s
        self._parts = []

    def is_due(self, frame: int) -> bool:
        """Return whether a part up to this frame is worth keeping."""
        return self._folder is not None and frame - self.begin >= self._every_frames

    def save(self, frame: int, state: Any, xy_px: np.ndarray, score: np.ndarray) -> None:
        """Keep everything before `frame`, given the arrays of the whole video. Raises SetupError as `published`."""
        assert self._folder is not None
        new = slice(self.begin, frame)
        with published(self._folder / _name(self.begin)) as temporary:
            is_decoded = self.is_decoded[new]
            np.savez(temporary, xy_px=xy_px[new], score=score[new], state=json.dumps(state), is_decoded=is_decoded)
        self.begin, self.state = frame, state


def _name(first_frame: int) -> str:
    return f"{first_frame:08d}.npz"


def _read(file: Path) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray] | None:
    try:
        with file.open("rb") as stream, np.load(stream) as arrays:
            xy_px, score, state = arrays["xy_px"], arrays["score"], json.loads(str(arrays["state"]))
            is_decoded = arrays["is_decoded"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (xy_px, score, state, is_decoded) if len(xy_px) == len(is_decoded) > 0 else None
