"""C3D: final keypoints in millimetres, Z up, residual -1 where a point is missing (C3D user guide, "POINT" group)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from exporters.job import Job, max_distance_m, require


def write(job: Job, path: Path) -> None:
    """Write the final keypoints."""
    import ezc3d

    points, fps = job.take.keypoints, job.take.motion.timeline.fps
    n_frames, n = points.xyz_m.shape[:2]
    file = ezc3d.c3d()
    names = points.keypoint_set.names
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = np.array([float(fps)])
    point["LABELS"]["value"] = names
    point["DESCRIPTIONS"]["value"] = names
    point["UNITS"]["value"] = ("mm",)
    for name, value in (("X_SCREEN", "+X"), ("Y_SCREEN", "+Z")):
        file.add_parameter("POINT", name, (value,))
    # The file counts frames from 1; its place in master time goes along, as the format itself has none.
    file.add_parameter("MOCAP_STUDIO", "START_TIME_S", np.array([job.take.motion.timeline.start_s]))
    file.add_parameter("MOCAP_STUDIO", "RATE_FRACTION", (f"{fps.numerator}/{fps.denominator}",))
    data = np.full((4, n, n_frames), np.nan)
    data[:3] = 1000.0 * points.xyz_m.transpose(2, 1, 0)
    data[3] = 1.0
    missing = ~np.isfinite(data[:3]).all(0)
    file["data"]["points"] = data
    residuals = np.where(missing, -1.0, 0.0)[None]
    file["data"]["meta_points"]["residuals"] = residuals
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, n, n_frames), dtype=bool)
    file.write(str(path))


def read_c3d(path: Path) -> tuple[float, np.ndarray]:
    """Return the rate in Hz and points_mm [frame point 3] of a floating-point C3D file, NaN where the residual is -1.

    Reads header and data section byte by byte after the format's description, not through the library that wrote them.
    """
    raw = path.read_bytes()
    require(len(raw) >= 512 and raw[1] == 0x50, "no C3D header")
    n, analog, first, last = struct.unpack_from("<4H", raw, 2)
    scale = struct.unpack_from("<f", raw, 12)[0]
    block = struct.unpack_from("<H", raw, 16)[0]
    rate = struct.unpack_from("<f", raw, 20)[0]
    require(scale < 0 and analog == 0, "not floating-point points alone")
    values = np.frombuffer(raw, "<f4", offset=512 * (block - 1))
    n_frames = last - first + 1
    if n_frames >= 0xFFFF:
        n_frames = len(values) // (4 * n)
    require(len(values) >= n_frames * n * 4, "fewer frames than the header says")
    table = values[: n_frames * n * 4].reshape(n_frames, n, 4).astype(np.float64)
    return rate, np.where(table[..., 3:] < 0, np.nan, table[..., :3])


def read_back(job: Job, path: Path) -> float:
    """Return the largest distance of the file's points from the final keypoints."""
    import ezc3d

    points = job.take.keypoints
    rate, points_mm = read_c3d(path)
    require(abs(rate - float(job.take.motion.timeline.fps)) < 1e-5 * rate, f"rate {rate} Hz")
    parameters = ezc3d.c3d(str(path))["parameters"]["POINT"]
    require(tuple(parameters["LABELS"]["value"]) == points.keypoint_set.names, "other labels")
    require(list(parameters["UNITS"]["value"]) == ["mm"], "another unit than mm")
    return max_distance_m(points_mm / 1000.0, points.xyz_m, "points")
