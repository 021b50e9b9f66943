"""What is learned of how a take's joint angles vary together, and what it is good for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.keypoints import Keypoints2D
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.kernels.articulated import N_TRANSLATION
from mocap.kernels.chain import error_variance
from mocap.reconstruct.points import reconstruct_points
from mocap.solve import motion
from mocap.solve.body import LANDMARKS
from mocap.solve.motion_prior import FREE_RAD
from mocap.solve.pose import Pose, bind_pose, freedom
from mocap.solve.take import solve_take
from mocap.solve.usual_poses import UsualPoses, place_weight, usual_poses
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = 60.0
DOF = freedom(tuple(n for n in LANDMARKS if n != "Hip"))
N = len(DOF.joint)
FREE = DOF.prior_rad > FREE_RAD
HINGES = np.flatnonzero(np.bincount(DOF.joint)[DOF.joint] == 1)
"""Degrees whose angles add up."""
LEFT, RIGHT, ALONE = (int(d) for d in HINGES[:3])


def _learned(angle_rad: np.ndarray, observed: np.ndarray | None = None) -> UsualPoses:
    seen = np.ones(angle_rad.shape, bool) if observed is None else observed
    return usual_poses(angle_rad, seen, np.where(FREE, np.inf, 0.2), np.full(N, 0.1), np.full(N, 0.005), FPS)


def _angles(n_frames: int, seed: int = 5) -> np.ndarray:
    """Return angles [frame dof] of pairs that move against each other, LEFT and RIGHT among them."""
    rng = np.random.default_rng(seed)
    angle = 0.2 * rng.normal(size=(n_frames, N)) + 0.1
    rest = [d for d in range(N) if d not in (LEFT, RIGHT, ALONE)]
    for a, b in ((LEFT, RIGHT), *zip(rest[::2], rest[1::2], strict=False)):
        angle[:, b] = 0.2 - angle[:, a] + 0.02 * rng.normal(size=n_frames)
    return angle


def _pose(angle_rad: np.ndarray) -> Pose:
    step = np.concatenate([np.zeros((len(angle_rad), N_TRANSLATION)), angle_rad], axis=1)
    return bind_pose(len(angle_rad)).moved(step, DOF)


def _regressed(poses: UsualPoses, of: int, by: int, off_rad: float) -> float:
    """Return where the pull alone leaves a hidden degree, given that another is held off its centre."""
    rest = [d for d in range(N) if d not in (of, by) and not FREE[d]]
    free = [of, *rest]
    P = poses.precision
    return float(-np.linalg.solve(P[np.ix_(free, free)], P[free, by] * off_rad)[0])


def test_a_hidden_degree_follows_the_one_that_it_moves_with() -> None:
    poses = _learned(_angles(3600))
    assert _regressed(poses, RIGHT, LEFT, 0.3) == pytest.approx(-0.3, abs=0.1)
    assert abs(_regressed(poses, ALONE, LEFT, 0.3)) < 0.03


def test_what_is_seen_seldom_together_is_not_taken_for_a_habit() -> None:
    observed = np.ones((3600, N), bool)
    observed[60:, RIGHT] = False
    assert abs(_regressed(_learned(_angles(3600), observed), RIGHT, LEFT, 0.3)) < 0.05
    assert abs(_regressed(_learned(_angles(60)), RIGHT, LEFT, 0.3)) < 0.1


def test_hidden_frames_teach_nothing() -> None:
    angle, observed = _angles(3600), np.ones((3600, N), bool)
    observed[1800:, LEFT] = False
    told = angle.copy()
    told[1800:, LEFT] = 1.5
    of_true, of_told = _learned(angle, observed), _learned(told, observed)
    assert np.array_equal(of_true.centre_rad, of_told.centre_rad)
    assert np.array_equal(of_true.precision, of_told.precision)


def test_degrees_that_turn_all_the_way_round_are_not_held() -> None:
    poses = _learned(_angles(3600))
    assert FREE.sum() == 3
    for matrix in (poses.precision, poses.per_frame):
        assert not matrix[FREE].any()
        assert not matrix[:, FREE].any()
        assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_the_weight_gives_chains_of_white_accelerations_the_variance_that_was_learned() -> None:
    power, variance = 0.005**2, np.array([0.05, 0.2, 0.6]) ** 2
    # a chain's error variance, of data of this curvature in units of its acceleration
    assert power * error_variance(place_weight(np.array(power), variance) * power) == pytest.approx(variance, rel=0.05)


def test_the_gradient_is_the_slope_of_the_squared_distance() -> None:
    poses = _learned(_angles(3600))
    angle = np.zeros((5, N))
    angle[:, HINGES] = np.random.default_rng(6).normal(size=(5, len(HINGES))) * 0.3
    pose = _pose(angle)
    curvature, gradient = poses.pull(pose, DOF)
    weight = curvature[:, LEFT, LEFT] / poses.per_frame[LEFT, LEFT]

    def cost(p: Pose) -> np.ndarray:
        off = p.angles(DOF) - poses.centre_rad
        return 0.5 * weight * ((off @ poses.per_frame) * off).sum(-1)

    for d in HINGES:
        step = np.zeros((5, N_TRANSLATION + N))
        step[:, N_TRANSLATION + d] = 1e-5
        slope = (cost(pose.moved(step, DOF)) - cost(pose.moved(-step, DOF))) / 2e-5
        assert gradient[:, d] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_poses_far_from_all_others_are_held_less() -> None:
    poses = _learned(_angles(3600))
    near, far = np.tile(poses.centre_rad, (2, 1))
    far[HINGES] += 1.0
    curvature, _ = poses.pull(_pose(np.stack([near, far])), DOF)
    assert 0.0 < curvature[1, LEFT, LEFT] < 0.3 * curvature[0, LEFT, LEFT]


GAPS = (slice(120, 180), slice(300, 420), slice(540, 600))


def _hidden_arm(seed: int) -> tuple[SolvedTake, Performer]:
    """Return the solve of a walk whose left arm nobody sees in GAPS."""
    performer = Performer.random(np.random.default_rng(seed))
    rig = ring_rig(5, np.random.default_rng(seed + 1))
    faults = Faults(noise_px=2.0, outlier_share=0.03, dropout_share=0.05)
    k = detect([performer], rig, Fraction(60), 720, np.random.default_rng(seed + 2), faults=faults).keypoints
    xy, score = k.xy_px.copy(), k.score.copy()
    for at in (k.keypoint_set.names.index(n) for n in ("LElbow", "LWrist")):
        for gap in GAPS:
            xy[:, gap, 0, at], score[:, gap, 0, at] = np.nan, 0.0
    seen = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    return solve_take(rig, reconstruct_points(seen, rig, common_timeline(seen.time_s, Fraction(60)))), performer


def _error_m(take: SolvedTake, performer: Performer, gaps: tuple[slice, ...]) -> float:
    at = take.keypoints.keypoint_set.names.index("LWrist")
    off = np.linalg.norm(take.keypoints.xyz_m - performer.points(take.keypoints.time_s), axis=-1)[:, at]
    return float(np.mean([off[gap].mean() for gap in gaps]))


def test_what_the_seen_limbs_do_tells_where_the_hidden_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the same solve without it."""
    seeds = (31, 41)
    learned = [_hidden_arm(seed) for seed in seeds]
    monkeypatch.setattr(motion, "usual_poses", lambda *_: None)
    without = [_hidden_arm(seed) for seed in seeds]
    in_gaps, everywhere = (
        [np.mean([_error_m(*found, part) for found in both]) for both in (learned, without)]
        for part in (GAPS, (slice(0, 720),))
    )
    assert in_gaps[0] < 0.85 * in_gaps[1]
    assert everywhere[0] < everywhere[1]


