"""One NumPy archive per camera: what `mocap.pose2d.detections_out` writes, with exact times."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mocap.pose2d.readers.raw import RawKeypoints, broken


def read_archive(path: Path) -> RawKeypoints:
    """Return the detections of one camera. Raises InputError keypoints-broken."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            xy_px, score, time_s = (np.asarray(arrays[n]) for n in ("xy_px", "score", "time_s"))
            names = tuple(str(n) for n in arrays["names"])
        xys = np.concatenate([xy_px, score[..., None]], -1).astype(np.float32)
        if xys.ndim != 4 or xys.shape[2] != len(names) or time_s.shape != (len(xys),):
            raise ValueError(f"xy_px {xy_px.shape}, {len(names)} names and time_s {time_s.shape} do not fit together")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise broken(path, f"unexpected content ({error})") from error
    frame, person = np.nonzero(np.isfinite(xys).all(-1).any(-1))
    return RawKeypoints(np.arange(len(xys)), frame, person, xys[frame, person], names, str(path), time_s)
