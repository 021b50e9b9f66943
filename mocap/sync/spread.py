"""How far estimates may be off when errors are related: over time, and over all of one keypoint."""

from __future__ import annotations

import numpy as np

BLOCK_S = 0.5
"""Errors further apart than this count as independent."""


def scatter(gradients: np.ndarray, duration_s: float) -> np.ndarray:
    """Return the covariance [p p] of the sum of gradients [time keypoint p], clustered by time and by keypoint."""
    n_blocks = max(4, int(duration_s / BLOCK_S))
    which = np.minimum(np.arange(len(gradients)) * n_blocks // max(len(gradients), 1), n_blocks - 1)
    in_time = np.zeros((n_blocks, *gradients.shape[1:]))
    np.add.at(in_time, which, gradients)
    by_time, by_keypoint = _outer(in_time.sum(1)), _outer(in_time.sum(0))
    return by_time + by_keypoint


def _outer(clusters: np.ndarray) -> np.ndarray:
    """Return the sum of outer products of clusters [n p], corrected for their small number."""
    n = max(len(clusters), 2)
    return clusters.T @ clusters * (n / (n - 1))
