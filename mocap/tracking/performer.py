"""Which of the detected people is the performer: seen alike by several cameras, moving, in the middle.

Tracklets per view -> people (groups of tracklets that the views agree on) -> the performer -> one detection per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, KeypointSet, looked_at
from mocap.core.progress import NoProgress, Progress
from mocap.tracking.assign import members, nearest_frames, settle
from mocap.tracking.consistency import Sampled, normalised
from mocap.tracking.groups import Group, find_groups
from mocap.tracking.tracklets import Tracklets, link, masked_median, person_size_px

MIN_SCORE = 0.1
N_SAMPLES = 240
"""Instants at which views are compared, spread evenly over the take."""
BODY = tuple(f"{side}{part}" for part in ("Shoulder", "Hip", "Knee", "Ankle", "Elbow", "Wrist") for side in "LR")
MIN_BODY = 6
STILL_M = 0.06
"""Movement of the joints, 1 sd, below which a person might as well be a poster."""
MIN_FRAMES = 3
"""Fewer tell nobody's motion, and no take is solved from them."""
LOW_SHARE = 0.05
HERE_M = 1.5
"""Nearest that somebody has to come to the point that the user gave."""


@dataclass(frozen=True)
class Candidate:
    """A person whom two or more views agree on."""

    floor_m: tuple[float, float]
    """Median place on the floor, world x and y."""
    motion_m: float
    """How much the joints move, 1 sd."""
    support: float
    """Mean share of the cameras that show the person together with another camera."""
    distance_m: float
    """From the middle of the cameras' viewing volume, or from the given point, along the floor."""
    score: float
    n_views: int
    """Most cameras at one instant."""


@dataclass(frozen=True, eq=False)
class PerformerChoice:
    """The performer's detections."""

    index: np.ndarray
    """[camera frame] int: which detection is the performer, -1 for none."""
    candidates: tuple[Candidate, ...]
    """The performer first."""
    diagnostics: tuple[Diagnostic, ...]
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    """Figures, JSON-serialisable."""


