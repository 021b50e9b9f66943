"""One process at a time works on a take.

The operating system frees the lock when its holder dies, so none goes stale.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Generator
from pathlib import Path

from mocap.core.errors import InputError

OWNER_BYTES = 1 << 12
"""Windows locks a range of bytes: one behind the text, so that others can still read who holds it."""

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def take_lock(folder: Path, wait_s: float = 0.0, *, name: str = ".lock") -> Generator[None]:
    """Hold the lock of a take's folder; one that we may only read needs none, as nothing can be written there.

    `name` is the lock's file: one of its own lets a file be written while a run holds the take.

    Raises:
        InputError: `take-busy` when another process still holds it after `wait_s`; names its process and machine.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in _READ_ONLY or not folder.is_dir():
            raise
        yield
        return
    until_s = time.monotonic() + wait_s
    try:
        while not _try_lock(handle):
            if time.monotonic() >= until_s:
                raise InputError("take-busy", f"{folder.name} is being processed by {_owner(path)}.", _ADVICE)
            time.sleep(0.1)
        os.ftruncate(handle, 0)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%H:%M:%S")})
        os.pwrite(handle, text.encode(), 0) if hasattr(os, "pwrite") else os.write(handle, text.encode())
        yield
    finally:
        os.close(handle)


_ADVICE = "Wait until it has ended, or stop that process; finished stages are shared."


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, OWNER_BYTES, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes()[:OWNER_BYTES])
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
