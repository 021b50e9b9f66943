"""Where downloaded models and footage are kept, and how a folder appears there whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from mocap.core.errors import SetupError


def cache_dir() -> Path:
    """Return the folder for files that can be fetched again: `MOCAP_CACHE`, else the platform's own place."""
    chosen = os.environ.get("MOCAP_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mocap-studio"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mocap-studio" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mocap-studio"


def publish_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make `folder` by letting `fill` write into a temporary one beside it and renaming that.

    Two processes may do this at once: the one that comes second keeps the first one's folder. Raises SetupError
    cache-not-writable; whatever `fill` raises leaves nothing behind.
    """
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
        fill(temporary)
        temporary.chmod(0o755)
        try:
            temporary.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise SetupError(
            "cache-not-writable",
            f"{folder.parent}: downloaded files cannot be kept there: {error}.",
            "Free some space or set the environment variable MOCAP_CACHE to a folder that you may write to.",
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
