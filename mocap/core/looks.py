"""Which moments cameras look at: a quick look takes every n-th frame of each, and those of two need not coincide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap.core.keypoints import looked_at

MAX_BETWEEN_S = 0.1
"""A camera is taken to see what lies between two of its looks that are at most this far apart."""


@dataclass(frozen=True, eq=False)
class Between:
    """Master frames at which another camera looks, and this one a moment before and after. Arrays [n]."""

    frame: np.ndarray
    """Master frames, rising."""
    before: np.ndarray
    """This camera's frame before."""
    after: np.ndarray
    """This camera's next look."""
    share: np.ndarray
    """0..1 of the way from the one to the other."""

    def sampled(self, values: np.ndarray) -> np.ndarray:
        """Return values [frame ...] of the camera's frames, interpolated linearly [n ...]."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return (1 - share) * values[self.before] + share * values[self.after]

    def both(self, values: np.ndarray) -> np.ndarray:
        """Return [n ...] the lesser of the values [frame ...] before and after: what holds at both holds between."""
        return np.minimum(values[self.before], values[self.after])


@dataclass(frozen=True, eq=False)
class Looks:
    """When the cameras look, on master frames."""

    at: np.ndarray
    """[camera frame] bool: each camera's looks, at their nearest master frames."""
    between: tuple[Between, ...]
    """[camera] what only others look at; empty where the cameras look at the same frames."""
    step: np.ndarray
    """[camera] median distance of successive looks in master frames, NaN where there are fewer than two."""

    @property
    def in_turns(self) -> np.ndarray:
        """[camera] bool: those that look between the looks of others."""
        return np.array([len(one.frame) > 0 for one in self.between])

    @property
    def count(self) -> np.ndarray:
        """[frame] how many cameras look at a frame, or before and after it where another one does."""
        count = self.at.sum(0)
        for one in self.between:
            count[one.frame] += 1
        return count


def looks_of(frame: np.ndarray, has_any: np.ndarray, n_frames: int, fps: float) -> Looks:
    """Return when cameras look, on `n_frames` master frames at `fps`.

    frame [camera frame]: fractional master frame of each camera's frames, rising, NaN where there is none. has_any
    [camera frame] bool: whether there are detections (see `looked_at`).
    """
    at = np.zeros((len(frame), n_frames), bool)
    columns: list[np.ndarray] = []
    for camera, (own, row) in enumerate(zip(frame, has_any, strict=True)):
        which = np.arange(len(row))[looked_at(row)]
        which = which[np.isfinite(own[which])]
        columns.append(which)
        nearest = np.rint(own[which]).astype(int)
        at[camera, nearest[(nearest >= 0) & (nearest < n_frames)]] = True
    anyone = at.any(0)
    steps = [np.diff(own[which]) for own, which in zip(frame, columns, strict=True)]
    return Looks(
        at,
        tuple(
            _between(np.flatnonzero(anyone & ~mine), own[which], which, MAX_BETWEEN_S * fps)
            for mine, own, which in zip(at, frame, columns, strict=True)
        ),
        np.array([float(np.median(s)) if len(s) else np.nan for s in steps]),
    )


def _between(wanted: np.ndarray, at: np.ndarray, columns: np.ndarray, longest: float) -> Between:
    """Return which of the master frames `wanted` lie between successive looks `at` [n] that are near enough."""
    if len(at) < 2:
        none = np.zeros(0, int)
        return Between(none, none, none, np.zeros(0))
    after = np.clip(np.searchsorted(at, wanted), 1, len(at) - 1)
    gap = at[after] - at[after - 1]
    share = (wanted - at[after - 1]) / np.where(gap > 0, gap, np.nan)
    inside = (share >= 0) & (share <= 1) & (gap <= longest * (1 + 1e-6))
    return Between(wanted[inside], columns[after[inside] - 1], columns[after[inside]], share[inside])
