"""Poses of a board in single views."""

from __future__ import annotations

import numpy as np

from calibration.board import parse_board
from calibration.rig_poses import view_poses
from calibration.rig_views import Views, packed
from mocap.kernels.rotations import matrix_to_quat, quat_log
from mocap.synth.board import shoot_board
from mocap.synth.rig import ring_rig

BOARD = parse_board("charuco:7x5:square=0.1:marker=0.075:dict=4X4_50")


def test_the_likelier_pose_of_every_distant_view_is_the_true_one():
    """Small boards 4 to 7 m away under lenses that bend, a few corners wrong: starts are poor and must not stay so."""
    rng = np.random.default_rng(1007)
    rig = ring_rig(3, np.random.default_rng(11), radius_m=5.0, size_px=(1920, 1080))
    shoot = shoot_board(rig, BOARD.corners_m, 120, rng)
    camera, frame = np.nonzero(np.isfinite(shoot.xy_px).all(-1).sum(-1) >= 12)
    corners = BOARD.corners_m - BOARD.corners_m.mean(0)
    views = Views(camera, np.arange(len(camera)), shoot.xy_px[camera, frame], corners, 3, len(camera))
    lens = np.stack([packed(c.intrinsics) for c in rig.cameras])
    poses = view_poses(views, lens, tuple(c.intrinsics.model for c in rig.cameras))
    R = np.stack([c.R_cam_from_world for c in rig.cameras])[camera] @ shoot.R_world_from_board[frame]
    off_deg = np.rad2deg(np.linalg.norm(quat_log(matrix_to_quat(poses.R[:, 0] @ R.swapaxes(1, 2))), axis=-1))
    assert (off_deg < 10.0).mean() > 0.97
    assert np.quantile(poses.error_px[:, 0], 0.9) < 0.6
