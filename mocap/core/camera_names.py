"""Which folder, file or video belongs to which camera of the rig, by name alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

_SUFFIX = re.compile(r"\.(mp4|mov|mkv|avi|m4v|webm|mts|json|csv|h5|slp|png|jpe?g)$", re.IGNORECASE)
_LISTED = 20
"""Longer lists of names are cut: no rig has so many cameras."""
_RENAME = "Rename them after the rig's cameras, one for each camera, or give the rig file that belongs to them."


@dataclass(frozen=True)
class CameraMatch:
    """What belongs to each camera of the rig."""

    found: dict[str, str]
    """Camera name (order of the rig) -> name of what was found, as given."""
    diagnostics: tuple[Diagnostic, ...] = ()


def normal_name(name: str) -> str:
    """Return a name without folder, suffix, `_json`, separators, leading zeros and case: `cam_01_json` -> `cam1`."""
    # A digit keeps apart from the digits of another field: `s01_02` is not `s102`.
    stem = re.sub(r"(?<=\d)[_\-. ]+(?=\d)", "/", _stem(name))
    stem = re.sub(r"[_\-. ]+", "", stem)
    return re.sub(r"\d+", lambda m: str(int(m[0])), stem)


def _stem(name: str) -> str:
    """Return a name in small letters without folder, suffix and `_json`."""
    return re.sub(r"[_\-. ]*json$", "", _SUFFIX.sub("", PurePath(name).name).lower())


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts cam2 before cam10."""
    parts = re.findall(r"\d+|\D+", PurePath(name).name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def match_cameras(
    camera_names: Sequence[str], found: Sequence[str], what: str = "videos", may_lack: bool = False
) -> CameraMatch:
    """Match `found` (names or paths of `what`) to a rig's cameras.

    Tried in this order: equal normal names (see `normal_name`); the camera's name by itself inside exactly one of the
    found names or the other way round (`take3_cam01.mp4`, not `upright.mp4` for `right`); natural sort order where no
    name fits at all or where one list counts from 0 and the other from 1. Anything else than a full one-to-one match is
    an error: a wrong guess would give a camera the view of another. With `may_lack` cameras may be left over where the
    names of all that was found, at least two, tell whose they are, which is said.

    Raises: InputError camera-twice, camera-count-mismatch, cameras-unmatched; each lists both sides.
    """
    lists = f"cameras of the rig: {', '.join(camera_names)}; {what}: {_listed(found)}"
    rig_key = {normal_name(c): c for c in camera_names}
    _check_twice(found, what, lists)
    if may_lack and 2 <= len(found) < len(camera_names) and len(rig_key) == len(camera_names):
        part = _match_by_name(rig_key, {normal_name(f): f for f in found})
        if part is not None:
            left = without_video([c for c in camera_names if c not in part], what)
            return CameraMatch(part, (left, *_maybe_shifted(camera_names, part, what)))
    if len(found) != len(camera_names) or len(rig_key) != len(camera_names):
        _raise_count(camera_names, found, what, lists, rig_key)
    by_key = {normal_name(f): f for f in found}
    if by_key.keys() == rig_key.keys():
        return CameraMatch({c: by_key[k] for k, c in rig_key.items()})
    inside = _match_by_name(rig_key, by_key)
    if inside is not None:
        pairs = ", ".join(f"{c} <- {f}" for c, f in inside.items())
        message = f"The {what} were matched to cameras by the camera's name inside theirs: {pairs}."
        return CameraMatch(inside, (_diagnostic("cameras-matched-inside", Severity.INFO, message, inside),))
    if rig_key.keys() & by_key.keys() and not _is_shifted(list(rig_key), list(by_key)):
        missing = [c for k, c in rig_key.items() if k not in by_key]
        extra = [f for k, f in by_key.items() if k not in rig_key]
        raise InputError(
            "cameras-unmatched",
            f"Some {what} match no camera: nothing for {', '.join(missing)}, no camera for {', '.join(extra)}"
            f" ({lists}).",
            _RENAME,
        )
    order = dict(zip(sorted(camera_names, key=natural_key), sorted(found, key=natural_key), strict=True))
    result = {c: order[c] for c in camera_names}
    pairs = ", ".join(f"{c} <- {f}" for c, f in result.items())
    message = f"The names of the {what} are not those of the rig's cameras; matched in sort order: {pairs}."
    return CameraMatch(result, (_diagnostic("cameras-matched-in-order", Severity.WARNING, message, result),))


def _listed(names: Sequence[str]) -> str:
    """Return the names in one line, five of them where they are too many to be one of each camera."""
    if len(names) <= _LISTED:
        return ", ".join(names) or "none"
    return f"{', '.join(names[:5])} and {len(names) - 5} more"


def without_video(cameras: Sequence[str], what: str = "videos") -> Diagnostic:
    """Return the finding that cameras of the rig have nothing in this take."""
    message = f"There are no {what} of {', '.join(cameras)}; the take is made from the other cameras."
    return Diagnostic("cameras-without-video", Severity.WARNING, message, {"cameras": list(cameras)})


def _maybe_shifted(camera_names: Sequence[str], part: dict[str, str], what: str) -> tuple[Diagnostic, ...]:
    """Return a finding where the rig counts from 0 and what was found, with some missing, may count from 1."""
    keys = [normal_name(c) for c in camera_names]
    if _numbers(keys) != list(range(len(keys))):
        return ()
    zero = next(c for c, k in zip(camera_names, keys, strict=True) if _numbers([k]) == [0])
    if zero in part:
        return ()
    pairs = ", ".join(f"{c} <- {f}" for c, f in part.items())
    message = (
        f"The rig counts its cameras from 0 and there are no {what} of {zero}: if theirs count from 1, each was given "
        f"to the camera after its own ({pairs}). Check one, and rename them to count from 0 if so."
    )
    return (_diagnostic("cameras-maybe-shifted", Severity.WARNING, message, part),)


def _diagnostic(code: str, severity: Severity, message: str, pairs: dict[str, str]) -> Diagnostic:
    return Diagnostic(code, severity, message, {"cameras": dict(pairs)})


def _check_twice(found: Sequence[str], what: str, lists: str) -> None:
    seen: dict[str, str] = {}
    for name in found:
        key = normal_name(name)
        if key in seen:
            raise InputError(
                "camera-twice",
                f"Two {what} for one camera: {seen[key]} and {name} ({lists}).",
                "Leave one of them out, or rename them so that each names its own camera.",
            )
        seen[key] = name


def _raise_count(
    camera_names: Sequence[str], found: Sequence[str], what: str, lists: str, rig_key: dict[str, str]
) -> None:
    by_key = {normal_name(f): f for f in found}
    part = _match_by_name(rig_key, by_key) if len(rig_key) == len(camera_names) else None
    matched = {c for k, c in rig_key.items() if k in by_key} if part is None else set(part)
    missing = [c for c in rig_key.values() if c not in matched]
    detail = f"; nothing for {', '.join(missing)}" if 0 < len(missing) < len(camera_names) else ""
    is_short = part and len(part) == len(found)
    raise InputError(
        "camera-count-mismatch",
        f"The rig has {_count(camera_names, 'cameras')}, but there {'is' if len(found) == 1 else 'are'}"
        f" {_count(found, what)}{detail} ({lists}).",
        f"Give {', '.join(missing)} too, or the rig file that belongs to what there is." if is_short else _RENAME,
    )


def _count(names: Sequence[str], what: str) -> str:
    """Return how many there are of what, e.g. `1 keypoint source in pose/`."""
    first, *rest = what.split(" in ")
    one = first.removesuffix("s") if len(names) == 1 else first
    return " in ".join([f"{len(names)} {one}", *rest])


def _match_by_name(rig_key: dict[str, str], by_key: dict[str, str]) -> dict[str, str] | None:
    """Return the match where each thing found has one camera of its own, by equal names or one inside the other's.

    A name that holds those of two cameras is a tie, not a match, unless one of these is part of the other's.
    """
    tests: tuple[Callable[[str, str], bool], ...] = (_holds, lambda f, c: _holds(c, f))
    for test in tests:
        hits = {k: [rig_key[k]] if k in rig_key else _longest(f, rig_key, test) for k, f in by_key.items()}
        taken = [h[0] for h in hits.values() if len(h) == 1]
        if len(taken) == len(by_key) == len(set(taken)):
            owner = {h[0]: by_key[k] for k, h in hits.items()}
            return {camera: owner[camera] for camera in rig_key.values() if camera in owner}
    return None


def _longest(found: str, rig_key: dict[str, str], test: Callable[[str, str], bool]) -> list[str]:
    """Return the cameras whose names fit, without those whose name is but a part of another's that fits too."""
    fits = [c for c in rig_key.values() if test(found, c)]
    return [c for c in fits if not any(c != other and _holds(other, c) for other in fits)]


def _holds(long: str, short: str) -> bool:
    """Say whether one name stands in the other by itself: no letter or digit touches it as they are written."""
    parts = [re.findall(r"\d+|\D+", piece) for piece in re.split(r"[_\-. ]+", _stem(short)) if piece]
    if not parts:
        return False
    pattern, last = "", ""
    for token in (t for part in parts for t in part):
        between = "" if not last else "[_\\-. ]+" if last.isdigit() and token.isdigit() else "[_\\-. ]*"
        pattern += between + (f"0*{int(token)}" if token.isdigit() else re.escape(token))
        last = token
    return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", _stem(long)) is not None


def _is_shifted(a: Sequence[str], b: Sequence[str]) -> bool:
    """Say whether both lists are one stem with numbers, one counted from 0 and the other from 1."""
    stem_a, stem_b = _one_stem(a), _one_stem(b)
    from_0, from_1 = list(range(len(a))), list(range(1, len(a) + 1))
    return stem_a == stem_b is not None and sorted([_numbers(a), _numbers(b)]) == [from_0, from_1]


def _one_stem(names: Sequence[str]) -> str | None:
    """Return what all names share but for one number; None where they do not."""
    found = [re.fullmatch(r"(.*?)(\d+)(\D*)", n) for n in names]
    stems = {f"{m[1]}*{m[3]}" if m else None for m in found}
    return stems.pop() if len(stems) == 1 else None


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of names that differ in these alone, sorted; none where they differ in more."""
    found = [re.fullmatch(r"(.*?)(\d+)(\D*)", n) for n in names]
    return sorted(int(m[2]) for m in found if m) if _one_stem(names) is not None else []
