"""How this program was installed, and so the command that adds to it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DISTRIBUTION = "mocap-studio"


def source_checkout() -> Path | None:
    """Return the folder that the program runs from when it is an editable installation (PEP 610), else None."""
    # Brings the whole of http and ssl along.
    from urllib.request import url2pathname

    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    origin: dict[str, Any] = json.loads(text) if text else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    url: str = origin["url"]
    folder = Path(url2pathname(urlsplit(url).path))
    return folder if folder.is_dir() else None


def install_command(extra: str) -> str:
    """Return the command that installs one of the program's extras; it works from the present folder.

    In a source checkout it keeps to the versions that the checkout is tested with.
    """
    words = [_shown(Path(sys.executable)), "-m", "pip", "install"]
    checkout = source_checkout()
    if checkout is None:
        return f'{_joined(words)} "{DISTRIBUTION}[{extra}]"'
    if (checkout / "constraints.txt").is_file():
        words += ["-c", _shown(checkout / "constraints.txt")]
    return f'{_joined(words)} -e "{_shown(checkout)}[{extra}]"'


def _shown(path: Path) -> str:
    """Return a path relative to the present folder where it lies in it: shorter, and as the documents have it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _joined(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
