"""Corrections by people: an append-only list of typed operations, with who made them and when. Undo appends too.

Moved, masked and exchanged keypoints change the performer's detections; clocks set or nudged change the cameras' times;
a trim shortens the timeline of the result.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.match import PixelFit
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.jsontext import dumps, write_text
from mocap.core.keypoints import Keypoints2D, KeypointSet
from mocap.core.timeline import Timeline, TimeMap
from sessions.lock import take_lock

EDITED_SCORE = 1.0
"""A point that a person placed counts as fully seen."""
_WAIT_S = 30.0
"""Longer than any process takes to write an edit, many waiting for each other included."""
_SLACK_S = 1e-6
"""Times written with six digits still mean the frame they stand for."""


@dataclass(frozen=True)
class Edit:
    """One operation. Frames and pixels are those of the camera's own video; `end_frame` is not included."""

    id: int
    op: str
    args: Mapping[str, Any]
    at: str | None = None
    """When it was made, ISO 8601; None in files of before this was kept."""
    by: str | None = None
    """Who made it: the name of the account."""

    def to_json(self) -> dict[str, Any]:
        """Return the edit as it stands in its file."""
        made = {k: v for k, v in (("at", self.at), ("by", self.by)) if v is not None}
        return {"id": self.id, "op": self.op, **self.args, **made}


_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "move_point": {"camera": str, "frame": int, "keypoint": str, "xy_px": list},
    "mask": {"camera": str, "start_frame": int, "end_frame": int, "keypoints": list},
    "swap_sides": {"camera": str, "start_frame": int, "end_frame": int},
    "trim": {"start_s": (int, float), "end_s": (int, float)},
    "set_clock": {"camera": str, "offset_s": (int, float)},
    "nudge_clock": {"camera": str, "by_s": (int, float)},
    "undo": {"edit": int},
}
"""Operations and their arguments. An empty `keypoints` list of `mask` means all; `trim` is in master time; clocks
are those of `TimeMap`: a greater offset means that the camera's first frame comes later."""

BY_HAND = "person"
"""Evidence of a clock that a person set or nudged."""
CLOCK_OPS = ("set_clock", "nudge_clock")


def read_edits(path: Path) -> list[Edit]:
    """Return the edits in force, oldest first: undone ones are left out. A missing file has none.

    A last line that was cut off while being written is left out as well: it was never reported as done.

    Raises:
        InputError: `edits-unreadable` naming the line: it is no edit, or its number is that of another.
    """
    return [edit for edit, is_in_force in history(path) if is_in_force and edit.op != "undo"]


def history(path: Path) -> list[tuple[Edit, bool]]:
    """Return every edit ever made, undoing ones too, with whether it is in force. Raises as `read_edits`."""
    edits = [edit for edit, _ in _stored(path)]
    undone: set[int] = set()
    for edit in reversed(edits):
        if edit.op == "undo" and edit.id not in undone:
            undone.add(edit.args["edit"])
    return [(e, e.id not in undone) for e in edits]


def append_edit(path: Path, op: str, **args: Any) -> Edit:
    """Append one operation and return it with its number, one that no edit has had.

    Raises:
        InputError: `edit-invalid` for an unknown operation or wrong arguments, `take-busy` when another process does
            not finish writing, and what `read_edits` raises.
    """
    _check(op, args)
    # Not the take's own lock, which a run holds for hours.
    with take_lock(path.parent, _WAIT_S, name=f".{path.name}.lock"):
        stored = _stored(path)
        # What was undone counts as well: its line may have been deleted by hand.
        used = [n for e, _ in stored for n in (e.id, e.args["edit"] if e.op == "undo" else 0)]
        edit = Edit(max(used, default=0) + 1, op, args, time.strftime("%Y-%m-%dT%H:%M:%S%z"), _account())
        lines = [*(line for _, line in stored), dumps(edit.to_json(), indent=None)]
        write_text(path, "".join(f"{line}\n" for line in lines))
    return edit


