"""The world frame of a rig from the 2D keypoints of a person who stands and walks in it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.core.progress import Progress

if TYPE_CHECKING:
    from calibration.world import WorldResult
    from mocap.core.camera import CameraRig
    from mocap.core.keypoints import Keypoints2D


def world_from_keypoints(
    rig: CameraRig, folder: Path, fps: Fraction, progress: Progress, times: Path | None = None
) -> WorldResult:
    """Return the rig in the world of the floor under the performer's feet.

    times: clocks of the cameras, where the keypoints are not synchronous.

    Raises: what `read_keypoints`, `read_times`, `choose_performer` and `world_from_feet` raise.
    """
    from mocap.pose2d.assemble import assemble
    from mocap.pose2d.files import read_keypoints
    from mocap.pose2d.times import read_times
    from mocap.tracking.performer import choose_performer

    files = read_keypoints(folder, rig.names, fps, None, progress)
    views = assemble(files.detections, read_times(times, rig.names) if times is not None else {})
    performer = views.person(choose_performer(views, rig, None, progress).index)
    return world_from_performer(rig, performer, fps, progress)


def world_from_performer(rig: CameraRig, performer: Keypoints2D, fps: Fraction, progress: Progress) -> WorldResult:
    """Return the rig in the world of the floor under one person's feet, reconstructed at `fps`.

    Raises: what `world_from_feet` raises.
    """
    from calibration.world import world_from_feet
    from mocap.reconstruct.points import reconstruct_points
    from sessions.stages import timeline_of

    timeline = timeline_of(performer, fps)
    points = reconstruct_points(performer, rig, timeline, progress).points
    names = enumerate(performer.keypoint_set.landmarks)
    landmarks = {name: points.xyz_m[:, k] for k, name in names if name}
    return world_from_feet(rig, landmarks, timeline.time_s)
