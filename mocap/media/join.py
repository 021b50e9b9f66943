"""The chapters of a recording as one video: times that go on from file to file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.media.gopro_facts import join_facts
from mocap.media.rates import frame_rate
from mocap.media.video_info import Chapter, VideoInfo

_TIMING_CODES = {
    "video-variable-rate",
    "video-rate-changes",
    "video-frames-dropped",
    "chapter-not-first",
}


def join(parts: Sequence[VideoInfo]) -> VideoInfo:
    """Return files that follow each other without a gap as one recording. Raises InputError chapters-differ."""
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        _check_alike(first, part)
    period = round(1 / (first.fps * first.time_base))
    chapters: list[Chapter] = []
    pts: list[np.ndarray] = []
    start = int(first.pts[0])
    for part in parts:
        shift = start - int(part.pts[0])
        chapters.append(Chapter(part.path, part.n_frames, shift))
        pts.append(part.pts + shift)
        start = int(pts[-1][-1]) + period
    joined = np.concatenate(pts)
    fps, is_variable, found = frame_rate(joined, first.time_base, first.nominal_fps, first.path.name)
    # What concerns the times is said once, of the whole.
    kept = [d for part in parts for d in part.diagnostics if d.code not in _TIMING_CODES]
    return replace(
        first,
        fps=fps,
        n_frames=len(joined),
        time_s=(joined - joined[0]) * float(first.time_base),
        pts=joined,
        is_variable_rate=is_variable,
        has_audio=any(p.has_audio for p in parts),
        diagnostics=(*kept, *found, *_timecode_gaps(parts)),
        chapters=tuple(chapters),
        gopro=join_facts([p.gopro for p in parts if p.gopro is not None]),
    )


def _check_alike(first: VideoInfo, part: VideoInfo) -> None:
    facts = {
        "size": (f"{first.width_px}x{first.height_px}", f"{part.width_px}x{part.height_px}"),
        "codec": (first.codec, part.codec),
        "turn": (first.rotation_deg, part.rotation_deg),
        "time base": (first.time_base, part.time_base),
        "nominal rate": (first.nominal_fps, part.nominal_fps),
        "camera": tuple(i.gopro.serial if i.gopro is not None else None for i in (first, part)),
    }
    differing = [f"{what} {a} and {b}" for what, (a, b) in facts.items() if a != b]
    if differing:
        raise InputError(
            "chapters-differ",
            f"{part.path} is named as a chapter of {first.path.name}, but it is another recording: "
            f"{'; '.join(differing)}.",
            "Move files of other recordings to another folder.",
        )


def _timecode_gaps(parts: Sequence[VideoInfo]) -> list[Diagnostic]:
    """Return a finding for each chapter whose own timecode does not continue that of the one before."""
    found: list[Diagnostic] = []
    for before, after in itertools.pairwise(parts):
        a, b = before.timecode, after.timecode
        if a is None or b is None or a.frame_number == b.frame_number:
            continue  # Cameras that repeat the first label in every chapter tell nothing.
        missing = b.frame_number - a.frame_number - before.n_frames
        if abs(missing) > 1 and b.frame_number != parts[0].timecode.frame_number:  # pyright: ignore[reportOptionalMemberAccess]
            found.append(
                Diagnostic(
                    "chapter-gap",
                    Severity.WARNING,
                    f"{after.path.name}: its timecode is {missing:+d} frames from where {before.path.name} ends; "
                    "the chapters are joined without a gap.",
                    {"frames": missing},
                )
            )
    return found
