"""Cauchy's robust cost, as the bundle adjustments from boards and from people use it."""

from __future__ import annotations

import numpy as np

CAUCHY = 2.385
"""Cauchy's constant in standard deviations: 95 % efficiency for Gaussian noise."""
FAR_PX = 1e4


def squared_lengths(residuals: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return squared lengths [...]; what was seen but projects nowhere counts as far off, the unseen as 0."""
    squared = (residuals**2).sum(-1)
    return np.where(seen, np.where(np.isfinite(squared), squared, FAR_PX**2), 0.0)


def cauchy_cost(residuals: np.ndarray, seen: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the robust cost [...] of residuals [... 2]; a seen point behind its camera counts as far off."""
    return 0.5 * CAUCHY**2 * np.log1p(squared_lengths(residuals, seen) / (CAUCHY * sigma_px) ** 2)
