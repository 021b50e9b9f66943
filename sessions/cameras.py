"""Which camera of the rig filmed which recording of a take, and what earlier takes say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mocap.core.camera_names import match_cameras, without_video
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError
from mocap.media.chapters import chapters_of
from mocap.media.fingerprint import fingerprint
from sessions.folder import Recording, Session, Take
from sessions.store import content_key


def match_recordings(camera_names: Sequence[str], take: Take) -> tuple[dict[str, Recording], tuple[Diagnostic, ...]]:
    """Return a take's recording of each camera of a rig that filmed it, and what the match rests on.

    The names that the cameras got at import count where they are those of this rig; else the files' names.
    Raises: InputError as `match_cameras`.
    """
    stored = {r.camera: r for r in take.recordings if r.camera is not None}
    if len(stored) == len(take.recordings) >= 2 and stored.keys() <= set(camera_names):
        left = [name for name in camera_names if name not in stored]
        found = (without_video(left),) if left else ()
        return {name: stored[name] for name in camera_names if name in stored}, found
    by_path = {str(r.path): r for r in take.recordings}
    match = match_cameras(camera_names, list(by_path), "videos", may_lack=True)
    return {camera: by_path[path] for camera, path in match.found.items()}, match.diagnostics


def known_serials(session: Session, camera_names: Sequence[str], without: str) -> dict[str, str]:
    """Return the serial number of each camera that the session's other takes of this rig file state."""
    found: dict[str, str] = {}
    rig_key = rig_key_of(session)
    for name in session.take_names():
        if name == without:
            continue
        try:
            take = session.take(name)
            matched = match_recordings(camera_names, take)[0] if take.rig_key == rig_key else {}
        except InputError:
            continue  # a broken take says nothing about the others
        for camera, recording in matched.items():
            if recording.serial is not None:
                found.setdefault(camera, recording.serial)
    return found


def rig_key_of(session: Session) -> str | None:
    """Return what tells the session's rig file from an earlier one; None where there is none."""
    return fingerprint(session.rig_file) if session.rig_file.is_file() else None


def recording_key(camera: str, recording: Recording) -> str:
    """Return a hash of the content of all files of a recording, as they are beside its first one now.

    Raises: InputError video-missing, chapter-missing.
    """
    gone = [f for f in recording.files if not f.is_file()]
    if gone:
        what = "the video" if len(recording.files) == 1 else "a chapter of the video"
        raise InputError("video-missing", f"{gone[0]}: {what} of camera {camera} is gone.", "Put it back there.")
    files: tuple[Path, ...] = chapters_of(recording.path)
    keys = [fingerprint(f) for f in files]
    return keys[0] if len(keys) == 1 else content_key(keys)
