"""The preview of a recorded take: its frames one after another, as a solved take that exports and reports can hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Keypoints2D, KeypointSet, Points3D, Source
from mocap.core.limbs import limb_pairs, stretches
from mocap.core.performer import PerformerProfile
from mocap.core.progress import Progress
from mocap.core.skeleton import Motion
from mocap.core.take import SolvedTake
from mocap.core.timeline import Timeline
from mocap.kernels.rotations import quat_continuous
from mocap.solve.causal import WINDOW_S
from mocap.solve.contacts import CONTACT_JOINTS
from mocap.solve.evidence import judge_take
from mocap.solve.pose import Pose, bind_pose, joined
from mocap.solve.rig import skeleton_of
from mocap.solve.running_shape import SHAPE_AT_S
from mocap.solve.shape import Shape, reference_shape
from sessions.preview import Following, Preview, PreviewFrame, arriving

PROGRESS_FRAMES = 60


@dataclass(frozen=True, eq=False)
class PreviewedTake:
    """A previewed take, and what the report says of it."""

    solved: SolvedTake
    figures: dict[str, Any]
    """JSON-serialisable."""


def preview_take(
    rig: CameraRig,
    detections: Keypoints2D,
    timeline: Timeline,
    progress: Progress,
    performer: PerformerProfile | None = None,
    latency_s: float = 0.0,
) -> PreviewedTake:
    """Return what the preview shows of one person's recorded detections.

    The skeleton is that of the last shape; frames without a body keep the last pose (before the first: the T-pose at
    the origin) in the motion, while their keypoints are unknown. The judgement of detections is made when all is over.
    """
    preview = Preview(rig, detections.keypoint_set, timeline.fps, timeline.start_s, performer, latency_s)
    frames, ms = _shown(preview, detections, timeline, progress)
    points, keypoints = _points(frames, detections.keypoint_set), _keypoints(frames, detections.keypoint_set)
    shapes = _shapes(frames)
    shape = shapes[-1][1] if shapes else reference_shape(1.0)
    pose = _poses(frames)
    none = np.zeros((*detections.time_s.shape, len(limb_pairs(detections.keypoint_set))), bool)
    evidence = judge_take(rig, detections, none, timeline, keypoints)
    figures: dict[str, Any] = {
        "mode": "preview",
        "latency_ms": round(preview.lag / float(timeline.fps) * 1e3, 3),
        "window_s": WINDOW_S,
        "shape": "profile" if performer is not None else "estimated",
        "shape_changed_s": [round(time_s, 4) for time_s, _ in shapes[1:]],
        "frames": {f.value: sum(frame.following is f for frame in frames) for f in Following},
        "ms_a_frame": _times(ms),
    }
    solved = SolvedTake(
        subject="subject_0",
        rig=rig,
        detections=evidence.detections,
        points=points,
        keypoints=keypoints,
        motion=Motion(skeleton_of(shape), timeline, pose.root_m, quat_continuous(pose.rig_local_wxyz())),
        inlier_probability=evidence.inlier_probability,
        contact_names=CONTACT_JOINTS,
        contact=np.array([np.zeros(len(CONTACT_JOINTS), bool) if f.body is None else f.body.contact for f in frames]),
        rejected=evidence.rejected,
        diagnostics=_findings(frames, figures, timeline),
        exchanged=evidence.exchanged,
    )
    return PreviewedTake(solved, figures)


def _shown(
    preview: Preview, detections: Keypoints2D, timeline: Timeline, progress: Progress
) -> tuple[list[PreviewFrame], np.ndarray]:
    """Return the frames of the timeline, and the processor time of each that was pushed in milliseconds."""
    frames: list[PreviewFrame] = []
    ms: list[float] = []
    longer = replace(timeline, n_frames=timeline.n_frames + preview.lag)
    progress.start("Previewing", -(-longer.n_frames // PROGRESS_FRAMES))
    for n, seen in enumerate(arriving(detections, longer)):
        start = time.process_time()
        shown = preview.push(seen)
        ms.append((time.process_time() - start) * 1e3)
        if shown is not None:
            frames.append(shown)
        if n % PROGRESS_FRAMES == PROGRESS_FRAMES - 1:
            progress.advance()
    progress.finish()
    return frames, np.array(ms)


def _points(frames: Sequence[PreviewFrame], keypoint_set: KeypointSet) -> Points3D:
    xyz_m = np.stack([f.points.filtered_m for f in frames])
    source = np.where(np.isfinite(xyz_m).all(-1), Source.MEASURED, Source.MISSING).astype(np.uint8)
    time_s = np.array([f.time_s for f in frames])
    return Points3D(keypoint_set, time_s, xyz_m, np.stack([f.points.sigma_m for f in frames]), source)


def _keypoints(frames: Sequence[PreviewFrame], keypoint_set: KeypointSet) -> Points3D:
    xyz_m, sigma_m, source = (np.stack(v) for v in zip(*[(f.xyz_m, f.sigma_m, f.source) for f in frames], strict=True))
    return Points3D(keypoint_set, np.array([f.time_s for f in frames]), xyz_m, sigma_m, source)


def _poses(frames: Sequence[PreviewFrame]) -> Pose:
    poses: list[Pose] = []
    last = bind_pose(1)
    for frame in frames:
        last = last if frame.body is None else frame.body.pose
        poses.append(last)
    return joined(poses)


def _shapes(frames: Sequence[PreviewFrame]) -> list[tuple[float, Shape]]:
    """Return every shape that was shown with the time from which it was."""
    out: list[tuple[float, Shape]] = []
    for frame in frames:
        if frame.body is not None and (not out or out[-1][1] is not frame.body.shape):
            out.append((frame.time_s, frame.body.shape))
    return out


def _times(ms: np.ndarray) -> dict[str, float]:
    return {
        name: round(float(value), 2)
        for name, value in (("mean", ms.mean()), ("median", np.median(ms)), ("p99", np.quantile(ms, 0.99)))
    }


def _findings(frames: Sequence[PreviewFrame], figures: dict[str, Any], timeline: Timeline) -> tuple[Diagnostic, ...]:
    """Say that this is a preview, and when there was no body to show."""
    ages = ", ".join(f"{s:g}" for s in SHAPE_AT_S)
    body = "from the profile" if figures["shape"] == "profile" else f"estimated after {ages} s of the performer"
    message = (
        f"this is a preview: every frame from what was detected up to {figures['latency_ms']:g} ms after it; the "
        f"body's sizes are {body}; sides that views exchange are not put back, read-out times not corrected; who the "
        "performer is, and the cameras' clocks, are taken as known. Leave --causal out for the result to deliver."
    )
    found = [Diagnostic("preview", Severity.WARNING, message, dict(figures))]
    lost = stretches(np.array([f.following is Following.LOST for f in frames]))
    if lost:
        fps, n = float(timeline.fps), sum(last - first + 1 for first, last in lost)
        spans = [
            {
                "from_s": round(timeline.start_s + a / fps, 4),
                "to_s": round(timeline.start_s + b / fps, 4),
                "frames": b - a + 1,
            }
            for a, b in lost
        ]
        message = (
            f"no body was followed in {n} of {len(frames)} frames ({len(lost)} stretches, the first at "
            f"{spans[0]['from_s']:.2f} s): keypoints are unknown there or points alone, the motion keeps its last pose"
        )
        found.append(Diagnostic("preview-lost", Severity.WARNING, message, {"stretches": spans}))
    return tuple(found)
