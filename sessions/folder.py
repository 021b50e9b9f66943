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
from collections.abc import Mapping, Sequence
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
class Recording:
    """What one camera filmed of a take: a file, or a recording that the camera split into chapters."""

    files: tuple[Path, ...]
    """Absolute paths; several are chapters in their order, in one folder."""
    camera: str | None = None
    """Whose it is, where names, folders or serial numbers say so; else its file's name and place have to do."""
    serial: str | None = None
    """The camera's serial number, where its files state one."""

    @property
    def path(self) -> Path:
        """The first file, which stands for all."""
        return self.files[0]


@dataclass(frozen=True)
class Take:
    """One performance, filmed by several cameras."""

    folder: Path
    recordings: tuple[Recording, ...]
    """In the order they were given."""
    config: Mapping[str, Any]
    """Settings that differ from the defaults."""
    rig_key: str | None = None
    """Fingerprint of the rig file that the take was imported with."""

    @property
    def videos(self) -> tuple[Path, ...]:
        """The first file of each recording."""
        return tuple(r.path for r in self.recordings)

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
            recordings = tuple(_recording(v, folder) for v in data["videos"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _unreadable(folder / "take.toml", f"missing {error}") from error
        config = check_config(data.get("config", {}), str(folder / "take.toml"))
        return Take(folder, recordings, config, data.get("rig"))


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


def add_take(
    session: Session,
    name: str,
    videos: Sequence[Path | Recording],
    config: Mapping[str, Any] | None = None,
    rig_key: str | None = None,
) -> Take:
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
    take = Take(folder, _distinct(videos), dict(config or {}), rig_key)
    write_take(take)
    return take


def replace_videos(
    session: Session,
    name: str,
    videos: Sequence[Path | Recording],
    config: Mapping[str, Any] | None = None,
    rig_key: str | None = None,
) -> Take:
    """Give a take other videos; its corrections stay, and its settings where `config` does not change them.

    Raises:
        InputError: `take-missing`, `take-busy` when another process works on it, `video-twice`.
    """
    recordings = _distinct(videos)
    with take_lock(session.take(name).folder):
        take = session.take(name)
        config = {**take.config, **(config or {})}
        take = replace(take, recordings=recordings, config=config, rig_key=rig_key)
        write_take(take)
    return take


def _distinct(videos: Sequence[Path | Recording]) -> tuple[Recording, ...]:
    given = [v if isinstance(v, Recording) else Recording((v,)) for v in videos]
    # A link's own name counts: it may say which camera, or which chapter, the file is.
    recordings = tuple(replace(r, files=tuple(f.parent.resolve() / f.name for f in r.files)) for r in given)
    places = [f.resolve() for r in recordings for f in r.files]
    twice = sorted({str(p) for p in places if places.count(p) > 1})
    if twice:
        raise InputError("video-twice", f"{', '.join(twice)} was given more than once.", "Give each video once.")
    return recordings


def write_take(take: Take) -> None:
    """Write `take.toml`. Videos below the session's folder are kept relative, so that the folder can be moved."""
    document = tomlkit.document()
    document["format"] = FORMAT
    if take.rig_key is not None:
        document["rig"] = take.rig_key
    document["videos"] = [_entry(r, take.folder) for r in take.recordings]
    config = tomlkit.table()
    for key, value in take.config.items():
        if value is not None:
            config[key] = list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
    document["config"] = config
    write_text(take.folder / "take.toml", tomlkit.dumps(document))


def _entry(recording: Recording, folder: Path) -> dict[str, Any]:
    chapters = [f.name for f in recording.files] if len(recording.files) > 1 else None
    more = {"camera": recording.camera, "serial": recording.serial, "chapters": chapters}
    return {"path": _stored(recording.path, folder), **{k: v for k, v in more.items() if v is not None}}


def _recording(entry: Mapping[str, Any], folder: Path) -> Recording:
    first = _absolute(Path(entry["path"]), folder)
    files = tuple(first.parent / name for name in entry.get("chapters", [first.name]))
    return Recording(files, entry.get("camera"), entry.get("serial"))


def _stored(video: Path, take_folder: Path) -> str:
    session = take_folder.resolve().parent.parent
    if video.is_relative_to(session):
        return Path(os.path.relpath(video, take_folder.resolve())).as_posix()
    return video.as_posix()


def _absolute(path: Path, folder: Path) -> Path:
    return path if path.is_absolute() else (folder / path).parent.resolve() / path.name


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TOMLKitError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> InputError:
    return InputError("session-unreadable", f"{path} cannot be read: {why}.", "Restore that file from a copy.")
