"""Cameras as unknowns of the solve: the border of the banded system against one dense system."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.observations import common_timeline
from mocap.core.progress import NoProgress
from mocap.core.take import PointsResult
from mocap.core.windows import windows
from mocap.kernels.articulated import banded_step
from mocap.kernels.camera_terms import N_UNKNOWNS, OFFSET, SHIFT, TURN
from mocap.kernels.chain import Scatter
from mocap.kernels.rotations import quat_exp, quat_to_matrix
from mocap.reconstruct.points import reconstruct_points
from mocap.solve import cameras
from mocap.solve.cameras import camera_system, run_length
from mocap.solve.motion import fit_freely, fit_held
from mocap.solve.motion_prior import first_prior
from mocap.solve.start import begin
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 89
PRIOR_SD = np.array([0.004] * 3 + [0.02] * 3 + [0.02, 1e-5])


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(81))


@pytest.fixture(scope="module")
def points(rig: CameraRig) -> PointsResult:
    performer = Performer.random(np.random.default_rng(82))
    faults = Faults(noise_px=1.5, outlier_share=0.03, dropout_share=0.05)
    seen = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(83), faults=faults).keypoints
    return reconstruct_points(seen, rig, common_timeline(seen.time_s, FPS))


def test_eliminating_the_motion_equals_solving_everything_at_once(rig: CameraRig, points: PointsResult) -> None:
    start = begin(rig, points, None, NoProgress())
    first = first_prior(start.screened.pose, start.dof, start.fps)
    window = windows(points.timeline.n_frames, start.fps)[0]
    found = fit_held(start.motion, window, *fit_freely(start.motion, window, first))
    seen: dict[str, np.ndarray] = {}

    def as_it_is(band: np.ndarray, right: np.ndarray) -> np.ndarray:
        seen["band"], seen["right"] = band.copy(), right.copy()
        return solve(band, right)

    solve = cameras.solve_banded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cameras, "solve_banded", as_it_is)
        patch.setattr(cameras, "run_length", lambda _scatter: 1.0)
        patch.setattr(Scatter, "held", property(lambda _self: 1.0))
        system = cameras._eliminated(found, start, window.keep, 0.0)
        own, border = seen_border(found, start, window.keep)
    n = len(seen["band"])
    width = seen["band"].shape[1] - 1
    dense = np.zeros((n, n))
    for lag in range(width + 1):
        at = np.arange(lag, n)
        dense[at - lag, at] = dense[at, at - lag] = seen["band"][lag:, width - lag]
    whole = np.block([[dense, border.T], [border, own.hessian]])
    held = np.diag(np.concatenate([np.zeros(n), np.tile(PRIOR_SD, len(rig)) ** -2.0]))
    step = np.linalg.solve(whole + held, np.concatenate([seen["right"][0], -own.slope]))
    alone = -np.linalg.solve(system.hessian + np.diag(np.tile(PRIOR_SD, len(rig)) ** -2.0), system.slope)
    assert alone == pytest.approx(step[n:], rel=1e-4, abs=1e-9)


def seen_border(found: cameras.Fitted, start: cameras.Start, keep: slice) -> tuple[cameras.CameraSystem, np.ndarray]:
    """Return the cameras' own terms and the border, made again from the fitted window."""
    R_world, joints, at = cameras.body_points(found.pose, start.shape, start.names)
    moves = cameras.moves_matrix(start.names, start.dof)
    jacobian = cameras.point_jacobian(R_world, joints, at, start.dof.joint, found.pose.axes(start.dof), moves)
    return cameras._camera_border(found, at, jacobian, keep, start.fps, 0.0)


def test_a_step_brings_a_wrong_camera_and_a_late_clock_back(rig: CameraRig, points: PointsResult) -> None:
    wrong, late = 3, 1
    turn, shift = np.radians([0.15, -0.1, 0.12]), np.array([0.01, 0.0, -0.01])
    moved = list(rig.cameras)
    R = quat_to_matrix(quat_exp(turn))
    moved[wrong] = moved[wrong].with_extrinsics(
        R @ moved[wrong].R_cam_from_world, R @ moved[wrong].t_cam_from_world_m + shift
    )
    stale = CameraRig(tuple(moved))
    time_s = points.detections.time_s.copy()
    time_s[late] += 0.006
    seen = replace(points.detections, time_s=time_s)
    timeline = common_timeline(seen.time_s, FPS)
    system = camera_system(stale, reconstruct_points(seen, stale, timeline), 0.5 * N_FRAMES / 60)
    sd = np.tile(PRIOR_SD, (len(rig), 1))
    sd[0, OFFSET:] = 1e-9
    step = -np.linalg.solve(system.hessian + np.diag(sd.ravel() ** -2.0), system.slope).reshape(-1, N_UNKNOWNS)
    # seen from afar a turn and a shift do alike: what counts is where the person is in the camera
    hips = np.nanmedian(points.points.xyz_m, axis=(0, 1))
    there = np.stack([c.R_cam_from_world @ hips + c.t_cam_from_world_m for c in rig.cameras])
    across = (np.cross(step[:, TURN], there) + step[:, SHIFT])[:, :2]
    assert across[wrong] == pytest.approx(-(np.cross(turn, there[wrong]) + shift)[:2], abs=4e-3)
    assert np.linalg.norm(np.delete(across, wrong, 0), axis=1).max() < 4e-3
    # one step of a few; a clock that is right stays
    assert step[late, OFFSET] == pytest.approx(-0.006, abs=0.003)
    assert np.abs(np.delete(step[:, OFFSET], late)).max() < 0.0025


def test_a_take_whose_detections_err_alike_says_less(
    rig: CameraRig, points: PointsResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = camera_system(rig, points, 0.5)
    length = cameras.run_length
    monkeypatch.setattr(cameras, "run_length", lambda scatter: 4 * length(scatter))
    less = camera_system(rig, points, 0.5)
    assert less.hessian == pytest.approx(once.hessian / 4)
    assert less.slope == pytest.approx(once.slope / 4)


def test_detections_that_err_alike_count_as_fewer() -> None:
    assert run_length(Scatter(np.array([1.0, 0.0, 0.0]), 1.0, 1.0, 100)) == 1.0
    assert run_length(Scatter(np.array([1.0, 0.5, 0.25]), 1.0, 1.0, 100)) == pytest.approx(2.5)
    assert run_length(Scatter(np.array([1.0, -0.5, 0.0]), 1.0, 1.0, 100)) == 1.0
    assert run_length(Scatter(np.zeros(3), 1.0, 1.0, 0)) == 1.0


def test_the_system_is_linearised_where_the_solve_ends(rig: CameraRig, points: PointsResult) -> None:
    start = begin(rig, points, None, NoProgress())
    first = first_prior(start.screened.pose, start.dof, start.fps)
    window = windows(points.timeline.n_frames, start.fps)[0]
    found = fit_held(start.motion, window, *fit_freely(start.motion, window, first))
    data = cameras.to_cameras(found.seen, found.sigma_px)
    slip_m = cameras.SLIP_M_S / start.fps
    arguments = (start.shape, start.names, start.dof, data, found.prior, start.fps, found.contact, slip_m)
    hessian, slope, between, _ = cameras.take_terms(found.pose, *arguments)
    acceleration = found.pose.accelerations(start.dof)
    step = banded_step(hessian, slope, found.prior.level**-2.0, acceleration, between)
    assert np.abs(step[:, :3]).max() < 5e-3
    assert np.median(np.abs(step[:, 3:])) < np.radians(0.3)
