"""One HDF5 file per camera: DeepLabCut's `.h5` and SLEAP's analysis `.h5`.

DeepLabCut: a pandas frame in table format (`df_with_missing`) whose columns are (scorer, [individual,] body part,
coordinate). SLEAP ("Analysis HDF5"): `tracks` [track 2 node frame], `point_scores` [track node frame], `node_names`.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap.pose2d.readers.raw import RawKeypoints, broken
from mocap.pose2d.readers.tables import COORDINATES, MAX_TRACKS, deeplabcut_points, order_in_frame

if TYPE_CHECKING:
    import h5py


def read_hdf5(path: Path) -> RawKeypoints:
    """Return the detections of one camera. Raises InputError keypoints-broken."""
    import h5py

    try:
        with h5py.File(path) as file:
            if "tracks" in file and "node_names" in file:
                return _sleap(file, path)
            frames = [g for g in file.values() if g.attrs.get("pandas_type") == b"frame_table"]
            if len(frames) == 1:
                return _deeplabcut(frames[0], path)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, pickle.UnpicklingError) as error:
        raise broken(path, f"unexpected content ({error})") from error
    raise broken(path, "expected one table of DeepLabCut, or `tracks` and `node_names` of SLEAP's analysis file")


def _deeplabcut(group: h5py.Group, path: Path) -> RawKeypoints:
    table: Any = group["table"]
    rows = table[()]
    blocks = sorted(n for n in rows.dtype.names if n.startswith("values_block_"))
    if len(blocks) != 1 or not np.issubdtype(rows["index"].dtype, np.integer):
        raise ValueError("expected numbers for every body part, and frame numbers")
    ((_, labels),) = _plain(np.bytes_(group.attrs["non_index_axes"]))
    columns = [(label[1] if len(label) > 3 else "", label[-2], label[-1]) for label in labels]
    used = [i for i, column in enumerate(columns) if column[2] in COORDINATES]
    return deeplabcut_points([columns[i] for i in used], rows["index"], rows[blocks[0]][:, used], path)


class _PlainOnly(pickle.Unpickler):
    """Reads lists, tuples, numbers and text; a file that asks for anything else is not opened."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no text")


def _plain(pickled: bytes) -> Any:
    return _PlainOnly(io.BytesIO(bytes(pickled))).load()


def _sleap(file: h5py.File, path: Path) -> RawKeypoints:
    tracks: Any = file["tracks"]
    scores: Any = file["point_scores"]
    nodes: Any = file["node_names"]
    xy = np.asarray(tracks[()], np.float32)
    score = np.asarray(scores[()], np.float32)
    if xy.ndim != 4 or xy.shape[1] != 2 or score.shape != (xy.shape[0], *xy.shape[2:]):
        raise ValueError(f"tracks {xy.shape} and point_scores {score.shape} do not belong together")
    xys = np.concatenate([xy, score[:, None]], 1).transpose(3, 0, 2, 1)
    frame, track = np.nonzero(np.isfinite(xys[..., 0]).any(-1))
    person = track if xy.shape[0] <= MAX_TRACKS else order_in_frame(frame)
    names = tuple(n.decode() for n in nodes[()])
    return RawKeypoints(np.arange(xy.shape[3]), frame, person, xys[frame, track], names, str(path))
