"""The solve of a take against synthetic truth, and its degenerate cases."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.camera import CameraRig
from mocap.core.errors import InputError
from mocap.core.keypoints import Keypoints2D, Source, load_keypoint_set
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.kernels.kinematics import forward_kinematics
from mocap.kernels.rotations import quat_exp
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.body import RIG_NAMES
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, detect, project_points
from mocap.synth.performer import HALPE26, Performer
from mocap.synth.rig import ring_rig

FPS = Fraction(60)
N_FRAMES = 149
MM = 1e-3
LIMBS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


@pytest.fixture(scope="module")
def performer() -> Performer:
    return Performer.random(np.random.default_rng(15), height_m=1.62)


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(5, np.random.default_rng(16))


def _solve(detections: Keypoints2D, rig: CameraRig) -> SolvedTake:
    timeline = common_timeline(detections.time_s, FPS)
    return solve_take(rig, reconstruct_points(detections, rig, timeline))


def _without(k: Keypoints2D, frames: slice, keypoints: list[int], cameras: slice = slice(None)) -> Keypoints2D:
    xy, score = k.xy_px.copy(), k.score.copy()
    for keypoint in keypoints:
        xy[cameras, frames, 0, keypoint], score[cameras, frames, 0, keypoint] = np.nan, 0.0
    return Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)


@pytest.fixture(scope="module")
def seen(performer: Performer, rig: CameraRig) -> Keypoints2D:
    faults = Faults(noise_px=2.0, outlier_share=0.08, dropout_share=0.1, swap_share=0.02)
    return detect([performer], rig, FPS, N_FRAMES, np.random.default_rng(17), faults=faults).keypoints


@pytest.fixture(scope="module")
def take(seen: Keypoints2D, rig: CameraRig) -> SolvedTake:
    return _solve(seen, rig)


def test_the_solved_keypoints_are_nearer_to_the_truth_than_the_points(take: SolvedTake, performer: Performer) -> None:
    truth = performer.points(take.motion.timeline.time_s)
    solved = np.linalg.norm(take.keypoints.xyz_m - truth, axis=-1)
    points = np.linalg.norm(take.points.xyz_m - truth, axis=-1)
    assert solved.mean() < 8 * MM
    assert np.quantile(solved, 0.95) < 18 * MM
    assert solved.mean() < np.nanmean(points)


def test_bone_lengths_are_constant_and_near_the_truth(take: SolvedTake, performer: Performer) -> None:
    keypoint_set = take.keypoints.keypoint_set
    truth = performer.points(take.motion.timeline.time_s)
    for side in "LR":
        for a, b in zip(LIMBS[:2] + LIMBS[3:5], LIMBS[1:3] + LIMBS[4:6], strict=True):
            i, j = keypoint_set.names.index(side + a), keypoint_set.names.index(side + b)
            length = np.linalg.norm(take.keypoints.xyz_m[:, i] - take.keypoints.xyz_m[:, j], axis=-1)
            assert length.std() < 1e-9
            assert length.mean() == pytest.approx(np.linalg.norm(truth[0, i] - truth[0, j]), abs=8 * MM)


def test_the_motion_moves_the_joints_where_the_keypoints_are(take: SolvedTake) -> None:
    motion = take.motion
    _, joints = forward_kinematics(
        motion.skeleton.parents, motion.skeleton.offset_m, motion.root_translation_m, motion.local_wxyz
    )
    for landmark, joint in (("LElbow", "LeftForeArm"), ("RKnee", "RightLeg"), ("LAnkle", "LeftFoot")):
        keypoint = take.keypoints.keypoint_set.names.index(landmark)
        assert joints[:, RIG_NAMES.index(joint)] == pytest.approx(take.keypoints.xyz_m[:, keypoint], abs=1e-9)


def test_rotations_never_jump(take: SolvedTake) -> None:
    cosine = np.abs((take.motion.local_wxyz[1:] * take.motion.local_wxyz[:-1]).sum(-1))
    assert np.degrees(2 * np.arccos(np.clip(cosine, 0, 1))).max() < 20.0


def test_a_planted_foot_is_a_contact(rig: CameraRig) -> None:
    still = Performer.random(np.random.default_rng(18), stride=0.0)
    seen = detect([still], rig, FPS, N_FRAMES, np.random.default_rng(19), faults=Faults(noise_px=1.0)).keypoints
    take = _solve(seen, rig)
    assert take.contact.mean() > 0.95
    soles = [take.keypoints.keypoint_set.names.index(n) for n in ("LHeel", "LBigToe", "RHeel", "RBigToe")]
    speed_m_s = np.linalg.norm(np.diff(take.keypoints.xyz_m[:, soles], axis=0), axis=-1) * float(FPS)
    assert np.median(speed_m_s) < 0.02


def test_a_wrist_hidden_for_a_second_is_bridged_labelled_and_uncertain(seen: Keypoints2D, rig: CameraRig) -> None:
    wrist = seen.keypoint_set.names.index("LWrist")
    keypoints = _solve(_without(seen, slice(50, 110), [wrist]), rig).keypoints
    assert np.isfinite(keypoints.xyz_m).all()
    assert (keypoints.source[60:100, wrist] == Source.INTERPOLATED).all()
    assert keypoints.sigma_m[80, wrist] > 5 * keypoints.sigma_m[20, wrist]


def test_a_landmark_that_is_never_seen_follows_from_the_body(seen: Keypoints2D, rig: CameraRig) -> None:
    toe = seen.keypoint_set.names.index("LBigToe")
    take = _solve(_without(seen, slice(None), [toe]), rig)
    assert (take.keypoints.source[:, toe] == Source.SOLVED).all()
    assert "landmarks-not-measured" in [d.code for d in take.diagnostics]


def test_an_arm_that_is_never_seen_is_as_uncertain_as_it_is_wrong(
    seen: Keypoints2D, rig: CameraRig, performer: Performer
) -> None:
    names = seen.keypoint_set.names
    arm = [names.index(n) for n in ("LElbow", "LWrist")]
    found = _solve(_without(seen, slice(None), arm), rig).keypoints
    off = (found.xyz_m - performer.points(found.time_s))[:, arm]
    assert np.sqrt((off**2).mean(1)).max() > 0.05
    assert (np.sqrt((off**2).mean((0, 2))) < 2 * np.median(found.sigma_m[:, arm], axis=0)).all()


def test_one_second_with_one_camera_stays_sane(seen: Keypoints2D, rig: CameraRig, performer: Performer) -> None:
    every = list(range(len(seen.keypoint_set)))
    take = _solve(_without(seen, slice(60, 120), every, slice(1, None)), rig)
    error = np.linalg.norm(take.keypoints.xyz_m - performer.points(take.motion.timeline.time_s), axis=-1)
    assert np.quantile(error[60:120], 0.9) < 0.35
    assert np.quantile(error[:50], 0.95) < 20 * MM


def test_two_cameras_are_enough(seen: Keypoints2D, rig: CameraRig, performer: Performer) -> None:
    every = list(range(len(seen.keypoint_set)))
    take = _solve(_without(seen, slice(None), every, slice(2, None)), rig)
    error = np.linalg.norm(take.keypoints.xyz_m - performer.points(take.motion.timeline.time_s), axis=-1)
    assert np.median(error) < 60 * MM


def test_a_performer_that_two_cameras_never_see_is_an_error(seen: Keypoints2D, rig: CameraRig) -> None:
    every = list(range(len(seen.keypoint_set)))
    with pytest.raises(InputError) as caught:
        _solve(_without(seen, slice(None), every, slice(1, None)), rig)
    assert caught.value.code == "performer-not-seen"


@pytest.mark.parametrize("n_frames", [1, 2])
def test_a_take_of_one_or_two_frames_is_named_as_too_short(seen: Keypoints2D, rig: CameraRig, n_frames: int) -> None:
    part = seen.xy_px[:, :n_frames], seen.score[:, :n_frames], seen.time_s[:, :n_frames]
    with pytest.raises(InputError, match="3 are needed") as caught:
        _solve(Keypoints2D(seen.keypoint_set, seen.camera_names, *part), rig)
    assert caught.value.code == "take-too-short"


def test_a_set_without_feet_and_neck_drives_the_same_skeleton(seen: Keypoints2D, rig: CameraRig) -> None:
    coco = load_keypoint_set("coco17")
    index = [seen.keypoint_set.landmarks.index(n) for n in coco.landmarks]
    fewer = Keypoints2D(coco, seen.camera_names, seen.xy_px[..., index, :], seen.score[..., index], seen.time_s)
    take = _solve(fewer, rig)
    assert take.motion.skeleton.joint_names == RIG_NAMES
    assert np.isfinite(take.keypoints.xyz_m).all()


def test_forearms_roll_with_the_knuckles(rig: CameraRig, performer: Performer) -> None:
    """Hand points on a body whose forearms turn: the roll is measured, and zero where the knuckles lie across."""
    names = load_keypoint_set("blazepose33")
    timeline = common_timeline(np.tile(np.arange(N_FRAMES) / 60.0, (5, 1)), FPS)
    skeleton = performer.skeleton
    root, local = performer.pose(timeline.time_s)
    local = local.copy()
    roll: np.ndarray = np.radians(40.0) * np.sin(2 * np.pi * timeline.time_s)
    for side in ("Left", "Right"):
        local[:, skeleton.index(f"{side}Hand")] = quat_exp(roll[:, None] * [0.0, 1.0, 0.0])
    R_world, joints = forward_kinematics(skeleton.parents, skeleton.offset_m, root, local)
    halpe = dict(zip(HALPE26.landmarks, performer.points(timeline.time_s).swapaxes(0, 1), strict=True))
    places = {"Thumb": (0.03, 0.05, 0.0), "Index": (0.03, 0.09, 0.0), "Pinky": (-0.03, 0.08, 0.0)}
    for side, s in (("Left", 1.0), ("Right", -1.0)):
        hand = skeleton.index(f"{side}Hand")
        for name, (x, y, z) in places.items():
            halpe[side[0] + name] = joints[:, hand] + R_world[:, hand] @ [x, s * y, z]
    points = np.stack([halpe.get(n, np.full((N_FRAMES, 3), np.nan)) for n in names.landmarks], axis=1)
    xy = np.stack([project_points(camera, points) for camera in rig.cameras])[:, :, None].astype(np.float32)
    score = np.isfinite(xy.sum(-1)).astype(np.float32)
    take = _solve(Keypoints2D(names, rig.names, xy, score, np.tile(timeline.time_s, (5, 1))), rig)
    motion = take.motion
    R, _ = forward_kinematics(motion.skeleton.parents, motion.skeleton.offset_m, root, motion.local_wxyz)
    for side in ("Left", "Right"):
        across = R[:, motion.skeleton.index(f"{side}ForeArm"), :, 0]
        truth = R_world[:, skeleton.index(f"{side}Hand"), :, 0]
        assert np.degrees(np.arccos(np.clip((across * truth).sum(-1), -1, 1))).max() < 6.0
