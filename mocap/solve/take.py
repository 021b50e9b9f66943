"""The solve of a take: one skeleton of constant bone lengths, its joint angles over time, and what follows from them.

Order: shape and pose on some frames, pose of every frame on its own, then all frames together on the cameras' own
observations with smooth joint angles. The performer's points only start the solve; the images decide.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.errors import InputError
from mocap.core.keypoints import Points3D, Source
from mocap.core.observations import Observations, observe
from mocap.core.performer import PerformerProfile
from mocap.core.progress import NoProgress, Progress
from mocap.core.skeleton import Motion, Skeleton
from mocap.core.take import PointsResult, SolvedTake
from mocap.core.timeline import Timeline
from mocap.core.windows import Window, in_windows, windows
from mocap.kernels.robust import MAX_LAG_S
from mocap.kernels.rotations import quat_continuous
from mocap.kernels.trajectories import fill_gaps_linearly
from mocap.solve.attach import attach_points
from mocap.solve.body import JOINT_NAMES, LANDMARKS, LEAF_TIPS_M, RIG_JOINTS, RIG_NAMES, RIG_PARENTS
from mocap.solve.contacts import CONTACT_JOINTS, contacts, standing
from mocap.solve.evidence import judge_take
from mocap.solve.fit import (
    FOOT_LANDMARKS,
    SHAPE_FRAMES,
    body_points,
    fit_shape,
    fit_take,
    to_cameras,
    to_points,
)
from mocap.solve.implausible import mask_of
from mocap.solve.jumps import impossible_jumps
from mocap.solve.lone import with_evidence_only
from mocap.solve.motion_prior import first_prior
from mocap.solve.pose import Freedom, Pose, bind_pose, first_pose, freedom
from mocap.solve.profile import profile_of, shape_of
from mocap.solve.screen import screened_pose, set_aside
from mocap.solve.shape import Shape, reference_shape
from mocap.solve.uncertainty import body_misfit_m, keypoint_sigma, residual_scatter

MIN_KNOWN_SHARE = 0.05
"""A landmark that is known in fewer frames than this does not take part; it follows from the body."""
MIN_FRAMES = 3
"""Second differences need three frames."""
UNMEASURED_SIGMA_M = 0.05
"""Uncertainty of a landmark that was never measured: its place on the reference body."""
GAP_ACCELERATION_M_S2 = 10.0
"""How fast uncertainty grows in gaps: half this times the squared time to the nearest measurement."""
MAX_SIGMA_M = 1.0
SLIP_M_S = 0.1
"""A planted sole still rolls and gives: its speed, 1 sd."""
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
    names, index = _landmarks_in(points)
    dof, fps = freedom(names), float(timeline.fps)
    sigma_px = np.nan_to_num(reconstructed.sigma_px[:, :, index], nan=1.0)
    observations = _of_landmarks(observe(detections, rig, timeline), index)
    observations = with_evidence_only(observations, names, points.xyz_m[:, index], sigma_px, fps)
    jumps = impossible_jumps(names, points.xyz_m[:, index], observations, sigma_px, fps)
    too_fast = mask_of(jumps, names, timeline.n_frames)[..., None]
    known = np.where(too_fast, np.nan, points.xyz_m[:, index])
    progress.start("Solving the skeleton", 2 + len(windows(timeline.n_frames, fps)))
    pose = first_pose(dict(zip(names, fill_gaps_linearly(known).swapaxes(0, 1), strict=True)))
    sigma_m = points.sigma_m[:, index]
    shape = fit_performer(pose, known, sigma_m, names, dof, performer)
    progress.advance()
    screened = screened_pose(pose, shape, names, dof, known, sigma_m, observations, jumps)
    progress.advance()
    on_body = [k for k, n in enumerate(points.keypoint_set.landmarks) if n in LANDMARKS]
    of = tuple(points.keypoint_set.landmarks[k] for k in on_body)
    pose, spread_m = _fit_windows(
        screened.pose, shape, names, dof, screened.kept(observations), sigma_px, of, timeline, progress
    )
    progress.finish()
    motion = Motion(skeleton_of(shape), timeline, pose.root_m, quat_continuous(pose.rig_local_wxyz()))
    keypoints = _solved_keypoints(points, pose, shape, on_body, spread_m, index)
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
        diagnostics=(*_findings(reconstructed, names), *evidence.diagnostics),
        exchanged=evidence.exchanged,
        performer=profile_of(shape, names, subject),
    )


def skeleton_of(shape: Shape) -> Skeleton:
    """Return the studio rig with a performer's proportions, in T-pose with its soles at about z = 0."""
    offsets = shape.offsets_m()
    legs = [JOINT_NAMES.index(n) for n in ("LeftLeg", "LeftFoot", "LeftToeBase")]
    offsets[0] = [0.0, 0.0, -offsets[legs, 2].sum()]
    tips = np.full(offsets.shape, np.nan)
    for name, tip in LEAF_TIPS_M.items():
        tips[JOINT_NAMES.index(name)] = np.array(tip) * shape.scale
    rig = list(RIG_JOINTS)
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(rig), 1))
    return Skeleton("studio", RIG_NAMES, RIG_PARENTS, offsets[rig], identity, tips[rig])


