"""`mocap import`: a rig, or the videos of a take, into a session."""

from __future__ import annotations

import argparse
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.options import point
from mocap.cli.ui import Result, Ui, UsageError

if TYPE_CHECKING:
    from mocap.media.video_info import VideoInfo
    from sessions.folder import Session

SUMMARY = "add calibrated cameras or the videos of a take to a session"
EXAMPLE = """
mocap import shoot_monday --rig Calib.qca.txt
mocap import shoot_monday walk_1 cam01.mp4 cam02.mp4 cam03.mp4 cam04.mp4
mocap import shoot_monday walk_2 left/GX010123.MP4 right/GX010044.MP4
mocap import shoot_monday walk_1 cam01.mp4 cam02.mp4 cam03_upright.mp4 cam04.mp4 --replace
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="the session")
    parser.add_argument("take", nargs="?", metavar="TAKE", help="name of the new take")
    parser.add_argument(
        "videos",
        nargs="*",
        type=Path,
        metavar="VIDEO",
        help="one per camera; they are not copied; a first chapter brings the others beside it",
    )
    parser.add_argument("--rig", type=Path, metavar="RIG", help="calibrated cameras, any known format")
    parser.add_argument("--replace", action="store_true", help="exchange the videos of a take; its corrections stay")
    parser.add_argument("--subject-at", type=point, metavar="X,Y", help="the performer stands here (metres)")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Add what was given, after checking that it can be read and fits together."""
    if args.rig is None and args.take is None:
        raise UsageError("usage", "mocap import: a rig or a take is needed.", "Give --rig RIG or TAKE VIDEO...")
    if args.take is not None and not args.videos:
        raise UsageError("usage", f"mocap import: take {args.take} has no videos.", "Give one VIDEO per camera.")
    from sessions.folder import open_session

    session = open_session(args.dir)
    data: dict[str, Any] = {"session": str(session.folder)}
    lines: list[str] = []
    if args.rig is not None:
        data["rig"], text = _import_rig(session, args.rig)
        lines.append(text)
    if args.take is not None:
        data["take"], text = _import_take(session, args, ui)
        lines += [text, f"Next: mocap run {session.folder} {args.take}"]
    return Result(data, "\n".join(lines))


def _import_rig(session: Session, path: Path) -> tuple[dict[str, Any], str]:
    """Store a rig in the session; another one that was there is kept beside it, which is said."""
    from calibration.files import read_rig_file, write_rig

    rig = read_rig_file(path)
    new = session.rig_file.with_name(".rig.new.toml")
    write_rig(new, rig.rig, rig.diagnostics)
    kept = _keep_other_rig(session.rig_file, new)
    new.replace(session.rig_file)
    names, notes = list(rig.rig.names), [d.message for d in rig.diagnostics]
    if kept is not None:
        notes.append(
            f"The rig that was there is kept as {kept.name}; the next run computes the takes with the new one."
        )
    data = {"file": str(session.rig_file), "format": rig.format, "cameras": names, "notes": notes}
    data["kept"] = None if kept is None else str(kept)
    return data, "\n".join([f"{session.rig_file}: {len(names)} cameras ({', '.join(names)})", *notes])


def _keep_other_rig(rig_file: Path, new: Path) -> Path | None:
    """Copy a rig file to `rig.before-N.toml` beside it where the new one differs; return the copy."""
    if not rig_file.exists() or rig_file.read_bytes() == new.read_bytes():
        return None
    names = (rig_file.with_name(f"rig.before-{n}.toml") for n in itertools.count(1))
    return Path(shutil.copy2(rig_file, next(name for name in names if not name.exists())))


def _import_take(session: Session, args: argparse.Namespace, ui: Ui) -> tuple[dict[str, Any], str]:
    """Probe all recordings, find out whose they are, and add the take."""
    from mocap.core.progress import track
    from mocap.media.chapters import whole_recordings
    from mocap.media.probe import probe_recording
    from sessions.cameras import rig_key_of
    from sessions.folder import Recording, add_take, replace_videos

    groups = whole_recordings(args.videos)
    infos = [probe_recording(g) for g in track(groups, ui.progress, "reading the videos", len(groups))]
    notes = [d.message for info in infos for d in info.diagnostics]
    cameras, is_known = _whose(session, args.take, infos, notes)
    name_of = {info.path: camera for camera, info in cameras.items()}
    recordings = [
        Recording(files, name_of[i.path] if is_known else None, i.gopro.serial if i.gopro is not None else None)
        for files, i in zip(groups, infos, strict=True)
    ]
    config = {} if args.subject_at is None else {"subject_at": args.subject_at}
    put = replace_videos if args.replace else add_take
    take = put(session, args.take, recordings, config, rig_key_of(session))
    data = {
        "name": take.name,
        "cameras": {camera: str(info.path) for camera, info in cameras.items()},
        "videos": [info.to_json() for info in infos],
        "notes": notes,
    }
    rows = [_row(camera, info) for camera, info in cameras.items()]
    return data, "\n".join([f"take {take.name}: {len(infos)} videos", *rows, *notes])


def _whose(
    session: Session, take_name: str, infos: list[VideoInfo], notes: list[str]
) -> tuple[dict[str, VideoInfo], bool]:
    """Return each camera's recording, and whether that is more than an order; `notes` gets what was found."""
    from calibration.match import fit_footage
    from mocap.media.camera_assignment import assign_cameras, name_cameras
    from sessions.cameras import known_serials
    from sessions.process import load_rig

    if not session.rig_file.is_file():
        return name_cameras(infos), True
    rig = load_rig(session).rig
    assigned = assign_cameras(rig.names, infos, known_serials(session, rig.names, take_name))
    notes += [d.message for d in assigned.diagnostics]
    for camera, info in assigned.cameras.items():
        # Here, not after hours of work: a wrong rotation flag or recording mode can be mended now.
        notes += [d.message for d in fit_footage(rig[camera], info).diagnostics]
    return dict(assigned.cameras), assigned.is_known


def _row(camera: str, info: VideoInfo) -> str:
    more = f" and {len(info.chapters) - 1} more" if info.chapters else ""
    what = f"{info.width_px}x{info.height_px}, {float(info.fps):g} Hz, {info.n_frames} frames"
    return f"  {camera}: {info.path.name}{more}: {what}"
