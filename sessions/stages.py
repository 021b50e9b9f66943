"""The stage functions and the literal tables that are made of them.

From footage:        footage -> fit -> keypoints -> times -> views -> identity -> refine -> preview -> recrop -> edits
                     -> cameras -> points -> solve
From keypoint files: views -> identity -> refine -> edits -> cameras -> points -> solve
Causal preview:      views -> identity -> refine -> edits -> causal -> solve

A value flows from row to row by name; a row is recomputed only when something it reads changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from calibration.refine import RefineResult, refine_extrinsics
from mocap.analysis.gates import quality_gates
from mocap.core.arrays import frozen
from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, Source
from mocap.core.observations import common_timeline
from mocap.core.performer import PerformerProfile, performer_from_json
from mocap.core.progress import Progress
from mocap.core.take import PointsResult, SolvedTake
from mocap.core.timeline import Timeline, TimeMap
from mocap.pose2d.assemble import assemble
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.tracking.performer import choose_performer
from sessions.bias import rig_bias
from sessions.camera_solve import SolvedCameras, solve_cameras
from sessions.clock_stage import find_clocks, settled
from sessions.edits import BY_HAND, apply_edits, edited_clocks, placed_by_hand, trimmed
from sessions.footage_stages import PixelFit, detect, fit_pixels, gain, probe_video, recrop
from sessions.preview_take import PreviewedTake, preview_take
from sessions.runner import Config, Stage

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Clocks:
    """The cameras' clocks in master time, and the rate of the result."""

    fps: Fraction
    maps: Mapping[str, TimeMap]
    """By camera; one that is missing keeps its own clock."""
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, eq=False)
class Performer:
    """The one person whose motion is wanted."""

    detections: Keypoints2D
    index: np.ndarray
    """[camera frame] which of the camera's detections it is; -1 where it is none."""
    diagnostics: tuple[Diagnostic, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", frozen(self.index, np.int64, self.detections.time_s.shape, "index"))


def timeline_of(detections: Keypoints2D, fps: Fraction) -> Timeline:
    """Return the instants from the first to the last that two cameras see, k / fps after the first.

    Raises:
        InputError: `no-common-time` when no two cameras run at the same time.
    """
    timeline = common_timeline(detections.time_s, fps)
    if timeline.n_frames:
        return timeline
    raise InputError(
        "no-common-time",
        f"No two of the cameras {', '.join(detections.camera_names)} have frames at the same time.",
        "Check that the recordings belong to one take, and the offsets if you gave any.",
    )


def _clocks(inputs: Inputs, _config: Config, progress: Progress) -> Clocks:
    maps, found = find_clocks(inputs, progress)
    return Clocks(max(info.fps for info in inputs["footage"].values()), maps, found)


def _times(inputs: Inputs, _config: Config, _progress: Progress) -> Clocks:
    clocks: Clocks = inputs["clocks"]
    maps, by_hand = edited_clocks(clocks.maps, inputs["clock_corrections"])
    set_by_hand = [c for c, m in maps.items() if BY_HAND in m.methods]
    return replace(clocks, maps=maps, diagnostics=(*settled(clocks.diagnostics, set_by_hand), *by_hand))


def _views(inputs: Inputs, _config: Config, _progress: Progress) -> Keypoints2D:
    return _assembled(inputs["keypoints"], inputs.get("fit"), inputs["times"])


def _assembled(keypoints: Mapping[str, Any], fit: Mapping[str, PixelFit] | None, clocks: Clocks) -> Keypoints2D:
    """Return all cameras' detections in the calibration's pixels and in master time."""
    mapped = keypoints if fit is None else {c: fit[c].map(d) for c, d in keypoints.items()}
    return assemble(mapped, clocks.maps)


def _identity(inputs: Inputs, config: Config, _progress: Progress) -> Performer:
    views: Keypoints2D = inputs["views"]
    choice = choose_performer(views, inputs["rig"], config["subject_at"])
    return Performer(views.person(choice.index), choice.index, tuple(choice.diagnostics))


def _refine(inputs: Inputs, config: Config, progress: Progress) -> RefineResult:
    rig: CameraRig = inputs["rig"]
    if config["refine_rig"]:
        return refine_extrinsics(rig, inputs["identity"].detections, progress=progress)
    return RefineResult(rig, False, {}, {}, {}, ())


def _preview(inputs: Inputs, config: Config, progress: Progress) -> PointsResult | None:
    """Return a first reconstruction, which says where each camera should look again."""
    if not config["recrop"]:
        return None
    seen: Keypoints2D = inputs["identity"].detections
    return reconstruct_points(seen, inputs["refine"].rig, timeline_of(seen, inputs["times"].fps), progress)


def _edits(inputs: Inputs, _config: Config, _progress: Progress) -> Keypoints2D:
    seen: Keypoints2D = inputs["identity"].detections
    again = inputs.get("recrop")
    if again is not None and all(d is not None for d in again.values()):
        seen = _assembled(again, inputs["fit"], inputs["times"])
    return apply_edits(seen, inputs["corrections"], inputs.get("fit"))


def _cameras(inputs: Inputs, config: Config, progress: Progress) -> SolvedCameras:
    """Return rig and clocks solved together with the skeleton, where that is wanted."""
    rig: CameraRig = inputs["refine"].rig
    if not config["solve_for"]:
        return SolvedCameras(rig, False, {})
    seen: Keypoints2D = inputs["edits"]
    timeline = trimmed(timeline_of(seen, inputs["times"].fps), inputs["corrections"])
    unknowns = tuple(config["solve_for"].split(","))
    return solve_cameras(rig, seen, timeline, unknowns, _known_performer(config), progress)


def _points(inputs: Inputs, _config: Config, progress: Progress) -> PointsResult:
    cameras: SolvedCameras = inputs["cameras"]
    seen, corrections = cameras.timed(inputs["edits"]), inputs["corrections"]
    timeline = trimmed(timeline_of(seen, inputs["times"].fps), corrections)
    result = reconstruct_points(seen, cameras.rig, timeline, progress)
    source = result.points.source.copy()
    source[placed_by_hand(seen, corrections, timeline) & (source != Source.MISSING)] = Source.EDITED
    return replace(result, points=replace(result.points, source=source))


def _known_performer(config: Config) -> PerformerProfile | None:
    known: Mapping[str, Any] = config["performer"]
    return performer_from_json(known) if known else None


def _solve(inputs: Inputs, config: Config, progress: Progress) -> SolvedTake:
    return solve_take(inputs["cameras"].rig, inputs["points"], progress=progress, performer=_known_performer(config))


def _causal(inputs: Inputs, config: Config, progress: Progress) -> PreviewedTake:
    seen: Keypoints2D = inputs["edits"]
    timeline = timeline_of(seen, inputs["times"].fps)
    performer = _known_performer(config)
    return preview_take(inputs["refine"].rig, seen, timeline, progress, performer, config["latency_s"])


def _preview_gates(inputs: Inputs, _config: Config, _progress: Progress) -> tuple[Diagnostic, ...]:
    """Return the quality gates that a preview fails.

    Its points are of single frames, or late by their filter: how far they breathe and lie from the views tells nothing
    of the rig.
    """
    return tuple(d for d in quality_gates(inputs["solve"]) if d.code != "bones-unsteady")


def _bias(inputs: Inputs, _config: Config, _progress: Progress) -> tuple[Diagnostic, ...]:
    """Return the quality gates that the result fails, and what is systematically wrong with the cameras.

    A camera that disagrees pulls the result away from the good ones, so then these have no bias to speak of.
    """
    take: SolvedTake = inputs["solve"]
    # As one instant was taken what nothing confirmed and no person either: then it is a warning still.
    assumed = any(d.code == "times-assumed" and d.severity is Severity.WARNING for d in inputs["times"].diagnostics)
    gates = quality_gates(take, are_times_assumed=assumed)
    if inputs["refine"].is_refined or inputs["cameras"].is_rig_moved:
        return gates
    wrong = next((tuple(d.data["cameras"]) for d in gates if d.code == "camera-disagrees"), None)
    return (*gates, *rig_bias(take, wrong))


IDENTITY = Stage("identity", 2, ("views", "rig"), _identity, ("subject_at",), label="choosing the performer")
REFINE = Stage("refine", 5, ("identity", "rig"), _refine, ("refine_rig",), label="checking the cameras")
CAMERAS = Stage(
    "cameras",
    2,
    ("edits", "refine", "times", "corrections"),
    _cameras,
    ("solve_for", "performer"),
    label="solving the cameras with the skeleton",
)
POINTS = Stage("points", 13, ("edits", "cameras", "times", "corrections"), _points, label="reconstructing points")
SOLVE = Stage("solve", 23, ("cameras", "points"), _solve, ("performer",), label="solving the skeleton")
BIAS = Stage("bias", 5, ("solve", "refine", "cameras", "times"), _bias, label="checking the result")

FROM_FOOTAGE: tuple[Stage, ...] = (
    Stage("footage", 1, ("videos",), probe_video, each=True, label="reading the videos"),
    Stage("fit", 3, ("videos", "footage", "camera"), fit_pixels, each=True, label="fitting pixels to the calibration"),
    detect("keypoints", ("videos", "footage")),
    Stage("clocks", 10, ("videos", "footage", "fit", "keypoints", "rig"), _clocks, label="placing the clocks"),
    Stage("times", 4, ("clocks", "clock_corrections"), _times, label="applying corrections of the clocks"),
    Stage("views", 2, ("keypoints", "fit", "times"), _views, label="bringing the views together"),
    IDENTITY,
    REFINE,
    Stage("preview", 7, ("identity", "refine", "times"), _preview, ("recrop",), label="first reconstruction"),
    recrop("recrop", ("videos", "footage", "fit", "identity", "camera", "preview", "refine", "times")),
    Stage("edits", 3, ("identity", "recrop", "fit", "times", "corrections"), _edits, label="applying corrections"),
    CAMERAS,
    POINTS,
    gain("gain", ("preview", "points", "refine", "cameras")),
    SOLVE,
    BIAS,
)
"""Sources: videos (per camera), camera (per camera), rig, corrections, clock_corrections."""

FROM_KEYPOINTS: tuple[Stage, ...] = (
    Stage("views", 1, ("keypoints", "times"), _views, label="bringing the views together"),
    IDENTITY,
    REFINE,
    Stage("edits", 2, ("identity", "corrections"), _edits, label="applying corrections"),
    CAMERAS,
    POINTS,
    SOLVE,
    BIAS,
)
"""Sources: keypoints (per camera), rig, times, corrections."""

CAUSAL_FROM_KEYPOINTS: tuple[Stage, ...] = (
    *FROM_KEYPOINTS[: FROM_KEYPOINTS.index(CAMERAS)],
    Stage("causal", 2, ("edits", "refine", "times"), _causal, ("performer", "latency_s"), label="previewing"),
    Stage("solve", 1, ("causal",), lambda inputs, _config, _progress: inputs["causal"].solved),
    Stage("bias", 1, ("solve",), _preview_gates, label="checking the result"),
)
"""The same sources; every frame from what was seen up to it (`sessions.preview`)."""
