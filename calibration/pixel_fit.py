"""How the pixels of a video belong to those that its camera was calibrated in, and its rows to one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from mocap.core.arrays import frozen
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.kernels.rolling_shutter import REACH_S, at_middle_row

NOT_CORRECTED = "rolling-shutter-not-corrected"
_CORRECTED = 0.5
"""A place that was moved by less of its correction than this counts as not corrected."""
_TELL_SHARE = 0.01
"""Fewer places left as they were seen than this change nothing that a solve over time would show."""
_WARN_SHARE = 0.1
"""From a tenth on the camera as a whole lags low and leads high in the picture, and its places are worth a warning."""


class _Detections(Protocol):
    @property
    def xy_px(self) -> np.ndarray: ...

    @property
    def size_px(self) -> tuple[int, int]: ...

    @property
    def time_s(self) -> np.ndarray: ...

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]: ...


class _Told(Protocol):
    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]: ...


D = TypeVar("D", bound=_Detections)


@dataclass(frozen=True, eq=False)
class PixelFit:
    """How the pixels of a video belong to the pixels that a camera was calibrated in."""

    calibration_from_video: np.ndarray
    """[2 3] affine map of pixel coordinates."""
    kind: str
    """same, scaled, letterboxed, cropped or stretched."""
    video_size_px: tuple[int, int]
    calibrated_size_px: tuple[int, int]
    diagnostics: tuple[Diagnostic, ...] = ()
    readout_s: float = 0.0
    """Time from the sensor's first row to its last, 0 where it is not known."""
    rotation_deg: int = 0
    """Clockwise turn that made the video upright."""
    camera: str = ""
    """For messages."""

    def __post_init__(self) -> None:
        A = frozen(self.calibration_from_video, np.float64, (2, 3), "calibration_from_video")
        object.__setattr__(self, "calibration_from_video", A)

    @property
    def video_from_calibration(self) -> np.ndarray:
        """[2 3] the inverse map."""
        R = np.linalg.inv(self.calibration_from_video[:, :2])
        return np.concatenate([R, -R @ self.calibration_from_video[:, 2:]], axis=1)

    def to_calibration(self, xy_px: np.ndarray) -> np.ndarray:
        """Return pixels [... 2] of the video as pixels of the calibration."""
        A = self.calibration_from_video
        return xy_px @ A[:, :2].T + A[:, 2]

    def map(self, detections: D) -> D:
        """Return one camera's detections in the calibration's pixels, where the middle row's instant would see them.

        What could not be taken back to the middle row is left as it was seen, and told in their diagnostics.
        """
        seen_px = np.asarray(detections.xy_px, np.float64)
        found = detections.diagnostics
        if self.readout_s > 0:
            turn = self.rotation_deg
            seen_px, trust = at_middle_row(seen_px, detections.time_s, self.video_size_px, self.readout_s, turn)
            found = (*found, *_left_as_seen(trust, self.camera, self.readout_s))
        xy_px = self.to_calibration(seen_px).astype(np.float32)
        return replace(detections, xy_px=xy_px, size_px=self.calibrated_size_px, diagnostics=found)  # type: ignore[type-var]  # a dataclass


def _left_as_seen(trust: np.ndarray, camera: str, readout_s: float) -> tuple[Diagnostic, ...]:
    """Return the finding of how many places were not corrected, none where they are few; trust as `at_middle_row`."""
    trust = trust[np.isfinite(trust)]
    share = float((trust < _CORRECTED).mean()) if len(trust) else 0.0
    if share < _TELL_SHARE:
        return ()
    message = (
        f"Camera {camera}: {share:.0%} of its keypoints are not corrected for the rolling shutter "
        f"({readout_s * 1e3:.1f} ms): within {REACH_S:g} s no other frame has them, so that their speed is not known. "
        "They stay where they were seen, as if the whole picture had been taken at once."
    )
    severity = Severity.WARNING if share > _WARN_SHARE else Severity.INFO
    return (Diagnostic(NOT_CORRECTED, severity, message, {"camera": camera, "share": round(share, 4)}),)


def not_corrected(detections: Mapping[str, _Told]) -> list[Diagnostic]:
    """Return what `PixelFit.map` found that it could not correct, of all cameras."""
    return [found for d in detections.values() for found in d.diagnostics if found.code == NOT_CORRECTED]