def _landmarks_in(points: Points3D) -> tuple[tuple[str, ...], list[int]]:
    """Return the landmarks that take part in the solve and their keypoint indices."""
    share = np.isfinite(points.xyz_m).all(-1).mean(0) if len(points.xyz_m) else np.zeros(len(points.keypoint_set))
    landmarks = points.keypoint_set.landmarks
    index = [k for k, n in enumerate(landmarks) if n in LANDMARKS and share[k] > MIN_KNOWN_SHARE]
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


def _of_landmarks(observations: Observations, index: list[int]) -> Observations:
    return replace(
        observations,
        xy=observations.xy[:, :, index],
        px_per_unit=observations.px_per_unit[:, :, index],
        score=observations.score[:, :, index],
    )


def fit_performer(
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
        return fit_shape(pose.frames(frames), start, names, dof, data, performer.measured)[1].with_knuckles_across()
    start = reference_shape(body_scale(known_m[frames], names))
    pose, shape = fit_shape(pose.frames(frames), start, names, dof, data)
    shape = fit_shape(pose, shape.with_toe_joints().with_knuckles_across(), names, dof, data)[1]
    return shape.with_knuckles_across()


def body_scale(known_m: np.ndarray, names: tuple[str, ...]) -> float:
    """Return the performer's size against the reference body: the median over segments of their median lengths."""
    rest = dict(zip(names, body_points(bind_pose(1), reference_shape(1.0), names)[2][0], strict=True))
    ratios = []
    for a, b in SCALE_SEGMENTS:
        if a in rest and b in rest:
            length = np.linalg.norm(known_m[:, names.index(a)] - known_m[:, names.index(b)], axis=-1)
            ratios.append(np.nanmedian(length) / np.linalg.norm(rest[a] - rest[b]))
    return float(np.median(ratios)) if ratios else 1.0


def _fit_windows(
    pose: Pose,
    shape: Shape,
    names: tuple[str, ...],
    dof: Freedom,
    observations: Observations,
    sigma_px: np.ndarray,
    of: tuple[str, ...],
    timeline: Timeline,
    progress: Progress,
) -> tuple[Pose, np.ndarray]:
    """Return the pose fitted to all cameras, and the posterior sd [frame landmark] in metres of landmarks `of`.

    Window by window, with one first prior for all. Neighbours fade into each other where both look: of what is hidden
    across a border each knows one end only, and they disagree.
    """
    n_frames, fps = timeline.n_frames, float(timeline.fps)
    root, local = pose.root_m.copy(), pose.local_wxyz.copy()
    spread_m = np.full((n_frames, len(of)), MAX_SIGMA_M)
    if n_frames < MIN_FRAMES:
        progress.advance()
        return pose, spread_m
    start = first_prior(pose, dof, fps)

    def fit(window: Window) -> tuple[Pose, np.ndarray]:
        seen, index = observations.window(window.low, window.high)
        sigma = sigma_px[np.arange(len(index))[:, None], np.maximum(index, 0)]
        part = pose.frames(window.looked_at)
        data = to_cameras(seen, sigma)
        part, prior = fit_take(part, shape, names, dof, data, start.frames(window.looked_at), fps)
        on_floor = standing(_feet(part, shape), part.root_m, fps)
        part, prior = fit_take(part, shape, names, dof, data, prior, fps, on_floor, SLIP_M_S / fps)
        scattered = residual_scatter(body_points(part, shape, names)[2], seen, sigma, round(MAX_LAG_S * fps))
        return part, keypoint_sigma(part, shape, names, dof, data, prior, scattered, of, fps)

    for window, (part, spread) in in_windows(fit, n_frames, fps, progress):
        at, both, share = window.looked_at, window.shared, window.fade
        faded = Pose(root[both], local[both]).faded(part.frames(slice(len(share))), share, dof)
        # neighbours err alike where both see, and nobody knows how where they do not: sigmas add, not variances
        sigma_m = spread_m[both] + share[:, None] * (spread[: len(share)] - spread_m[both])
        root[at], local[at], spread_m[at] = part.root_m, part.local_wxyz, spread
        root[both], local[both], spread_m[both] = faded.root_m, faded.local_wxyz, sigma_m
    return Pose(root, local), spread_m


def _solved_keypoints(
    points: Points3D, pose: Pose, shape: Shape, on_body: list[int], spread_m: np.ndarray, index: list[int]
) -> Points3D:
    """Return every keypoint of the set on the moving body: landmarks by the shape, others where they sit rigidly."""
    keypoint_set = points.keypoint_set
    xyz, source = points.xyz_m.copy(), points.source.copy()
    sigma = points.sigma_m.copy()
    R_world, joints, landmarks = body_points(pose, shape, tuple(keypoint_set.landmarks[k] for k in on_body))
    xyz[:, on_body] = landmarks
    misfit_m = body_misfit_m(landmarks, points.xyz_m[:, on_body], spread_m, points.sigma_m[:, on_body])
    sigma[:, on_body] = np.minimum(np.hypot(spread_m, misfit_m), MAX_SIGMA_M)
    others = [k for k in range(len(keypoint_set)) if k not in on_body]
    if others:
        sigma[:, others] = _sigma_over_gaps(sigma[:, others], points.time_s)
        at = {k: n for n, k in enumerate(others)}
        bones = [(at[a], at[b]) for a, b in keypoint_set.bones if a in at and b in at]
        attached, is_rigid = attach_points(points.xyz_m[:, others], R_world, joints, bones)
        rigid = np.array(others)[is_rigid]
        xyz[:, rigid] = attached[:, is_rigid]
        on_body = [*on_body, *rigid.tolist()]
    for k in on_body:
        measured_at_all = k in index or keypoint_set.landmarks[k] not in LANDMARKS
        gap = source[:, k] == Source.MISSING
        source[gap, k] = Source.INTERPOLATED if measured_at_all else Source.SOLVED
        if not measured_at_all:
            source[:, k], sigma[:, k] = Source.SOLVED, UNMEASURED_SIGMA_M
    return Points3D(keypoint_set, points.time_s, xyz, np.where(source == Source.MISSING, np.nan, sigma), source)


def _sigma_over_gaps(sigma_m: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return sigma [frame keypoint] with gaps filled: it grows with the squared time to the nearest measurement."""
    sigma = sigma_m.copy()
    frames = np.arange(len(sigma))
    step_s = float(np.median(np.diff(time_s))) if len(sigma) > 1 else 0.0
    for k in range(sigma.shape[1]):
        at = np.flatnonzero(np.isfinite(sigma[:, k]))
        if len(at) == 0:
            continue
        nearest = at[np.rint(np.interp(frames, at, np.arange(len(at)))).astype(int)]
        growth = 0.5 * GAP_ACCELERATION_M_S2 * ((frames - nearest) * step_s) ** 2
        sigma[:, k] = np.minimum(np.hypot(sigma[nearest, k], growth), MAX_SIGMA_M)
    return sigma


def _feet(pose: Pose, shape: Shape) -> np.ndarray:
    """Return heels and toes [frame contact 3] of CONTACT_JOINTS: an ankle's heel, a toe joint's big toe."""
    return body_points(pose, shape, FOOT_LANDMARKS)[2]


def _findings(reconstructed: PointsResult, names: tuple[str, ...]) -> list[Diagnostic]:
    """Say which landmarks were never measured and so follow from the body alone."""
    points = reconstructed.points
    findings: list[Diagnostic] = []
    unmeasured = [n for n in points.keypoint_set.landmarks if n in LANDMARKS and n not in names]
    if unmeasured:
        message = (
            f"{', '.join(unmeasured)} were hardly ever seen by two cameras: their places follow from the body alone"
        )
        data = {"landmarks": unmeasured, "frames": len(points.xyz_m)}
        findings.append(Diagnostic("landmarks-not-measured", Severity.WARNING, message, data))
    return findings
