"""Keypoints that are no landmarks: carried by one joint, and by the same one where a bone joins them."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.solve.attach import attach_points

N_FRAMES = 211


@pytest.fixture
def body() -> tuple[np.ndarray, np.ndarray]:
    """Two joints a short way from each other that turn almost alike: neck and head."""
    rng = np.random.default_rng(3)
    turn = np.cumsum(rng.normal(0, 0.05, (N_FRAMES, 3)), axis=0)
    neck = quat_to_matrix(quat_exp(turn))
    head = neck @ quat_to_matrix(quat_exp(0.2 * np.sin(np.arange(N_FRAMES) / 9)[:, None] * [1.0, 0, 0]))
    joints = np.stack([np.zeros((N_FRAMES, 3)), neck @ [0.0, 0.0, 0.1]], axis=1)
    return np.stack([neck, head], axis=1), joints


def test_points_that_a_bone_joins_have_one_joint(body: tuple[np.ndarray, np.ndarray]) -> None:
    R_world, joints = body
    rng = np.random.default_rng(7)
    # the second is as near to the neck's frame as the first to the head's
    inner = joints[:, 1] + R_world[:, 1] @ [0.09, 0.01, 0.05] + rng.normal(0, 0.004, (N_FRAMES, 3))
    outer = joints[:, 0] + R_world[:, 0] @ [0.09, 0.04, 0.15] + rng.normal(0, 0.008, (N_FRAMES, 3))
    points = np.stack([inner, outer], axis=1)

    def length_sd_m(bones: list[tuple[int, int]]) -> float:
        carried, is_rigid = attach_points(points, R_world, joints, bones)
        assert is_rigid.all()
        return float(np.std(np.linalg.norm(carried[:, 0] - carried[:, 1], axis=-1)))

    assert length_sd_m([]) > 1e-3
    assert length_sd_m([(0, 1)]) < 1e-12


def test_a_point_that_moves_on_its_own_and_one_never_seen_are_not_carried(body: tuple[np.ndarray, np.ndarray]) -> None:
    R_world, joints = body
    points = np.full((N_FRAMES, 2, 3), np.nan)
    points[:, 0] = np.random.default_rng(7).normal(0, 0.3, (N_FRAMES, 3))
    carried, is_rigid = attach_points(points, R_world, joints, [(0, 1)])
    assert not is_rigid.any()
    assert np.isnan(carried[:, 1]).all()
