"""The world frame of a rig from the 2D keypoints of a person who stands and walks in it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mocap.core.progress import Progress

if TYPE_CHECKING:
    from calibration.world import WorldResult
    from mocap.core.camera import CameraRig


def world_from_keypoints(rig: CameraRig, folder: Path, fps: Fraction, progress: Progress) -> WorldResult:
    """Return the rig in the world of the floor under the performer's feet.

    Raises: what `read_keypoints`, `choose_performer` and `world_from_feet` raise.
    """
    from calibration.world import world_from_feet
    from mocap.core.timeline import Timeline
    from mocap.pose2d.assemble import assemble
    from mocap.pose2d.files import read_keypoints
    from mocap.reconstruct.points import reconstruct_points
    from mocap.tracking.performer import choose_performer

    files = read_keypoints(folder, rig.names, fps, None, progress)
    views = assemble(files.detections, {})
    performer = views.person(choose_performer(views, rig).index)
    n_frames = views.xy_px.shape[1]
    points = reconstruct_points(performer, rig, Timeline(fps, n_frames), progress).points
    keypoint_set = performer.keypoint_set
    landmarks = {name: points.xyz_m[:, k] for k, name in enumerate(keypoint_set.landmarks) if name}
    return world_from_feet(rig, landmarks, Timeline(fps, n_frames).time_s)
