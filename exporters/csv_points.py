"""CSV of the final keypoints: metres, world Z up, one row per frame, a header row that names columns with units.

Columns: `frame` (from 0), `time_s` (master time), then per keypoint `<name>_x_m`, `<name>_y_m`, `<name>_z_m`,
`<name>_sigma_m` (1 standard deviation per axis) and `<name>_source` (missing, measured, interpolated, solved or
edited). Cells of missing points are empty.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from exporters.job import Job, max_distance_m, require
from mocap.core.keypoints import Source

_PARTS = ("x_m", "y_m", "z_m", "sigma_m", "source")


def write(job: Job, path: Path) -> None:
    """Write the final keypoints."""
    points = job.take.keypoints
    header = ["frame", "time_s", *(f"{name}_{part}" for name in points.keypoint_set.names for part in _PARTS)]
    words = {int(s): s.name.lower() for s in Source}
    values = np.concatenate([points.xyz_m, points.sigma_m[..., None]], -1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for f, time_s in enumerate(points.time_s):
            row = [str(f), f"{time_s:.6f}"]
            for cells, source in zip(values[f], points.source[f], strict=True):
                row += ["" if np.isnan(v) else f"{v:.6f}" for v in cells]
                row.append(words[int(source)])
            writer.writerow(row)


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the file's points from the final keypoints."""
    points = job.take.keypoints
    names = points.keypoint_set.names
    table = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    column = {name: i for i, name in enumerate(table[0])}
    require(len(column) == 2 + len(_PARTS) * len(names), "another number of columns")
    read_m = np.array(
        [[[float(row[column[f"{n}_{a}_m"]] or "nan") for a in "xyz"] for n in names] for row in table[1:]]
    ).reshape(-1, len(names), 3)
    time_s = np.array([float(row[column["time_s"]]) for row in table[1:]])
    require(len(time_s) == len(points.time_s) and bool(np.allclose(time_s, points.time_s, atol=1e-6)), "other times")
    return max_distance_m(read_m, points.xyz_m, "points")
