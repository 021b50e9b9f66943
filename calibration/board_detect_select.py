"""Which views of a board to keep: few, sharp, and spread over the pictures, distances and tilts."""

from __future__ import annotations

import numpy as np

from calibration.board_views import BoardViews

CELLS = (8, 6)
_BLURRED_SHARE = 0.5
"""A view less than half as sharp as the camera's typical one is left out while there are others."""


def choose_frames(views: BoardViews, n_frames: int) -> np.ndarray:
    """Return up to `n_frames` instants, in order, chosen one by one for what they add.

    An instant adds the cells of each camera's picture that its corners cover, the board's size and slant there, and the
    pairs of cameras that see it together; what is covered already counts less each time (1, 1/2, 1/3, ...).
    """
    features = _features(views)
    usable = np.flatnonzero(features.any(1))
    if len(usable) <= n_frames:
        return usable
    count = np.zeros(features.shape[1])
    chosen: list[int] = []
    left = set(usable.tolist())
    while len(chosen) < n_frames:
        rows = np.array(sorted(left))
        gain = features[rows] @ (1.0 / (1.0 + count))
        best = int(rows[np.argmax(gain)])
        chosen.append(best)
        left.discard(best)
        count += features[best]
    return np.sort(np.array(chosen, np.int64))


def _features(views: BoardViews) -> np.ndarray:
    """Return [frame feature] what each instant shows, weighted by sharpness."""
    n_cameras, n_frames = views.xy_px.shape[:2]
    n_cells = CELLS[0] * CELLS[1]
    shape = np.zeros((n_frames, n_cameras, n_cells + 9))
    sees = np.zeros((n_frames, n_cameras))
    for c in range(n_cameras):
        typical = np.nanmedian(views.sharpness[c]) if np.isfinite(views.sharpness[c]).any() else np.nan
        for f in np.flatnonzero(views.is_seen[c].sum(-1) >= 4):
            sharp = views.sharpness[c, f] / typical if np.isfinite(views.sharpness[c, f]) else 1.0
            if sharp < _BLURRED_SHARE:
                continue
            weight = min(float(sharp), 1.0)
            xy = views.xy_px[c, f][views.is_seen[c, f]] / views.size_px[c]
            cell = np.clip((xy * CELLS).astype(int), 0, np.array(CELLS) - 1)
            shape[f, c, np.unique(cell[:, 1] * CELLS[0] + cell[:, 0])] = weight
            shape[f, c, n_cells + _slant(xy)] = 2.0 * weight
            sees[f, c] = weight
    first, second = np.triu_indices(n_cameras, 1)
    pairs = 4.0 * sees[:, first] * sees[:, second]
    return np.concatenate([shape.reshape(n_frames, -1), pairs], -1)


def _slant(xy: np.ndarray) -> int:
    """Return one of nine classes of a view: three sizes by three slants of the corners' cloud."""
    value = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(xy.T)), 0.0))
    size = int(np.digitize(value[1], (0.08, 0.16)))
    return 3 * size + int(np.digitize(value[0] / max(value[1], 1e-9), (0.4, 0.7)))
