"""Errors of smoothed chains under noise that comes in runs.

A chain is smoothed by data of curvature l per frame and unit weight on squared second differences. At angular frequency
w per frame it passes the share g = l / (l + D) of what it is given, D = (2 - 2 cos w)^2 (P. Eilers, "A perfect
smoother", Anal. Chem. 2003). If the noise has the spectrum S(w) instead of a white one, the error's variance is the
mean over w of (l S + D) / (l + D)^2: noise that passes, and motion that does not. White noise gives 1 / (l + D), the
stationary posterior (H. Rue and L. Held, Gaussian Markov Random Fields, 2005, section 2.6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.kernels.robust import geman_mcclure

_ANGLE = np.pi * np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 1500)])
_SMOOTH = (2 - 2 * np.cos(_ANGLE)) ** 2
_LOG_L = np.linspace(-30.0, 20.0, 201)
_LEVELS = np.linspace(0.01, 0.99, 50)
ACCEPTED = 4.0
"""Standard deviations beyond which a residual is a gross error."""
_RHO = np.concatenate([[0.5, 0.6, 0.7, 0.75], np.arange(0.8, 0.985, 0.02)])


@dataclass(frozen=True)
class Noise:
    """White noise plus a first-order autoregressive part, as variances relative to what the solver assumes."""

    white: float
    slow: float
    rho: float
    """Correlation of the slow part from frame to frame."""

    def spectrum(self, angle: np.ndarray) -> np.ndarray:
        """Return the power at angular frequencies per frame; white noise of variance 1 has 1 everywhere."""
        return self.white + self.slow * _slow_spectrum(self.rho, angle)


WHITE = Noise(1.0, 0.0, 0.0)


def _slow_spectrum(rho: float, angle: np.ndarray) -> np.ndarray:
    return (1 - rho**2) / (1 + rho**2 - 2 * rho * np.cos(angle))


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over frequencies of values [... angle]."""
    return np.trapezoid(values, _ANGLE, axis=-1) / np.pi


def error_variance(curvature: np.ndarray, noise: Noise = WHITE) -> np.ndarray:
    """Return the variance of a stationary chain's error, for any shape of `curvature`."""
    level = np.exp(_LOG_L)[:, None]
    table = _mean((level * noise.spectrum(_ANGLE) + _SMOOTH) / (level + _SMOOTH) ** 2)
    return np.exp(np.interp(np.log(np.maximum(curvature, 1e-12)), _LOG_L, np.log(table)))


def curvature_of_variance(variance: np.ndarray) -> np.ndarray:
    """Return the curvature of white data whose chain has a given error variance."""
    table = _mean(1.0 / (np.exp(_LOG_L)[:, None] + _SMOOTH))
    return np.exp(np.interp(-np.log(variance), -np.log(table), _LOG_L))


def smooth_share(curvature: np.ndarray) -> np.ndarray:
    """Return the posterior variance of a chain's second differences over their prior one: the mean of D / (l + D)."""
    level = np.exp(_LOG_L)[:, None]
    table = _mean(_SMOOTH / (level + _SMOOTH))
    return np.interp(np.log(np.maximum(curvature, 1e-12)), _LOG_L, table)


def passed_share(curvature: np.ndarray) -> np.ndarray:
    """Return [angle] the mean over chains [...] of 2g - g^2: the share of noise power that does not reach residuals."""
    level = np.maximum(np.quantile(curvature, _LEVELS), 1e-12)[:, None]
    gain = level / (level + _SMOOTH)
    return (2 * gain - gain**2).mean(0)


def fit_noise(covariance: np.ndarray, absorbed: np.ndarray) -> Noise:
    """Return the noise whose residuals have the autocovariance [lag], after the fit absorbed a share [angle] of it.

    Least squares over lags with variances that are not negative, for each of some correlations of the slow part.
    """
    left = np.maximum(1 - absorbed, 0.0)
    lag = np.arange(len(covariance))
    cosine = np.cos(lag[:, None] * _ANGLE)
    white = _mean(left * cosine)
    best, found = np.inf, Noise(max(float(covariance[0] / white[0]), 0.0), 0.0, 0.0)
    for rho in _RHO:
        both = np.stack([white, _mean(left * _slow_spectrum(rho, _ANGLE) * cosine)], axis=1)
        share = np.linalg.lstsq(both, covariance, rcond=None)[0]
        if share.min() < 0:
            one = np.maximum((both * covariance[:, None]).sum(0) / (both**2).sum(0), 0.0)
            cost = ((both * one - covariance[:, None]) ** 2).sum(0)
            share = one * (cost == cost.min())
        cost = float(((both @ share - covariance) ** 2).sum())
        if cost < best:
            best, found = cost, Noise(float(share[0]), float(share[1]), float(rho))
    return found


@dataclass(frozen=True, eq=False)
class Scatter:
    """How the residuals of a robust fit scatter, in units of the noise that it assumes."""

    covariance: np.ndarray
    """[lag] autocovariance per axis of weight times residual: what pushes the solution."""
    slope: float
    """Mean derivative of weight times residual: what holds the solution, where plain weights say `weight`."""
    weight: float
    n_used: int

    def noise(self, curvature: np.ndarray, n_frames: int) -> Noise:
        """Return the noise that reaches the solution, relative to what the held curvature assumes.

        The fit takes part of the noise out of its residuals; curvature [frame chain], held, tells how much.
        """
        if self.n_used == 0:
            return WHITE
        share = passed_share(curvature) * curvature.shape[-1]
        found = fit_noise(self.covariance, np.minimum(share * n_frames / (2 * self.n_used), 0.95))
        return Noise(found.white / self.slope, found.slow / self.slope, found.rho)

    @property
    def held(self) -> float:
        """Curvature of the robust loss over that of its weights (P. Huber, Robust Statistics, 1981, section 3.2)."""
        return self.slope / self.weight if self.n_used else 1.0


def scatter(residual: np.ndarray, scale_squared: float, max_lag: int) -> Scatter:
    """Return the scatter of whitened residuals [camera frame keypoint 2] (NaN where unseen) under Geman-McClure.

    Residuals beyond ACCEPTED standard deviations are gross errors and not noise.
    """
    squared = np.nan_to_num((residual**2).sum(-1), nan=np.inf)
    used = squared < ACCEPTED**2
    n = int(used.sum())
    if n == 0:
        return Scatter(np.zeros(max_lag + 1), 1.0, 1.0, 0)
    inner = squared[used]
    weight = geman_mcclure(inner, scale_squared)
    slope = weight - 2 * inner * scale_squared**2 / (scale_squared + inner) ** 3
    push = np.zeros(residual.shape)
    push[used] = residual[used] * weight[:, None]
    return Scatter(autocovariance(push, used, max_lag), float(slope.mean()), float(weight.mean()), n)


def autocovariance(values: np.ndarray, used: np.ndarray, max_lag: int) -> np.ndarray:
    """Return the autocovariance per axis [lag] of values [camera frame keypoint 2] where `used`."""
    values = np.where(used[..., None], values, 0.0)
    out = np.zeros(max_lag + 1)
    for lag in range(min(max_lag + 1, values.shape[1])):
        a, b = slice(lag, None), slice(None, values.shape[1] - lag)
        both = used[:, a] & used[:, b]
        n = int(both.sum())
        out[lag] = (values[:, a] * values[:, b]).sum() / (2 * n) if n else 0.0
    return out
