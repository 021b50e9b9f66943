"""Forward kinematics against homogeneous matrices, and its behaviour under rigid motion."""

from __future__ import annotations

import numpy as np

from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_multiply, quat_rotate, quat_to_matrix

N_FRAMES, N_JOINTS = 7, 13
PARENTS = (-1, 0, 1, 2, 1, 4, 5, 0, 7, 8, 0, 10, 11)


def random_pose(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((N_FRAMES, N_JOINTS, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    return rng.uniform(-0.4, 0.4, (N_JOINTS, 3)), rng.uniform(-2, 2, (N_FRAMES, 3)), q


def test_positions_and_rotations_agree_with_a_chain_of_homogeneous_matrices() -> None:
    offset_m, root_m, q = random_pose(1)
    R_world, positions = forward_kinematics(PARENTS, offset_m, root_m, q)
    world_from_joint = np.tile(np.eye(4), (N_JOINTS, 1, 1))
    for f in range(N_FRAMES):
        for j, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = quat_to_matrix(q[f, j])
            local[:3, 3] = root_m[f] if parent < 0 else offset_m[j]
            world_from_joint[j] = local if parent < 0 else world_from_joint[parent] @ local
        np.testing.assert_allclose(positions[f], world_from_joint[:, :3, 3], atol=1e-12)
        np.testing.assert_allclose(R_world[f], world_from_joint[:, :3, :3], atol=1e-12)


def test_bone_lengths_do_not_change_with_the_pose() -> None:
    offset_m, root_m, q = random_pose(2)
    _, positions = forward_kinematics(PARENTS, offset_m, root_m, q)
    bones = np.linalg.norm(positions[:, 1:] - positions[:, list(PARENTS[1:])], axis=-1)
    np.testing.assert_allclose(bones, np.tile(np.linalg.norm(offset_m[1:], axis=-1), (N_FRAMES, 1)), atol=1e-12)


def test_moving_the_root_moves_everything_rigidly() -> None:
    offset_m, root_m, q = random_pose(3)
    turn = np.array([0.5, 0.5, -0.5, 0.5])
    shift_m = np.array([1.0, -2.0, 3.0])
    _, before = forward_kinematics(PARENTS, offset_m, root_m, q)
    turned = q.copy()
    turned[:, 0] = quat_multiply(turn, q[:, 0])
    _, after = forward_kinematics(PARENTS, offset_m, quat_rotate(turn, root_m) + shift_m, turned)
    np.testing.assert_allclose(after, quat_rotate(turn, before) + shift_m, atol=1e-12)


def test_the_offset_of_the_root_is_not_used() -> None:
    offset_m, root_m, q = random_pose(4)
    other = offset_m.copy()
    other[0] += 5.0
    np.testing.assert_array_equal(
        forward_kinematics(PARENTS, offset_m, root_m, q)[1], forward_kinematics(PARENTS, other, root_m, q)[1]
    )
