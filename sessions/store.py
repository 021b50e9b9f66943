"""Artifacts of stages on disk, found again by the content of everything they were made from.

An artifact is a folder `<stage>/<key>/` with `.npy` arrays and `meta.json`. It is written under a temporary name and
published by one rename, so it is whole or absent; one that fails its checks is deleted and counts as absent (as DVC's
run cache does).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from mocap.core.jsontext import dumps
from sessions.codec import CodecError, decode, encode

FORMAT_VERSION = 1
"""Raised when the stored form changes: older artifacts are then misses."""
PART = ".part-"
UNFINISHED = ".unfinished"
MAX_UNFINISHED_AGE_S = 30 * 24 * 3600
"""Parts that no run has added to for a month are of settings that nobody went back to."""


def content_key(*parts: Any) -> str:
    """Return a hash (32 hex digits) of JSON-like values; equal values give equal keys on every machine."""
    text = json.dumps(json.loads(dumps(parts, indent=None)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


@dataclass(frozen=True)
class Artifact:
    """A stored value and what is known of its making."""

    value: Any
    about: Mapping[str, Any]
    """What was given to `ArtifactStore.save`: stage, version, config, inputs, seconds, ..."""


class ArtifactStore:
    """The artifacts of one take. Safe against being killed and against another process publishing the same key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, stage: str, key: str) -> Path:
        """Return the folder of an artifact, whether or not it exists."""
        return self.folder / stage / key

    def about(self, stage: str, key: str) -> Mapping[str, Any] | None:
        """Return what is known of an artifact's making without loading it; None where it is absent or unreadable."""
        meta = _read_meta(self.place(stage, key))
        return None if meta is None else meta["about"]

    def load(self, stage: str, key: str) -> Artifact | None:
        """Return an artifact, its arrays memory-mapped, or None. A damaged one is deleted."""
        folder = self.place(stage, key)
        if not folder.is_dir():
            return None
        meta = _read_meta(folder)
        try:
            if meta is None:
                raise CodecError("no readable meta.json")
            arrays = {name: _open_array(folder, entry) for name, entry in meta["arrays"].items()}
            return Artifact(decode(meta["value"], arrays), meta["about"])
        except (CodecError, OSError, ValueError, KeyError, TypeError):
            self.delete(stage, key)
            return None

    def save(self, stage: str, key: str, value: Any, about: Mapping[str, Any]) -> None:
        """Publish a value. Raises OSError when the folder cannot be written; nothing half-written stays."""
        tree, arrays = encode(value)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{PART}{uuid.uuid4().hex}"
        part.mkdir()
        try:
            entries = {name: _write_array(part, i, array) for i, (name, array) in enumerate(arrays.items())}
            meta = {"format": FORMAT_VERSION, "about": dict(about), "arrays": entries, "value": tree}
            (part / "meta.json").write_text(dumps(meta, indent=1), encoding="utf-8")
            self._publish(part, self.place(stage, key))
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _publish(self, part: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            # The old one goes out of sight by a rename, so that no reader finds it half deleted.
            self.delete(place.parent.name, place.name)
        try:
            os.replace(part, place)
        except OSError:
            # Another process published the same key in between: equal keys mean equal contents.
            if not (place / "meta.json").exists():
                raise

    def unfinished(self, stage: str, key: str) -> Path:
        """Return the folder where a stage may keep parts of an artifact until it is whole."""
        return self.folder / UNFINISHED / stage / key

    def clear_unfinished(self, stage: str, key: str) -> None:
        """Remove the parts of an artifact."""
        shutil.rmtree(self.unfinished(stage, key), ignore_errors=True)

    def delete(self, stage: str, key: str) -> None:
        """Remove an artifact, if it is there."""
        grave = self.folder / f"{PART}{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.place(stage, key), grave)
        shutil.rmtree(grave, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed process left half-written, and parts that nobody continues.

        Call only while holding the take's lock.
        """
        for part in self.folder.glob(f"{PART}*"):
            shutil.rmtree(part, ignore_errors=True)
        for parts in self.folder.glob(f"{UNFINISHED}/*/*"):
            if time.time() - parts.stat().st_mtime > MAX_UNFINISHED_AGE_S:
                shutil.rmtree(parts, ignore_errors=True)


def _read_meta(folder: Path) -> dict[str, Any] | None:
    try:
        read: Any = json.loads((folder / "meta.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(read, dict):
        return None
    meta = cast("dict[str, Any]", read)
    return meta if meta.get("format") == FORMAT_VERSION and {"about", "arrays", "value"} <= set(meta) else None


def _write_array(folder: Path, index: int, array: np.ndarray) -> dict[str, Any]:
    path = folder / f"{index}.npy"
    np.save(path, array, allow_pickle=False)
    return {"file": path.name, "crc32": _crc32(path)}


def _open_array(folder: Path, entry: Mapping[str, Any]) -> np.ndarray:
    path = folder / str(entry["file"])
    if _crc32(path) != entry["crc32"]:
        raise CodecError(f"{path.name} is damaged")
    mapped = np.load(path, mmap_mode=None if path.stat().st_size < 256 else "r", allow_pickle=False)
    return mapped


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value
