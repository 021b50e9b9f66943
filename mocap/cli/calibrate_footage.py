"""What the calibrating verbs share: which file is which camera, and which lens belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.cli.calibrate_output import VIDEO_SUFFIXES
from mocap.cli.ui import UsageError
from mocap.core.errors import InputError

if TYPE_CHECKING:
    from calibration.lens_prior import LensPrior
    from mocap.core.camera import Camera, Intrinsics
    from mocap.core.diagnostics import Diagnostic

BOARD_HELP = (
    "charuco:COLUMNSxROWS:square=M:marker=M:dict=NAME[:inverted][:legacy], chessboard:7x4:square=M (inner corners), "
    "aprilgrid:6x6:marker=M:gap=M, aruco:3x4:marker=M:gap=M:dict=NAME; lengths in metres"
)


def videos_by_camera(videos: Sequence[Path]) -> dict[str, Path]:
    """Return videos by camera name: the file's, or its folder's where all files have one name (gp1/board.mp4).

    Raises: UsageError two-videos-one-camera.
    """
    names = [v.stem for v in videos]
    if len(set(names)) < len(names):
        folders = [v.resolve().parent.name for v in videos]
        names = folders if len(set(folders)) == len(folders) else names
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(
            "two-videos-one-camera",
            f"Two videos would be camera {', '.join(twice)}: a camera is named after its file.",
            "Rename one of the files.",
        )
    return dict(zip(names, videos, strict=True))


def expanded(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return files, with folders replaced by the files of these kinds in them, in natural order."""
    from mocap.core.camera_names import natural_key

    out: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [f for f in path.iterdir() if f.suffix.lower() in suffixes]
            out += sorted(inside, key=lambda f: natural_key(f.name))
        else:
            out.append(path)
    return out


def footage(paths: Sequence[Path]) -> dict[str, Path]:
    """Return videos by camera; a folder stands for the videos in it."""
    return videos_by_camera(expanded(paths, VIDEO_SUFFIXES))


def given_lenses(
    texts: Sequence[str], sizes_px: Mapping[str, tuple[int, int]], videos: Mapping[str, Path]
) -> tuple[dict[str, Intrinsics | LensPrior], dict[str, float | None], list[Diagnostic]]:
    """Return lens by camera from `--lens` options: files are held as they are, GoPro presets are refined.

    With them come the read-out times that the files have, by camera, and what was found.

    `gopro:auto` is the preset of the model and mode that a camera wrote into its video. One option serves all cameras,
    unless it is a file that names them; several belong to the cameras in order, or by the names in the files.

    Raises: InputError lens-count, lens-size, and what `read_rig`, `gopro_lens` and `recorded_lens` raise.
    """
    from mocap.core.camera_names import normal_name

    if not texts:
        return {}, {}, []
    keys = {normal_name(c): c for c in sizes_px}
    named: dict[str, Intrinsics | LensPrior] = {}
    readouts_s: dict[str, float | None] = {}
    read = [_entries(t) for t in texts]
    entries, notes = [cameras for cameras, _ in read], [d for _, marks in read for d in marks]
    in_files = {normal_name(n): camera for e in entries for n, camera in e.items()}
    if len(in_files.keys() & keys.keys()) == len(keys):
        named = {c: in_files[k].intrinsics for k, c in keys.items()}
        readouts_s = {c: in_files[k].readout_s for k, c in keys.items()}
    else:
        chosen = list(texts) * len(sizes_px) if len(texts) == 1 else list(texts)
        if len(chosen) != len(sizes_px) or any(len(e) > 1 for e in entries):
            listing = ", ".join(sorted(n for e in entries for n in e)) or ", ".join(texts)
            raise InputError(
                "lens-count",
                f"{len(texts)} lenses ({listing}) do not belong to the {len(sizes_px)} cameras {', '.join(sizes_px)}.",
                "Give one --lens for all cameras, one for each in their order, or files that name the cameras.",
            )
        for (camera, size_px), text in zip(sizes_px.items(), chosen, strict=True):
            named[camera], readouts_s[camera], found = _one(text, size_px, videos[camera])
            notes += [d for d in found if d not in notes]
    for camera, lens in named.items():
        _check_size(camera, lens, sizes_px[camera])
    return named, readouts_s, notes


def _entries(text: str) -> tuple[dict[str, Camera], list[Diagnostic]]:
    """Return the cameras of a file by name, none for a preset, and what marks it as of a calibration that failed."""
    if text.startswith("gopro:"):
        return {}, []
    from calibration.failed import mark_in
    from calibration.files import read_rig_file

    file = read_rig_file(Path(text))
    return {c.name: c for c in file.rig.cameras}, mark_in(file.diagnostics)


def _one(
    text: str, size_px: tuple[int, int], video: Path
) -> tuple[Intrinsics | LensPrior, float | None, list[Diagnostic]]:
    if not text.startswith("gopro:"):
        camera = next(iter(_entries(text)[0].values()))
        return camera.intrinsics, camera.readout_s, []
    from calibration.gopro import gopro_lens, recorded_lens
    from calibration.lens_prior import LensPrior

    preset = gopro_lens(recorded_lens(video) if text == "gopro:auto" else text, size_px)
    return LensPrior(preset.intrinsics, preset.sd), None, list(preset.diagnostics)


def _check_size(camera: str, lens: Intrinsics | LensPrior, size_px: tuple[int, int]) -> None:
    from mocap.core.camera import Intrinsics

    intrinsics = lens if isinstance(lens, Intrinsics) else lens.intrinsics
    if tuple(intrinsics.size_px) != tuple(size_px):
        got, has = (f"{w}x{h}" for w, h in (intrinsics.size_px, size_px))
        raise InputError(
            "lens-size",
            f"The lens given for {camera} was calibrated at {got} pixels, its video has {has}.",
            "Give a lens calibrated at the video's size and lens mode.",
        )
