"""Which camera filmed which recording: a name for each, from folders, file names or serial numbers, never twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mocap.core.camera_names import CameraMatch, match_cameras, normal_name, without_video
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.chapters import chapter_name
from mocap.media.fingerprint import fingerprint
from mocap.media.gopro_facts import GoProFacts

_COUNTED = re.compile(
    r"(img|mvi|dsc|dscn|vid|mov|clip|video|pxl|c|p|100gopro|dji)?([_\-. ]*e?\d++)*[_\-. ]*([~(]\d+\)?)?", re.IGNORECASE
)
"""File names that a camera counts up or dates by itself and that name no camera; so does `DCIM/100GOPRO` of folders."""

_CARD_FOLDER = re.compile(
    r"dcim|camera|clip|private|m4root|avchd|bdmv|stream|\d{6}_{1,2}[a-z]?|dji_\d{3}|"
    r"\d{3}(gopro|canon|media|_pana|apple|msdcf|nikon|nd|dji).*|",
    re.IGNORECASE,
)


class Recorded(Protocol):
    """What a name for a camera rests on; `mocap.media.video_info.VideoInfo` is one."""

    @property
    def path(self) -> Path:
        """The first file of the recording."""
        ...

    @property
    def gopro(self) -> GoProFacts | None:
        """What a GoPro says of itself."""
        ...


R = TypeVar("R", bound=Recorded)


@dataclass(frozen=True)
class SoundFile:
    """A recording without pictures."""

    path: Path
    gopro: GoProFacts | None = None


@dataclass(frozen=True)
class Assignment(Generic[R]):
    """Which recording is whose."""

    cameras: Mapping[str, R]
    """By the rig's camera, in its order; without those that have no recording, which is said."""
    is_known: bool
    """Whether names or serial numbers say so; else it is only their order."""
    diagnostics: tuple[Diagnostic, ...] = ()


def assign_cameras(
    camera_names: Sequence[str], recordings: Sequence[R], known: Mapping[str, str] | None = None
) -> Assignment[R]:
    """Return the recording of each of a rig's cameras.

    Tried in this order: the names of the files; of the folders that hold them (a memory card's own folders do not
    count); the cameras' serial numbers, as the rig's names give them or as earlier takes do; the order of the names,
    which is said. What the serial numbers contradict is refused.

    Args:
        camera_names: of the rig.
        recordings: of one take, in any order.
        known: serial number by camera, from takes filmed with the same rig.

    Raises: InputError camera-count-mismatch, camera-twice, cameras-unmatched, video-twice, camera-films-twice,
        camera-swapped.
    """
    check_different(recordings)
    by_path = {str(r.path): r for r in recordings}
    serials = [r.gopro.serial if r.gopro is not None else None for r in recordings]
    in_order: CameraMatch | None = None
    failure: InputError | None = None
    found: Assignment[R] | None = None
    for keys in (list(by_path), [camera_folder(r.path) for r in recordings], _short_serials(serials)):
        if len(keys) != len(recordings):
            continue
        try:
            match = match_cameras(camera_names, keys, "videos", may_lack=True)
        except InputError as error:
            failure = failure or error
            continue
        if any(d.code == "cameras-matched-in-order" for d in match.diagnostics):
            in_order = in_order or (match if keys == list(by_path) else None)
            continue
        cameras = {c: recordings[keys.index(k)] for c, k in match.found.items()}
        found = Assignment(cameras, True, match.diagnostics)
        break
    found = found or _by_earlier_takes(camera_names, recordings, known or {})
    if found is None and in_order is not None:
        found = Assignment({c: by_path[p] for c, p in in_order.found.items()}, False, in_order.diagnostics)
    if found is None:
        assert failure is not None, "a match that failed for every kind of name said why"
        raise failure
    check_serials(found.cameras, known or {})
    return found


def _by_earlier_takes(
    camera_names: Sequence[str], recordings: Sequence[R], known: Mapping[str, str]
) -> Assignment[R] | None:
    """Return the assignment in which each camera has the serial number that it had before, if there is one."""
    by_serial = {r.gopro.serial: r for r in recordings if r.gopro is not None and r.gopro.serial}
    cameras = {c: by_serial[known[c]] for c in camera_names if known.get(c) in by_serial}
    if len(cameras) != len(recordings) or len(cameras) < min(2, len(camera_names)):
        return None
    pairs = {c: r.path.name for c, r in cameras.items()}
    message = f"Matched by the serial numbers of earlier takes: {', '.join(f'{c} <- {n}' for c, n in pairs.items())}."
    found = [Diagnostic("cameras-matched-by-serial", Severity.INFO, message, pairs)]
    left = [c for c in camera_names if c not in cameras]
    return Assignment(cameras, True, (*found, *([without_video(left)] if left else [])))


