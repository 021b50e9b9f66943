"""The solve of a take: one skeleton of constant bone lengths, its joint angles over time, and what follows from them.

Order: shape and pose on some frames, pose of every frame on its own, then all frames together on the cameras' own
observations with smooth joint angles. The performer's points only start the solve; the images decide.
"""

from __future__ import annotations

import numpy as np

from mocap.core.camera import CameraRig
from mocap.core.diagnostics import Diagnostic, Severity
from mocap.core.performer import PerformerProfile
from mocap.core.progress import NoProgress, Progress
from mocap.core.skeleton import Motion
from mocap.core.take import PointsResult, SolvedTake
from mocap.kernels.rotations import quat_continuous
from mocap.solve.carried import Carried, carried_keypoints
from mocap.solve.clocks import late_clocks
from mocap.solve.contacts import CONTACT_JOINTS, contacts
from mocap.solve.evidence import judge_take
from mocap.solve.fingers import hardly_seen, solve_fingers
from mocap.solve.fit import body_points
from mocap.solve.hand import body_landmarks
from mocap.solve.hidden import hidden_limbs
from mocap.solve.motion import fit_motion, n_steps
from mocap.solve.profile import profile_of
from mocap.solve.rig import skeleton_of
from mocap.solve.screen import set_aside
from mocap.solve.start import begin, feet


def solve_take(
    rig: CameraRig,
    reconstructed: PointsResult,
    subject: str = "subject_0",
    progress: Progress | None = None,
    performer: PerformerProfile | None = None,
) -> SolvedTake:
    """Return the solved take of one performer; `performer` is what an earlier take found of the same person's body.

    Cost is linear in frames and nearly independent of cameras; memory is bounded by windows, but for the poses of all
    frames. Raises InputError `take-too-short`, `performer-not-seen` when hips and shoulders are never seen by two
    cameras, and `looks-apart` when that is because they look at different moments.
    """
    progress = progress or NoProgress()
    points, timeline, detections = reconstructed.points, reconstructed.timeline, reconstructed.detections
    progress.start("Solving the skeleton", 2 + n_steps(timeline.n_frames, float(timeline.fps)))
    start = begin(rig, reconstructed, performer, progress)
    shape, names, index = start.shape, start.names, start.index
    of_body = body_landmarks(start.sides)
    on_body = [k for k, n in enumerate(points.keypoint_set.landmarks) if n in of_body]
    of = tuple(points.keypoint_set.landmarks[k] for k in on_body)
    pose, spread_m = fit_motion(start.motion, of, progress)
    progress.finish()
    R_world, joints, landmarks = body_points(pose, shape, of)
    body = Carried(on_body, landmarks, spread_m, np.isin(on_body, index))
    hands = solve_fingers(start.sides, rig, reconstructed, pose, shape, body, progress, performer)
    local = np.concatenate([pose.rig_local_wxyz(), *(hand.rig_local_wxyz() for hand in hands)], axis=1)
    motion = Motion(skeleton_of(shape, [h.shape for h in hands]), timeline, pose.root_m, quat_continuous(local))
    keypoints = carried_keypoints(points, [body, *(hand.carried for hand in hands)], R_world, joints)
    contact = contacts(feet(pose, shape), pose.root_m, float(timeline.fps))
    evidence = judge_take(rig, detections, reconstructed.exchanged, timeline, keypoints)
    evidence = set_aside(
        start.screened, evidence, names, index, keypoints, start.observations, start.sigma_px, float(timeline.fps)
    )
    solved_m = keypoints.xyz_m[:, index]
    late = late_clocks(rig.names, start.observations, start.sigma_px, solved_m, float(timeline.fps))
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
            *late,
            *hidden_limbs(points, keypoints, index),
            *hardly_seen(hands, points.time_s),
            *evidence.diagnostics,
        ),
        exchanged=evidence.exchanged,
        performer=profile_of(shape, names, subject, [h.shape for h in hands if h.is_shape_told]),
    )


def _findings(reconstructed: PointsResult, unmeasured: list[str]) -> list[Diagnostic]:
    """Say which landmarks were never measured and so follow from the body alone."""
    if not unmeasured:
        return []
    message = f"{', '.join(unmeasured)} were hardly ever seen by two cameras: their places follow from the body alone"
    data = {"landmarks": unmeasured, "frames": len(reconstructed.points.xyz_m)}
    return [Diagnostic("landmarks-not-measured", Severity.WARNING, message, data)]
