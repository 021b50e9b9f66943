"""`mocap edit`: corrections by hand, which stay when anything is computed again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mocap.cli.options import point
from mocap.cli.ui import Result, Ui

if TYPE_CHECKING:
    from mocap.core.errors import InputError
    from sessions.edits import Edit
    from sessions.folder import Session, Take

SUMMARY = "correct a take by hand: trim it, place a camera in time, mask, move or exchange keypoints; undo"
EXAMPLE = """
mocap edit shoot_monday/walk_1 trim 1.5 12
mocap edit shoot_monday/walk_1 offset cam2 --by 0.012
mocap edit shoot_monday/walk_1 mask cam3 120 180 LWrist LElbow
mocap edit shoot_monday/walk_1 undo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the operations."""
    parser.add_argument("take", metavar="DIR/TAKE", help="session and take")
    what = parser.add_subparsers(dest="what", metavar="WHAT", title="what", required=True)
    _verb(what, "list", "show all corrections, and which are in force")
    trim = _verb(what, "trim", "keep only a part of the result; several trims leave what all of them keep")
    trim.add_argument("start_s", type=float, metavar="START", help="seconds of master time, as in the report")
    trim.add_argument("end_s", type=float, metavar="END", help="not included")
    offset = _verb(what, "offset", "place a camera in time; a greater offset: its first frame comes later")
    offset.add_argument("camera", metavar="CAMERA")
    how = offset.add_mutually_exclusive_group(required=True)
    how.add_argument("--by", type=float, metavar="S", help="seconds to add to what synchronisation found")
    how.add_argument("--to", type=float, metavar="S", help="the offset itself, in seconds of master time")
    mask = _verb(what, "mask", "leave keypoints of a camera out")
    _span(mask)
    mask.add_argument("keypoints", nargs="*", metavar="KEYPOINT", help="default: all")
    _span(_verb(what, "swap-sides", "exchange left and right of a camera's keypoints"))
    move = _verb(what, "move", "place one keypoint in one frame of a camera")
    move.add_argument("camera", metavar="CAMERA")
    move.add_argument("frame", type=int, metavar="FRAME", help="of the camera's own video, from 0")
    move.add_argument("keypoint", metavar="KEYPOINT")
    move.add_argument("xy_px", type=point, metavar="X,Y", help="pixels of the upright video")
    undo = _verb(what, "undo", "take a correction back")
    undo.add_argument("edit", nargs="?", type=int, metavar="N", help="its number; default: the last one in force")


def _verb(what: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = what.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print a machine-readable result and nothing else")
    return parser


def _span(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("camera", metavar="CAMERA")
    parser.add_argument("start_frame", type=int, metavar="START", help="frame of the camera's own video, from 0")
    parser.add_argument("end_frame", type=int, metavar="END", help="not included")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Append the operation, after checking that the take has what it names."""
    from sessions.edits import append_edit, history
    from sessions.folder import split_take_path

    session, take = split_take_path(args.take)
    new: Edit | None = None
    if args.what != "list":
        op, values = _operation(args, take)
        _check(session, take, values)
        new = append_edit(take.edits_file, op, **values)
    edits = history(take.edits_file)
    data = {
        "edit": new.to_json() if new is not None else None,
        "edits": [{**e.to_json(), "is_in_force": is_in_force} for e, is_in_force in edits],
    }
    lines = [_line(e, is_in_force) for e, is_in_force in edits if new is None or e.id == new.id]
    next_step = f"Next: mocap run {session.folder} {take.name}"
    return Result(data, "\n".join([*(lines or ["no corrections"]), *([next_step] if new is not None else [])]))


def _operation(args: argparse.Namespace, take: Take) -> tuple[str, dict[str, Any]]:
    """Return the operation and its arguments as they are stored."""
    what = args.what
    if what == "trim":
        return "trim", {"start_s": args.start_s, "end_s": args.end_s}
    if what == "offset":
        if args.to is not None:
            return "set_clock", {"camera": args.camera, "offset_s": args.to}
        return "nudge_clock", {"camera": args.camera, "by_s": args.by}
    if what == "move":
        place = {"camera": args.camera, "frame": args.frame, "keypoint": args.keypoint}
        return "move_point", {**place, "xy_px": list(args.xy_px)}
    if what == "undo":
        return "undo", {"edit": _to_undo(take, args.edit)}
    span = {"camera": args.camera, "start_frame": args.start_frame, "end_frame": args.end_frame}
    return ("mask", {**span, "keypoints": args.keypoints}) if what == "mask" else ("swap_sides", span)


