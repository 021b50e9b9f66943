"""`mocap sync`: one clock per camera, from sound, motion, timecode, satellite time and flashes."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap.cli.options import frame_rate, point3, writable_folder
from mocap.cli.ui import Result, Ui, UsageError
from mocap.core.diagnostics import finding_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mocap.core.camera import CameraRig
    from mocap.core.diagnostics import Diagnostic
    from mocap.media.audio import Sounds
    from mocap.media.camera_assignment import SoundFile
    from mocap.media.probe import VideoInfo
    from mocap.sync.evidence import Evidence
    from mocap.sync.synchronise import Sources

SUMMARY = "one clock per camera: offset, drift and how sure, from sound, motion, timecode, GPS and flashes"
EXAMPLE = """mocap sync cam1.mp4 cam2.mp4 --rig rig.toml --out sync.json
mocap sync --keypoints pose/ --fps 60 --rig rig.toml --out sync.json"""
METHODS = ("timecode", "gps", "audio", "motion", "flash")
USUAL = METHODS[:-1]
"""Flashes are looked for only when asked: every frame must be decoded for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "videos", nargs="*", type=Path, metavar="VIDEO", help="one file per camera; sound alone is fine"
    )
    parser.add_argument("--keypoints", type=Path, metavar="DIR", help="2D keypoints instead of videos")
    parser.add_argument("--fps", type=frame_rate, metavar="F", help="frame rate of the keypoints, e.g. 60000/1001")
    parser.add_argument("--keypoint-set", metavar="NAME", help="where the files do not tell")
    parser.add_argument("--rig", type=Path, metavar="RIG", help="calibrated cameras: much surer from motion")
    of_what = f"of {','.join(METHODS)}; default: {','.join(USUAL)}, of keypoints motion"
    parser.add_argument("--methods", metavar="LIST", help=of_what)
    parser.add_argument("--clap-at", type=point3, metavar="X,Y,Z", help="the claps were here (metres); needs --rig")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON with the clocks")


def run(args: argparse.Namespace, ui: Ui) -> Result:
    """Gather, compare, fuse, write."""
    methods = _methods(args)
    import numpy as np

    from calibration.failed import mark_in
    from calibration.files import read_rig_file
    from mocap.core.jsontext import write_json
    from mocap.sync.picture import write_picture
    from mocap.sync.synchronise import synchronise
    from sessions.outputs import is_good

    writable_folder(args.out.absolute().parent)
    file = None if args.rig is None else read_rig_file(args.rig)
    rig = None if file is None else file.rig
    clap = None if args.clap_at is None else np.array(args.clap_at)
    found: list[Diagnostic] = [] if file is None else mark_in(file.diagnostics)
    if args.keypoints is not None:
        sources = _from_keypoints(args, rig, found, ui)
    else:
        sources = _from_files(args, rig, clap, methods, found, ui)
    result = synchronise(sources, ui.progress)
    found += result.diagnostics
    data = {**result.to_json(), "diagnostics": [d.to_json() for d in found]}
    write_json(args.out, data)
    picture = args.out.with_suffix(".svg")
    write_picture(picture, result)
    text = f"{_text(data)}\nwritten: {args.out}, {picture}"
    return Result(data, text, quality_ok=is_good(found))


def _methods(args: argparse.Namespace) -> list[str]:
    asked = args.methods if args.methods is not None else ",".join(USUAL if args.keypoints is None else ("motion",))
    methods = list(dict.fromkeys(m.strip() for m in asked.split(",") if m.strip()))
    unknown = [m for m in methods if m not in METHODS]
    if unknown or not methods:
        what = f"unknown {', '.join(unknown)}" if unknown else "none is named"
        raise UsageError("usage", f"--methods: {what}", f"Use one or more of {', '.join(METHODS)}, with commas.")
    if (args.keypoints is None) == (not args.videos):
        raise UsageError("usage", "expected either VIDEO files or --keypoints DIR", "Run `mocap sync --help`.")
    if args.keypoints is not None and methods != ["motion"]:
        without = ", ".join(m for m in methods if m != "motion")
        message = f"--methods {args.methods}: keypoints say nothing of {without}; they are compared by motion alone"
        raise UsageError("usage", message, "Leave --methods out, or give the VIDEO files instead of --keypoints.")
    if args.keypoints is not None and args.fps is None:
        raise UsageError("usage", "--keypoints needs --fps", "Give the frame rate, e.g. --fps 60.")
    if args.clap_at is not None and (args.rig is None or args.keypoints is not None):
        raise UsageError("usage", "--clap-at needs VIDEO files and --rig", "Give the calibrated cameras with --rig.")
    return methods


def _from_keypoints(args: argparse.Namespace, rig: CameraRig | None, found: list[Diagnostic], ui: Ui) -> Sources:
    from mocap.pose2d.files import find_sources, read_keypoints
    from mocap.sync.synchronise import Sources

    if rig is not None:
        names = rig.names
    else:
        names = tuple(re.sub(r"[_\-. ]*json$|\.(json|csv)$", "", n) or n for n in find_sources(args.keypoints, 0))
    files = read_keypoints(args.keypoints, names, args.fps, args.keypoint_set, ui.progress, may_lack=True)
    found += files.diagnostics
    views = files.detections
    if rig is not None:
        from calibration.match import map_keypoints, not_corrected

        views = map_keypoints(rig.cameras, views)
        found += not_corrected(views)
    return Sources(tuple(views), views=views, rig=rig, methods=("motion",), frame_s=float(1 / Fraction(args.fps)))


