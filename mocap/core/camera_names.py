"""Which folder, file or video belongs to which camera of the rig, by name alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError

_SUFFIX = re.compile(r"\.(mp4|mov|mkv|avi|m4v|webm|mts|json|csv|h5|slp|png|jpe?g)$", re.IGNORECASE)
_RENAME = "Rename them after the rig's cameras, one for each camera, or give the rig file that belongs to them."


@dataclass(frozen=True)
class CameraMatch:
    """What belongs to each camera of the rig."""

    found: dict[str, str]
    """Camera name (order of the rig) -> name of what was found, as given."""
    diagnostics: tuple[Diagnostic, ...] = ()


def normal_name(name: str) -> str:
    """Return a name without folder, suffix, `_json`, separators, leading zeros and case: `cam_01_json` -> `cam1`."""
    stem = _SUFFIX.sub("", PurePath(name).name).lower()
    stem = re.sub(r"[_\-. ]*json$", "", stem)
    # A digit keeps apart from the digits of another field: `s01_02` is not `s102`.
    stem = re.sub(r"(?<=\d)[_\-. ]+(?=\d)", "/", stem)
    stem = re.sub(r"[_\-. ]+", "", stem)
    return re.sub(r"\d+", lambda m: str(int(m[0])), stem)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts cam2 before cam10."""
    parts = re.findall(r"\d+|\D+", PurePath(name).name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def match_cameras(
    camera_names: Sequence[str], found: Sequence[str], what: str = "videos", may_lack: bool = False
) -> CameraMatch:
    """Match `found` (names or paths of `what`) to a rig's cameras.

    Tried in this order: equal normal names (see `normal_name`); the camera's normal name inside exactly one of the
    found names or the other way round (`take3_cam01.mp4`); natural sort order where no name fits at all or where one
    list counts from 0 and the other from 1. Anything else than a full one-to-one match is an error: a wrong guess
    would give a camera the view of another. With `may_lack` cameras may be left over where the names of all that was
    found tell whose they are, which is said.

    Raises: InputError camera-twice, camera-count-mismatch, cameras-unmatched; each lists both sides.
    """
    lists = f"cameras of the rig: {', '.join(camera_names)}; {what}: {', '.join(found) or 'none'}"
    rig_key = {normal_name(c): c for c in camera_names}
    _check_twice(found, what, lists)
    if may_lack and 2 <= len(found) < len(camera_names) and len(rig_key) == len(camera_names):
        part = _match_part(rig_key, {normal_name(f): f for f in found})
        if part is not None:
            return CameraMatch(part, (without_video([c for c in camera_names if c not in part], what),))
    if len(found) != len(camera_names) or len(rig_key) != len(camera_names):
        _raise_count(camera_names, found, what, lists, rig_key)
    by_key = {normal_name(f): f for f in found}
    if by_key.keys() == rig_key.keys():
        return CameraMatch({c: by_key[k] for k, c in rig_key.items()})
    inside = _match_inside(rig_key, by_key)
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


def without_video(cameras: Sequence[str], what: str = "videos") -> Diagnostic:
    """Return the finding that cameras of the rig have nothing in this take."""
    message = f"There are no {what} of {', '.join(cameras)}; the take is made from the other cameras."
    return Diagnostic("cameras-without-video", Severity.WARNING, message, {"cameras": list(cameras)})


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
    keys = {normal_name(f) for f in found}
    missing = [c for k, c in rig_key.items() if k not in keys]
    detail = f"; nothing for {', '.join(missing)}" if 0 < len(missing) < len(camera_names) else ""
    raise InputError(
        "camera-count-mismatch",
        f"The rig has {len(camera_names)} cameras, but there are {len(found)} {what}{detail} ({lists}).",
        _RENAME,
    )


def _match_part(rig_key: dict[str, str], by_key: dict[str, str]) -> dict[str, str] | None:
    """Return the match where each thing found has one camera, by equal names or by the camera's name inside its own."""

    def holds(long: str, short: str) -> bool:
        return long == short or re.search(rf"(?<!\d){re.escape(short)}(?!\d)", long) is not None

    hits = {f: [c for c in rig_key if c == f] or [c for c in rig_key if holds(f, c)] for f in by_key}
    taken = [h[0] for h in hits.values() if len(h) == 1]
    if not len(taken) == len(by_key) == len(set(taken)):
        return None
    owner = {h[0]: by_key[f] for f, h in hits.items()}
    return {camera: owner[key] for key, camera in rig_key.items() if key in owner}


def _match_inside(rig_key: dict[str, str], by_key: dict[str, str]) -> dict[str, str] | None:
    """Return the match where one normal name holds the other, bounded by digits, for all cameras; else None."""

    def holds(long: str, short: str) -> bool:
        return re.search(rf"(?<!\d){re.escape(short)}(?!\d)", long) is not None

    tests: tuple[Callable[[str, str], bool], ...] = (holds, lambda f, c: holds(c, f))
    for test in tests:
        hits = {c: [f for f in by_key if test(f, c)] for c in rig_key}
        taken = [h[0] for h in hits.values() if len(h) == 1]
        if len(taken) == len(rig_key) == len(set(taken)):
            return {rig_key[c]: by_key[h[0]] for c, h in hits.items()}
    return None


def _is_shifted(a: Sequence[str], b: Sequence[str]) -> bool:
    """Say whether both lists are one stem with numbers, one counted from 0 and the other from 1."""

    def parts(names: Sequence[str]) -> tuple[set[str], list[int]]:
        found = [re.fullmatch(r"(.*?)(\d+)(\D*)", n) for n in names]
        if any(m is None for m in found):
            return set(), []
        return {f"{m[1]}*{m[3]}" for m in found if m}, sorted(int(m[2]) for m in found if m)

    (stems_a, numbers_a), (stems_b, numbers_b) = parts(a), parts(b)
    n = len(a)
    from_0, from_1 = list(range(n)), list(range(1, n + 1))
    return stems_a == stems_b and len(stems_a) == 1 and sorted([numbers_a, numbers_b]) == [from_0, from_1]
