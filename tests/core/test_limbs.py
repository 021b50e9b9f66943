"""Limbs of keypoint sets, and putting their sides back."""

from __future__ import annotations

import numpy as np

from mocap.core.keypoints import load_keypoint_set
from mocap.core.limbs import limb_groups, limb_pairs, of_keypoints, put_back, stretches

HALPE = load_keypoint_set("halpe26")


def test_limbs_hold_sided_keypoints_only() -> None:
    groups = limb_groups(HALPE)
    assert [int(g.sum()) for g in groups] == [6, 12, 4]
    midline = [k for k, m in enumerate(HALPE.mirror) if m == k]
    assert not groups[:, midline].any()


def test_pairs_are_left_and_right() -> None:
    for pairs in limb_pairs(HALPE).values():
        for left, right in pairs:
            assert (HALPE.landmarks[left][0], HALPE.landmarks[right][0]) == ("L", "R")
            assert HALPE.landmarks[left][1:] == HALPE.landmarks[right][1:]


def test_putting_back_twice_gives_the_original() -> None:
    rng = np.random.default_rng(26)
    values, exchanged = rng.normal(size=(5, 7, 26, 2)), rng.random((5, 7, 3)) < 0.5
    once = put_back(values, exchanged, HALPE)
    assert not np.array_equal(once, values)
    assert np.array_equal(put_back(once, exchanged, HALPE), values)
    changed = (once != values).any(-1)
    assert np.array_equal(changed, of_keypoints(exchanged, HALPE))


def test_stretches_name_their_first_and_last_frame() -> None:
    assert stretches(np.array([1, 1, 0, 0, 1, 0, 1], bool)) == [(0, 1), (4, 4), (6, 6)]
    assert stretches(np.zeros(0, bool)) == []
