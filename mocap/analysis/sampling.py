"""Values of an evenly or unevenly sampled signal at other instants: arrays in, arrays out."""

from __future__ import annotations

import numpy as np

_EDGE_S = 1e-6
"""Instants this close outside the samples count as the end sample: rounding of time maps, not extrapolation."""


def sample_at(time_s: np.ndarray, values: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Return `values` [frame ...] of the instants `time_s` [frame] (increasing) at the instants `at_s` [n], as [n ...].

    Cubic Hermite interpolation with finite-difference tangents (E. Catmull and R. Rom, 1974; on uneven knots the
    three-point difference), so that a moving foot is not cut across its arc as by a linear blend; linear beside gaps.
    NaN outside the samples (nothing is extrapolated), where `at_s` is NaN, and between samples of which one is NaN; an
    instant on a finite sample returns that sample whatever its neighbours are.
    """
    time_s = np.asarray(time_s, np.float64)
    values = np.asarray(values, np.float64)
    at_s = np.asarray(at_s, np.float64)
    out = np.full((len(at_s), *values.shape[1:]), np.nan)
    if len(time_s) == 0:
        return out
    inside = np.isfinite(at_s) & (at_s >= time_s[0] - _EDGE_S) & (at_s <= time_s[-1] + _EDGE_S)
    at = np.clip(at_s[inside], time_s[0], time_s[-1])
    if len(time_s) == 1:
        out[inside] = values[0]
        return out
    left = np.clip(np.searchsorted(time_s, at, side="right") - 1, 0, len(time_s) - 2)
    width = time_s[left + 1] - time_s[left]
    axes = (slice(None),) + (None,) * (values.ndim - 1)
    u = ((at - time_s[left]) / width)[axes]
    a, b = values[left], values[left + 1]
    tangent = _tangents(time_s, values)
    chord = b - a
    ta = tangent[left] * width[axes]
    tb = tangent[left + 1] * width[axes]
    ta, tb = np.where(np.isfinite(ta), ta, chord), np.where(np.isfinite(tb), tb, chord)
    curve = a + u * (ta + u * (3 * chord - 2 * ta - tb + u * (ta + tb - 2 * chord)))
    on_a, on_b = u * width[axes] < _EDGE_S, (1 - u) * width[axes] < _EDGE_S
    out[inside] = np.where(on_a, a, np.where(on_b, b, curve))
    return out


def nearest(time_s: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Return the index [n] of the sample nearest to each instant `at_s` [n]; -1 where `at_s` or every sample is NaN.

    time_s [frame] increases where it is finite; NaN pads it at the end.
    """
    time_s = np.asarray(time_s, np.float64)
    at_s = np.asarray(at_s, np.float64)
    n = int(np.isfinite(time_s).sum())
    index = np.full(at_s.shape, -1, np.int64)
    if n == 0:
        return index
    known = np.isfinite(at_s)
    right = np.clip(np.searchsorted(time_s[:n], at_s[known]), 0, n - 1)
    left = np.maximum(right - 1, 0)
    index[known] = np.where(at_s[known] - time_s[left] < time_s[right] - at_s[known], left, right)
    return index


def _tangents(time_s: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return slopes [frame ...] of the parabola through each sample and its neighbours; NaN at ends and gaps."""
    tangent = np.full(values.shape, np.nan)
    if len(time_s) > 2:
        axes = (slice(None),) + (None,) * (values.ndim - 1)
        before, after = np.diff(time_s)[:-1][axes], np.diff(time_s)[1:][axes]
        slopes = np.diff(values, axis=0) / np.diff(time_s)[axes]
        tangent[1:-1] = (slopes[:-1] * after + slopes[1:] * before) / (before + after)
    return tangent
