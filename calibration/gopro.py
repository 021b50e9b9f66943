"""GoPro lenses by camera model and lens mode, as priors that a board refines; and what a file says of its settings.

The table `gopro_lenses.csv` holds facts from Gyroflow's lens profiles (CC0 1.0). All of them are fisheye lenses in
OpenCV's sense (Kannala-Brandt), those of the linear mode too.
"""

from __future__ import annotations

import csv
import re
import struct
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from mocap.core.camera import Intrinsics, LensModel
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.mp4_boxes import find_box

ASPECT_TOLERANCE = 0.01
FOCAL_SD = 0.01
"""1 sd of the focal length of one camera about its profile (profiles of one setting differ by 0.3 to 1.5 %)."""
FOCAL_SD_OTHER = 0.04
"""The same where the profile is of another aspect or model."""
CENTER_SD = 0.01
"""1 sd of the principal point, as a share of the width."""
DISTORTION_SD = 0.02
_WORDS = {"w": "wide", "l": "linear", "n": "narrow", "m": "medium", "s": "superview", "x": "max lens", "h": "hyperview"}


@dataclass(frozen=True, eq=False)
class GoProLens:
    """A preset."""

    intrinsics: Intrinsics
    sd: np.ndarray
    """[9] 1 sd of fx fy cx cy and of the distortion (a fisheye has no ninth: 0)."""
    source: str
    """Whose profile it is."""
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class GoProSettings:
    """What a GoPro wrote about itself into its file."""

    model: str
    """E.g. `HERO7 Black`; empty when not stated."""
    mode: str
    """wide, linear, narrow, ...; empty when not stated."""
    stabilisation: str
    """E.g. `HS EIS`; empty when off or not stated."""
    firmware: str


@dataclass(frozen=True)
class _Row:
    model: str
    mode: str
    stabilisation: str
    size_px: tuple[int, int]
    values: tuple[float, ...]
    """fx fy cx cy as shares, k1..k4."""
    rms_px: float
    is_official: bool

    @property
    def aspect(self) -> float:
        return self.size_px[0] / self.size_px[1]

    @property
    def name(self) -> str:
        width, height = self.size_px
        return f"{self.model} {self.mode} {width}x{height}, stabilisation {self.stabilisation}"


@cache
def _table() -> tuple[_Row, ...]:
    text = resources.files("calibration").joinpath("gopro_lenses.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        _Row(
            model=row["model"],
            mode=row["mode"],
            stabilisation=row["stabilisation"],
            size_px=(int(row["width"]), int(row["height"])),
            values=tuple(float(row[k]) for k in ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4")),
            rms_px=float(row["rms_px"]),
            is_official=row["official"] == "1",
        )
        for row in csv.DictReader(lines)
    )


def gopro_lens(text: str, size_px: tuple[int, int]) -> GoProLens:
    """Return the preset for `gopro:MODEL:MODE`, e.g. `gopro:hero10:linear`, at a picture size without stabilisation.

    Where the model has no profile of the mode, that of the nearest generation is used with a wider uncertainty, and
    where none has the picture's aspect, the width decides (GoPros crop 16:9 out of the full width); both are reported.

    Raises: InputError gopro-lens-unknown.
    """
    model, mode = _parsed(text)
    width, height = max(size_px), min(size_px)
    rows = [r for r in _table() if r.mode == mode and r.model == model]
    notes: list[Diagnostic] = []
    if not rows:
        rows = _of_nearest_model(model, mode)
        if not rows:
            raise _unknown(text, model)
        notes.append(_note("gopro-lens-of-other-model", f"There is no profile of {model} {mode}", rows[0]))
    best = min(rows, key=lambda r: _distance(r, width, height))
    if abs(best.aspect / (width / height) - 1.0) > ASPECT_TOLERANCE:
        what = f"There is no profile of {model} {mode} with the aspect of {width}x{height}"
        notes.append(_note("gopro-lens-of-other-aspect", what, best))
    intrinsics = _scaled(best, size_px)
    focal_sd = FOCAL_SD_OTHER if notes else FOCAL_SD
    sd = np.zeros(9)
    sd[:2], sd[2:4], sd[4:8] = focal_sd * intrinsics.focal_px, CENTER_SD * width, DISTORTION_SD
    return GoProLens(intrinsics, sd, f"Gyroflow lens profile: GoPro {best.name}", tuple(notes))


def _parsed(text: str) -> tuple[str, str]:
    fields = [f.strip().lower() for f in text.split(":")]
    if len(fields) != 3 or fields[0] != "gopro" or not fields[1] or not fields[2]:
        raise InputError(
            "gopro-lens-unknown",
            f"{text!r} names no GoPro lens; expected gopro:MODEL:MODE, e.g. gopro:hero10:linear.",
            f"Choose a model of: {', '.join(_models())}.",
        )
    model = re.sub(r"[\s_-]|black|gopro", "", fields[1])
    mode = re.sub(r"[\s_-]+", " ", fields[2])
    modes = {r.mode for r in _table()}
    return model, mode if mode in modes else next((m for m in modes if m.replace(" ", "") == mode), mode)


def _models() -> list[str]:
    return sorted({r.model for r in _table()}, key=lambda m: (int((re.findall(r"\d+", m) or ["0"])[0]), m))


def _unknown(text: str, model: str) -> InputError:
    modes = sorted({r.mode for r in _table() if r.model == model})
    known = f"known for {model}: {', '.join(modes)}" if modes else f"known models: {', '.join(_models())}"
    return InputError(
        "gopro-lens-unknown",
        f"There is no lens profile for {text}; {known}.",
        "Name another mode or model, or calibrate the lens from a board with `mocap calibrate lens`.",
    )