def name_cameras(recordings: Sequence[R]) -> dict[str, R]:
    """Return a camera name for each recording of one take, in the order given.

    Tried in this order, for all recordings alike: the file names, where they differ and none is one that a camera
    counts up by itself (a single recording's in any case); the folders that hold the files (a memory card's own folders
    do not count); the cameras' serial numbers, cut to the digits at their end that tell them apart; the file names as
    they are.

    Raises: InputError video-twice, camera-films-twice, cameras-unnamed.
    """
    check_different(recordings)
    paths = [r.path for r in recordings]
    stems = [p.stem for p in paths]
    serials = [r.gopro.serial if r.gopro is not None else None for r in recordings]
    tries = (
        stems if len(paths) == 1 or not any(is_counted(p) for p in paths) else [],
        [camera_folder(p) for p in paths],
        _short_serials(serials),
        stems,
    )
    for names in tries:
        if names and _tell_apart(names):
            return dict(zip(names, recordings, strict=True))
    raise InputError(
        "cameras-unnamed",
        f"Neither file names, folders nor serial numbers tell the cameras of these videos apart: "
        f"{', '.join(str(p) for p in paths)}.",
        "Put the videos of each camera into a folder of its own, named after the camera.",
    )


def check_different(recordings: Sequence[Recorded]) -> None:
    """Refuse one video given twice, and two recordings of one camera, which cannot film one take twice.

    Raises: InputError video-twice, camera-films-twice.
    """
    by_content: dict[str, Recorded] = {}
    by_serial: dict[str, Recorded] = {}
    for recording in recordings:
        content = fingerprint(recording.path)
        if content in by_content:
            raise InputError(
                "video-twice",
                f"Two cameras were given one and the same video: {by_content[content].path} and {recording.path}.",
                "Give each camera its own video.",
            )
        by_content[content] = recording
        serial = recording.gopro.serial if recording.gopro is not None else None
        if serial is not None and serial in by_serial:
            raise InputError(
                "camera-films-twice",
                f"{by_serial[serial].path} and {recording.path} come from one camera (serial number {serial}), which "
                "cannot have filmed one take from two places.",
                "Give one recording per camera; import recordings of other moments as other takes.",
            )
        if serial is not None:
            by_serial[serial] = recording


def check_serials(cameras: Mapping[str, Recorded], known: Mapping[str, str]) -> None:
    """Refuse videos that lie under another camera's name than the serial numbers of earlier takes say.

    Args:
        cameras: recording by camera name.
        known: serial number by camera name, from takes filmed with the same rig.

    Raises: InputError camera-swapped.
    """
    owner = {serial: name for name, serial in known.items()}
    for name, recording in cameras.items():
        serial = recording.gopro.serial if recording.gopro is not None else None
        if serial is None or serial == known.get(name):
            continue
        if serial in owner or name in known:
            expected = f"{name} was the camera with serial number {known[name]}" if name in known else f"{name} is new"
            other = f", which was {owner[serial]}" if serial in owner else ""
            raise InputError(
                "camera-swapped",
                f"{recording.path} is given for {name}, but it was filmed by the camera with serial number {serial}"
                f"{other}; {expected}.",
                "Swap the videos, or calibrate again if the cameras really changed places.",
            )


def serial_numbers(cameras: Mapping[str, Recorded]) -> dict[str, str]:
    """Return the serial number of each camera that states one, as `check_serials` wants them later."""
    return {n: r.gopro.serial for n, r in cameras.items() if r.gopro is not None and r.gopro.serial}


def is_counted(path: Path) -> bool:
    """Say whether a file has a name that its camera gave it."""
    name = chapter_name(path)
    has_own_name = name is not None and normal_name(path.stem) != normal_name(path.stem[:8])
    return (name is not None and not has_own_name) or _COUNTED.fullmatch(path.stem) is not None


def camera_folder(path: Path) -> str:
    """Return the nearest folder's name that is not one of a memory card's."""
    folders = (p.name for p in path.absolute().parents)
    return next((f for f in folders if not _CARD_FOLDER.fullmatch(f)), "")


def _short_serials(serials: Sequence[str | None]) -> list[str]:
    known = [s for s in serials if s]
    if len(known) != len(serials):
        return []
    for n in range(4, max((len(s) for s in known), default=0) + 1):
        if len({s[-n:] for s in known}) == len(known):
            return [f"cam_{s[-n:]}" for s in known]
    return []


def _tell_apart(names: Sequence[str]) -> bool:
    keys = [normal_name(n) for n in names]
    return all(keys) and len(set(keys)) == len(keys)
