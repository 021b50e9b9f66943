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

RESERVE_BYTES = 1 << 15
"""Room for the `report.json` of a set of files."""


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
def published_set(folder: Path, reserve_bytes: int = RESERVE_BYTES) -> Generator[Path, None, None]:
    """Yield a temporary folder inside `folder`; its files move to `folder` together when the block ends.

    The folder is made. After an error, in the block or in a renaming, everything that existed is as it was. Before
    anything is put in place `reserve_bytes` are shown to be free, for the report that is written after the set.
    Raises SetupError output-not-writable, output-full for an OSError.
    """
    staging = folder / f".{os.getpid()}-{uuid.uuid4().hex[:8]}-partial"
    try:
        staging.mkdir(parents=True)
        yield staging
        reserve = staging / ".reserve"
        reserve.write_bytes(os.urandom(reserve_bytes))
        reserve.unlink()
        _move_all(staging, folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_all(staging: Path, folder: Path) -> None:
    """Move every file of `staging` to `folder`; put everything back when one cannot be moved. Raises OSError."""
    files = sorted(staging.iterdir())
    earlier = staging / "earlier"
    earlier.mkdir()
    moved: list[tuple[Path, bool]] = []
    try:
        for file in files:
            final = folder / file.name
            is_there = final.exists()
            if is_there:
                os.replace(final, earlier / file.name)
            moved.append((final, is_there))
            os.replace(file, final)
    except BaseException:
        # Renaming takes no space, so it can be undone on a full disk too.
        for final, is_there in reversed(moved):
            if is_there:
                os.replace(earlier / final.name, final)
            else:
                final.unlink(missing_ok=True)
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
        f"{path}: cannot be written ({error.strerror or error}); what existed is untouched.",
        "Choose an output folder that you may write to.",
    )