def test_habits_that_contradict_each_other_are_not_stiff() -> None:
    """Each pair of three is seen in another third of the take, and no three angles can correlate like that."""
    rng = np.random.default_rng(7)
    angle, observed = 0.2 * rng.normal(size=(7200, N)), np.ones((7200, N), bool)
    trio = [LEFT, RIGHT, ALONE]
    for n, (hidden, sign) in enumerate(((2, 1), (1, 1), (0, -1))):
        part = slice(2400 * n, 2400 * (n + 1))
        a, b = (d for k, d in enumerate(trio) if k != hidden)
        angle[part, b] = sign * angle[part, a] + 0.02 * rng.normal(size=2400)
        observed[part, trio[hidden]] = False
    poses = _learned(angle, observed)
    stiffest_rad = np.linalg.eigvalsh(poses.precision)[-1] ** -0.5
    assert stiffest_rad > np.radians(1.0)


def test_a_degree_that_nobody_sees_stays_where_it_was_first_put() -> None:
    angle, observed = _angles(3600), np.ones((3600, N), bool)
    observed[:, LEFT] = False
    observed[3:, RIGHT] = False
    angle[:, [LEFT, RIGHT]] = 2.0
    poses = _learned(angle, observed)
    assert poses.centre_rad[LEFT] == pytest.approx(0.1)
    assert poses.centre_rad[RIGHT] < 0.6
