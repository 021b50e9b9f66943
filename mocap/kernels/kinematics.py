"""Forward kinematics of joint trees, batched over frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mocap.kernels.rotations import quat_to_matrix


def forward_kinematics(
    parents: Sequence[int], offset_m: np.ndarray, root_translation_m: np.ndarray, local_wxyz: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations [frame joint 3 3] and positions [frame joint 3].

    offset_m [joint 3] in the parent's frame (the root's entry is not used: root_translation_m [frame 3] places it),
    local_wxyz [frame joint 4] parent_from_joint. Parents come before children.
    """
    R_local = quat_to_matrix(local_wxyz)
    R_world = np.empty_like(R_local)
    positions = np.empty((*R_local.shape[:2], 3))
    for j, p in enumerate(parents):
        if p < 0:
            R_world[:, j], positions[:, j] = R_local[:, j], root_translation_m
        else:
            R_world[:, j] = R_world[:, p] @ R_local[:, j]
            positions[:, j] = positions[:, p] + R_world[:, p] @ offset_m[j]
    return R_world, positions
