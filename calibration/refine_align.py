"""Bringing re-solved cameras back into the world that they were calibrated in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.refine_bundle import Poses
from mocap.kernels.rotations import matrix_to_quat, quat_log


def aligned(poses: Poses, origin: Poses, viewing_distance_m: float) -> tuple[Poses, np.ndarray, float]:
    """Return the poses in the world of `origin`, with camera weights [camera] and the scale that was applied.

    One similarity brings all cameras as near as possible to where they were: rotation and translation by least squares
    over centres and orientations (each orientation as three points at the viewing distance from the centre), scale by
    the mean distance between cameras. Cameras that moved far more than the others weigh less, so that one knocked
    camera does not tilt the world (Cauchy weights on each camera's movement).
    """
    weight = np.ones(len(origin.offset_s))
    out, scale = poses, 1.0
    for _ in range(8):
        out, scale = _similarity(poses, origin, viewing_distance_m, weight)
        turn = np.linalg.norm(
            quat_log(matrix_to_quat(out.R_cam_from_world @ origin.R_cam_from_world.transpose(0, 2, 1))), axis=-1
        )
        moved = np.hypot(np.linalg.norm(out.center_world_m - origin.center_world_m, axis=-1), turn * viewing_distance_m)
        weight = 1.0 / (1.0 + (moved / (2.0 * np.median(moved) + 1e-3)) ** 2)
    return out, weight, scale


def _similarity(poses: Poses, origin: Poses, arm_m: float, weight: np.ndarray) -> tuple[Poses, float]:
    """Return the poses after the best weighted similarity (Umeyama 1991 for the rotation) and its scale."""
    c_from, c_to = poses.center_world_m, origin.center_world_m
    w = weight / weight.sum()
    pair = w[:, None] * w[None, :]
    gap_to = (pair * np.linalg.norm(c_to[:, None] - c_to[None], axis=-1)).sum()
    gap_from = (pair * np.linalg.norm(c_from[:, None] - c_from[None], axis=-1)).sum()
    scale = float(gap_to / gap_from) if gap_from > 0 else 1.0
    mean_from, mean_to = w @ c_from, w @ c_to
    H = np.einsum("c,ci,cj->ij", w, scale * (c_from - mean_from), c_to - mean_to)
    H += arm_m**2 * np.einsum("c,cki,ckj->ij", w, poses.R_cam_from_world, origin.R_cam_from_world)
    u, _, vt = np.linalg.svd(H)
    Q = vt.T @ np.diag([1.0, 1.0, np.linalg.det(vt.T @ u.T)]) @ u.T
    R = poses.R_cam_from_world @ Q.T
    center = scale * (c_from - mean_from) @ Q.T + mean_to
    return replace(poses, R_cam_from_world=R, t_cam_from_world_m=-np.einsum("cij,cj->ci", R, center)), scale
