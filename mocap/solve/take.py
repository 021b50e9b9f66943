"""The solve of a take: one skeleton of constant bone lengths, its joint angles over time, and what follows from them.

Order: shape and pose on some frames, pose of every frame on its own, then all frames together on the cameras' own
observations with smooth joint angles. The performer's points only start the solve; the images decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Points3D
from mocap.core.observations import observe
from mocap.core.performer import PerformerProfile
from mocap.core.progress import NoProgress, Progress
from mocap.core.skeleton import Motion
from mocap.core.take import PointsResult, SolvedTake
from mocap.core.windows import windows
from mocap.kernels.rotations import quat_continuous
from mocap.kernels.trajectories import fill_gaps_linearly
from mocap.solve.carried import Carried, carried_keypoints
from mocap.solve.contacts import CONTACT_JOINTS, contacts, standing
from mocap.solve.evidence import judge_take
from mocap.solve.fingers import hardly_seen, solve_fingers
from mocap.solve.fit import FOOT_LANDMARKS, SHAPE_FRAMES, body_points, fit_shape, to_points
from mocap.solve.hand import body_landmarks, sides_with_fingers
from mocap.solve.implausible import mask_of
from mocap.solve.jumps import impossible_jumps
from mocap.solve.lone import with_evidence_only
from mocap.solve.motion import MIN_FRAMES, MIN_KNOWN_SHARE, fit_motion
from mocap.solve.pose import Freedom, Pose, bind_pose, first_pose, freedom
from mocap.solve.profile import profile_of, shape_of
from mocap.solve.rig import skeleton_of
from mocap.solve.screen import screened_pose, set_aside
from mocap.solve.shape import Shape, reference_shape

SCALE_SEGMENTS = tuple(
    (side + a, side + b)
    for side in "LR"
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Shoulder", "Hip"))
)


def solve_take(
    rig: CameraRig,
    reconstructed: PointsResult,
    subject: str = "subject_0",
    progress: Progress | None = None,
    performer: PerformerProfile | None = None,
) -> SolvedTake:
    """Return the solved take of one performer; `performer` is what an earlier take found of the same person's body.

    Cost is linear in frames and nearly independent of
    cameras; memory is bounded by windows. Raises InputError `take-too-short`, and `performer-not-seen` when hips and
    shoulders are never seen by two cameras.
    """
    progress = progress or NoProgress()
    points, timeline, detections = reconstructed.points, reconstructed.timeline, reconstructed.detections
    sides = sides_with_fingers(points.keypoint_set.landmarks)
    names, index = _landmarks_in(points, sides)
    dof, fps = freedom(names), float(timeline.fps)
    sigma_px = np.nan_to_num(reconstructed.sigma_px[:, :, index], nan=1.0)
    everything = observe(detections, rig, timeline)
    observations = everything.of(index)
    observations = with_evidence_only(observations, names, points.xyz_m[:, index], sigma_px, fps)
    jumps = impossible_jumps(names, points.xyz_m[:, index], observations, sigma_px, fps)
    too_fast = mask_of(jumps, names, timeline.n_frames)[..., None]
    known = np.where(too_fast, np.nan, points.xyz_m[:, index])
    progress.start("Solving the skeleton", 2 + len(windows(timeline.n_frames, fps)))
    pose = first_pose(dict(zip(names, fill_gaps_linearly(known).swapaxes(0, 1), strict=True)))
    sigma_m = points.sigma_m[:, index]
    shape = _fit_performer(pose, known, sigma_m, names, dof, performer)
    progress.advance()
    screened = screened_pose(pose, shape, names, dof, known, sigma_m, observations, jumps)
    progress.advance()
    of_body = body_landmarks(sides)
    on_body = [k for k, n in enumerate(points.keypoint_set.landmarks) if n in of_body]
    of = tuple(points.keypoint_set.landmarks[k] for k in on_body)
    pose, spread_m = fit_motion(
        screened.pose,
        shape,
        names,
        dof,
        screened.kept(observations),
        sigma_px,
        of,
        timeline,
        progress,
        lambda part: standing(_feet(part, shape), part.root_m, fps),
    )
    progress.finish()
    R_world, joints, landmarks = body_points(pose, shape, of)
    body = Carried(on_body, landmarks, spread_m, np.isin(on_body, index))
    all_sigma_px = np.nan_to_num(reconstructed.sigma_px, nan=1.0)
    hands = solve_fingers(sides, points, everything, all_sigma_px, pose, shape, body, timeline, progress, performer)
    local = np.concatenate([pose.rig_local_wxyz(), *(hand.rig_local_wxyz() for hand in hands)], axis=1)
    motion = Motion(skeleton_of(shape, [h.shape for h in hands]), timeline, pose.root_m, quat_continuous(local))
    keypoints = carried_keypoints(points, [body, *(hand.carried for hand in hands)], R_world, joints)
    contact = contacts(_feet(pose, shape), pose.root_m, fps)
    evidence = judge_take(rig, detections, reconstructed.exchanged, timeline, keypoints)
    evidence = set_aside(screened, evidence, names, index, keypoints, observations, sigma_px, fps)
    return SolvedTake(
        subject=subject,
        rig=rig,
        detections=evidence.detections,
        points=points,
        keypoints=keypoints,
        motion=motion,
        inlier_probability=evidence.inlier_probability,
        contact_names=CONTACT_JOINTS,
        contact=contact,
        rejected=evidence.rejected,
        diagnostics=(
            *_findings(reconstructed, [n for n in of if n not in names]),
            *hardly_seen(hands, points.time_s),
            *evidence.diagnostics,
        ),
        exchanged=evidence.exchanged,
        performer=profile_of(shape, names, subject, [h.shape for h in hands if h.is_shape_told]),
    )


def _landmarks_in(points: Points3D, sides: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Return the landmarks that take part in the body's solve and their keypoint indices; `sides` have fingers."""
    of_body = body_landmarks(sides)
    share = np.isfinite(points.xyz_m).all(-1).mean(0) if len(points.xyz_m) else np.zeros(len(points.keypoint_set))
    landmarks = points.keypoint_set.landmarks
    index = [k for k, n in enumerate(landmarks) if n in of_body and share[k] > MIN_KNOWN_SHARE]
    names = tuple(landmarks[k] for k in index)
    if len(points.xyz_m) < MIN_FRAMES:
        raise InputError(
            "take-too-short",
            f"the take cannot be solved: two cameras or more run at once for {len(points.xyz_m)} frames, "
            f"{MIN_FRAMES} are needed",
            "Check that the cameras are in sync, or take more frames.",
        )
    missing = [n for n in ("LHip", "RHip", "LShoulder", "RShoulder") if n not in names]
    if missing:
        raise InputError(
            "performer-not-seen",
            f"the take cannot be solved: {', '.join(missing)} were never seen by two cameras at once "
            f"(expected hips and shoulders in more than {MIN_KNOWN_SHARE:.0%} of the {len(points.xyz_m)} frames)",
            "Check that the rig belongs to the footage, that the cameras are in sync and see the performer.",
        )
    return names, index


