"""The bundle adjustment's derivatives, its elimination of boards, and what it does with bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.rig_bundle import Free, Normal, Prior, adjust
from calibration.rig_poses import homographies, other_pose, pose_of_homography, view_poses
from calibration.rig_views import N_LENS, State, Views, adjoint, linearised, packed, residuals_px, unpacked
from mocap.core.camera import Intrinsics, LensModel
from mocap.kernels.rotations import quat_exp, quat_to_matrix

CORNERS = np.array([[x, y, 0.0] for y in (-0.3, -0.1, 0.1, 0.3) for x in (-0.2, 0.0, 0.2)])
LENSES = (
    Intrinsics(
        (1920, 1080), np.array([980.0, 991.0]), np.array([951.0, 547.0]), np.array([-0.12, 0.04, 0.001, -0.002, 0.01])
    ),
    Intrinsics(
        (1920, 1080),
        np.array([870.0, 866.0]),
        np.array([970.0, 530.0]),
        np.array([0.03, -0.01, 0.004, -0.001]),
        LensModel.FISHEYE,
    ),
)


def scene(n_frames: int = 5, noise_px: float = 0.0) -> tuple[Views, State]:
    """Return two cameras, one Brown and one fisheye, that see boards, and the truth."""
    rng = np.random.default_rng(3)
    R_cam = quat_to_matrix(quat_exp(np.array([[0.1, -0.2, 0.05], [-0.15, 0.4, 0.1]])))
    t_cam = np.array([[0.1, 0.0, 3.0], [-0.6, 0.1, 3.3]])
    R_board = quat_to_matrix(quat_exp(rng.uniform(-0.6, 0.6, (n_frames, 3))))
    t_board = rng.uniform(-0.6, 0.6, (n_frames, 3))
    lens = np.stack([packed(k) for k in LENSES])
    state = State(tuple(k.model for k in LENSES), lens, R_cam, t_cam, R_board, t_board)
    camera, frame = (a.ravel() for a in np.meshgrid([0, 1], np.arange(n_frames), indexing="ij"))
    views = Views(camera, frame, np.zeros((len(camera), len(CORNERS), 2)), CORNERS, 2, n_frames)
    xy = residuals_px(views, state) + noise_px * rng.standard_normal(views.xy_px.shape)
    return replace(views, xy_px=xy), state


def test_a_lens_packs_and_unpacks_to_itself():
    for lens in LENSES:
        again = unpacked(packed(lens), lens.model, lens.size_px)
        assert np.array_equal(again.distortion, lens.distortion)
        assert np.array_equal(again.focal_px, lens.focal_px)


def test_derivatives_by_lens_and_view_agree_with_central_differences():
    views, state = scene()
    _, jac = linearised(views, state, with_lens=True)
    step = 1e-6
    for column in range(N_LENS + 6):
        scale = 1.0 if column < 4 else 1e-2
        moves = np.zeros((2, N_LENS + 6))
        moves[:, column] = step * scale
        none = np.zeros((views.n_frames, 6))
        high, low = (residuals_px(views, state.moved(s * moves, none)) for s in (1.0, -1.0))
        if column == 8:
            moves[1] = 0.0  # a fisheye has no fifth coefficient
        expected = (high - low) / (2 * step * scale)
        on = views.camera == 0 if column == 8 else slice(None)
        error = np.abs(jac[on][..., column] - expected[on]).max()
        assert error < 1e-4 * max(1.0, np.abs(expected).max()), column


def test_moving_a_board_is_moving_the_view_by_the_adjoint():
    views, state = scene()
    _, jac = linearised(views, state, with_lens=False)
    to_board = adjoint(*state.view_poses(views))
    step = 1e-6
    for column in range(6):
        move = np.zeros((views.n_frames, 6))
        move[:, column] = step
        still = np.zeros((2, N_LENS + 6))
        expected = (residuals_px(views, state.moved(still, move)) - residuals_px(views, state.moved(still, -move))) / (
            2 * step
        )
        actual = np.einsum("vnki,vi->vnk", jac, to_board[:, :, column])
        assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_schur_step_is_the_step_of_the_full_system():
    views, state = scene(noise_px=0.5)
    normal = Normal.of(views, state, np.ones_like, True)
    lens = np.ones((2, N_LENS), bool)
    lens[1, 8] = False
    free = Free(lens, np.array([False, True]))
    camera, board = normal.step(free, 0.0)
    n = views.n_frames
    full = np.zeros((30 + 6 * n, 30 + 6 * n))
    full[:15, :15], full[15:30, 15:30] = normal.A
    for f in range(n):
        block = slice(30 + 6 * f, 36 + 6 * f)
        full[block, block] = normal.U[f]
        full[:30, block] = normal.W[:, f].reshape(30, 6)
        full[block, :30] = full[:30, block].T
    mask = np.concatenate([free.mask, np.ones(6 * n, bool)])
    right = np.concatenate([normal.g_camera.ravel(), normal.g_board.ravel()])
    scale = 1 / np.sqrt(np.diag(full)[mask])
    step = -np.linalg.solve(full[np.ix_(mask, mask)] * scale[:, None] * scale, right[mask] * scale) * scale
    assert np.allclose(camera.ravel()[free.mask], step[: free.mask.sum()], rtol=1e-3, atol=1e-6)
    assert np.allclose(board.ravel(), step[free.mask.sum() :], rtol=1e-3, atol=1e-6)


def test_without_noise_a_disturbed_state_returns_to_the_truth():
    views, state = scene()
    rng = np.random.default_rng(5)
    moved = rng.normal(0, 0.02, (2, N_LENS + 6))
    moved[:, :N_LENS] = 0
    moved[0] = 0
    start = state.moved(moved, rng.normal(0, 0.02, (views.n_frames, 6)))
    free = Free(np.zeros((2, N_LENS), bool), np.array([False, True]))
    fit = adjust(views, start, free)
    assert np.abs(fit.state.R_cam_from_world - state.R_cam_from_world).max() < 1e-6
    assert np.abs(fit.state.t_cam_from_world_m - state.t_cam_from_world_m).max() < 1e-6


def test_a_prior_alone_holds_a_lens_at_its_mean():
    lens = packed(LENSES[0])[None]
    prior = Prior(lens, np.eye(N_LENS)[None])
    assert prior.cost(lens) == 0.0
    assert prior.cost(lens + 1.0) == pytest.approx(4.5)


def test_a_frame_nobody_sees_leaves_the_fit_finite():
    views, state = scene()
    fit = adjust(views.select(views.frame != 2), state, Free(np.zeros((2, N_LENS), bool), np.array([False, True])))
    assert np.isfinite(fit.state.t_world_from_board_m).all()


def test_a_homography_ignores_a_wrong_corner():
    views, _ = scene()
    one = views.of_camera(0)
    xy = one.xy_px.copy()
    clean, _ = homographies(xy, CORNERS[:, :2])
    xy[:, 4] += [35.0, -20.0]
    found, error = homographies(xy, CORNERS[:, :2])
    assert (error[:, 4] > 20).all()
    a, b = (h / h[:, 2:, 2:] for h in (clean, found))
    assert np.abs(a - b).max() / np.abs(a).max() < 0.01


def test_one_of_both_candidates_is_the_true_pose_and_the_better():
    views, state = scene()
    poses = view_poses(views, state.lens, state.models)
    R, t = state.view_poses(views)
    assert np.abs(poses.R[:, 0] - R).max() < 1e-4
    assert np.abs(poses.t_m[:, 0] - t).max() < 1e-4
    assert (poses.cost[:, 0] <= poses.cost[:, 1]).all()


def test_a_board_seen_from_behind_has_a_pose_too():
    """A camera behind a transparent board sees its corners mirrored."""
    views, state = scene()
    behind = np.diag([-1.0, 1.0, -1.0])
    turned = replace(state, R_world_from_board=state.R_world_from_board @ behind)
    seen = replace(views, xy_px=np.zeros_like(views.xy_px))
    seen = replace(seen, xy_px=residuals_px(seen, turned))
    poses = view_poses(seen, state.lens, state.models)
    assert np.abs(poses.R[:, 0] - turned.view_poses(seen)[0]).max() < 1e-3


def test_the_other_pose_is_a_rotation_and_its_own_inverse():
    _, state = scene()
    R, t = state.R_world_from_board, np.array([0.1, 0.2, 3.0]) + np.zeros((5, 3))
    other = other_pose(R, t)
    assert np.allclose(np.linalg.det(other), 1.0)
    assert np.allclose(other_pose(other, t), R)


def test_an_empty_homography_gives_a_finite_pose():
    R, t = pose_of_homography(np.full((1, 3, 3), np.nan))
    assert np.isfinite(R).all()
    assert np.isfinite(t).all()
