"""The one place where world coordinates become those of files.

World: metres, right-handed, Z up, floor z = 0. In its bind pose the studio's rig faces world +X, its left arm along +Y.
Files with Y up use (X, Y, Z) = world (y, z, x): a cyclic permutation, so a proper rotation; the rig then faces file +Z.
"""

from __future__ import annotations

import numpy as np

R_YUP_FROM_WORLD = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""[3 3] maps world vectors to Y-up files: TRC, BVH, GLB, FBX."""
R_YUP_FROM_WORLD.setflags(write=False)
YUP_FROM_WORLD_WXYZ = np.array([0.5, -0.5, -0.5, -0.5])
"""[4] the same rotation as a quaternion."""
YUP_FROM_WORLD_WXYZ.setflags(write=False)


def yup_from_world(points_world: np.ndarray) -> np.ndarray:
    """Return points or vectors [... 3] in the axes of Y-up files."""
    return np.asarray(points_world)[..., [1, 2, 0]]


def world_from_yup(points_yup: np.ndarray) -> np.ndarray:
    """Return points or vectors [... 3] of a Y-up file in world axes."""
    return np.asarray(points_yup)[..., [2, 0, 1]]
