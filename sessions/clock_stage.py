"""The stage that places the cameras' clocks: sound and motion of a take's footage, one clock per camera."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration.match import not_corrected
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.progress import Progress
from mocap.core.timeline import TimeMap
from mocap.media.audio import Sounds, recording_sound
from mocap.media.probe import VideoInfo
from mocap.media.telemetry import read_telemetry
from mocap.sync.gps import gps_evidence
from mocap.sync.synchronise import Sources, SyncResult, synchronise
from mocap.sync.timecode import timecode_evidence

IN_STEP_SIGMA = 2.5
"""Offsets within this many standard deviations of 0, all of them, are no reason to move anything."""
IN_STEP_FRAMES = 0.5
CONFIRM = "To confirm or correct that: `mocap edit DIR/TAKE offset CAMERA --to SECONDS` for each camera but one."
UNPLACED = ("times-assumed", "sync-camera-untied", "sync-doubtful")
"""Findings of clocks that nobody knows."""


def find_clocks(inputs: Mapping[str, Any], progress: Progress) -> tuple[dict[str, TimeMap], tuple[Diagnostic, ...]]:
    """Return a clock for every camera of a take, and what was found.

    Recordings that are in step as far as the evidence can tell stay exactly in step: files cut to one instant are
    common, and noise is no improvement. Cameras that nothing ties keep their own clock, which is said.
    """
    footage: Mapping[str, VideoInfo] = inputs["footage"]
    names = tuple(footage)
    frame_s = 1 / float(max(i.fps for i in footage.values()))
    views = {c: inputs["fit"][c].map(d) for c, d in inputs["keypoints"].items()}
    unmoved = tuple(not_corrected(views))
    sounds = _sounds(inputs["videos"], footage)
    labels = timecode_evidence({c: i.timecode for c, i in footage.items()})
    telemetry = {c: read_telemetry(inputs["videos"][c], (), i.start_s) for c, i in footage.items()}
    labels += gps_evidence({c: None if t is None else t.gps for c, t in telemetry.items()})
    sources = Sources(names, sounds, views, inputs["rig"], more=labels, frame_s=frame_s)
    try:
        result = synchronise(sources, progress)
    except InputError as error:
        message = f"{error.message} The first frames of all videos are taken as one instant. {CONFIRM}"
        found = Diagnostic("times-assumed", Severity.WARNING, message, {"cameras": list(names)})
        return {name: TimeMap() for name in names}, (found, *unmoved)
    longest_s = max(i.n_frames / float(i.fps) for i in footage.values())
    if is_in_step(result, names, frame_s, longest_s):
        worst = max(m.sigma_s for m in result.maps.values())
        message = f"The videos are in step as far as sound and motion can tell (to {worst * 1e3:.1f} ms, 1 sd)."
        found = Diagnostic("times-in-step", Severity.INFO, message, {"sigma_s": worst})
        return {n: replace(m, offset_s=0.0, drift_ppm=0.0) for n, m in result.maps.items()}, (
            found,
            *result.diagnostics,
            *unmoved,
        )
    return {n: result.maps.get(n, TimeMap()) for n in names}, (_placed(result), *result.diagnostics, *unmoved)


def settled(found: Sequence[Diagnostic], by_hand: Collection[str]) -> tuple[Diagnostic, ...]:
    """Return findings of which those are notes that a person has answered by setting the clocks of cameras."""
    out: list[Diagnostic] = []
    for d in found:
        cameras: list[str] = d.data.get("cameras", [d.data.get("camera")]) if d.code in UNPLACED else []
        # of cameras that are only known against each other one keeps its clock
        open_ones = sum(c not in by_hand for c in cameras) - (d.code == "times-assumed")
        is_settled = d.code in UNPLACED and open_ones <= 0
        out.append(replace(d, severity=Severity.INFO, message=f"{d.message} Set by a person.") if is_settled else d)
    return tuple(out)


def _sounds(videos: Mapping[str, Path], footage: Mapping[str, VideoInfo]) -> Sounds | None:
    """Return the sound of the files that have any; None where fewer than two have."""
    with_sound = [c for c, info in footage.items() if info.has_audio]
    if len(with_sound) < 2:
        return None
    return Sounds({c: partial(recording_sound, footage[c].at(videos[c])) for c in with_sound})


def is_in_step(result: SyncResult, names: Sequence[str], frame_s: float, duration_s: float = 0.0) -> bool:
    """Return whether every camera's offset is within its own doubt of 0, and within half a frame to the end."""
    if len(result.maps) < len(names):
        return False
    for m in result.maps.values():
        if abs(m.offset_s) > max(IN_STEP_SIGMA * m.sigma_s, 1e-9) or abs(m.offset_s) > IN_STEP_FRAMES * frame_s:
            return False
        if abs(m.offset_s + m.drift_ppm * 1e-6 * duration_s) > IN_STEP_FRAMES * frame_s:
            return False
    return True


def _placed(result: SyncResult) -> Diagnostic:
    offsets = {n: m.offset_s for n, m in result.maps.items() if n != result.fused.reference}
    listing = ", ".join(f"{n} {o:+.4f} s" for n, o in offsets.items())
    sigma = float(np.max([m.sigma_s for m in result.maps.values()]))
    message = f"Clocks placed against {result.fused.reference}: {listing} (to {sigma * 1e3:.1f} ms, 1 sd)."
    data = {n: {"offset_s": m.offset_s, "drift_ppm": m.drift_ppm, "sigma_s": m.sigma_s} for n, m in result.maps.items()}
    return Diagnostic("times-placed", Severity.INFO, message, {"reference": result.fused.reference, "cameras": data})
