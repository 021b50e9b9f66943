"""Running the pipeline: a take of a session with stored artifacts, or keypoint files in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from calibration.files import RigFile, read_rig_file
from calibration.match import check_inside, map_keypoints
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic
from mocap.core.errors import InputError
from mocap.core.performer import read_performer
from mocap.core.progress import Progress
from mocap.core.take import SolvedTake
from mocap.core.timeline import TimeMap
from mocap.pose2d.detections import CameraDetections
from sessions.cameras import match_recordings, recording_key
from sessions.codec import encode
from sessions.config import defaults
from sessions.edits import CLOCK_OPS, read_edits
from sessions.folder import Session, Take
from sessions.lock import take_lock
from sessions.runner import Node, RunResult, run_stages, source, source_items
from sessions.stages import CAUSAL_FROM_KEYPOINTS, FROM_FOOTAGE, FROM_KEYPOINTS, Clocks
from sessions.store import content_key


@dataclass(frozen=True, eq=False)
class Processed:
    """A solved take with everything that reports and exports say about it."""

    solved: SolvedTake
    run: RunResult
    videos: Mapping[str, Path]
    """Footage by camera; empty when the take came from keypoint files."""
    diagnostics: tuple[Diagnostic, ...]
    """Findings of all stages, in order."""

    @property
    def pixel_maps(self) -> dict[str, np.ndarray]:
        """[2 3] maps from the calibration's pixels to the video's, by camera; empty without footage."""
        if "fit" not in self.run.nodes:
            return {}
        return {name: np.asarray(fit.video_from_calibration) for name, fit in self.run["fit"].items()}

    @property
    def preview_figures(self) -> dict[str, Any] | None:
        """How a causal preview was made; None for the solve of a whole take."""
        return self.run["causal"].figures if "causal" in self.run.nodes else None

    @property
    def refine_figures(self) -> dict[str, Any]:
        """Reprojection per camera before and after the cameras were corrected; empty when they were not looked at."""
        result = self.run["refine"]
        if not result.before:
            return {}
        return {
            "is_refined": result.is_refined,
            "before": {n: c.median_px for n, c in result.before.items()},
            "after": {n: c.median_px for n, c in result.after.items()},
            **dict(result.summary),
        }


def threads_for(n_cameras: int) -> int:
    """Return how many cameras to work on at once on this machine."""
    return max(1, min(n_cameras, os.cpu_count() or 1))


def load_rig(session: Session) -> RigFile:
    """Return the session's rig with its findings. Raises InputError `session-no-rig`, and what `read_rig` raises."""
    if not session.rig_file.is_file():
        raise InputError(
            "session-no-rig",
            f"{session.folder} has no calibrated cameras yet.",
            f"Add them with `mocap import {session.folder} --rig RIG`.",
        )
    return read_rig_file(session.rig_file)


def take_sources(session: Session, take: Take) -> tuple[dict[str, Node], tuple[Diagnostic, ...]]:
    """Return what the footage table starts from, and what was found about the rig and in matching videos to cameras.

    Raises:
        InputError: `video-missing`, `chapter-missing`, and what `match_cameras` raises when rig and videos do not
            belong together.
    """
    rig_file = load_rig(session)
    recordings, found = match_recordings(rig_file.rig.names, take)
    rig = rig_file.rig.in_order(list(recordings))
    keys = {camera: recording_key(camera, recording) for camera, recording in recordings.items()}
    rig_key = _value_key(rig)
    edits = read_edits(take.edits_file)
    # Apart, so that other corrections do not place the clocks again.
    clocks = [e for e in edits if e.op in CLOCK_OPS]
    others = [e for e in edits if e.op not in CLOCK_OPS]
    sources = {
        "videos": source_items({c: r.path for c, r in recordings.items()}, keys),
        "camera": source_items({c.name: c for c in rig.cameras}, {c.name: _value_key(c) for c in rig.cameras}),
        "rig": Node(rig, rig_key),
        "corrections": source(others, [(e.op, dict(e.args)) for e in others]),
        "clock_corrections": source(clocks, [(e.op, dict(e.args)) for e in clocks]),
    }
    return sources, (*rig_file.diagnostics, *found)


