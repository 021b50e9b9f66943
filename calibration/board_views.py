"""Where each camera saw each corner of a board, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.board import BoardSpec
from mocap.core.arrays import frozen
from mocap.core.diagnostics import Diagnostic


@dataclass(frozen=True, eq=False)
class BoardViews:
    """Corners of one board in the pictures of cameras; frame f is one instant for all cameras.

    Pictures of one camera that belong to no common instant (photographs for a lens) are simply its frames.
    """

    board: BoardSpec
    """The board as it was found: a transposed, inverted or legacy board is named as what it is."""
    camera_names: tuple[str, ...]
    size_px: tuple[tuple[int, int], ...]
    """Width and height of each camera's pictures."""
    xy_px: np.ndarray
    """[camera frame corner 2] float64 pixels, (0, 0) the centre of the upper-left pixel; NaN where not seen."""
    time_s: np.ndarray
    """[camera frame] presentation time on the camera's own clock; NaN where the camera has no picture."""
    sharpness: np.ndarray
    """[camera frame] steepest edge by its contrast, 1/px (0.5 is sharp, 0.15 blurred); NaN without board."""
    is_mirrored: np.ndarray
    """[camera] the camera sees the back of a transparent board (or its picture is mirrored)."""
    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.camera_names)
        if len(self.size_px) != n:
            raise ValueError(f"{n} cameras need {n} sizes, got {len(self.size_px)}")
        xy = frozen(self.xy_px, np.float64, (n, None, self.board.n_corners, 2), "xy_px")
        object.__setattr__(self, "xy_px", xy)
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64, xy.shape[:2], "time_s"))
        object.__setattr__(self, "sharpness", frozen(self.sharpness, np.float64, xy.shape[:2], "sharpness"))
        object.__setattr__(self, "is_mirrored", frozen(self.is_mirrored, np.bool_, (n,), "is_mirrored"))

    @property
    def n_frames(self) -> int:
        """Number of instants."""
        return self.xy_px.shape[1]

    @property
    def is_seen(self) -> np.ndarray:
        """[camera frame corner] whether the corner was found."""
        return np.asarray(np.isfinite(self.xy_px).all(-1))

    def n_shared(self) -> np.ndarray:
        """[camera camera] instants at which both cameras see at least four corners of the board."""
        sees = (self.is_seen.sum(-1) >= 4).astype(np.int64)
        return sees @ sees.T

    def of_camera(self, camera: int | str) -> BoardViews:
        """Return one camera's views, frames in which it sees the board only."""
        c = self.camera_names.index(camera) if isinstance(camera, str) else camera
        keep = self.is_seen[c].any(-1)
        return self._take(np.array([c]), np.flatnonzero(keep))

    def at_frames(self, frame: Sequence[int] | np.ndarray) -> BoardViews:
        """Return the same cameras at some of the instants, in the order given."""
        return self._take(np.arange(len(self.camera_names)), np.asarray(frame, np.int64))

    def _take(self, c: np.ndarray, f: np.ndarray) -> BoardViews:
        return BoardViews(
            board=self.board,
            camera_names=tuple(self.camera_names[i] for i in c),
            size_px=tuple(self.size_px[i] for i in c),
            xy_px=self.xy_px[np.ix_(c, f)],
            time_s=self.time_s[np.ix_(c, f)],
            sharpness=self.sharpness[np.ix_(c, f)],
            is_mirrored=self.is_mirrored[c],
            diagnostics=self.diagnostics,
        )
