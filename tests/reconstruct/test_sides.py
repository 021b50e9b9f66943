"""Exchanged limbs are found over time, and what is not exchanged is left alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.observations import common_timeline
from mocap.reconstruct.points import reconstruct_points
from mocap.reconstruct.sides import exchanged_limbs, limb_groups, put_back
from mocap.synth.detections import Faults, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

HALPE = load_keypoint_set("halpe26")
ARMS, LEGS, HEAD = range(3)


def test_limbs_hold_sided_keypoints_only() -> None:
    groups = limb_groups(HALPE)
    assert [int(g.sum()) for g in groups] == [6, 12, 4]
    midline = [k for k, m in enumerate(HALPE.mirror) if m == k]
    assert not groups[:, midline].any()


def test_a_stretch_of_frames_is_exchanged_and_a_single_jump_is_not() -> None:
    own, crossed = np.full((5, 97, 26), 1.0), np.full((5, 97, 26), 400.0)
    arm = limb_groups(HALPE)[ARMS]
    own[2, 30:50, arm], crossed[2, 30:50, arm] = 400.0, 1.0
    jumping = HALPE.names.index("LWrist")
    own[3, 60, jumping], crossed[3, 60, jumping] = 400.0, 1.0
    exchanged = exchanged_limbs(own, crossed, limb_groups(HALPE))
    assert exchanged[2, 30:50, ARMS].all()
    assert exchanged.sum() == 20


def test_where_limbs_overlap_in_the_picture_nothing_is_changed() -> None:
    same = np.random.default_rng(25).uniform(0, 4, (5, 97, 26))
    assert not exchanged_limbs(same, same, limb_groups(HALPE)).any()


def test_putting_back_twice_gives_the_original() -> None:
    rng = np.random.default_rng(26)
    values, exchanged = rng.normal(size=(5, 7, 26, 2)), rng.random((5, 7, 3)) < 0.5
    groups, mirror = limb_groups(HALPE), np.array(HALPE.mirror)
    once = put_back(values, exchanged, groups, mirror)
    assert not np.array_equal(once, values)
    assert np.array_equal(put_back(once, exchanged, groups, mirror), values)


def test_legs_exchanged_in_two_views_of_a_take_are_put_back() -> None:
    performer = Performer.random(np.random.default_rng(27))
    rig = ring_rig(5, np.random.default_rng(28))
    k = detect([performer], rig, Fraction(60), 97, np.random.default_rng(29), faults=Faults(noise_px=2.0)).keypoints
    legs = limb_groups(HALPE)[LEGS]
    exchanged = np.zeros((5, 97, 3), bool)
    exchanged[1, 20:45, LEGS] = exchanged[3, 30:60, LEGS] = True
    groups, mirror = limb_groups(HALPE), np.array(HALPE.mirror)
    xy = put_back(k.xy_px[:, :, 0], exchanged, groups, mirror)[:, :, None]
    score = put_back(k.score[:, :, 0], exchanged, groups, mirror)[:, :, None]
    wrong = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    result = reconstruct_points(wrong, rig, common_timeline(k.time_s, Fraction(60)))
    assert set(result.exchanged) == set(rig.names)
    found = np.array([result.exchanged[name] for name in rig.names])
    assert abs(found[1] - 25) <= 2
    assert abs(found[3] - 30) <= 2
    assert found[[0, 2, 4]].sum() == 0
    same = np.isclose(result.detections.xy_px[:, :, 0][:, :, legs], k.xy_px[:, :, 0][:, :, legs], equal_nan=True)
    assert same.mean() > 0.98