def settings_of(session: Session, take: Take, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all options of a take: the defaults, its own, and `more`; the performer's name becomes his profile.

    The take that a profile was found in is solved without it, so that solving it again changes nothing. Raises
    InputError `performer-invalid`.
    """
    config = _asked(take, more)
    file = _profile_file(session, config["performer"])
    profile = read_performer(file) if file is not None and file.is_file() else None
    config["performer"] = None if profile is None or profile.origin == take.name else profile.to_json()
    return config


def _asked(take: Take, more: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all options of a take as people give them."""
    return {**defaults(), **take.config, **(more or {})}


def _profile_file(session: Session, performer: str) -> Path | None:
    """Return the file that holds, or shall hold, what is known of a performer."""
    return session.folder / "performers" / f"{performer}.json" if performer else None


def process_take(
    session: Session,
    take: Take,
    progress: Progress,
    *,
    settings: Mapping[str, Any] | None = None,
    recompute_from: str | None = None,
) -> Processed:
    """Run what is not up to date, keep the results, and return the solved take.

    Raises:
        InputError: `take-busy`, `unknown-stage`, and whatever the footage or the rig is wrong about.
        Cancelled: From `progress`; stages that were finished stay.
    """
    with take_lock(take.folder):
        store = take.store
        store.sweep()
        sources, found = take_sources(session, take)
        config = settings_of(session, take, settings)
        profile_file = _profile_file(session, _asked(take, settings)["performer"])
        threads = threads_for(len(take.videos))
        run = run_stages(
            FROM_FOOTAGE, sources, config, progress, store=store, threads=threads, recompute_from=recompute_from
        )
        if profile_file is not None and not profile_file.exists() and run["solve"].performer is not None:
            replace(run["solve"].performer, origin=take.name).write(profile_file)
    return Processed(run["solve"], run, run["videos"], (*found, *findings(run)))


def process_keypoints(
    rig: CameraRig,
    keypoints: Mapping[str, CameraDetections],
    fps: Fraction,
    time_maps: Mapping[str, TimeMap],
    progress: Progress,
    *,
    settings: Mapping[str, Any] | None = None,
    latency_s: float | None = None,
) -> Processed:
    """Run the pipeline on 2D keypoints in memory; nothing is stored.

    With a latency it is the causal preview (`sessions.preview`), whose figures are in `Processed.preview_figures`;
    read-out times are not corrected then, because that looks ahead.

    Raises: InputError `keypoints-outside-picture`, and whatever the keypoints are wrong about; ValueError when a
    preview is asked for what only the whole take can tell.
    """
    check_inside(rig, keypoints)
    is_causal = latency_s is not None
    config = {**defaults(), "refine_rig": False, **(settings or {}), "latency_s": latency_s}
    if is_causal and (config["refine_rig"] or config["solve_for"]):
        raise ValueError("a causal preview cannot correct cameras from the whole take")
    rig = rig.with_readouts(dict.fromkeys(rig.names)) if is_causal else rig
    seen = map_keypoints(rig.cameras, keypoints)
    sources = {
        "keypoints": source_items(seen, dict.fromkeys(seen)),
        "rig": source(rig, None),
        "times": source(Clocks(fps, dict(time_maps)), None),
        "corrections": source([], None),
    }
    run = run_stages(CAUSAL_FROM_KEYPOINTS if is_causal else FROM_KEYPOINTS, sources, config, progress)
    return Processed(run["solve"], run, {}, findings(run))


def findings(run: RunResult) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of all stages in order, each once."""
    out: dict[str, Diagnostic] = {}
    # What the first pass of detection found about itself no longer matters where a second one took its place.
    again = run.nodes["recrop"].value if "recrop" in run.nodes else None
    is_superseded = bool(again) and all(d is not None for d in again.values())
    for name, node in run.nodes.items():
        for found in _diagnostics(node.value if name != "rig" else None):
            if name == "keypoints" and is_superseded and found.code == "sides-exchanged":
                continue
            out.setdefault(f"{found.code} {found.message}", found)
    if any(d.code == "camera-disagrees" for d in out.values()):
        # Such a camera pulls the result away from the good ones: a shift seen in these says nothing about them.
        return tuple(d for d in out.values() if d.code != "rig-stale")
    return tuple(out.values())


def _diagnostics(value: Any) -> list[Diagnostic]:
    if isinstance(value, Diagnostic):
        return [value]
    if isinstance(value, Mapping):
        return [d for v in cast("Mapping[Any, Any]", value).values() for d in _diagnostics(v)]
    if isinstance(value, list | tuple):
        return [v for v in cast("Sequence[Any]", value) if isinstance(v, Diagnostic)]
    return list(getattr(value, "diagnostics", ()))


def _value_key(value: Any) -> str:
    tree, arrays = encode(value)
    return content_key(tree, {name: array.tolist() for name, array in arrays.items()})
