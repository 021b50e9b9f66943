"""The rate of a video from the times of its frames, and what is irregular about them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity

STANDARD_RATES = tuple(Fraction(n * 1000, d) for n in (24, 30, 48, 60, 120, 240) for d in (1001, 1000)) + tuple(
    Fraction(n) for n in (25, 50, 100, 200)
)
"""Rates that cameras really use; a coarse container clock is read as one of these when it fits every frame."""

JITTER_SHARE = 0.1
"""A frame interval that differs by more than this share of the median makes the rate variable."""

STEADY_FRAMES = 10
"""Frames in a row with one interval that count as a part of the video with a rate of its own."""

_COARSE_TICKS = 1.5
"""Rounding to whole ticks moves a time by half a tick, and an interval by one."""


def frame_rate(
    pts: np.ndarray, base: Fraction, nominal: Fraction, name: str
) -> tuple[Fraction, bool, list[Diagnostic]]:
    """Return the rate, whether the intervals vary, and what a person should know of it.

    The rate is exact where all times agree with the declared or a standard rate; frames that are missing on an
    otherwise even grid do not lower it. Otherwise it is the average over the video.

    Args:
        pts: [frame] int64 increasing presentation times.
        base: seconds in one unit of `pts`.
        nominal: the rate that the file declares; 0 where it declares none.
        name: what to call the file.
    """
    if len(pts) < 2:
        return nominal or Fraction(30), False, []
    steps = np.diff(pts)
    median = float(np.median(steps))
    is_variable = bool((np.abs(steps - median) > max(_COARSE_TICKS, JITTER_SHARE * median)).any())
    candidates = ((nominal,) if nominal else ()) + STANDARD_RATES
    if not is_variable:
        index = np.arange(len(pts))
        return _fitting(pts, index, base, candidates) or _average(pts, len(pts) - 1, base), False, []
    index = np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps / median), 1).astype(np.int64))])
    rate = _fitting(pts, index, base, candidates)
    if rate is not None and median > 2 * _COARSE_TICKS:
        return rate, True, [_dropped(steps, median, pts, base, name)]
    return _average(pts, len(pts) - 1, base), True, [_variable(pts, base, name)]


def _average(pts: np.ndarray, n: int, base: Fraction) -> Fraction:
    return Fraction(n) / (int(pts[-1] - pts[0]) * base)


def _fitting(pts: np.ndarray, index: np.ndarray, base: Fraction, candidates: tuple[Fraction, ...]) -> Fraction | None:
    """Return the first rate whose grid all frames lie on, as far as whole ticks can say."""
    for rate in candidates:
        error = pts - pts[0] - index * float(1 / (rate * base))
        if np.ptp(error) <= _COARSE_TICKS:
            return rate
    return None


def _dropped(steps: np.ndarray, median: float, pts: np.ndarray, base: Fraction, name: str) -> Diagnostic:
    missing = np.rint(steps / median).astype(np.int64) - 1
    gaps = np.flatnonzero(missing > 0)
    at_s = [round(float((pts[g] - pts[0]) * base), 3) for g in gaps[:20]]
    n = int(missing[gaps].sum())
    return Diagnostic(
        "video-frames-dropped",
        Severity.WARNING,
        f"{name}: frames left out by the camera: {n}, in {len(gaps)} gap{'s' if len(gaps) > 1 else ''}"
        f" (first after {at_s[0]:g} s). Every frame is used at its own time.",
        {"dropped": n, "gaps": len(gaps), "after_s": at_s},
    )


def _variable(pts: np.ndarray, base: Fraction, name: str) -> Diagnostic:
    steps_s = np.diff(pts) * float(base)
    parts = _steady_parts(pts, base)
    if len(parts) > 1:
        said = ", then ".join(f"{p['rate_hz']:.2f} Hz from {p['start_s']:.2f} s" for p in parts[:6])
        return Diagnostic(
            "video-rate-changes",
            Severity.WARNING,
            f"{name}: the frame rate changes within the file: {said}. Every frame is used at its own time.",
            {"parts": parts},
        )
    lo, mid, hi = (float(v) for v in (steps_s.min(), np.median(steps_s), steps_s.max()))
    return Diagnostic(
        "video-variable-rate",
        Severity.WARNING,
        f"{name}: the frame rate varies: intervals from {lo * 1e3:.1f} to {hi * 1e3:.1f} ms, "
        f"median {mid * 1e3:.1f}. "
        "Every frame is used at its own time.",
        {"interval_min_s": lo, "interval_median_s": mid, "interval_max_s": hi},
    )


def _steady_parts(pts: np.ndarray, base: Fraction) -> list[dict[str, Any]]:
    """Return the parts of at least STEADY_FRAMES frames with one interval, neighbours of equal rate joined."""
    steps = np.diff(pts).astype(np.float64)
    tolerance = np.maximum(_COARSE_TICKS, JITTER_SHARE * steps[:-1])
    breaks = np.flatnonzero(np.abs(np.diff(steps)) > tolerance) + 1
    begin, end = np.concatenate([[0], breaks]), np.append(breaks, len(steps))
    parts: list[dict[str, Any]] = []
    for b, e in zip(begin, end, strict=True):
        if e - b < STEADY_FRAMES:
            continue
        rate_hz = float((e - b) / ((pts[e] - pts[b]) * base))
        if parts and abs(parts[-1]["rate_hz"] / rate_hz - 1) < JITTER_SHARE:
            continue
        parts.append({"start_s": float((pts[b] - pts[0]) * base), "rate_hz": rate_hz})
    return parts
