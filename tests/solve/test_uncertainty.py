"""Standard deviations against synthetic truth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import Observations, common_timeline
from mocap.core.take import SolvedTake
from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.chain import Scatter
from mocap.reconstruct.points import reconstruct_points
from mocap.solve import uncertainty
from mocap.solve.body import LANDMARKS
from mocap.solve.fit import PointTerms, body_points
from mocap.solve.motion import MAX_SIGMA_M
from mocap.solve.motion_prior import first_prior
from mocap.solve.pose import Pose, bind_pose, freedom
from mocap.solve.shape import reference_shape
from mocap.solve.take import solve_take
from mocap.solve.uncertainty import body_misfit_m, keypoint_sigma, residual_scatter
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 199
GAP = slice(80, 140)
NAMES = tuple(n for n in LANDMARKS if n != "Hip")
DOF = freedom(NAMES)


@pytest.fixture(scope="module")
def performer() -> Performer:
    return Performer.random(np.random.default_rng(22))


def _solve(performer: Performer, hidden: tuple[str, ...] = ()) -> SolvedTake:
    rig = ring_rig(5, np.random.default_rng(23))
    faults = Faults(noise_px=3.0, outlier_share=0.05, dropout_share=0.1)
    k = detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(24), faults=faults).keypoints
    xy, score = k.xy_px.copy(), k.score.copy()
    for name in hidden:
        at = k.keypoint_set.names.index(name)
        xy[:, GAP, 0, at], score[:, GAP, 0, at] = np.nan, 0.0
    seen = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    return solve_take(rig, reconstruct_points(seen, rig, common_timeline(seen.time_s, FPS)))


@pytest.fixture(scope="module")
def take(performer: Performer) -> SolvedTake:
    return _solve(performer)


def _observations(noise: np.ndarray) -> tuple[np.ndarray, Observations]:
    """Return points and observations [camera frame landmark] of five cameras whose residuals are `noise` in pixels."""
    cameras, frames, landmarks = noise.shape[:3]
    points = np.zeros((frames, landmarks, 3))
    t = np.tile([0.0, 0.0, 5.0], (cameras, 1))
    return points, Observations(
        xy=-noise / 1000.0,
        px_per_unit=np.full(noise.shape[:3], 1000.0),
        score=np.ones(noise.shape[:3]),
        frame=np.tile(np.arange(frames, dtype=float), (cameras, 1)),
        R_cam_from_world=np.tile(np.eye(3), (cameras, 1, 1)),
        t_cam_from_world_m=t,
    )


def _sigma(pose: Pose, data: PointTerms) -> np.ndarray:
    """Return sigma [frame landmark] of a pose that `data` holds, with white noise."""
    unseen, prior = Scatter(np.zeros(31), 1.0, 1.0, 0), first_prior(pose, DOF, float(FPS))
    return keypoint_sigma(pose, reference_shape(1.0), NAMES, DOF, data, prior, unseen, NAMES, float(FPS))


def test_independent_residuals_scatter_at_lag_zero_only() -> None:
    noise = np.random.default_rng(20).normal(size=(5, 400, 11, 2))
    points, observations = _observations(noise)
    seen = residual_scatter(points, observations, np.ones(noise.shape[:3]), 15)
    assert seen.covariance[0] > 0.3
    assert np.abs(seen.covariance[1:]).max() < 0.02 * seen.covariance[0]


@pytest.mark.parametrize(
    ("kind", "within_1", "within_2"),
    # this performer moves more smoothly than the prior of motion thinks, so that the solve's intervals are wide
    [("keypoints", (0.66, 0.83), (0.94, 0.99)), ("points", (0.63, 0.73), (0.92, 0.98))],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(
    take: SolvedTake, performer: Performer, kind: str, within_1: tuple[float, float], within_2: tuple[float, float]
) -> None:
    found = take.keypoints if kind == "keypoints" else take.points
    z = np.abs(found.xyz_m - performer.points(found.time_s)) / found.sigma_m[..., None]
    z = z[np.isfinite(z)]
    assert within_1[0] < (z < 1.0).mean() < within_1[1]
    assert within_2[0] < (z < 1.96).mean() < within_2[1]


def test_uncertainty_grows_over_a_gap_and_comes_back(take: SolvedTake, performer: Performer) -> None:
    hidden = ("LWrist", "LElbow")
    found = _solve(performer, hidden).keypoints
    sigma, truth = found.sigma_m, performer.points(found.time_s)
    names = take.keypoints.keypoint_set.names
    for name in hidden:
        k = names.index(name)
        usual = np.median(take.keypoints.sigma_m[:, k])
        assert sigma[110, k] > sigma[90, k] > sigma[82, k] > usual
        assert sigma[110, k] > 5 * usual
        assert sigma[155, k] < 2 * usual
        z = (found.xyz_m - truth)[GAP, k] / sigma[GAP, k, None]
        assert 0.4 < np.sqrt((z**2).mean()) < 1.3
    assert np.isfinite(sigma).all()


def test_errors_reach_the_landmarks_as_small_turns_from_the_pose_do(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def jacobian(*args: np.ndarray) -> np.ndarray:
        seen.append(true_jacobian(*args))
        return seen[-1]

    true_jacobian = uncertainty.point_jacobian
    monkeypatch.setattr(uncertainty, "point_jacobian", jacobian)
    n = N_TRANSLATION + len(DOF.joint)
    pose = bind_pose(31).moved(0.6 * np.random.default_rng(25).normal(size=(1, n)) * np.ones((31, 1)), DOF)
    _sigma(pose, lambda points: (np.tile([1e4, 1e4, 1e4, 0, 0, 0], (*points.shape[:2], 1)), np.zeros(points.shape)))
    shape, h = reference_shape(1.0), 1e-6
    for d in range(n):
        step = h * np.tile(np.arange(n) == d, (31, 1))
        ahead, behind = (body_points(pose.moved(s, DOF), shape, NAMES)[2][0] for s in (step, -step))
        assert seen[-1][0, :, :, d] == pytest.approx((ahead - behind) / (2 * h), abs=1e-6)


def test_what_nothing_tells_of_has_a_finite_and_large_sigma() -> None:
    sigma = _sigma(bind_pose(120), lambda points: (np.zeros((*points.shape[:2], 6)), np.zeros(points.shape)))
    assert np.isfinite(sigma).all()
    assert sigma.min() > MAX_SIGMA_M


def test_landmarks_that_leave_the_body_are_less_certain() -> None:
    rng = np.random.default_rng(51)
    truth = rng.normal(size=(3001, 2, 3))
    points_sigma, solved_sigma = np.full((3001, 2), 0.004), np.full((3001, 2), 0.002)
    points = truth + 0.004 * rng.normal(size=truth.shape)
    # an efficient solve errs along with the points, and the second landmark leaves the body by a centimetre
    solved = truth + 0.25 * (points - truth) + np.sqrt(3) / 2 * 2e-3 * rng.normal(size=truth.shape)
    solved[:, 1] += 0.01 * rng.normal(size=(3001, 3))
    points[:1500, 0] = np.nan
    found = body_misfit_m(solved, points, solved_sigma, points_sigma)
    assert found[0] < 0.001
    assert found[1] == pytest.approx(0.01, rel=0.05)
