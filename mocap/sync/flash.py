"""Clocks from flashes: brightness that jumps in all cameras at once, such as a strobe, a lamp switched on or a phone.

Light takes no time worth counting, and a flash is seen by cameras without sound. One flash tells the instant to a
frame; several, at different places within the cameras' frames, tell it better: the lags that every one of them allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mocap.sync.evidence import Evidence

SOURCE = "flash"
MIN_JUMP = 8.0
"""Height of a jump in standard deviations of the picture's usual change."""
MIN_LEVELS = 1.5
"""And in levels of 255 of the mean brightness: less is noise of the exposure control."""
APART_S = 0.15
"""Jumps nearer than this are one flash."""
MAX_RATE = 200e-6


@dataclass(frozen=True, eq=False)
class Flashes:
    """Instants at which a camera's picture became brighter."""

    time_s: np.ndarray
    """[flash] on the camera's clock: the middle between the last frame without and the first with it."""
    frame_s: np.ndarray
    """[flash] time between those two frames: the instant may be anywhere within."""


def mean_brightness(rgb_frames: Iterable[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return (times [frame], mean brightness [frame] 0..255) of pictures (time_s, rgb [height width 3])."""
    rows = [(time_s, float(rgb[::8, ::8].mean())) for time_s, rgb in rgb_frames]
    time_s, level = np.array(rows, float).reshape(-1, 2).T
    return time_s, level


def find_flashes(time_s: np.ndarray, level: np.ndarray) -> Flashes:
    """Return where brightness [frame] jumps up from one frame to the next, far beyond its usual change."""
    if len(level) < 8:
        return Flashes(np.zeros(0), np.zeros(0))
    change = np.diff(level)
    usual = max(1.4826 * float(np.median(np.abs(change - np.median(change)))), 1e-3)
    jumps = [int(i) for i in np.flatnonzero((change > MIN_JUMP * usual) & (change > MIN_LEVELS))]
    first = [i for n, i in enumerate(jumps) if n == 0 or time_s[i] - time_s[jumps[n - 1]] > APART_S]
    step = np.diff(time_s)[first]
    return Flashes(time_s[first] + 0.5 * step, step)


def flash_evidence(flashes: Mapping[str, Flashes]) -> list[Evidence]:
    """Return what flashes say of each pair of cameras: the lag at which most of them coincide, if one lag does so.

    A single flash in both is taken where neither saw another; among several, two or more must coincide at one lag and
    at no other.
    """
    names = [n for n, f in flashes.items() if len(f.time_s)]
    found: list[Evidence] = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            evidence = _pair(a, b, flashes[a], flashes[b])
            if evidence is not None:
                found.append(evidence)
    return found


def _pair(a: str, b: str, of_a: Flashes, of_b: Flashes) -> Evidence | None:
    lags = of_a.time_s[:, None] - of_b.time_s[None, :]
    width = 0.5 * (of_a.frame_s[:, None] + of_b.frame_s[None, :])
    counts = np.array([[_coinciding(lags, width, lag) for lag in row] for row in lags])
    best = int(counts.max())
    lag_s = float(np.median(lags[counts == best]))
    same = np.abs(lags - lag_s) <= width + MAX_RATE * np.ptp(of_b.time_s)
    elsewhere = counts[~same].max(initial=0)
    if (best < 2 and lags.size > 1) or best <= elsewhere:
        return None
    low, high = float((lags - width)[same].max()), float((lags + width)[same].min())
    lag_s = 0.5 * (low + high) if high > low else float(lags[same].mean())
    sigma_s = max((high - low) / np.sqrt(12), float(width[same].mean()) / np.sqrt(12) / best)
    middle_s = float(of_b.time_s[same.any(0)].mean())
    detail = {"flashes": best, "lags": [[float(of_b.time_s[j]), float(lags[i, j])] for i, j in np.argwhere(same)]}
    return Evidence(SOURCE, a, b, middle_s + lag_s, middle_s, 0.0, sigma_s, float("inf"), detail=detail)


def _coinciding(lags: np.ndarray, width: np.ndarray, lag: float) -> int:
    """Return how many of a's flashes have one of b's at a lag."""
    return int((np.abs(lags - lag) <= width).any(1).sum())
