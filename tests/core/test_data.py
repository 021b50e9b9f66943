"""The frozen types of keypoints, skeletons, motions and time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocap.core.conventions import R_YUP_FROM_WORLD, YUP_FROM_WORLD_WXYZ, world_from_yup, yup_from_world
from mocap.core.keypoints import Keypoints2D, KeypointSet
from mocap.core.skeleton import Motion, Skeleton
from mocap.core.timeline import Timeline, TimeMap
from mocap.kernels.rotations import quat_to_matrix

N_CAMERAS, N_FRAMES, N_PERSONS, N_KEYPOINTS, N_JOINTS = 5, 7, 2, 11, 13


def keypoint_set() -> KeypointSet:
    names = tuple(f"k{k}" for k in range(N_KEYPOINTS))
    return KeypointSet("eleven", names, ("",) * N_KEYPOINTS, ((0, 1),), tuple(range(N_KEYPOINTS)))


def detections(**changes: np.ndarray) -> Keypoints2D:
    rng = np.random.default_rng(1)
    values = {
        "xy_px": rng.uniform(0, 500, (N_CAMERAS, N_FRAMES, N_PERSONS, N_KEYPOINTS, 2)),
        "score": rng.uniform(0.1, 1, (N_CAMERAS, N_FRAMES, N_PERSONS, N_KEYPOINTS)),
        "time_s": np.tile(np.arange(N_FRAMES) / 60, (N_CAMERAS, 1)),
    }
    values |= changes
    return Keypoints2D(keypoint_set(), tuple(f"cam{c}" for c in range(N_CAMERAS)), **values)


def test_counts_are_those_of_the_axes() -> None:
    d = detections()
    assert (d.n_cameras, d.n_frames, d.n_persons) == (N_CAMERAS, N_FRAMES, N_PERSONS)


def test_a_swapped_axis_is_refused_with_both_shapes() -> None:
    wrong = np.zeros((N_CAMERAS, N_PERSONS, N_FRAMES, N_KEYPOINTS))
    with pytest.raises(ValueError, match=r"score: expected shape \(5, 7, 2, 11\).*got \(5, 2, 7, 11\)"):
        detections(score=wrong)


def test_a_missing_keypoint_with_a_score_is_refused() -> None:
    xy = np.array(detections().xy_px)
    xy[1, 2, 1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN with score 0"):
        detections(xy_px=xy)


def test_choosing_a_person_takes_the_named_detection_of_each_frame() -> None:
    d = detections()
    index = np.arange(N_CAMERAS * N_FRAMES).reshape(N_CAMERAS, N_FRAMES) % 3 - 1  # -1, 0, 1
    one = d.person(index)
    assert one.n_persons == 1
    for c, f in np.ndindex(N_CAMERAS, N_FRAMES):
        if index[c, f] < 0:
            assert np.isnan(one.xy_px[c, f]).all()
            assert (one.score[c, f] == 0).all()
        else:
            np.testing.assert_array_equal(one.xy_px[c, f, 0], d.xy_px[c, f, index[c, f]])


def chain(n: int = N_JOINTS) -> Skeleton:
    tip = np.full((n, 3), np.nan)
    tip[-1] = [0.0, 0.0, 0.1]
    return Skeleton(
        "chain",
        tuple(f"j{j}" for j in range(n)),
        tuple(range(-1, n - 1)),
        np.full((n, 3), 0.1),
        np.tile([1.0, 0.0, 0.0, 0.0], (n, 1)),
        tip,
    )


def test_an_unknown_joint_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"no joint 'knee' in chain; available: j0, j1"):
        chain().index("knee")


def test_a_child_before_its_parent_is_refused() -> None:
    with pytest.raises(ValueError, match="earlier joint"):
        Skeleton("bad", ("a", "b", "c"), (-1, 2, 0), np.zeros((3, 3)), np.zeros((3, 4)), np.zeros((3, 3)))


def test_a_leaf_without_a_tip_is_refused() -> None:
    with pytest.raises(ValueError, match="leaf joints have a tip"):
        Skeleton("bad", ("a", "b"), (-1, 0), np.zeros((2, 3)), np.zeros((2, 4)), np.full((2, 3), np.nan))


def test_a_motion_of_rotations_that_are_not_unit_is_refused() -> None:
    local = np.tile([1.0, 0.0, 0.0, 0.0], (N_FRAMES, N_JOINTS, 1))
    local[3, 5] *= 1.01
    with pytest.raises(ValueError, match="unit quaternions"):
        Motion(chain(), Timeline(Fraction(60), N_FRAMES), np.zeros((N_FRAMES, 3)), local)


def test_a_rate_of_59_94_does_not_drift_over_an_hour() -> None:
    timeline = Timeline(Fraction(60000, 1001), 60 * 60 * 60, start_s=2.0)
    assert timeline.time_s[-1] == pytest.approx(2.0 + (60 * 60 * 60 - 1) * 1001 / 60000, abs=1e-9)
    assert timeline.duration_s == pytest.approx(60 * 60 * 1.001, abs=1e-9)


@pytest.mark.parametrize(("fps", "n_frames"), [(Fraction(0), 7), (Fraction(-25), 7), (Fraction(25), -1)])
def test_an_impossible_timeline_is_refused(fps: Fraction, n_frames: int) -> None:
    with pytest.raises(ValueError, match="positive rate"):
        Timeline(fps, n_frames)


def test_a_time_map_shifts_and_stretches_the_cameras_clock() -> None:
    drifting = TimeMap(offset_s=-0.25, drift_ppm=100.0)
    np.testing.assert_allclose(drifting.master_time_s(np.array([0.0, 100.0])), [-0.25, 99.76], atol=1e-12)


@given(st.tuples(*[st.floats(-10, 10)] * 3))
def test_file_axes_and_world_axes_are_inverse(point: tuple[float, float, float]) -> None:
    np.testing.assert_array_equal(world_from_yup(yup_from_world(np.array(point))), point)
    np.testing.assert_array_equal(R_YUP_FROM_WORLD @ np.array(point), yup_from_world(np.array(point)))


def test_the_axes_of_files_are_a_proper_rotation_that_puts_up_on_y_and_forward_on_z() -> None:
    assert np.linalg.det(R_YUP_FROM_WORLD) == pytest.approx(1.0)
    np.testing.assert_array_equal(yup_from_world(np.array([0.0, 0.0, 1.0])), [0, 1, 0])  # up
    np.testing.assert_array_equal(yup_from_world(np.array([1.0, 0.0, 0.0])), [0, 0, 1])  # forward
    np.testing.assert_array_equal(yup_from_world(np.array([0.0, 1.0, 0.0])), [1, 0, 0])  # left
    np.testing.assert_allclose(quat_to_matrix(YUP_FROM_WORLD_WXYZ), R_YUP_FROM_WORLD, atol=1e-15)