def _from_files(
    args: argparse.Namespace, rig: CameraRig | None, clap: Any, methods: list[str], found: list[Diagnostic], ui: Ui
) -> Sources:
    from mocap.core.progress import track
    from mocap.media.camera_assignment import SoundFile, assign_cameras, name_cameras
    from mocap.media.chapters import whole_recordings
    from mocap.sync.synchronise import Sources

    given = [chapters[0] for chapters in whole_recordings(args.videos)]
    probed = [_probed(f) for f in track(given, ui.progress, "Reading files", len(given))]
    if rig is None:
        named: Mapping[str, VideoInfo | SoundFile] = name_cameras(probed)
    else:
        assigned = assign_cameras(rig.names, probed)
        found += assigned.diagnostics
        named = assigned.cameras
    files = {c: r.path for c, r in named.items()}
    infos = {c: None if isinstance(r, SoundFile) else r for c, r in named.items()}
    found += [d for i in infos.values() if i is not None for d in i.diagnostics]
    views = None
    if "motion" in methods:
        views = _detected(files, infos, rig, found, ui)
    sounds: Sounds | None = None
    if "audio" in methods:
        from mocap.media.audio import Sounds, read_audio, recording_sound

        sounds = Sounds(
            {
                c: partial(read_audio, f) if (info := infos[c]) is None else partial(recording_sound, info)
                for c, f in files.items()
            }
        )
    more: list[Evidence] = []
    if "timecode" in methods:
        from mocap.sync.timecode import timecode_evidence

        more += timecode_evidence({c: None if i is None else i.timecode for c, i in infos.items()})
    if "gps" in methods:
        from mocap.media.telemetry import read_telemetry
        from mocap.sync.gps import gps_evidence

        telemetry = {c: read_telemetry(files[c], (), i.start_s) for c, i in infos.items() if i is not None}
        more += gps_evidence({c: None if t is None else t.gps for c, t in telemetry.items()})
    if "flash" in methods:
        more += _flashes(files, infos, ui)
    rates = [float(i.fps) for i in infos.values() if i is not None]
    return Sources(tuple(files), sounds, views, rig, clap, more, methods, 1 / max(rates, default=60.0))


def _flashes(files: dict[str, Path], infos: dict[str, VideoInfo | None], ui: Ui) -> list[Evidence]:
    """Return what flashes in the videos say; every frame is decoded."""
    from mocap.core.progress import track
    from mocap.media.decode import frames
    from mocap.sync.flash import find_flashes, flash_evidence, mean_brightness

    seen = {}
    for c, info in track(infos.items(), ui.progress, "Looking for flashes", len(infos)):
        if info is not None:
            seen[c] = find_flashes(*mean_brightness((f.time_s, f.rgb) for f in frames(files[c], info)))
    return flash_evidence(seen)


def _probed(file: Path) -> VideoInfo | SoundFile:
    """Return what a file is, which may be sound only."""
    from mocap.core.errors import InputError
    from mocap.media.camera_assignment import SoundFile
    from mocap.media.probe import probe

    try:
        return probe(file)
    except InputError as error:
        if error.code == "video-no-picture":
            return SoundFile(file)
        raise


def _detected(
    files: dict[str, Path], infos: dict[str, VideoInfo | None], rig: CameraRig | None, found: list[Diagnostic], ui: Ui
) -> dict[str, Any] | None:
    """Return 2D keypoints of the files that have pictures, in the rig's pixels where there is one, at middle rows."""
    pictures = {c: i for c, i in infos.items() if i is not None}
    if len(pictures) < 2:
        return None
    from mocap.pose2d.estimator import detect_videos
    from mocap.pose2d.models import make_estimator

    model = make_estimator("auto", ui.progress)
    seen = detect_videos({c: files[c] for c in pictures}, model, infos=pictures, progress=ui.progress)
    for d in seen.values():
        found += d.diagnostics
    from calibration.match import fit_footage, fit_video, not_corrected

    fits = {c: fit_video(c, i) if rig is None else fit_footage(rig[c], i) for c, i in pictures.items()}
    views = {c: fits[c].map(d) for c, d in seen.items()}
    found += [d for f in fits.values() for d in f.diagnostics] + not_corrected(views)
    return views


def _text(data: dict[str, Any]) -> str:
    lines = [f"reference: {data['reference']} (offset 0, drift 0)"]
    for name, m in data["cameras"].items():
        if name != data["reference"]:
            share = ", ".join(f"{s} {v:.0%}" for s, v in m["share"].items())
            lines.append(
                f"{name}: {m['offset_s']:+.5f} s, {m['drift_ppm']:+.1f} ppm, within {m['sigma_s'] * 1e3:.2f} ms (1 sd)"
                f" from {share}"
            )
    lines += finding_lines(data["diagnostics"])
    return "\n".join(lines)
