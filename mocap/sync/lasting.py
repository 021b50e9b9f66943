"""Noise of detections that lasts: how much of it, how long, and least squares that knows it.

A detector errs the same way for several frames. Noise is taken as white noise plus a first-order autoregression
(AR(1)) per camera, keypoint and axis. Least squares with it is generalised least squares; here the lasting part is kept
as an unknown of each instant, which makes the equations block tridiagonal in time (A. C. Harvey, "Forecasting,
structural time series models and the Kalman filter", 1989, section 3.4, in information form).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAGS = 24
MIN_PAIRS = 200


@dataclass(frozen=True)
class Lasting:
    """How the noise's variance is divided."""

    share: float
    """Of the variance that lasts; the rest is independent from node to node."""
    keep: float
    """Correlation of the lasting part from one node to the next."""


def measure(residual: np.ndarray, used: np.ndarray, usual: Lasting) -> Lasting:
    """Return what the autocorrelation of residuals says; `usual` where there are too few.

    residual [camera node keypoint 2] whitened; used [camera node keypoint]. The autocorrelation at lag n > 0 is
    share * keep ** n: least squares over both, each lag by the number of its pairs.
    """
    kept = np.where(used[..., None], residual, 0.0)
    n = int(used.sum())
    power = float((kept**2).sum()) / max(n, 1)
    lags, values, counts = [], [], []
    for lag in range(1, min(LAGS, residual.shape[1] - 1) + 1):
        pairs = int((used[:, lag:] & used[:, :-lag]).sum())
        if pairs >= MIN_PAIRS and power > 0:
            lags.append(lag)
            values.append(float((kept[:, lag:] * kept[:, :-lag]).sum()) / pairs / power)
            counts.append(pairs)
    if len(lags) < 4:
        return usual
    at, value, weight = np.array(lags), np.array(values), np.array(counts, float)
    best, best_cost = usual, np.inf
    for keep in np.linspace(0.3, 0.98, 69):
        curve = keep**at
        share = float(np.clip((weight * curve * value).sum() / (weight * curve**2).sum(), 0.02, 0.95))
        cost = float((weight * (value - share * curve) ** 2).sum())
        if cost < best_cost:
            best, best_cost = Lasting(share, float(keep)), cost
    return best


def projections(J: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the information [batch rows rows] on observations that is left when a point explains them.

    J [batch rows 3] derivatives by the point; w [batch rows] information of each row. Zero where the rows do not
    determine the point.
    """
    Jw = J * w[..., None]
    normal = np.einsum("brx,bry->bxy", Jw, J)
    scale = np.trace(normal, axis1=-2, axis2=-1) / 3
    free = (np.linalg.det(normal) > 1e-9 * scale**3) & (scale > 0)
    normal[~free] = np.eye(3)
    out = -Jw @ np.linalg.solve(normal, np.swapaxes(Jw, -1, -2))
    rows = np.arange(J.shape[1])
    out[:, rows, rows] += w
    out[~free] = 0.0
    return out


class Chain:
    """Sums of products of columns over time, weighted by the inverse covariance of all the noise.

    `add` takes the nodes in order; `total` [batch column column] then is columns' W columns with W that inverse, after
    the points and the lasting noise are eliminated.
    """

    def __init__(self, lasting: Lasting, n_batch: int, n_rows: int, n_columns: int) -> None:
        self.lasting = lasting
        self.total = np.zeros((n_batch, n_columns, n_columns))
        self._inverse: np.ndarray | None = None
        self._columns = np.zeros((n_batch, n_rows, n_columns))

    def add(self, J: np.ndarray, columns: np.ndarray, w: np.ndarray, is_last: bool) -> None:
        """Add a node: J [batch rows 3], columns [batch rows column], w [batch rows], all whitened by the noise's sd."""
        share, keep = self.lasting.share, self.lasting.keep
        M = projections(J, w / (1 - share))
        Mc = M @ columns
        self.total += np.swapaxes(columns, -1, -2) @ Mc
        own = share * M
        rows = np.arange(J.shape[1])
        innovation = 1 - keep**2
        ends = (self._inverse is None) + is_last
        own[:, rows, rows] += {0: 1 + keep**2, 1: 1.0, 2: innovation}[ends] / innovation
        right = np.sqrt(share) * Mc
        if self._inverse is not None:
            own -= (keep / innovation) ** 2 * self._inverse
            right += keep / innovation * (self._inverse @ self._columns)
        self._inverse = np.linalg.inv(own)
        self._columns = right
        self.total -= np.swapaxes(right, -1, -2) @ (self._inverse @ right)
