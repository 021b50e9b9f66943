"""Chapters: cameras split a long recording into files of a few gigabytes; here they are found and ordered again.

GoPro's two schemes ("GoPro Camera File Naming Convention"): since HERO6 `GX` or `GH`, two digits of chapter, four of
recording (GX010123.MP4, GX020123.MP4, ...); before that GOPR and the recording for the first file (GOPR0123.MP4), then
GP, two digits of chapter, recording (GP010123.MP4, ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocap.core.errors import InputError

_NEW = re.compile(r"(?P<head>.*?)(?P<codec>G[XHLS])(?P<chapter>\d\d)(?P<number>\d{4})(?P<tail>.*)", re.IGNORECASE)
_OLD_FIRST = re.compile(r"(?P<head>.*?)GOPR(?P<number>\d{4})(?P<tail>.*)", re.IGNORECASE)
_OLD_NEXT = re.compile(r"(?P<head>.*?)GP(?P<chapter>\d\d)(?P<number>\d{4})(?P<tail>.*)", re.IGNORECASE)
_BOUNDARY = re.compile(r"(|.*[^0-9A-Za-z])", re.DOTALL)


@dataclass(frozen=True)
class ChapterName:
    """What the name of a file says of its place in a recording."""

    recording: tuple[str, ...]
    """Equal for all chapters of one recording in one folder."""
    number: str
    """Recording number, four digits."""
    chapter: int
    """1 for the first."""


def chapter_name(path: str | Path) -> ChapterName | None:
    """Return what a file's name says, or None where it does not follow a camera's scheme.

    A name may have something before it, ended by a separator (`left_GX010123.MP4`), or after it.
    """
    file = Path(path)
    folder, suffix = str(file.parent), file.suffix.lower()
    for scheme, chapter_of in ((_NEW, 0), (_OLD_FIRST, None), (_OLD_NEXT, 1)):
        match = scheme.fullmatch(file.stem)
        if match is None or not _BOUNDARY.fullmatch(match["head"]) or match["tail"][:1].isalnum():
            continue
        kind = match["codec"].upper() if scheme is _NEW else "GP"
        chapter = 1 if chapter_of is None else int(match["chapter"]) + chapter_of
        if chapter < 1:
            continue
        recording = (folder, suffix, kind, match["number"], match["head"].lower(), match["tail"].lower())
        return ChapterName(recording, match["number"], chapter)
    return None


def chapters_of(path: Path) -> tuple[Path, ...]:
    """Return all chapters of the recording that a file is the first chapter of, found in its folder.

    A file that is no first chapter, or that no scheme names, stands alone. Raises InputError chapter-missing.
    """
    own = chapter_name(path)
    if own is None or own.chapter != 1 or not path.parent.is_dir():
        return (path,)
    found: dict[int, Path] = {}
    for other in sorted(path.parent.iterdir()):
        name = chapter_name(other)
        if name is not None and name.recording == own.recording:
            found.setdefault(name.chapter, other)
    found[1] = path
    _check_whole(found, own)
    return tuple(found[k] for k in sorted(found))


def group_chapters(paths: Iterable[str | Path]) -> list[tuple[Path, ...]]:
    """Return the given files as recordings, each with its chapters in order; order of first mention.

    Only what is given is grouped: nothing is looked for on disk.
    Raises: InputError chapter-missing, chapter-twice.
    """
    groups: dict[tuple[str, ...], dict[int, Path]] = {}
    order: list[tuple[str, ...]] = []
    names: dict[tuple[str, ...], ChapterName] = {}
    for path in (Path(p) for p in paths):
        name = chapter_name(path)
        key = name.recording if name is not None else ("file", str(path), str(len(order)))
        if key not in groups:
            order.append(key)
        chapters = groups.setdefault(key, {})
        number = name.chapter if name is not None else 1
        if number in chapters:
            raise InputError(
                "chapter-twice",
                f"Chapter {number} of one recording was given twice: {chapters[number]} and {path}.",
                "Leave one of the two files out.",
            )
        chapters[number] = path
        if name is not None:
            names[key] = name
    for key, name in names.items():
        _check_whole(groups[key], name)
    return [tuple(groups[key][k] for k in sorted(groups[key])) for key in order]


def whole_recordings(paths: Iterable[str | Path]) -> list[tuple[Path, ...]]:
    """Return the given files as recordings; a first chapter brings those beside it, whether or not they were given.

    Raises: InputError chapter-missing, chapter-twice.
    """
    given = [Path(p) for p in paths]
    known = {p.resolve() for p in given}
    beside: dict[Path, Path] = {}
    for path in given:
        beside |= {c.resolve(): c for c in chapters_of(path)[1:] if c.resolve() not in known}
    return group_chapters([*given, *beside.values()])


def _check_whole(chapters: dict[int, Path], name: ChapterName) -> None:
    """Refuse a recording with a hole: what follows would be played at the wrong time."""
    if len(chapters) == 1:
        return
    missing = sorted(set(range(1, max(chapters) + 1)) - set(chapters))
    if not missing:
        return
    example = chapters[max(chapters)]
    which = ", ".join(str(k) for k in missing[:10])
    raise InputError(
        "chapter-missing",
        f"{example.parent}: recording {name.number} has chapters {_ranges(sorted(chapters))} "
        f"(up to {example.name}), but chapter {which} is missing, so the later ones have no place in time.",
        f"Copy the missing {'chapters' if len(missing) > 1 else 'chapter'} from the camera to the same folder, "
        "or move the later ones elsewhere.",
    )


def _ranges(numbers: Sequence[int]) -> str:
    return ", ".join(str(n) for n in numbers)