def _to_undo(take: Take, number: int | None) -> int:
    from mocap.core.errors import InputError
    from sessions.edits import history

    in_force = [e for e, is_in_force in history(take.edits_file) if is_in_force]
    # An undoing one can be undone as well, but only by its number.
    found = [e.id for e in in_force if (e.op != "undo" if number is None else e.id == number)]
    if not found:
        what = "a correction" if number is None else f"correction {number}"
        have = ", ".join(f"{e.id} ({e.op})" for e in in_force) or "none"
        raise InputError(
            "edit-missing",
            f"Take {take.name} has not {what} to undo; in force: {have}.",
            "Choose a number of `mocap edit DIR/TAKE list`.",
        )
    return found[-1]


def _check(session: Session, take: Take, values: dict[str, Any]) -> None:
    """Refuse cameras, frames, times, places and keypoints that the take lacks. Raises InputError edit-invalid."""
    if "start_s" in values:
        _check_trim(session, take, values)
    if "camera" not in values:
        return
    from mocap.media.probe import probe
    from sessions.cameras import match_recordings
    from sessions.process import load_rig

    recordings, _ = match_recordings(load_rig(session).rig.names, take)
    camera = values["camera"]
    if camera not in recordings:
        have = ", ".join(recordings)
        raise _invalid(f"Take {take.name} has no camera {camera!r}; it has {have}.", f"Name {have}.")
    if frames := [values[k] for k in ("frame", "start_frame", "end_frame") if k in values]:
        info = probe(recordings[camera].path)
        n = info.n_frames
        is_inside = frames[0] < n if len(frames) == 1 else frames[0] < frames[1] <= n
        if frames[0] < 0 or not is_inside:
            said = " to ".join(str(f) for f in frames)
            expected = f"a frame from 0 to {n - 1}" if len(frames) == 1 else f"0 <= START < END <= {n}"
            raise _invalid(f"{camera}: expected {expected}, got {said}.", "Look the frames up.")
        x_px, y_px = values.get("xy_px", (0.0, 0.0))
        # A limb may be just outside the picture; a place a whole picture away is a slip.
        if not (-1 <= x_px / info.width_px <= 2 and -1 <= y_px / info.height_px <= 2):
            size = f"{info.width_px}x{info.height_px}"
            raise _invalid(f"{camera}: {x_px:g},{y_px:g} is far outside its picture of {size}.", "Give X,Y in pixels.")
    if names := values.get("keypoints", [values["keypoint"]] if "keypoint" in values else []):
        _check_keypoints(session, take, names)


def _check_trim(session: Session, take: Take, values: dict[str, Any]) -> None:
    """Refuse a trim that leaves nothing, where a run has placed the cameras in time."""
    import numpy as np

    from sessions.seen import stored_views

    if not session.rig_file.is_file() or (views := stored_views(session, take)) is None:
        return
    first_s, last_s = float(np.nanmin(views.time_s)), float(np.nanmax(views.time_s))
    if values["start_s"] > last_s or values["end_s"] <= first_s:
        raise _invalid(
            f"Take {take.name} runs from {first_s:.3f} to {last_s:.3f} s; "
            f"{values['start_s']:g} to {values['end_s']:g} s leaves nothing of it.",
            "Give seconds of master time, as in the report.",
        )


def _check_keypoints(session: Session, take: Take, names: list[str]) -> None:
    from mocap.core.keypoints import keypoint_set_names, load_keypoint_set
    from sessions.edits import find_keypoint
    from sessions.seen import keypoint_set_of, stored_views

    own = keypoint_set_of(session, take, stored_views(session, take))
    sets = [own] if own is not None else [load_keypoint_set(n) for n in keypoint_set_names()]
    if unknown := [n for n in names if all(find_keypoint(s, n) is None for s in sets)]:
        have = ", ".join(dict.fromkeys(n for s in sets for n in s.names))
        raise _invalid(f"Take {take.name} has no keypoint {', '.join(unknown)}; it has {have}.", "Choose one of them.")


def _invalid(message: str, advice: str) -> InputError:
    from mocap.core.errors import InputError

    return InputError("edit-invalid", message, advice)


def _line(edit: Edit, is_in_force: bool) -> str:
    what = " ".join(f"{k}={v}" for k, v in edit.args.items())
    made = " ".join(w for w in (edit.at and f"at {edit.at}", edit.by and f"by {edit.by}") if w)
    return f"{edit.id}: {edit.op} {what}{f'  ({made})' if made else ''}{'' if is_in_force else '  undone'}"
