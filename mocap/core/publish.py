"""Files, and sets of files, that appear under their names whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Generator
from pathlib import Path

from mocap.core.errors import SetupError

LAST = "report.json"
"""The one of a set that names the others: who finds the new one finds all that it names."""


@contextlib.contextmanager
def published(file: Path) -> Generator[Path, None, None]:
    """Yield a temporary path beside `file` to write to; it takes `file`'s place when the block ends without an error.

    The folder is made. The temporary name keeps the suffix: some writers go by it. Nothing is left after an error.
    Raises SetupError output-not-writable, output-full for an OSError of the block or of the renaming.
    """
    temporary = file.with_name(f".{file.stem}.{os.getpid()}-partial{file.suffix}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, file)
    except OSError as error:
        raise disk_error(error, file) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def publish_text(file: Path, text: str) -> Path:
    """Write a UTF-8 text file whole or not at all, and return it. Raises SetupError as `published` does."""
    with published(file) as temporary:
        temporary.write_text(text, "utf-8")
    return file


@contextlib.contextmanager
def published_set(folder: Path) -> Generator[Path, None, None]:
    """Yield a temporary folder inside `folder`; its files move to `folder` together when the block ends.

    The folder is made; files in folders below the temporary one move to the same folders below `folder`. After an
    error, in the block or in a renaming, everything that existed is as it was. A `report.json` is moved last.
    Raises SetupError output-not-writable, output-full for an OSError.
    """
    staging = folder / f".{os.getpid()}-{uuid.uuid4().hex[:8]}-partial"
    try:
        staging.mkdir(parents=True)
        yield staging
        _move_all(staging, folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_all(staging: Path, folder: Path) -> None:
    """Move every file below `staging` to `folder`; put everything back when one cannot be moved. Raises OSError."""
    files = [p.relative_to(staging) for p in sorted(staging.rglob("*")) if p.is_file()]
    files.sort(key=lambda file: file.name == LAST)
    earlier = staging / f"earlier-{uuid.uuid4().hex}"
    moved: list[tuple[Path, bool]] = []
    made: list[Path] = []
    try:
        for file in files:
            final = folder / file
            missing = [p for p in final.parents if not p.exists()]
            made += reversed(missing)
            final.parent.mkdir(parents=True, exist_ok=True)
            is_there = final.exists()
            if is_there:
                (earlier / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(final, earlier / file)
            moved.append((file, is_there))
            os.replace(staging / file, final)
    except BaseException:
        # Renaming takes no space, so it can be undone on a full disk too.
        for file, is_there in reversed(moved):
            if is_there:
                os.replace(earlier / file, folder / file)
            else:
                (folder / file).unlink(missing_ok=True)
        for empty in reversed(made):
            with contextlib.suppress(OSError):
                empty.rmdir()
        raise


def disk_error(error: OSError, path: Path) -> SetupError:
    """Return what an error of the disk means for a file or folder that was to be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            "output-full",
            f"{path}: the disk is full; nothing was written and what existed is untouched.",
            "Free some space or choose another output folder.",
        )
    return SetupError(
        "output-not-writable",
        f"{path}: cannot be written: {why_not_writable(error)}; what existed is untouched.",
        "Choose an output folder that you may write to.",
    )


def why_not_writable(error: OSError) -> str:
    """Return for a person why a file or folder cannot be written; the system's own word where it is clear."""
    if error.errno == errno.ENOENT:
        return "no folder can be made at that place"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "a file is in the folder's place"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "you have no permission"
    return error.strerror or "the system refuses"
