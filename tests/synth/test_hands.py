"""Synthetic hands: what their truth promises."""

from __future__ import annotations

import numpy as np

from mocap.synth.hands import FINGERS, Hands
from mocap.synth.performer import WHOLEBODY133, Performer

TIME_S = np.arange(0, 3, 0.1)


def _path(points: np.ndarray, name: str) -> np.ndarray:
    return points[:, WHOLEBODY133.landmarks.index(name)]


def test_bones_keep_their_lengths_and_fingers_bend_by_what_they_say() -> None:
    rng = np.random.default_rng(5)
    performer = Performer.random(rng).with_hands(rng)
    assert performer.hands is not None
    points = performer.points(TIME_S)
    for side, name in (("L", "Left"), ("R", "Right")):
        bends = performer.hands.bends_deg(name, TIME_S)
        for f, finger in enumerate(FINGERS):
            chain = ["Thumb1", "Thumb"] if finger == "Thumb" else [finger, f"{finger}2"]
            places = [_path(points, side + n) for n in (*chain, f"{finger}3", f"{finger}Tip")]
            bones = np.diff(places, axis=0)
            lengths = np.linalg.norm(bones, axis=-1)
            np.testing.assert_allclose(lengths, np.tile(performer.hands.bone_m[f][:, None], len(TIME_S)), atol=1e-12)
            for n in (1, 2):
                cosine = (bones[n - 1] * bones[n]).sum(-1) / (lengths[n - 1] * lengths[n])
                np.testing.assert_allclose(np.degrees(np.arccos(cosine)), np.abs(bends[:, f, n]), atol=1e-4)


def test_both_hands_move_each_in_its_own_way_and_faces_are_missing() -> None:
    rng = np.random.default_rng(5)
    performer = Performer.random(rng).with_hands(rng)
    assert performer.hands is not None
    assert np.abs(performer.hands.bends_deg("Left", TIME_S) - performer.hands.bends_deg("Right", TIME_S)).max() > 20
    known = np.isfinite(performer.points(TIME_S)).all((0, 2))
    assert known.tolist() == [bool(name) for name in WHOLEBODY133.landmarks]


def test_the_right_hand_is_the_mirror_image_of_a_left_one_that_does_the_same() -> None:
    one = Hands.random(np.random.default_rng(3))
    hands = Hands(one.knuckle_m, one.bone_m, np.tile(one.rate_hz[:1], (2, 1)), np.tile(one.phase_rad[:1], (2, 1)))
    still, ahead = np.zeros((len(TIME_S), 3)), np.tile(np.eye(3), (len(TIME_S), 1, 1))
    left, right = (hands.points(side, still, ahead, TIME_S) for side in ("Left", "Right"))
    for name, place in left.items():
        np.testing.assert_allclose(right["R" + name[1:]], place * [1.0, -1.0, 1.0], atol=1e-12)
