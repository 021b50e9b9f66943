"""What a filter over points that were triangulated frame by frame makes of a take, beside the solve."""

from __future__ import annotations

from typing import Any

import numpy as np

from mocap.core.filtering import FilteredPoints
from mocap.core.take import SolvedTake

MIN_COMPARED = 30
"""Frames that a figure of a keypoint rests on at least."""


def compare_filter(take: SolvedTake, filtered: FilteredPoints) -> dict[str, Any]:
    """Return figures of one filter against the solved keypoints, for `report.json`.

    Per keypoint: mean distance from the solved keypoint in mm, unfiltered and filtered; RMS jerk (third difference) of
    both as ratios to that of the solved keypoint (1: as lively; far above: shaky; far below: flattened); and how much
    of the solved keypoint's greatest speed the filtered one has. None where too few frames are known.
    """
    spec = filtered.spec
    names = spec.keypoints or take.keypoints.keypoint_set.names
    per_keypoint: dict[str, dict[str, float | None]] = {}
    for name in names:
        k = take.keypoints.keypoint_set.names.index(name)
        solved, before, after = (p.xyz_m[:, k] for p in (take.keypoints, filtered.before, filtered.after))
        jerk = _rms_difference(solved, 3)
        per_keypoint[name] = {
            "unfiltered_mean_from_solve_mm": _mean(1000 * np.linalg.norm(before - solved, axis=-1)),
            "filtered_mean_from_solve_mm": _mean(1000 * np.linalg.norm(after - solved, axis=-1)),
            "unfiltered_jerk_ratio_to_solve": _ratio(_rms_difference(before, 3), jerk),
            "filtered_jerk_ratio_to_solve": _ratio(_rms_difference(after, 3), jerk),
            "filtered_peak_speed_ratio_to_solve": _ratio(_peak_step(after), _peak_step(solved)),
        }
    return {"filter": spec.name, "parameters": dict(spec.parameters), "keypoints": per_keypoint}


def summary_lines(figures: dict[str, Any]) -> list[str]:
    """Return a table of these figures for a person: one line per keypoint."""
    parameters = ", ".join(f"{k}={v:g}" for k, v in figures["parameters"].items())
    name = f"{figures['filter']} ({parameters})" if parameters else figures["filter"]
    lines = [
        f"filter {name} over points triangulated frame by frame, beside the solve",
        "  mean distance from the solve in mm; RMS jerk and peak speed over the solve's own",
        f"  {'':<16}{'distance':>22}{'jerk':>22}{'peak speed':>12}",
        f"  {'keypoint':<16}{'unfiltered':>11}{'filtered':>11}{'unfiltered':>11}{'filtered':>11}{'filtered':>12}",
    ]
    for keypoint, row in figures["keypoints"].items():
        a, b, c, d, e = (_text(row[k]) for k in _COLUMNS)
        lines.append(f"  {keypoint:<16}{a:>11}{b:>11}{c:>11}{d:>11}{e:>12}")
    return lines


_COLUMNS = (
    "unfiltered_mean_from_solve_mm",
    "filtered_mean_from_solve_mm",
    "unfiltered_jerk_ratio_to_solve",
    "filtered_jerk_ratio_to_solve",
    "filtered_peak_speed_ratio_to_solve",
)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rms_difference(track: np.ndarray, order: int) -> float | None:
    return _rms(np.linalg.norm(np.diff(track, order, axis=0), axis=-1))


def _peak_step(track: np.ndarray) -> float | None:
    step = np.linalg.norm(np.diff(track, axis=0), axis=-1)
    known = step[np.isfinite(step)]
    return float(known.max()) if len(known) >= MIN_COMPARED else None


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if len(known) >= MIN_COMPARED else None


def _rms(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) >= MIN_COMPARED else None


def _ratio(value: float | None, reference: float | None) -> float | None:
    return None if value is None or not reference else value / reference
