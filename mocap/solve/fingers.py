"""The solve of the fingers: each hand is a joint tree of its own on the wrist that the body's solve has placed.

Where hands are small, hidden or mistaken, nothing of that reaches the body; and two small trees cost a fraction of one
large tree. The knuckles belong to both: to the body they are landmarks fixed to the hand, to the fingers their first
joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.keypoints import Points3D
from mocap.core.limbs import stretches
from mocap.core.observations import Observations, observe
from mocap.core.performer import PerformerProfile
from mocap.core.progress import Progress
from mocap.core.take import PointsResult
from mocap.core.timeline import Timeline
from mocap.kernels.rotations import (
    matrix_to_quat,
    quat_conjugate,
    quat_continuous,
    quat_exp,
    quat_multiply,
    quat_rotate,
    rotation_between,
)
from mocap.kernels.trajectories import fill_gaps_linearly
from mocap.solve.body import JOINT_NAMES, LANDMARKS
from mocap.solve.carried import UNMEASURED_SIGMA_M, Carried
from mocap.solve.fit import SHAPE_FRAMES, body_points, fit_shape, to_points
from mocap.solve.hand import FINGERS, HANDS, N_JOINTS, finger_axes, finger_landmarks, knuckle, turning_joints
from mocap.solve.lone import with_evidence_only
from mocap.solve.motion import MIN_KNOWN_SHARE, MotionProblem, fit_motion, n_steps
from mocap.solve.pose import Freedom, Pose, bind_pose, freedom_of
from mocap.solve.profile import with_known_fingers
from mocap.solve.screen import fit_each_frame
from mocap.solve.shape import Shape, reference_shape

MODEL_SIGMA_M = 0.002
"""Finger keypoints leave the rigid hand by about this much: fingers are thin."""
HELD_M = 1e-6
"""The wrist stays where the body's solve has it."""
OVER_GAPS = 1.8
"""Fingers close and open within a gap, which no bridge over it foresees: by so much their errors exceed the chain's; of
synthetic hands hidden for a second."""
UNSEEN_SHARE, UNSEEN_S = 1 / 3, 0.5
"""Where less of a hand's finger keypoints is known for longer than this, its fingers are a guess."""
_FLIP = np.array([1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class SolvedHand:
    """One hand's fingers."""

    side: str
    shape: Shape
    local_wxyz: np.ndarray
    """[frame joint 4] of the hand's anatomy."""
    carried: Carried
    known: np.ndarray
    """[frame] share of the finger landmarks that the points knew."""
    is_shape_told: bool = False
    """Whether its lengths are the performer's, by this take or an earlier one; else they are the book's."""

    def rig_local_wxyz(self) -> np.ndarray:
        """[frame joint 4] local rotations of the joints that the exported rig has."""
        return self.local_wxyz[:, turning_joints(self.shape.anatomy)]


@dataclass(frozen=True, eq=False)
class _Hand:
    """One hand's evidence and its wrist."""

    side: str
    names: tuple[str, ...]
    """Landmarks of the fingers."""
    index: list[int]
    """Their keypoints."""
    wrist_m: np.ndarray
    """[frame 3]"""
    R_world: np.ndarray
    """[frame 3 3] of the hand."""
    wrist_sigma_m: np.ndarray
    """[frame] how well the knuckles are known."""
    local_m: np.ndarray
    """[frame landmark 3] measured points in the hand's frame; NaN where not known."""
    sigma_m: np.ndarray
    """[frame landmark]"""

    @property
    def is_measured(self) -> np.ndarray:
        """[landmark] whether it is known often enough."""
        return np.isfinite(self.local_m).all(-1).mean(0) > MIN_KNOWN_SHARE


def solve_fingers(
    sides: Sequence[str],
    rig: CameraRig,
    reconstructed: PointsResult,
    pose: Pose,
    shape: Shape,
    body: Carried,
    progress: Progress,
    performer: PerformerProfile | None = None,
) -> list[SolvedHand]:
    """Return the fingers of the hands of `sides` on the solved body.

    pose, shape and landmarks of the body. Bone lengths are of both hands together: left and right differ by less than
    detectors can tell. `performer` is what an earlier take found of the same person.
    """
    if not sides:
        return []
    points, timeline = reconstructed.points, reconstructed.timeline
    observations = observe(reconstructed.detections, rig, timeline)
    sigma_px = np.nan_to_num(reconstructed.sigma_px, nan=1.0)
    hands = [_hand(side, points, pose, shape, body) for side in sides]
    lengths, is_told = _lengths(hands, shape, performer)
    progress.start("Solving the fingers", len(hands) * n_steps(timeline.n_frames, float(timeline.fps)))
    solved = [
        replace(_solved(h, lengths[h.side], points, observations, sigma_px, timeline, progress), is_shape_told=is_told)
        for h in hands
    ]
    progress.finish()
    return solved


def hardly_seen(hands: Sequence[SolvedHand], time_s: np.ndarray) -> list[Diagnostic]:
    """Say when a hand's fingers were hardly seen, so that they rest as they mostly are."""
    found: list[Diagnostic] = []
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    for hand in hands:
        gaps = [
            {"from_s": round(float(time_s[a]), 4), "to_s": round(float(time_s[b]), 4), "frames": b - a + 1}
            for a, b in stretches(hand.known < UNSEEN_SHARE)
            if (b - a + 1) * step_s > UNSEEN_S
        ]
        if not gaps:
            continue
        frames = sum(g["frames"] for g in gaps)
        message = (
            f"the fingers of the {hand.side.lower()} hand were hardly seen by two cameras in {frames} of "
            f"{len(hand.known)} frames: there they rest as they mostly are"
        )
        data = {"hand": hand.side.lower(), "frames": frames, "stretches": gaps}
        found.append(Diagnostic("fingers-hardly-seen", Severity.WARNING, message, data))
    return found


def _hand(side: str, points: Points3D, pose: Pose, shape: Shape, body: Carried) -> _Hand:
    """Return a hand's evidence in the frame of its wrist."""
    landmarks = points.keypoint_set.landmarks
    names = tuple(HANDS[side].landmarks)
    index = [landmarks.index(n) for n in names]
    R_world, joints = pose.world(shape.anatomy.parents, shape.offsets_m())
    at = JOINT_NAMES.index(f"{side}Hand")
    R, wrist = R_world[:, at], joints[:, at]
    knuckles = [body.index.index(landmarks.index(side[0] + knuckle(f))) for f in FINGERS]
    local = (points.xyz_m[:, index] - wrist[:, None]) @ R
    sigma = np.sqrt((body.spread_m[:, knuckles] ** 2).mean(1))
    return _Hand(side, names, index, wrist, R, sigma, local, points.sigma_m[:, index])


def _start(side: str, shape: Shape) -> Shape:
    """Return the reference fingers on a body's own knuckles, of the size of its palm."""
    fingers = [f for f in FINGERS if f != "Thumb"]
    own, book = (
        np.mean([np.linalg.norm(at(side[0] + f)) for f in fingers])
        for at in (shape.landmark_offset_m, lambda name: np.array(LANDMARKS[name].offset_m))
    )
    start = reference_shape(float(own / book), HANDS[side])
    return replace(start, placed_m={f"{side}Hand{f}1": shape.landmark_offset_m(side[0] + knuckle(f)) for f in FINGERS})


def _lengths(hands: Sequence[_Hand], shape: Shape, performer: PerformerProfile | None) -> tuple[dict[str, Shape], bool]:
    """Return the shape of each hand, and whether anything tells it.

    Bones are fitted to both hands, the right one's points mirrored onto a left hand.
    """
    left, is_known = with_known_fingers(_start("Left", shape), performer)
    names = tuple(HANDS["Left"].landmarks)
    local, sigma = [], []
    for hand in hands:
        points = hand.local_m * (_FLIP if hand.side == "Right" else 1.0)
        complete = np.isfinite(points).all(-1).sum(1)
        good = np.flatnonzero((complete >= np.quantile(complete, 0.5)) & (complete > 0))
        if len(good) and hand.is_measured.any():
            frames = good[np.unique(np.linspace(0, len(good) - 1, SHAPE_FRAMES // len(hands)).astype(int))]
            local.append(np.where(hand.is_measured[:, None], points[frames], np.nan))
            sigma.append(hand.sigma_m[frames])
    if local:
        points_m, dof = np.concatenate(local), _freedom("Left")
        pose = _first_pose("Left", left, points_m, dof)
        data = to_points(points_m, np.concatenate(sigma), MODEL_SIGMA_M)
        left = fit_shape(pose, left, names, dof, data, () if is_known else None)[1]
    return {side: replace(_start(side, shape), segment=left.segment) for side in HANDS}, is_known or bool(local)


def _freedom(side: str) -> Freedom:
    return freedom_of(HANDS[side], root_sd_m=HELD_M)


def _at_rest(side: str, n_frames: int, dof: Freedom) -> Pose:
    """Return a relaxed hand at the origin."""
    step = np.concatenate([np.zeros(3), np.broadcast_to(dof.rest_rad, len(dof.joint))])
    return bind_pose(n_frames, HANDS[side]).moved(np.tile(step, (n_frames, 1)), dof)


def _first_pose(side: str, shape: Shape, local_m: np.ndarray, dof: Freedom) -> Pose:
    """Return the pose read off points [frame landmark 3] in the hand's frame; fingers without points are at rest."""
    pose = _at_rest(side, len(local_m), dof)
    local = pose.local_wxyz.copy()
    names, joints = tuple(HANDS[side].landmarks), HANDS[side].names
    for finger in FINGERS:
        along, hinge, _ = finger_axes(finger, side)
        at = [local_m[:, names.index(side[0] + n)] for n in finger_landmarks(finger)]
        bones = np.diff(np.stack([np.broadcast_to(shape.placed_m[f"{side}Hand{finger}1"], at[0].shape), *at]), axis=0)
        first = joints.index(f"{side}Hand{finger}1")
        known = np.isfinite(bones).all((0, 2))
        turned = rotation_between(along, bones[0, known])
        local[known, first] = turned
        for n in range(1, N_JOINTS):
            bone = quat_rotate(quat_conjugate(turned), bones[n, known])
            bend = np.arctan2(bone @ np.cross(hinge, along), bone @ along)
            local[known, first + n] = quat_exp(bend[:, None] * hinge)
            turned = quat_multiply(turned, local[known, first + n])
    return Pose(pose.root_m, local)


def _solved(
    hand: _Hand,
    shape: Shape,
    points: Points3D,
    observations: Observations,
    sigma_px: np.ndarray,
    timeline: Timeline,
    progress: Progress,
) -> SolvedHand:
    """Return one hand's fingers over the take; those of a hand that is nowhere seen are at rest."""
    dof, n_frames = _freedom(hand.side), timeline.n_frames
    used = np.flatnonzero(hand.is_measured)
    spread_m = np.full(hand.sigma_m.shape, UNMEASURED_SIGMA_M)
    if len(used):
        names, index = tuple(hand.names[k] for k in used), [hand.index[k] for k in used]
        seen, sigma = observations.of(index), sigma_px[:, :, index]
        seen = with_evidence_only(seen, names, points.xyz_m[:, index], sigma, float(timeline.fps))
        pose = _on_wrist(_each_frame(hand, shape, dof), hand)
        usual_m = float(np.median(hand.wrist_sigma_m))
        problem = MotionProblem(pose, shape, names, dof, seen, sigma, float(timeline.fps))
        pose, spread_m = fit_motion(problem, hand.names, progress, root_sigma_m=usual_m)
        more_m = np.sqrt(np.maximum(hand.wrist_sigma_m**2 - usual_m**2, 0.0))
        spread_m = np.hypot(spread_m * np.where(np.isfinite(hand.sigma_m), 1.0, OVER_GAPS), more_m[:, None])
    else:
        pose = _at_rest(hand.side, n_frames, dof)
        progress.advance(n_steps(n_frames, float(timeline.fps)))
    pose = _on_wrist(pose, hand)
    places = body_points(pose, shape, hand.names)[2]
    carried = Carried(hand.index, places, spread_m, hand.is_measured)
    return SolvedHand(hand.side, shape, pose.local_wxyz, carried, np.isfinite(hand.local_m).all(-1).mean(1))


def _each_frame(hand: _Hand, shape: Shape, dof: Freedom) -> Pose:
    """Return the pose that fits each frame's points on its own, in the hand's frame."""
    measured = np.where(hand.is_measured[:, None], hand.local_m, np.nan)
    pose = _first_pose(hand.side, shape, fill_gaps_linearly(measured), dof)
    return fit_each_frame(pose, shape, hand.names, dof, measured, hand.sigma_m, model_sigma_m=MODEL_SIGMA_M)


def _on_wrist(pose: Pose, hand: _Hand) -> Pose:
    """Return a hand's pose with its root where the body has its wrist."""
    local = pose.local_wxyz.copy()
    local[:, 0] = quat_continuous(matrix_to_quat(hand.R_world)[:, None])[:, 0]
    return Pose(hand.wrist_m, local)
