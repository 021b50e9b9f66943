"""The world frame of a rig from the 2D keypoints of a person who stands and walks in it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.core.progress import Progress

if TYPE_CHECKING:
    from calibration.world import WorldResult
    from mocap.core.camera import CameraRig
    from mocap.core.keypoints import Keypoints2D


def world_from_keypoints(
    rig: CameraRig, folder: Path, fps: Fraction, times: Path | None, progress: Progress
) -> WorldResult:
    """Return the rig in the world of the floor under the performer's feet, with what reading and choosing found.

    Cameras without keypoints move with the others, which is said. times: the cameras' clocks in the take of the
    keypoints; without it their first frames are taken as of one instant.
    Raises: what `read_keypoints`, `read_times`, `choose_performer` and `world_from_feet` raise.
    """
    from calibration.match import map_keypoints, not_corrected
    from calibration.world import moved_rig
    from calibration.world_feet import check_agreement
    from mocap.cli.calibrate_keypoints import told_without
    from mocap.pose2d.assemble import assemble
    from mocap.pose2d.files import read_keypoints
    from mocap.pose2d.times import read_times
    from mocap.tracking.performer import choose_performer

    files = read_keypoints(folder, rig.names, fps, None, progress, may_lack=True)
    used = rig.in_order(tuple(files.detections))
    seen = map_keypoints(used.cameras, files.detections)
    views = assemble(seen, read_times(times, used.names) if times is not None else {})
    choice = choose_performer(views, used, None, progress)
    world = world_from_performer(used, views.person(choice.index), fps, progress)
    agreed = dict(zip(used.names, (choice.index >= 0).sum(1).tolist(), strict=True))
    clocks = check_agreement(agreed, choice.summary["frames_left_out"])
    read = told_without(files.diagnostics, "the floor is told from the others, these cameras move with them")
    return replace(
        world,
        rig=moved_rig(rig, world.R_world_from_rig, world.t_world_from_rig_m),
        diagnostics=(*read, *not_corrected(seen), *choice.diagnostics, *clocks, *world.diagnostics),
    )


def world_from_performer(rig: CameraRig, performer: Keypoints2D, fps: Fraction, progress: Progress) -> WorldResult:
    """Return the rig in the world of the floor under one person's feet, reconstructed at `fps`.

    Raises: what `world_from_feet` raises.
    """
    from calibration.world_feet import world_from_feet
    from mocap.reconstruct.points import reconstruct_points
    from sessions.stages import timeline_of

    timeline = timeline_of(performer, fps)
    points = reconstruct_points(performer, rig, timeline, progress).points
    names = enumerate(performer.keypoint_set.landmarks)
    landmarks = {name: points.xyz_m[:, k] for k, name in names if name}
    return world_from_feet(rig, landmarks, timeline.time_s)