def choose_performer(
    detections: Keypoints2D,
    rig: CameraRig,
    subject_at_m: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> PerformerChoice:
    """Return which detection is the performer in every view and frame, whatever order people are listed in.

    Among the people whom two or more views agree on, the one with most views and frames, motion and nearness to the
    middle of the viewing volume is taken; `subject_at_m` takes the one nearest to that point of the floor (world x, y)
    instead; somebody has to come within 1.5 m of it. Detections that disagree with the other views are left out. Up
    to about 30 px of calibration error at a person height of 400 px is tolerated.

    Raises InputError `no-person-detected`, `performer-not-found`, `take-too-short`, `no-one-there` and
    `rig-camera-missing`.
    """
    rig = rig.in_order(detections.camera_names)
    progress = progress or NoProgress()
    packed, frame = _looked_at(detections)
    if packed is not detections:
        choice = choose_performer(packed, rig, subject_at_m, progress)
        index = np.full(detections.time_s.shape, -1)
        for c, n in np.argwhere(frame >= 0):
            index[c, frame[c, n]] = choice.index[c, n]
        return replace(choice, index=index)
    body = body_keypoints(detections.keypoint_set)
    xy = np.where((detections.score[..., body] >= MIN_SCORE)[..., None], detections.xy_px[..., body, :], np.nan)
    size = person_size_px(xy)
    if not (np.isfinite(xy[..., 0]).sum(-1) >= MIN_BODY // 2).any():
        raise InputError(
            "no-person-detected",
            f"No person was detected in any of {detections.n_cameras} cameras x {detections.n_frames} frames.",
            "Check that the footage shows a person and that the keypoint files belong to it.",
        )
    progress.start("choosing the performer", 3)
    try:
        tracklets = link(xy, detections.time_s, size)
        progress.advance()
        sampled, time_s = _sample(detections, rig, xy, size, tracklets)
        groups = find_groups(sampled, rig, len(tracklets), time_s)
        groups = [g for g in groups if (g.n_views >= 2).sum() >= min(3, len(time_s))]
        if not groups:
            raise _not_found(detections)
        progress.advance()
        candidates = [_candidate(g, rig, subject_at_m) for g in groups]
        order = np.argsort([-c.score for c in candidates], kind="stable")
        if subject_at_m is not None:
            _check_there(groups, candidates, subject_at_m)
        before = np.stack([members(tracklets, groups[int(i)].tracklets) for i in order])
        index = before
        if _is_contested(tracklets, before[0]):
            index = settle(detections, xy, size, rig, before)
        progress.advance()
    finally:
        progress.finish()
    return _report(detections, index[0], before[0], tracklets, tuple(candidates[int(i)] for i in order), subject_at_m)


def _looked_at(detections: Keypoints2D) -> tuple[Keypoints2D, np.ndarray]:
    """Return the detections without frames that no model looked at, and which frame each is [camera frame], -1 none.

    Of a quick look every camera has frames of its own: views are compared at the nearest ones that were looked at.
    """
    has_any: np.ndarray = np.asarray(np.isfinite(detections.xy_px[..., 0]).any((2, 3)))
    rows = [np.arange(detections.n_frames)[looked_at(row)] for row in has_any]
    frame = np.full((len(rows), max(map(len, rows), default=0)), -1)
    for c, row in enumerate(rows):
        frame[c, : len(row)] = row
    if frame.shape == detections.time_s.shape and (frame == np.arange(detections.n_frames)).all():
        return detections, frame
    camera, at, is_pad = np.arange(len(rows))[:, None], np.maximum(frame, 0), frame < 0
    xy_px = np.where(is_pad[..., None, None, None], np.nan, detections.xy_px[camera, at])
    score = np.where(is_pad[..., None, None], 0.0, detections.score[camera, at])
    time_s = np.where(is_pad, np.nan, detections.time_s[camera, at])
    return Keypoints2D(detections.keypoint_set, detections.camera_names, xy_px, score, time_s), frame


def body_keypoints(keypoint_set: KeypointSet) -> np.ndarray:
    """Return the indices of shoulders, hips and limbs; all keypoints of a set that has too few of these."""
    found = [i for i in (keypoint_set.index(name) for name in BODY) if i is not None]
    return np.array(found if len(found) >= MIN_BODY else range(len(keypoint_set)), int)


def _not_found(detections: Keypoints2D) -> InputError:
    """Return the error for people whom no two views agree on."""
    if detections.n_frames < MIN_FRAMES:
        return InputError(
            "take-too-short",
            f"the performer cannot be told: frames of the longest recording: {detections.n_frames}, "
            f"{MIN_FRAMES} are needed",
            "Take more frames.",
        )
    counts = np.isfinite(detections.xy_px).all(-1).any(-1).sum((1, 2))
    seen = ", ".join(f"{n} {k}" for n, k in zip(detections.camera_names, counts.tolist(), strict=True))
    return InputError(
        "performer-not-found",
        f"People were detected (detections per camera: {seen}), but no two cameras see one of them in the same place.",
        "Check that the rig belongs to this footage, that camera names are not exchanged, and that the clocks agree.",
    )


def _check_there(groups: Sequence[Group], candidates: Sequence[Candidate], subject_at_m: tuple[float, float]) -> None:
    """Raise `no-one-there` when none of the people ever comes near the point."""
    for group in groups:
        center = group.center_world_m[np.isfinite(group.center_world_m[:, 0]), :2]
        # A tenth of the take: somebody who walks may be elsewhere most of the time, single errors may be anywhere.
        if np.percentile(np.linalg.norm(center - np.asarray(subject_at_m), axis=-1), 10) <= HERE_M:
            return
    x, y = subject_at_m
    places = "; ".join(
        f"({c.floor_m[0]:.2f}, {c.floor_m[1]:.2f}) m, {c.distance_m:.1f} m away, in up to {c.n_views} views"
        for c in sorted(candidates, key=lambda c: c.distance_m)
    )
    raise InputError(
        "no-one-there",
        f"Nobody comes within {HERE_M:g} m of ({x:g}, {y:g}) m. People were found at: {places}.",
        "Give one of these places, or none to let the program choose.",
    )


def _sample(
    detections: Keypoints2D, rig: CameraRig, xy: np.ndarray, size: np.ndarray, tracklets: Tracklets
) -> tuple[Sampled, np.ndarray]:
    """Return detections at evenly spread instants, and these instants [sample]."""
    times = detections.time_s[np.isfinite(detections.time_s)]
    reference = int(np.isfinite(detections.time_s).sum(1).argmax())
    known = detections.time_s[reference][np.isfinite(detections.time_s[reference])]
    stride = max(1, len(known) // N_SAMPLES)
    instants = known[::stride] if len(known) else times[:1]
    frames = nearest_frames(detections.time_s, instants)
    camera = np.arange(len(frames))[:, None]
    at = np.maximum(frames, 0)
    there = (frames >= 0)[..., None]
    focal = np.array([c.intrinsics.focal_px.mean() for c in rig.cameras])[:, None, None]
    picked = np.where(there[..., None, None], xy[camera, at], np.nan)
    label = np.where(there, tracklets.label[camera, at], -1)
    return Sampled(normalised(picked, rig), size[camera, at] / focal, label), instants


def _candidate(group: Group, rig: CameraRig, subject_at_m: tuple[float, float] | None) -> Candidate:
    """Return a person's figures and score: support x motion x nearness; with a given point, nearness alone."""
    center = group.center_world_m
    center = center[np.isfinite(center[:, 0])]
    floor = np.median(center[:, :2], axis=0)
    support = float(group.n_views.mean() / len(rig))
    motion = _motion_m(group.points_world_m)
    middle, reach = viewing_middle_m(rig)
    distance = float(np.linalg.norm(floor - (middle[:2] if subject_at_m is None else np.asarray(subject_at_m))))
    score = -distance
    if subject_at_m is None:
        near = 0.4 + 0.6 * np.exp(-0.5 * (distance / (0.5 * reach)) ** 2)
        score = support * (0.2 + 0.8 * motion / (motion + STILL_M)) * near
    place = (float(floor[0]), float(floor[1]))
    return Candidate(place, motion, support, distance, float(score), int(group.n_views.max()))


def _motion_m(points: np.ndarray) -> float:
    """Return how much joints [sample keypoint 3] move: median over joints of a robust sd of their places."""
    points = points.transpose(1, 2, 0)
    n = np.isfinite(points).sum(-1)
    off = np.abs(points - masked_median(points, n)[..., None])
    spread = 1.4826 * np.linalg.norm(masked_median(off, n), axis=-1)
    spread = spread[np.isfinite(spread)]
    return float(np.median(spread)) if len(spread) else 0.0


def viewing_middle_m(rig: CameraRig) -> tuple[np.ndarray, float]:
    """Return the point [3] nearest to all optical axes, and the mean distance of the cameras from it.

    A weak pull to three metres in front of the cameras keeps parallel axes solvable.
    """
    A, b = 1e-3 * np.eye(3), np.zeros(3)
    ahead = np.mean([c.center_world_m + 3.0 * c.R_cam_from_world[2] for c in rig.cameras], axis=0)
    b = A @ ahead
    for camera in rig.cameras:
        axis = camera.R_cam_from_world[2]
        across = np.eye(3) - np.outer(axis, axis)
        A, b = A + across, b + across @ camera.center_world_m
    middle = np.linalg.solve(A, b)
    reach = float(np.mean([np.linalg.norm(c.center_world_m - middle) for c in rig.cameras]))
    return middle, max(reach, 0.5)


def _is_contested(tracklets: Tracklets, index: np.ndarray) -> bool:
    """Whether some view ever shows anybody but the performer: if not, there is nothing to settle frame by frame."""
    others = (tracklets.label >= 0).sum(-1) > (index >= 0)
    return bool(others.any())


def _report(
    detections: Keypoints2D,
    index: np.ndarray,
    before: np.ndarray,
    tracklets: Tracklets,
    candidates: tuple[Candidate, ...],
    subject_at_m: tuple[float, float] | None,
) -> PerformerChoice:
    """Return the choice with what the user should hear of it."""
    n_frames = np.maximum(np.isfinite(detections.time_s).sum(1), 1)
    names = detections.camera_names
    share = {n: float(v) for n, v in zip(names, (index >= 0).sum(1) / n_frames, strict=True)}
    someone = (tracklets.label >= 0).any(-1)
    left_out = {n: int(v) for n, v in zip(names, (someone & (index < 0)).sum(1), strict=True)}
    first = candidates[0]
    where = f"at ({first.floor_m[0]:.2f}, {first.floor_m[1]:.2f}) m"
    reason = (
        "nearest to the given point" if subject_at_m is not None else "most views, motion and nearest to the middle"
    )
    data = {
        "n_candidates": len(candidates),
        "candidates": [vars(c) for c in candidates],
        "share_of_frames": share,
        "frames_left_out": left_out,
        "subject_at_m": list(subject_at_m) if subject_at_m is not None else None,
        "n_settled": int((index != before).sum()),
    }
    views = ", ".join(f"{n} {100 * s:.0f} %" for n, s in share.items())
    text = f"The performer stands {where}; seen in {views} of the frames."
    if len(candidates) > 1:
        others = ", ".join(f"({c.floor_m[0]:.1f}, {c.floor_m[1]:.1f})" for c in candidates[1:4])
        text = (
            f"{len(candidates)} people were found; the one {where} is the performer ({reason}); others at {others} m. "
            f"Seen in {views} of the frames."
        )
    found = [Diagnostic("performer-chosen", Severity.INFO, text, data)]
    unseen = [n for n in names if share[n] < LOW_SHARE and left_out[n] > 0]
    if unseen:
        found.append(
            Diagnostic(
                "view-without-performer",
                Severity.WARNING,
                f"What was detected in {', '.join(unseen)} does not agree with the other cameras and was left out: "
                "another person, or a camera whose calibration or clock is wrong.",
                {"cameras": unseen, "frames_left_out": {n: left_out[n] for n in unseen}},
            )
        )
    return PerformerChoice(index, candidates, tuple(found), data)
