"""How much work goes into 2D keypoints: a rough look while still on set, the usual, or the best there is overnight."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

PREVIEW_RATE_HZ = 15
"""A preview looks at about this many frames a second; the others have no keypoints, and the solve goes across them."""


@dataclass(frozen=True)
class Quality:
    """What a quality means for the choice of a model and for the frames that it sees."""

    sizes: str
    """Sizes of RTMPose, the first that is here is taken."""
    flip_test: bool
    """Look at mirrored pictures too; one-stage models cannot."""
    rate_hz: float | None = None
    """Frames a second that are looked at; None: all."""

    def stride(self, fps: Fraction) -> int:
        """Return which frames of a video are looked at: every n-th, from the first."""
        return 1 if self.rate_hz is None else max(1, round(float(fps) / self.rate_hz))


QUALITIES = {
    "preview": Quality("tsmlx", flip_test=False, rate_hz=PREVIEW_RATE_HZ),
    # Among sizes, m is the best bargain.
    "standard": Quality("mlxst", flip_test=False),
    "best": Quality("xlmst", flip_test=True),
}
STANDARD = "standard"
