"""How far a solved keypoint can be believed, as one figure from 0 to 1 for pictures."""

from __future__ import annotations

import numpy as np

from mocap.core.keypoints import Points3D, Source

HALF_SIGMA_M = 0.04
"""Standard deviation at which a measured keypoint counts as half believed."""
_CAP = {Source.MISSING: 0.0, Source.MEASURED: 1.0, Source.INTERPOLATED: 0.5, Source.SOLVED: 0.3, Source.EDITED: 1.0}


def confidence(points: Points3D) -> np.ndarray:
    """Return [frame keypoint] float64 in 0..1: 1 / (1 + (sigma / 40 mm)^2), capped by where the value came from.

    Interpolated values reach 0.5 at most and values that follow from the skeleton alone 0.3; without a known sigma a
    value counts as if sigma were 40 mm. Edited values are a person's word: 1.
    """
    sigma_m = np.where(np.isfinite(points.sigma_m), points.sigma_m, HALF_SIGMA_M)
    cap = np.array([_CAP[Source(s)] for s in range(len(Source))])[points.source]
    by_sigma = 1.0 / (1.0 + (sigma_m / HALF_SIGMA_M) ** 2)
    return np.where(points.source == Source.EDITED, 1.0, np.minimum(by_sigma, cap))