def _of_nearest_model(model: str, mode: str) -> list[_Row]:
    """Return the profiles of the mode for the generation nearest to the model's, the older of two."""
    match = re.fullmatch(r"hero(\d+)", model)
    if match is None:
        return []
    generations = {int(m[1]) for r in _table() if r.mode == mode and (m := re.fullmatch(r"hero(\d{1,2})", r.model))}
    near = [g for g in generations if abs(g - int(match[1])) <= 2]
    if not near:
        return []
    chosen = min(near, key=lambda g: (abs(g - int(match[1])), g))
    return [r for r in _table() if r.mode == mode and r.model == f"hero{chosen}"]


def _distance(row: _Row, width: int, height: int) -> tuple[float, ...]:
    """Return what makes a profile less suitable, the weightiest first."""
    aspect = abs(row.aspect / (width / height) - 1.0)
    stabilised = {"off": 0, "any": 1, "on": 2, "boost": 3}[row.stabilisation]
    return (
        float(aspect > ASPECT_TOLERANCE),
        stabilised // 2,
        aspect if aspect > ASPECT_TOLERANCE else 0.0,
        float(not row.is_official),
        float(stabilised),
        abs(row.size_px[0] - width) / width,
        row.rms_px,
    )


def _scaled(row: _Row, size_px: tuple[int, int]) -> Intrinsics:
    """Return the lens at a size; a portrait picture is the landscape one turned, its axis taken as centred."""
    fx, fy, cx, cy, *distortion = row.values
    width, height = max(size_px), min(size_px)
    scale = width / row.size_px[0]
    # The height of another aspect is a crop or an extension about the middle.
    middle = np.array([cx * row.size_px[0], cy * row.size_px[1]]) - (np.array(row.size_px) - 1.0) / 2.0
    center = middle * scale + (np.array([width, height]) - 1.0) / 2.0
    focal = np.array([fx, fy]) * width
    if size_px[0] < size_px[1]:
        focal, center = focal[::-1], (np.array(size_px) - 1.0) / 2.0
    return Intrinsics(size_px, focal, center, np.array(distortion), LensModel.FISHEYE)


def _note(code: str, what: str, row: _Row) -> Diagnostic:
    return Diagnostic(
        code,
        Severity.WARNING,
        f"{what}; that of {row.name} is used with a wider uncertainty. Let a board refine it.",
        {"profile": row.name},
    )


def read_settings(video: Path) -> GoProSettings | None:
    """Return the settings that a GoPro wrote into its MP4 (`udta`, GPMF "Video Global Settings"), or None.

    Keys: github.com/gopro/gpmf-parser, section "Global settings": MINF model, VFOV lens mode, EISE and EISA
    stabilisation, FMWR firmware.
    """
    box = find_box(video, b"moov")
    if box is None:
        return None
    with video.open("rb") as stream:
        stream.seek(box[0])
        data = stream.read(min(box[1], 1 << 26))
    at = data.find(b"Video Global Settings")
    start = data.rfind(b"DEVC", 0, at)
    if at < 0 or start < 0:
        return None
    values = _klv(data[start:])
    is_on = values.get("EISE", "N").upper().startswith("Y")
    return GoProSettings(
        model=values.get("MINF", ""),
        mode=_WORDS.get(values.get("VFOV", "").lower()[:1], ""),
        stabilisation=(values.get("EISA", "") or "on") if is_on else "",
        firmware=values.get("FMWR", ""),
    )


def recorded_lens(video: Path) -> str:
    """Return the preset `gopro:MODEL:MODE` that a GoPro's file names by its own settings.

    Raises: InputError gopro-lens-unknown where it states none.
    """
    settings = read_settings(video)
    if settings is None or not settings.model or not settings.mode:
        raise InputError(
            "gopro-lens-unknown",
            f"{video.name} does not say which GoPro and lens mode filmed it.",
            "Name them, as --lens gopro:MODEL:MODE.",
        )
    return f"gopro:{settings.model.replace(' ', '').lower()}:{settings.mode}"


def _klv(data: bytes) -> dict[str, str]:
    """Return the texts of one GPMF device: key (4 bytes), type, size, repeat (big-endian), value padded to 4 bytes."""
    found: dict[str, str] = {}
    at, end = 0, len(data)
    while at + 8 <= end:
        key, kind, size, repeat = struct.unpack(">4scBH", data[at : at + 8])
        n = size * repeat
        at += 8
        if kind == b"\0":
            # A container's content follows; only the first device is read.
            end = min(end, at + n) if key == b"DEVC" else end
            continue
        if not key.isalnum():
            break
        if kind == b"c":
            found.setdefault(key.decode("latin-1"), data[at : at + n].decode("latin-1").strip("\0 "))
        at += (n + 3) // 4 * 4
    return found


def require_unstabilised(videos: dict[str, Path]) -> None:
    """Refuse footage whose file says that it was stabilised: its lens changes from frame to frame.

    Raises: InputError video-stabilised.
    """
    found = {c: s for c, v in videos.items() if (s := read_settings(v)) is not None and s.stabilisation}
    if found:
        listing = ", ".join(f"{c} ({s.model} {s.stabilisation})" for c, s in found.items())
        raise InputError(
            "video-stabilised",
            f"Electronic stabilisation was on: {listing}. It moves and warps each frame, so no calibration holds.",
            "Switch HyperSmooth (stabilisation) off on every camera and film the board and the takes again.",
        )
