"""A session on disk: one folder, a rig, and takes that refer to their videos.

DIR/session.toml            what makes it a session
DIR/rig.toml                the calibrated cameras
DIR/takes/TAKE/take.toml    videos by reference, settings
DIR/takes/TAKE/edits.jsonl  corrections by people
DIR/takes/TAKE/artifacts/   results of stages, by content
DIR/takes/TAKE/exports/     files for other programs
"""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mocap.core.errors import InputError
from mocap.core.jsontext import write_text
from sessions.config import check_config
from sessions.lock import take_lock
from sessions.store import ArtifactStore

FORMAT = 1


@dataclass(frozen=True)
class Take:
    """One performance, filmed by several cameras."""

    folder: Path
    videos: tuple[Path, ...]
    """Absolute paths, in the order they were given."""
    config: Mapping[str, Any]
    """Settings that differ from the defaults."""

    @property
    def name(self) -> str:
        """The take's name, which is its folder's."""
        return self.folder.name

    @property
    def store(self) -> ArtifactStore:
        """Where the stages' results are."""
        return ArtifactStore(self.folder / "artifacts")

    @property
    def exports(self) -> Path:
        """Folder of the files for other programs."""
        return self.folder / "exports"

    @property
    def edits_file(self) -> Path:
        """The list of corrections."""
        return self.folder / "edits.jsonl"


@dataclass(frozen=True)
class Session:
    """An open session folder."""

    folder: Path

    @property
    def rig_file(self) -> Path:
        """The calibrated cameras, in the aniposelib layout."""
        return self.folder / "rig.toml"

    def take_names(self) -> list[str]:
        """Return the names of all takes, sorted."""
        return sorted(p.parent.name for p in (self.folder / "takes").glob("*/take.toml"))

    def take(self, name: str) -> Take:
        """Return a take. Raises InputError `take-missing` or `session-unreadable`."""
        folder = self.folder / "takes" / name
        if not (folder / "take.toml").is_file():
            have = ", ".join(self.take_names()) or "none yet"
            raise InputError(
                "take-missing",
                f"{self.folder} has no take {name!r}; it has: {have}.",
                f"Add it with `mocap import {self.folder} {name} VIDEO...`.",
            )
        data = _read_toml(folder / "take.toml")
        try:
            videos = tuple(_absolute(Path(v["path"]), folder) for v in data["videos"])
        except (KeyError, TypeError) as error:
            raise _unreadable(folder / "take.toml", f"missing {error}") from error
        return Take(folder, videos, check_config(data.get("config", {}), str(folder / "take.toml")))


def create_session(folder: Path) -> Session:
    """Make a new session folder. Raises InputError `session-exists`, `folder-not-empty` (it holds other files)."""
    if (folder / "session.toml").exists():
        raise InputError("session-exists", f"{folder} is a session already.", "Go on with `mocap import`.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "folder-not-empty", f"{folder} exists and is not an empty folder.", "Name a new folder for the session."
        )
    document = tomlkit.document()
    document["format"] = FORMAT
    document["created"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    write_text(folder / "session.toml", tomlkit.dumps(document))
    return Session(folder)


def open_session(folder: Path) -> Session:
    """Open a session folder. Raises InputError `session-missing`, `session-unreadable` or `session-too-new`."""
    if not (folder / "session.toml").is_file():
        raise InputError(
            "session-missing", f"{folder} is not a session (no session.toml).", f"Make one with `mocap init {folder}`."
        )
    version = _read_toml(folder / "session.toml").get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        found = "no format" if version is None else f"format {version!r}"
        raise _unreadable(folder / "session.toml", f"expected a format from 1 to {FORMAT}, got {found}")
    if version > FORMAT:
        raise InputError(
            "session-too-new",
            f"{folder}/session.toml has format {version}, this program knows {FORMAT}.",
            "Install the version of the program that made the session.",
        )
    return Session(folder)


def split_take_path(text: str) -> tuple[Session, Take]:
    """Return session and take of a path `DIR/TAKE`. Raises InputError as `open_session` and `Session.take`."""
    path = Path(text)
    session = open_session(path.parent.parent if path.parent.name == "takes" else path.parent)
    return session, session.take(path.name)


def add_take(session: Session, name: str, videos: list[Path], config: Mapping[str, Any] | None = None) -> Take:
    """Add a take that refers to its videos; nothing is copied.

    Raises:
        InputError: `take-name-invalid`, `take-exists`, or `video-twice` when one file is given two times.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]*", name) or name.rstrip(" .") != name:
        raise InputError(
            "take-name-invalid", f"{name!r} cannot be a take's name.", "Use letters, digits, '_', '-', '.' and spaces."
        )
    folder = session.folder / "takes" / name
    if (folder / "take.toml").exists():
        raise InputError(
            "take-exists",
            f"{session.folder} has a take {name!r} already.",
            "Choose another name, or exchange its videos with `mocap import ... --replace`.",
        )
    take = Take(folder, _distinct(videos), dict(config or {}))
    write_take(take)
    return take


def replace_videos(session: Session, name: str, videos: list[Path], config: Mapping[str, Any] | None = None) -> Take:
    """Give a take other videos; its corrections stay, and its settings where `config` does not change them.

    Raises:
        InputError: `take-missing`, `take-busy` when another process works on it, `video-twice`.
    """
    absolute = _distinct(videos)
    with take_lock(session.take(name).folder):
        take = session.take(name)
        take = replace(take, videos=absolute, config={**take.config, **(config or {})})
        write_take(take)
    return take


def _distinct(videos: list[Path]) -> tuple[Path, ...]:
    absolute = [v.resolve() for v in videos]
    twice = sorted({str(v) for v in absolute if absolute.count(v) > 1})
    if twice:
        raise InputError("video-twice", f"{', '.join(twice)} was given more than once.", "Give each video once.")
    return tuple(absolute)


def write_take(take: Take) -> None:
    """Write `take.toml`. Videos below the session's folder are kept relative, so that the folder can be moved."""
    document = tomlkit.document()
    document["format"] = FORMAT
    document["videos"] = [{"path": _stored(video, take.folder)} for video in take.videos]
    config = tomlkit.table()
    for key, value in take.config.items():
        if value is not None:
            config[key] = list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
    document["config"] = config
    write_text(take.folder / "take.toml", tomlkit.dumps(document))


def _stored(video: Path, take_folder: Path) -> str:
    session = take_folder.resolve().parent.parent
    if video.is_relative_to(session):
        return Path(os.path.relpath(video, take_folder.resolve())).as_posix()
    return video.as_posix()


def _absolute(path: Path, folder: Path) -> Path:
    return path if path.is_absolute() else (folder / path).resolve()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TOMLKitError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> InputError:
    return InputError("session-unreadable", f"{path} cannot be read: {why}.", "Restore that file from a copy.")
