"""TRC marker files: tab-separated, metres, Y up with (X, Y, Z) = world (y, z, x), blank cells for missing markers.

The Time column holds master time, so a take that does not begin at 0 keeps its place. Layout as OpenSim documents it
("Marker (.trc) Files", OpenSim user's guide): five header lines, then one row per frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exporters.job import Format, Job, max_distance_m, require
from mocap.core.conventions import world_from_yup, yup_from_world
from mocap.core.filtering import FilterSpec
from mocap.core.keypoints import Points3D


def write(job: Job, path: Path) -> None:
    """Write the final keypoints."""
    _write(job.take.keypoints, float(job.take.motion.timeline.fps), f"{job.take.subject}.trc", path)


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the file's markers from the final keypoints."""
    return _compare(job.take.keypoints, path)


def write_points(job: Job, path: Path) -> None:
    """Write the reconstructed points before the skeleton solve."""
    _write(job.take.points, float(job.take.motion.timeline.fps), f"{job.take.subject}_points.trc", path)


def read_back_points(job: Job, path: Path) -> float:
    """Return the largest distance of the file's markers from the reconstructed points."""
    return _compare(job.take.points, path)


def filtered_format(spec: FilterSpec, points: Points3D) -> Format:
    """Return the format of points as a filter left them, at the rate that is exported: `<subject>_<filter>.trc`.

    What stands for the filter says `FilterSpec.label`.
    """

    def write(job: Job, path: Path) -> None:
        _write(points, float(job.take.motion.timeline.fps), f"{job.take.subject}_{spec.label}.trc", path)

    def read_back(job: Job, path: Path) -> float:
        return _compare(points, path)

    about = f"points of single frames, {spec.name} filter; Y up, metres"
    return Format(f"{spec.label}_trc", f"_{spec.label}.trc", write, read_back, about)


def _write(points: Points3D, fps: float, title: str, path: Path) -> None:
    names = points.keypoint_set.names
    n_frames, n = points.xyz_m.shape[:2]
    rate = f"{fps:.10g}"
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{title}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{n_frames}\t{n}\tm\t{rate}\t1\t{n_frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, n + 1)),
    ]
    rows = yup_from_world(points.xyz_m).reshape(n_frames, 3 * n)
    template = "\t".join(["%.6f"] * (3 * n))
    for f, (time_s, row) in enumerate(zip(points.time_s, rows, strict=True), start=1):
        cells = template % tuple(row)
        lines.append(f"{f}\t{time_s:.6f}\t{cells.replace('nan', '') if np.isnan(row).any() else cells}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def read_trc(path: Path) -> tuple[list[str], float, np.ndarray, np.ndarray]:
    """Return names, rate in Hz, time_s [frame] and points_world [frame marker 3] in metres of a TRC file of ours."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    require(header["Units"] == "m", f"unit {header['Units']} instead of m")
    names = [cell for cell in lines[3].split("\t")[2:] if cell]
    rows, width = lines[5:], 2 + 3 * len(names)
    require(all(line.count("\t") == width - 1 for line in rows), f"rows that are not {width} cells wide")
    require(int(header["NumFrames"]) == len(rows), f"{len(rows)} rows where the header says {header['NumFrames']}")
    filled = ["\t".join(cell or "nan" for cell in line.split("\t")) if "\t\t" in f"{line}\t" else line for line in rows]
    data = np.loadtxt(filled, delimiter="\t", ndmin=2) if filled else np.empty((0, width))
    return names, float(header["DataRate"]), data[:, 1], world_from_yup(data[:, 2:].reshape(len(data), -1, 3))


def _compare(points: Points3D, path: Path) -> float:
    names, _, time_s, read_m = read_trc(path)
    require(tuple(names) == points.keypoint_set.names, f"marker names {names}")
    require(bool(np.allclose(time_s, points.time_s, atol=1e-6)), "other times than in the source")
    return max_distance_m(read_m, points.xyz_m, "markers")
