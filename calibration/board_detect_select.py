"""Which views of a board to keep: those that are sharp.

All sharp ones stay, in their steady rhythm: it shows whether clips are in step, and solving them costs little. Those
that a single lens needs first are spread over the picture, distances and tilts by `calibration.lens_prior`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.board_views import BoardViews
from mocap.core.diagnostics import Diagnostic, Severity

BLURRED_SHARE = 0.5
"""A view less than half as sharp as the camera's typical one is left out."""
MIN_SHARP_VIEWS = 20
"""A camera with fewer sharp views keeps its blurred ones too."""


def without_blurred(views: BoardViews) -> BoardViews:
    """Return the views without those blurred by motion, where a camera has enough others, and how many those were."""
    xy, sharp = views.xy_px.copy(), views.sharpness.copy()
    left_out: dict[str, int] = {}
    for c, name in enumerate(views.camera_names):
        known = sharp[c][np.isfinite(sharp[c])]
        if not len(known):
            continue
        blurred = sharp[c] < BLURRED_SHARE * np.median(known)
        if blurred.any() and len(known) - blurred.sum() >= MIN_SHARP_VIEWS:
            xy[c, blurred], sharp[c, blurred] = np.nan, np.nan
            left_out[name] = int(blurred.sum())
    if not left_out:
        return views
    listing = ", ".join(f"{name} {n}" for name, n in left_out.items())
    note = Diagnostic(
        "board-views-blurred",
        Severity.INFO,
        f"Views less than half as sharp as usual were left out: {listing}.",
        {"left_out": left_out},
    )
    return replace(views, xy_px=xy, sharpness=sharp, diagnostics=(*views.diagnostics, note))
