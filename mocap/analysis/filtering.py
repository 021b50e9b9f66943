"""What a filter over the reconstructed points makes of a take, beside the solve."""

from __future__ import annotations

from typing import Any

import numpy as np

from mocap.core.filtering import FilterSpec
from mocap.core.take import SolvedTake

MIN_COMPARED = 30
"""Frames that a figure of a keypoint rests on at least."""


def compare_filter(take: SolvedTake, spec: FilterSpec) -> dict[str, Any]:
    """Return figures of one filter against the solved keypoints, for `report.json`.

    Per keypoint: RMS distance from the solved keypoint in mm; RMS jerk (third difference) of filtered and of unfiltered
    points as ratios to that of the solved keypoint (1: as lively; far above: shaky; far below: flattened); and how much
    of the solved keypoint's greatest speed is left. None where too few frames are known.
    """
    rate_hz = float(take.motion.timeline.fps)
    filtered = spec.apply(take.points, rate_hz)
    names = spec.keypoints or take.points.keypoint_set.names
    per_keypoint: dict[str, dict[str, float | None]] = {}
    for name in names:
        k = take.points.keypoint_set.names.index(name)
        solved, ours = take.keypoints.xyz_m[:, k], filtered.xyz_m[:, k]
        distance_m = np.linalg.norm(ours - solved, axis=-1)
        jerk = _rms_difference(solved, 3)
        per_keypoint[name] = {
            "rms_from_solve_mm": _rms(1000 * distance_m),
            "jerk_ratio_to_solve": _ratio(_rms_difference(ours, 3), jerk),
            "jerk_ratio_before": _ratio(_rms_difference(take.points.xyz_m[:, k], 3), jerk),
            "peak_speed_ratio_to_solve": _ratio(_peak_step(ours), _peak_step(solved)),
        }
    return {"filter": spec.name, "parameters": dict(spec.parameters), "keypoints": per_keypoint}


def summary_lines(figures: dict[str, Any]) -> list[str]:
    """Return a table of these figures for a person: one line per keypoint."""
    parameters = ", ".join(f"{k}={v:g}" for k, v in figures["parameters"].items())
    lines = [
        f"filter {figures['filter']} ({parameters}) beside the solve (jerk and speed over the solve's):"
        if parameters
        else f"filter {figures['filter']} beside the solve (jerk and speed over the solve's):"
    ]
    lines.append(f"  {'keypoint':<16}{'from solve':>12}{'jerk before':>13}{'after':>8}{'peak speed':>12}")
    for name, row in figures["keypoints"].items():
        distance, before, after, peak = (_text(row[k]) for k in _COLUMNS)
        lines.append(f"  {name:<16}{distance + ' mm':>12}{before:>13}{after:>8}{peak:>12}")
    return lines


_COLUMNS = ("rms_from_solve_mm", "jerk_ratio_before", "jerk_ratio_to_solve", "peak_speed_ratio_to_solve")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rms_difference(track: np.ndarray, order: int) -> float | None:
    return _rms(np.linalg.norm(np.diff(track, order, axis=0), axis=-1))


def _peak_step(track: np.ndarray) -> float | None:
    step = np.linalg.norm(np.diff(track, axis=0), axis=-1)
    known = step[np.isfinite(step)]
    return float(known.max()) if len(known) >= MIN_COMPARED else None


def _rms(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) >= MIN_COMPARED else None


def _ratio(value: float | None, reference: float | None) -> float | None:
    return None if value is None or not reference else value / reference
