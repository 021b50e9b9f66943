"""Pack `blender_addon/` as the zip that Blender installs: `python scripts/pack_blender_addon.py [FOLDER]`."""

from __future__ import annotations

import os
import sys
import tomllib
import zipfile
from pathlib import Path

ADDON = Path(__file__).resolve().parent.parent / "blender_addon"
SUFFIXES = {".py", ".toml", ".md", ""}


def pack(folder: Path) -> Path:
    """Write `<id>-<version>.zip` into `folder` and return its path; equal sources give equal bytes."""
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{manifest['id']}-{manifest['version']}.zip"
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    files = sorted(p for p in ADDON.iterdir() if p.is_file() and p.suffix in SUFFIXES and not p.name.startswith("."))
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                # A fixed date: the default is the file's own, which differs between checkouts.
                archive.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out


if __name__ == "__main__":
    sys.stdout.write(f"{pack(Path(sys.argv[1]) if len(sys.argv) > 1 else ADDON.parent / 'dist')}\n")
