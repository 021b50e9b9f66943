"""All sources together: evidence, one clock per camera, and what a person should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.progress import NoProgress, Progress
from mocap.core.timeline import TimeMap
from mocap.media.audio import Sound
from mocap.sync.audio import audio_evidence
from mocap.sync.clap_place import find_sound
from mocap.sync.coarse import LagScores
from mocap.sync.evidence import Evidence
from mocap.sync.fuse import USELESS_S, Fused, SoundPlace, connected, fuse
from mocap.sync.motion import motion_evidence
from mocap.sync.signals import Detected

DOUBTFUL_FRAMES = 0.5
FAILED_FRAMES = 2.0
CLAP = "Next time clap once at the start and once at the end, seen and heard by all cameras."
ALL = "Leave --methods out: all sources are then tried."
TRAVEL = "What is open is how long the sound travelled: give `mocap sync` "


@dataclass(frozen=True, eq=False)
class Sources:
    """What there is to compare. Every mapping is by camera; cameras may be missing from each."""

    camera_names: tuple[str, ...]
    sounds: Mapping[str, Sound | None] | None = None
    """None: sound is not to be used."""
    views: Mapping[str, Detected] | None = None
    """2D keypoints; with a rig in its pixels. None: motion is not to be used."""
    rig: CameraRig | None = None
    clap_m: np.ndarray | None = None
    """[3] where the claps were, in the world."""
    more: Sequence[Evidence] = ()
    """Evidence of other sources: timecode, GPS time, a person."""
    methods: Sequence[str] = ()
    """What was asked for, as people name it; where it is not given, what the other fields tell."""
    frame_s: float = 1 / 60
    """Duration of a frame, for saying what is doubtful."""


@dataclass(frozen=True, eq=False)
class SyncResult:
    """One clock per camera, and why."""

    fused: Fused
    evidence: tuple[Evidence, ...]
    diagnostics: tuple[Diagnostic, ...]
    curves: dict[str, LagScores]
    """Agreement of motion against lag."""

    @property
    def maps(self) -> dict[str, TimeMap]:
        """By camera; cameras that nothing ties to the reference are absent."""
        return self.fused.maps

    def to_json(self) -> dict[str, Any]:
        """Return the content of `sync.json`."""
        cameras = {
            name: {
                "offset_s": m.offset_s,
                "drift_ppm": m.drift_ppm,
                "sigma_s": m.sigma_s,
                "methods": list(m.methods),
                "share": self.fused.share.get(name, {}),
            }
            for name, m in self.maps.items()
        }
        return {
            "reference": self.fused.reference,
            "cameras": cameras,
            "evidence": [_evidence_json(e) for e in self.fused.used],
            "rejected": [{**_evidence_json(e), "distance_sigma": _number(d)} for e, d in self.fused.rejected],
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }


def synchronise(sources: Sources, progress: Progress | None = None) -> SyncResult:
    """Return one clock per camera from all the evidence.

    The first camera is the reference, or the first of the largest group where nothing ties it to most of the others.

    Raises: InputError sync-one-camera, sync-no-evidence.
    """
    progress = progress or NoProgress()
    names = sources.camera_names
    if len(names) < 2:
        raise InputError(
            "sync-one-camera",
            f"There is nothing to synchronise {', '.join(names) or 'no camera'} with.",
            "Give the files of two cameras or more.",
        )
    evidence, found = list(sources.more), list[Diagnostic]()
    curves: dict[str, LagScores] = {}
    positions: dict[str, np.ndarray] | None = None
    if sources.sounds is not None:
        positions = None if sources.rig is None else {c.name: c.center_world_m for c in sources.rig.cameras}
        heard, notes = audio_evidence(sources.sounds, positions, sources.clap_m)
        evidence += heard
        found += notes
    if sources.views is not None:
        seen = motion_evidence(sources.views, sources.rig, progress)
        evidence += seen.evidence
        found += seen.diagnostics
        curves = seen.curves
    useful = [e for e in evidence if e.sigma_s < USELESS_S]
    if not useful:
        raise InputError("sync-no-evidence", _nothing(sources, found), _advice(sources))
    reference = max(names, key=lambda n: (len(connected(useful, names, n)), -names.index(n)))
    sound = None if positions is None else find_sound(evidence, positions, names, reference)
    fused = fuse(evidence, names, reference, sound)
    if sound is not None:
        found = [d for d in found if d.code != "audio-travel-time"] + [_sound_found(fused, sound)]
    found += _findings(fused, sources)
    return SyncResult(fused, tuple(evidence), tuple(found), curves)


def _sound_found(fused: Fused, sound: SoundPlace) -> Diagnostic:
    known = [n for n in fused.maps if "audio" in fused.share.get(n, {})]
    x, y, z = (float(v) for v in sound.at_m)
    message = (
        f"The claps were placed at {x:.1f}, {y:.1f}, {z:.1f} m by their sound and the cameras' motion; travel time "
    )
    message += "is corrected for that, and what is open of the place is part of each camera's sigma."
    return Diagnostic("audio-clap-placed", Severity.INFO, message, {"clap_m": [x, y, z], "cameras": known})


def _tried(sources: Sources) -> list[str]:
    """Return the methods asked for, else the sources that there are."""
    there = {"audio": sources.sounds is not None, "motion": sources.views is not None}
    named = [*sources.methods] or [*dict.fromkeys(e.source for e in sources.more), *(n for n in there if there[n])]
    return ["sound" if n == "audio" else n for n in named]


def _advice(sources: Sources) -> str:
    """Return what gives evidence where there is none: a clap, but for those who did not ask for sound or motion."""
    tried = _tried(sources)
    return CLAP if not tried or {"sound", "motion"} & {*tried} else ALL


def _nothing(sources: Sources, found: Sequence[Diagnostic]) -> str:
    why = " ".join(d.message for d in found if d.code != "audio-travel-time")
    if sources.views is not None:
        why += " No two cameras see the same motion for a second or more: the clips may not overlap in time."
    tried = ", ".join(_tried(sources)) or "nothing"
    return f"Nothing ties the cameras {', '.join(sources.camera_names)} together (tried: {tried}). {why}".rstrip()


def _findings(fused: Fused, sources: Sources) -> list[Diagnostic]:
    """Return what a person should know: evidence left out, cameras that are not tied or doubtful."""
    found = [_left_out(e, d, fused) for e, d in fused.rejected]
    untied = [n for n in sources.camera_names if n not in fused.maps]
    if untied:
        found.append(
            Diagnostic(
                "sync-camera-untied",
                Severity.QUALITY,
                f"Nothing ties {', '.join(untied)} to the others: no common {' or '.join(_tried(sources))} was found. "
                + _advice(sources),
                {"cameras": untied},
            )
        )
    for name, m in fused.maps.items():
        frames = m.sigma_s / sources.frame_s
        if name != fused.reference and frames > DOUBTFUL_FRAMES:
            severity = Severity.QUALITY if frames > FAILED_FRAMES else Severity.WARNING
            advice = _travel_advice(m, sources) or _advice(sources)
            message = f"{name}: its clock is known to {m.sigma_s * 1e3:.1f} ms (1 sd), {frames:.1f} frames. {advice}"
            found.append(Diagnostic("sync-doubtful", severity, message, {"camera": name, "sigma_s": m.sigma_s}))
    return found


def _travel_advice(clock: TimeMap, sources: Sources) -> str:
    """Return what tells the travel time of sound, where a clock rests on sound whose travel time is not known."""
    if clock.methods[:1] != ("audio",) or (sources.rig is not None and sources.clap_m is not None):
        return ""
    cameras = "the calibrated cameras (--rig) and " if sources.rig is None else ""
    return f"{TRAVEL}{cameras}where the claps were (--clap-at X,Y,Z)."


def _left_out(e: Evidence, distance: float, fused: Fused) -> Diagnostic:
    """Return what to say of evidence that was left out.

    What two other sources or more contradict, or the rest of its own, is an outlier; where one source stands against
    one other, which of the two is right is not known.
    """
    data: dict[str, Any] = {
        "source": e.source,
        "cameras": [e.camera_a, e.camera_b],
        "distance_sigma": _number(distance),
    }
    lag = f"{e.label} ({e.time_a_s - e.time_b_s:+.4f} s)"
    if not np.isfinite(distance) or not {e.camera_a, e.camera_b} <= fused.maps.keys():
        message = f"{lag} was left out: nothing supports it."
        return Diagnostic("sync-evidence-rejected", Severity.WARNING, message, data)
    a, b = fused.maps[e.camera_a], fused.maps[e.camera_b]
    master_s = b.offset_s + (1 + b.drift_ppm * 1e-6) * e.time_b_s
    elsewhere_s = (master_s - a.offset_s) / (1 + a.drift_ppm * 1e-6)
    off_s = e.time_a_s - elsewhere_s
    data["difference_s"] = off_s
    by_source = {s: [u for u in fused.used if u.source == s] for s in {u.source for u in fused.used}}
    against = [s for s, mine in by_source.items() if e.camera_b in connected(mine, list(fused.maps), e.camera_a)]
    if len(against) != 1 or against[0] == e.source:
        message = (
            f"{lag} was left out: it disagrees with the rest by {distance:.1f} standard deviations, {off_s:+.4f} s."
        )
        return Diagnostic("sync-evidence-rejected", Severity.WARNING, message, data)
    other = against[0]
    message = (
        f"{e.source} and {other} contradict each other between {e.camera_a} and {e.camera_b} by {off_s:+.4f} s: "
        f"{e.source} says {e.time_a_s - e.time_b_s:+.4f} s, {other} {elsewhere_s - e.time_b_s:+.4f} s. {other} was "
        "used; nothing else says which of them is right."
    )
    return Diagnostic("sync-sources-contradict", Severity.QUALITY, message, {**data, "used": other})


def _evidence_json(e: Evidence) -> dict[str, Any]:
    return {
        "source": e.source,
        "cameras": [e.camera_a, e.camera_b],
        "time_a_s": float(e.time_a_s),
        "time_b_s": float(e.time_b_s),
        "rate_ppm": float(e.rate_ppm),
        "sigma_s": float(np.hypot(e.sigma_s, np.sqrt(2) * e.bias_s)),
        "sigma_rate_ppm": _number(e.sigma_rate_ppm),
        **e.detail,
    }


def _number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if np.isfinite(value) else None
