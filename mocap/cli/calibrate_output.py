"""Where the calibrating verbs write: never over what they read, nor over a file that no such verb wrote.

An earlier result is kept beside one that is no good.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path

from mocap.cli.options import output_folder
from mocap.cli.ui import UsageError
from mocap.core.errors import InputError, SetupError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".mts")
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_DATA_SUFFIXES = (".json", ".html", ".csv", ".npz", ".npy", ".h5", ".pkl", ".c3d", ".trc")
_FOREIGN = (*VIDEO_SUFFIXES, *_PICTURE_SUFFIXES, *_DATA_SUFFIXES)
_OWN = {"pdf": ".pdf", "json": ".json"}
"""Suffixes of what is no rig; a rig may have any but the foreign ones."""


def require_safe(
    out: Path, inputs: Iterable[Path | str | None], *, writes: str = "aniposelib", reports: tuple[str, ...] = ()
) -> None:
    """Refuse a place to write to that would cost the user a file; called before any work.

    inputs: files and folders that are read; texts such as `board:VIDEO` count as the path after the colon too.
    writes: format of the rig, `pdf` or `json`. reports: suffixes of the files that are written beside `out`.

    Raises: UsageError path-unusable, output-is-input, output-not-replaced; SetupError output-not-writable.
    """
    from calibration.files import beside

    wanted, suffix = _OWN.get(writes), out.suffix.lower()
    if (suffix not in ("", wanted)) if wanted else suffix in _FOREIGN:
        message = f"--out {out}: a name that ends in {suffix} is not that of what is written there, or of its report."
        raise UsageError("path-unusable", message, f"Give a name that ends in {wanted or '.toml'}.")
    sources = _paths(inputs)
    for target, kind in [(out, writes), *((beside(out, s), s) for s in reports)]:
        if not target.exists():
            continue
        if any(s.exists() and target.samefile(s) for s in sources):
            message = f"--out {out}: {target} is read by this command and would be overwritten."
            raise UsageError("output-is-input", message, "Name another file; this one is kept.")
        if not target.is_dir() and not target.stat().st_mode & 0o222:
            raise SetupError("output-not-writable", f"{target} is write-protected.", "Choose another name.")
        if not _is_replaceable(target, kind):
            message = f"--out {out}: {target} exists and is no result that this command writes; it is not overwritten."
            raise UsageError("output-not-replaced", message, "Choose another name or move what is there.")


@contextlib.contextmanager
def result_file(
    out: Path,
    inputs: Iterable[Path | str | None],
    *,
    writes: str = "aniposelib",
    reports: tuple[str, ...] = (".json", ".html"),
) -> Generator[None]:
    """Have a place that a result and its reports can be written to, known before long work.

    Raises: as `require_safe` and `output_folder`.
    """
    require_safe(out, inputs, writes=writes, reports=reports)
    with output_folder(out.absolute().parent):
        yield


def keep_before(out: Path, folder: Path) -> Path | None:
    """Copy an earlier result and its reports to `folder` as `<stem>.before<suffix>` (.before2 ...).

    Returns the name that the result will have, beside its reports; None where there is none.
    """
    from calibration.files import beside

    if not out.exists():
        return None
    stem = beside(out, "").name
    there = [f for f in (out, beside(out, ".json"), beside(out, ".html")) if f.exists()]
    marks = (f".before{n if n > 1 else ''}" for n in itertools.count(1))
    names = ([f.with_name(stem + mark + f.name[len(stem) :]) for f in there] for mark in marks)
    kept = next(k for k in names if not any(f.exists() for f in k))
    for file, name in zip(there, kept, strict=True):
        shutil.copy2(file, folder / name.name)
    return kept[0]


def rig_files(rig: Path) -> list[Path]:
    """Return what is read for a rig: the file, or the folder and all in it."""
    return [rig, *rig.iterdir()] if rig.is_dir() else [rig]


def _paths(inputs: Iterable[Path | str | None]) -> list[Path]:
    given = [i for i in inputs if i is not None]
    after_colon = [i.partition(":")[2] for i in given if isinstance(i, str)]
    return [*(Path(i) for i in given), *(Path(i) for i in after_colon if i)]


def _is_replaceable(target: Path, kind: str) -> bool:
    """Return whether an existing file is empty or of the kind that is to take its place, by its content."""
    from calibration.files import read_rig_file

    if target.is_dir():
        return kind in ("opencv", "easymocap", "colmap", "colmap-binary")
    if target.stat().st_size == 0:
        return True
    if kind == "pdf":
        with target.open("rb") as file:
            return file.read(5) == b"%PDF-"
    if kind.endswith("json"):
        try:
            data = json.loads(target.read_bytes())
        except ValueError:
            return False
        return isinstance(data, dict) and ("diagnostics" in data or {"reference", "cameras"} <= data.keys())
    if kind == ".html":
        with target.open("rb") as file:
            return b"<title>Calibration of" in file.read(4096)
    try:
        return read_rig_file(target).format == kind
    except InputError:
        return False