def _fit_performer(
    pose: Pose,
    known_m: np.ndarray,
    sigma_m: np.ndarray,
    names: tuple[str, ...],
    dof: Freedom,
    performer: PerformerProfile | None,
) -> Shape:
    """Return the performer's shape from the frames in which most landmarks are known."""
    complete = np.isfinite(known_m).all(-1).sum(1)
    good = np.flatnonzero(complete >= np.quantile(complete, 0.5))
    frames = good[np.unique(np.linspace(0, len(good) - 1, SHAPE_FRAMES).astype(int))]
    data = to_points(known_m[frames], sigma_m[frames])
    if performer is not None:
        start = shape_of(performer)
        return _in_anatomical_frames(
            fit_shape(pose.frames(frames), start, names, dof, data, performer.measured)[1], names
        )
    start = reference_shape(_body_scale(known_m[frames], names))
    pose, shape = fit_shape(pose.frames(frames), start, names, dof, data)
    shape = fit_shape(pose, _in_anatomical_frames(shape.with_toe_joints(), names), names, dof, data)[1]
    return _in_anatomical_frames(shape, names)


def _in_anatomical_frames(shape: Shape, names: tuple[str, ...]) -> Shape:
    """Return the shape with the hands' frames where anatomy counts angles from, as far as their points tell."""
    return shape.with_hands_straight() if {"LMiddle", "RMiddle"} & set(names) else shape.with_knuckles_across()


def _body_scale(known_m: np.ndarray, names: tuple[str, ...]) -> float:
    """Return the performer's size against the reference body: the median over segments of their median lengths."""
    rest = dict(zip(names, body_points(bind_pose(1), reference_shape(1.0), names)[2][0], strict=True))
    ratios = []
    for a, b in SCALE_SEGMENTS:
        if a in rest and b in rest:
            length = np.linalg.norm(known_m[:, names.index(a)] - known_m[:, names.index(b)], axis=-1)
            ratios.append(np.nanmedian(length) / np.linalg.norm(rest[a] - rest[b]))
    return float(np.median(ratios)) if ratios else 1.0


def _feet(pose: Pose, shape: Shape) -> np.ndarray:
    """Return heels and toes [frame contact 3] of CONTACT_JOINTS: an ankle's heel, a toe joint's big toe."""
    return body_points(pose, shape, FOOT_LANDMARKS)[2]


def _findings(reconstructed: PointsResult, unmeasured: list[str]) -> list[Diagnostic]:
    """Say which landmarks were never measured and so follow from the body alone."""
    if not unmeasured:
        return []
    message = f"{', '.join(unmeasured)} were hardly ever seen by two cameras: their places follow from the body alone"
    data = {"landmarks": unmeasured, "frames": len(reconstructed.points.xyz_m)}
    return [Diagnostic("landmarks-not-measured", Severity.WARNING, message, data)]
