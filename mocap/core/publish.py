"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path

from mocap.core.errors import SetupError


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
