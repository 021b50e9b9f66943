"""Which keypoints of a set are exchanged together."""

from __future__ import annotations

import pytest

from mocap.core.keypoints import load_keypoint_set
from mocap.core.limbs import limb_pairs


@pytest.mark.parametrize("name", ["coco_wholebody133", "halpe136"])
def test_whole_hands_are_a_limb_of_their_own(name: str) -> None:
    keypoint_set = load_keypoint_set(name)
    pairs = limb_pairs(keypoint_set)
    assert len(pairs["hands"]) == 21
    assert {keypoint_set.landmarks[k][1:] for k in pairs["arms"].ravel()} == {"Shoulder", "Elbow", "Wrist"}


def test_the_few_points_of_a_hand_go_with_the_arm() -> None:
    keypoint_set = load_keypoint_set("blazepose33")
    pairs = limb_pairs(keypoint_set)
    assert list(pairs) == ["arms", "legs", "head"]
    assert {"Thumb", "Index", "Pinky"} < {keypoint_set.landmarks[k][1:] for k in pairs["arms"].ravel()}
