"""The table of formats, and the one function that writes, reads back, compares and publishes files."""

from __future__ import annotations

import errno
import shutil
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from glob import escape as glob_escape
from pathlib import Path

import numpy as np

from exporters import bvh, c3d, coco, csv_points, fbx, glb, npz, scene, trc
from exporters.job import TOLERANCE_M, ExportedFile, Format, Job, Mismatch
from exporters.resample import resample_take
from mocap.core.errors import InputError, SetupError
from mocap.core.progress import NoProgress, Progress, track
from mocap.core.publish import disk_error, published_set
from mocap.core.skeleton import Motion
from mocap.core.take import SolvedTake

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("bvh", ".bvh", bvh.write, bvh.read_back, "skeleton and motion; Y up, metres (or centimetres)"),
        Format("trc", ".trc", trc.write, trc.read_back, "final keypoints; Y up, metres"),
        Format(
            "points_trc", "_points.trc", trc.write_points, trc.read_back_points, "reconstructed points; Y up, metres"
        ),
        Format("fbx", ".fbx", fbx.write, fbx.read_back, "skeleton and motion; Y up, centimetres; needs Blender"),
        Format("glb", ".glb", glb.write, glb.read_back, "skeleton, motion and a simple body; Y up, metres"),
        Format("c3d", ".c3d", c3d.write, c3d.read_back, "final keypoints; Z up, millimetres"),
        Format("csv", ".csv", csv_points.write, csv_points.read_back, "final keypoints; Z up, metres"),
        Format("coco", ".coco.json", coco.write, coco.read_back, "solved keypoints in the pictures: training data"),
        Format("scene", ".scene.json", scene.write, scene.read_back, "what the Blender add-on reads; Z up, metres"),
        Format("npz", ".npz", npz.write, npz.read_back, "all arrays for NumPy; Z up, metres"),
    )
}
STUDIO_RIG = "studio"
NEEDS_A_PROGRAM = ("blender-missing",)
_NO_SPACE_BYTES = 1 << 16


def export(
    take: SolvedTake,
    formats: Iterable[str],
    folder: str | Path,
    rig_name: str = STUDIO_RIG,
    units: str = "m",
    fps: Fraction | None = None,
    progress: Progress | None = None,
    retarget: Callable[[Motion, str], Motion] | None = None,
    videos: Mapping[str, Path] | None = None,
    pixel_maps: Mapping[str, np.ndarray] | None = None,
    on_missing: Callable[[Path, SetupError], None] | None = None,
    more: Sequence[Format] = (),
    final_folder: Path | None = None,
) -> list[ExportedFile]:
    """Write `<folder>/<subject><suffix>` for each format and return what was published.

    All files are written to a temporary folder inside `folder`, read back and compared with their source; only then
    are they put in place, together. When anything fails, everything that existed is as it was. `on_missing` is told of
    files (path and reason) that need a program which is not there, and the others are written; without it that is an
    error. Files at another rate than the take's say so in their names: `<subject>_30fps<suffix>`.

    `rig_name` other than the take's own needs `retarget` (`mocap.retarget.retarget`); `fps` resamples, the take's own
    rate by default; `units` is that of BVH. `videos` and `pixel_maps` (see `Job`) are for formats that show footage.
    `more` are formats that are not in the table, e.g. points with a filter. `final_folder` is where `folder`'s files
    will be moved by the caller, if that is another place: its paths are returned.

    Raises InputError `format-unknown`, `units-unknown` or `fps-not-positive`; SetupError `output-not-writable`,
    `output-full` or `export-mismatch`; and what `retarget` and the FBX worker raise.
    """
    rows = [*_rows(formats), *more]
    if units not in bvh.UNITS:
        raise InputError(
            "units-unknown", f"Unknown unit {units!r}; available: {', '.join(bvh.UNITS)}.", "Choose one of these units."
        )
    if rig_name != STUDIO_RIG:
        if retarget is None:
            raise ValueError(f"rig {rig_name!r} needs the function that transfers motion to it")
        take = replace(take, motion=retarget(take.motion, rig_name))
    folder = Path(folder)
    place = final_folder or folder
    job = Job(resample_take(take, fps) if fps is not None else take, units, videos, pixel_maps, place)
    name = take.subject
    if fps is not None and fps != take.motion.timeline.fps:
        name = f"{name}_{float(fps):.6g}fps"
    done: list[ExportedFile] = []
    with published_set(folder) as staging:
        for row in track(rows, progress or NoProgress(), "export", len(rows)):
            final = place / f"{name}{row.suffix}"
            try:
                done.append(_export_one(job, row, staging / final.name, final))
            except SetupError as error:
                if on_missing is None or error.code not in NEEDS_A_PROGRAM:
                    raise
                on_missing(final, error)
    return done


def _rows(formats: Iterable[str]) -> list[Format]:
    names = list(dict.fromkeys(formats))
    unknown = [n for n in names if n not in FORMATS]
    if unknown:
        raise InputError(
            "format-unknown",
            f"Unknown export format {', '.join(map(repr, unknown))}; available: {', '.join(FORMATS)}.",
            "Choose from these formats.",
        )
    return [FORMATS[n] for n in names]


def _export_one(job: Job, row: Format, partial: Path, final: Path) -> ExportedFile:
    start = time.perf_counter()
    try:
        row.write(job, partial)
        error_m = _read_back(job, row, partial, final)
    except OSError as error:
        raise disk_error(error, final) from error
    finally:
        with suppress(OSError):
            # What a writer leaves beside its file is no part of the set.
            for left_over in partial.parent.glob(glob_escape(partial.name) + "?*"):
                left_over.unlink(missing_ok=True)
    return ExportedFile(final, row.name, time.perf_counter() - start, error_m)


def _read_back(job: Job, row: Format, partial: Path, final: Path) -> float:
    """Return the file's largest error. Raises SetupError `export-mismatch` when it cannot be read or differs."""
    try:
        error_m = row.read_back(job, partial)
        if not error_m <= TOLERANCE_M:
            raise Mismatch(
                f"a point lies {1000 * error_m:.2f} mm from its source, at most {1000 * TOLERANCE_M:.1f} expected"
            )
    except (Mismatch, struct.error, ValueError, KeyError, IndexError, EOFError, StopIteration, RuntimeError) as error:
        if shutil.disk_usage(partial.parent).free < _NO_SPACE_BYTES:
            # Some libraries write less than they were asked to on a full disk and say nothing.
            raise disk_error(OSError(errno.ENOSPC, ""), final) from error
        raise SetupError(
            "export-mismatch",
            f"{final}: the {row.name} file does not read back as its source ({error}) and was discarded.",
            "Check the disk's free space and health, then export again; if it persists, report it with this message.",
        ) from error
    return error_m
