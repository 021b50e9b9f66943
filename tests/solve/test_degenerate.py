"""Footage at the edge of what can be solved: the result stays sane, and says how little it knows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.keypoints import Keypoints2D, Source
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.kernels.rotations import quat_exp, quat_rotate
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.body import JOINT_NAMES, RIG_JOINTS
from mocap.solve.limits import greatest_excess_deg
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect, project_points
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 119


class Scene:
    """A performer whose points may be turned in the world, seen by a ring of cameras."""

    def __init__(self) -> None:
        self.rig: CameraRig = ring_rig(5, np.random.default_rng(61))
        self.performer = Performer.random(np.random.default_rng(62), stride=0.3)
        faults = Faults(noise_px=2.0, outlier_share=0.05, dropout_share=0.1)
        rng = np.random.default_rng(63)
        self.seen = detect([self.performer], self.rig, FPS, N_FRAMES, rng, faults=faults).keypoints
        self.timeline = common_timeline(self.seen.time_s, FPS)
        self.truth = self.performer.points(self.timeline.time_s)

    def turned(self, rotvec: list[float]) -> tuple[np.ndarray, Keypoints2D]:
        """Return points turned about the middle of the volume and put on the floor, and their detections."""
        middle = self.truth.mean((0, 1))
        points = middle + quat_rotate(quat_exp(np.array(rotvec)), self.truth - middle)
        points[..., 2] -= points[..., 2].min() - 0.02
        shift = np.stack([project_points(c, points) - project_points(c, self.truth) for c in self.rig.cameras])
        return points, self.only(self.seen.xy_px + shift[:, :, None])

    def only(self, xy_px: np.ndarray) -> Keypoints2D:
        score = np.where(np.isfinite(xy_px).all(-1), self.seen.score, 0.0)
        return replace(self.seen, xy_px=np.where((score > 0)[..., None], xy_px, np.nan), score=score)

    def solve(self, seen: Keypoints2D, rig: CameraRig | None = None) -> SolvedTake:
        rig = rig or self.rig
        return solve_take(rig, reconstruct_points(seen, rig, self.timeline))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def _assert_sane(take: SolvedTake) -> None:
    """A finite body of constant bones, with an uncertainty everywhere."""
    keypoints = take.keypoints
    assert np.isfinite(keypoints.xyz_m).all()
    assert (keypoints.sigma_m > 0).all()
    names = keypoints.keypoint_set.names.index
    for a, b in (("LHip", "LKnee"), ("RKnee", "RAnkle"), ("LElbow", "LWrist")):
        length = np.linalg.norm(keypoints.xyz_m[:, names(a)] - keypoints.xyz_m[:, names(b)], axis=-1)
        assert length.std() < 1e-6
        assert 0.15 < length.mean() < 0.6


def _error_m(take: SolvedTake, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(take.keypoints.xyz_m - truth, axis=-1)


def test_two_cameras_know_less_and_say_so(scene: Scene) -> None:
    two = CameraRig(scene.rig.cameras[:2])
    index = list(range(2))
    seen = scene.seen
    fewer = Keypoints2D(seen.keypoint_set, two.names, seen.xy_px[index], seen.score[index], seen.time_s[index])
    take, full = scene.solve(fewer, two), scene.solve(seen)
    _assert_sane(take)
    assert np.median(_error_m(take, scene.truth)) < 0.05
    assert np.median(take.keypoints.sigma_m) > 1.2 * np.median(full.keypoints.sigma_m)


def test_one_camera_for_a_second_is_bridged_and_labelled(scene: Scene) -> None:
    xy = scene.seen.xy_px.copy()
    xy[1:, 30:90] = np.nan
    take = scene.solve(scene.only(xy))
    _assert_sane(take)
    assert (take.keypoints.source[40:80] != Source.MEASURED).all()
    assert np.median(take.keypoints.sigma_m[60]) > 3 * np.median(take.keypoints.sigma_m[10])
    assert np.quantile(_error_m(take, scene.truth)[30:90], 0.9) < 0.35


def test_an_elbow_that_is_never_seen_follows_from_shoulder_and_wrist(scene: Scene) -> None:
    elbow = scene.seen.keypoint_set.names.index("RElbow")
    xy = scene.seen.xy_px.copy()
    xy[:, :, :, elbow] = np.nan
    take = scene.solve(scene.only(xy))
    _assert_sane(take)
    assert (take.keypoints.source[:, elbow] == Source.SOLVED).all()
    assert (take.keypoints.sigma_m[:, elbow] >= 0.05).all()
    assert "landmarks-not-measured" in [d.code for d in take.diagnostics]
    assert np.median(_error_m(take, scene.truth)[:, elbow]) < 0.15


@pytest.mark.parametrize(
    "rotvec", [[0.0, np.pi / 2, 0.0], [np.pi / 2, 0.0, 0.0], [np.pi, 0.0, 0.0]], ids=["prone", "side", "handstand"]
)
def test_a_body_may_lie_or_stand_on_its_hands(scene: Scene, rotvec: list[float]) -> None:
    truth, seen = scene.turned(rotvec)
    take = scene.solve(seen)
    _assert_sane(take)
    assert np.median(_error_m(take, truth)) < 0.01
    assert max(greatest_excess_deg(_local_of_body(take)).values()) < 5.0
    cosine = np.abs((take.motion.local_wxyz[1:] * take.motion.local_wxyz[:-1]).sum(-1))
    assert np.degrees(2 * np.arccos(np.clip(cosine, 0, 1))).max() < 20.0
    if rotvec[0] == np.pi:
        assert not take.contact.any()


def _local_of_body(take: SolvedTake) -> np.ndarray:
    """Return local rotations of the solve's own joints: without hand points forearms do not roll."""
    local = np.tile([1.0, 0.0, 0.0, 0.0], (N_FRAMES, len(JOINT_NAMES), 1))
    local[:, list(RIG_JOINTS)] = take.motion.local_wxyz
    return local


def test_cameras_on_one_side_are_unsure_along_their_view(scene: Scene) -> None:
    centers = np.stack([c.center_world_m for c in scene.rig.cameras])
    side = np.argsort(-centers[:, 0])[:2]
    chosen = sorted(side.tolist())
    rig = CameraRig(tuple(scene.rig.cameras[c] for c in chosen))
    seen = scene.seen
    fewer = Keypoints2D(seen.keypoint_set, rig.names, seen.xy_px[chosen], seen.score[chosen], seen.time_s[chosen])
    take = scene.solve(fewer, rig)
    _assert_sane(take)
    error = _error_m(take, scene.truth)
    assert np.median(error) < 0.06
    assert np.mean(error < 3.5 * take.keypoints.sigma_m) > 0.8