def _stored(path: Path) -> list[tuple[Edit, str]]:
    """Return the edits of a file with their lines; a last line that was cut off while being written is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    # After the last newline comes nothing, a line without one, as editors leave it, or one that was cut off.
    if not _is_json(lines[-1]):
        lines.pop()
    out: dict[int, tuple[Edit, str]] = {}
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        edit, text = _parse(path, n, line)
        if edit.id in out:
            raise _unreadable(path, n, f"number {edit.id} is taken by a line before")
        out[edit.id] = edit, text
    return list(out.values())


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _account() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None  # a user id without a name, as in containers


def _parse(path: Path, n: int, line: bytes) -> tuple[Edit, str]:
    try:
        text = line.decode("utf-8").strip()
        data = json.loads(text)
        number, op, at, by = int(data.pop("id")), str(data.pop("op")), data.pop("at", None), data.pop("by", None)
        edit = Edit(number, op, data, at, by)
        _check(edit.op, edit.args)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise _unreadable(path, n, f"this is not an edit: {error}") from error
    return edit, text


def _unreadable(path: Path, n: int, why: str) -> InputError:
    return InputError("edits-unreadable", f"{path}, line {n}: {why}.", "Restore the file or delete that line.")


def _check(op: str, args: Mapping[str, Any]) -> None:
    fields = _FIELDS.get(op)
    advice = f"Use one of: {', '.join(_FIELDS)}."
    if fields is None:
        raise InputError("edit-invalid", f"There is no edit operation {op!r}.", advice)
    wrong = sorted(set(args) ^ set(fields)) or [k for k, kind in fields.items() if not isinstance(args[k], kind)]
    if wrong:
        raise InputError("edit-invalid", f"{op}: missing, unknown or wrong: {', '.join(wrong)}.", f"Give {fields}.")
    if op == "move_point" and not _is_point(args["xy_px"]):
        raise InputError(
            "edit-invalid", f"move_point: xy_px is {args['xy_px']}, expected two finite numbers.", "Give [x, y]."
        )
    moved_s = args.get("by_s", args.get("offset_s", 0.0))
    if not abs(moved_s) < np.inf:
        raise InputError("edit-invalid", f"{op}: {moved_s} s is no finite time.", "Give seconds.")
    if op == "trim" and not -np.inf < args["start_s"] < args["end_s"] < np.inf:
        raise InputError(
            "edit-invalid",
            f"trim: from {args['start_s']} s to {args['end_s']} s, expected two finite times in order.",
            "Give start_s below end_s.",
        )


def _is_point(value: Sequence[Any]) -> bool:
    return len(value) == 2 and all(isinstance(v, int | float) and np.isfinite(v) for v in value)


def apply_edits(
    detections: Keypoints2D, edits: Sequence[Edit], fits: Mapping[str, PixelFit] | None = None
) -> Keypoints2D:
    """Return the performer's detections with all corrections applied, in order.

    fits map a camera's video pixels to those of its calibration, in which detections are kept; None: they are the same.

    Raises:
        InputError: `edit-invalid` when an edit names a camera, frame or keypoint that is not there.
    """
    xy = detections.xy_px.copy()
    score = detections.score.copy()
    for edit in edits:
        if edit.op == "move_point":
            _move_point(detections, xy, score, edit.args, fits)
        elif edit.op in _APPLY:
            _APPLY[edit.op](detections, xy, score, edit.args)
    return Keypoints2D(detections.keypoint_set, detections.camera_names, xy, score, detections.time_s)


def trimmed(timeline: Timeline, edits: Sequence[Edit]) -> Timeline:
    """Return the part of a timeline that all trims leave, on the same instants.

    Raises:
        InputError: `edit-invalid` when nothing is left.
    """
    time_s = timeline.time_s
    inside = np.ones(len(time_s), bool)
    for args in (e.args for e in edits if e.op == "trim"):
        inside &= (time_s >= args["start_s"] - _SLACK_S) & (time_s < args["end_s"] - _SLACK_S)
    if not inside.any():
        raise InputError(
            "edit-invalid",
            f"The trims leave nothing of the take, which runs from {time_s[0]:.3f} to {time_s[-1]:.3f} s.",
            "Undo a trim.",
        )
    at = np.flatnonzero(inside)
    return Timeline(timeline.fps, len(at), float(time_s[at[0]]))


def edited_clocks(
    maps: Mapping[str, TimeMap], edits: Sequence[Edit]
) -> tuple[dict[str, TimeMap], tuple[Diagnostic, ...]]:
    """Return the cameras' clocks after all that people set and nudged, in order, and what that was.

    The drift stays as it was found. A clock that was set has no known sigma.
    Raises InputError `edit-invalid` when an edit names a camera that is not there.
    """
    out = dict(maps)
    for edit in edits:
        if edit.op not in CLOCK_OPS:
            continue
        camera = edit.args["camera"]
        if camera not in out:
            raise InputError(
                "edit-invalid", f"An edit names camera {camera!r}; the take has {', '.join(out)}.", "Undo that edit."
            )
        before = out[camera]
        if edit.op == "set_clock":
            out[camera] = replace(before, offset_s=float(edit.args["offset_s"]), sigma_s=float("nan"), methods=())
        else:
            out[camera] = replace(before, offset_s=before.offset_s + edit.args["by_s"])
        out[camera] = replace(out[camera], methods=(*(m for m in out[camera].methods if m != BY_HAND), BY_HAND))
    moved = {c: m for c, m in out.items() if m != maps[c]}
    if not moved:
        return out, ()
    listing = ", ".join(f"{c} {maps[c].offset_s:+.4f} -> {m.offset_s:+.4f} s" for c, m in moved.items())
    data = {c: {"found_s": maps[c].offset_s, "offset_s": m.offset_s} for c, m in moved.items()}
    message = f"Clocks changed by a person: {listing}."
    return out, (Diagnostic("times-by-hand", Severity.INFO, message, {"cameras": data}),)


def placed_by_hand(detections: Keypoints2D, edits: Sequence[Edit], timeline: Timeline) -> np.ndarray:
    """Return [frame keypoint] of the timeline: whether a person placed the point in some view at that instant."""
    out = np.zeros((timeline.n_frames, len(detections.keypoint_set)), bool)
    for args in (e.args for e in edits if e.op == "move_point"):
        c, k = _camera(detections, args["camera"]), _keypoint(detections, args["keypoint"])
        frame = round((detections.time_s[c, args["frame"]] - timeline.start_s) * float(timeline.fps))
        if 0 <= frame < timeline.n_frames:
            out[frame, k] = True
    return out


def _camera(detections: Keypoints2D, name: str) -> int:
    if name not in detections.camera_names:
        have = ", ".join(detections.camera_names)
        raise InputError("edit-invalid", f"An edit names camera {name!r}; the take has {have}.", "Undo that edit.")
    return detections.camera_names.index(name)


def find_keypoint(keypoint_set: KeypointSet, name: str) -> int | None:
    """Return the keypoint that a person means: by its name in the set, else by its canonical landmark."""
    return keypoint_set.names.index(name) if name in keypoint_set.names else keypoint_set.index(name or " ")


def _keypoint(detections: Keypoints2D, name: str) -> int:
    found = find_keypoint(detections.keypoint_set, name)
    if found is None:
        have = ", ".join(detections.keypoint_set.names)
        raise InputError("edit-invalid", f"An edit names keypoint {name!r}; the set has {have}.", "Undo that edit.")
    return found


def _move_point(
    detections: Keypoints2D,
    xy: np.ndarray,
    score: np.ndarray,
    args: Mapping[str, Any],
    fits: Mapping[str, PixelFit] | None,
) -> None:
    c, k, f = _camera(detections, args["camera"]), _keypoint(detections, args["keypoint"]), args["frame"]
    n_frames = int(np.isfinite(detections.time_s[c]).sum())
    if not 0 <= f < n_frames:
        raise InputError(
            "edit-invalid", f"An edit names frame {f} of {args['camera']}, which has {n_frames}.", "Undo that edit."
        )
    place = np.asarray(args["xy_px"], np.float64)
    xy[c, f, 0, k] = place if fits is None else fits[args["camera"]].to_calibration(place)
    score[c, f, 0, k] = EDITED_SCORE


def _mask(detections: Keypoints2D, xy: np.ndarray, score: np.ndarray, args: Mapping[str, Any]) -> None:
    c = _camera(detections, args["camera"])
    chosen = [_keypoint(detections, name) for name in args["keypoints"]] or list(range(xy.shape[3]))
    span = slice(max(args["start_frame"], 0), args["end_frame"])
    xy[c, span, :, chosen] = np.nan
    score[c, span, :, chosen] = 0.0


def _swap_sides(detections: Keypoints2D, xy: np.ndarray, score: np.ndarray, args: Mapping[str, Any]) -> None:
    c = _camera(detections, args["camera"])
    mirror = list(detections.keypoint_set.mirror)
    span = slice(max(args["start_frame"], 0), args["end_frame"])
    xy[c, span] = xy[c, span][:, :, mirror]
    score[c, span] = score[c, span][:, :, mirror]


_APPLY = {"mask": _mask, "swap_sides": _swap_sides}
