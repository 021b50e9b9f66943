"""Exchanged limbs and outlying detections of a take are found, put back, counted and logged."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mocap.core.keypoints import Keypoints2D, load_keypoint_set
from mocap.core.limbs import limb_groups, put_back
from mocap.core.observations import common_timeline
from mocap.core.take import SolvedTake
from mocap.reconstruct.points import reconstruct_points
from mocap.solve.take import solve_take
from mocap.synth.detections import Faults, SyntheticDetections, detect
from mocap.synth.performer import Performer
from mocap.synth.rig import ring_rig

HALPE = load_keypoint_set("halpe26")
LEGS = 1


@pytest.fixture(scope="module")
def seen() -> SyntheticDetections:
    performer = Performer.random(np.random.default_rng(27))
    rig = ring_rig(5, np.random.default_rng(28))
    faults = Faults(noise_px=2.0, outlier_share=0.1, dropout_share=0.1)
    return detect([performer], rig, Fraction(60), 97, np.random.default_rng(29), faults=faults)


@pytest.fixture(scope="module")
def exchanged() -> np.ndarray:
    exchanged = np.zeros((5, 97, 3), bool)
    exchanged[1, 20:45, LEGS] = exchanged[3, 30:60, LEGS] = True
    return exchanged


@pytest.fixture(scope="module")
def take(seen: SyntheticDetections, exchanged: np.ndarray) -> SolvedTake:
    rig = ring_rig(5, np.random.default_rng(28))
    k = seen.keypoints
    xy = put_back(k.xy_px[:, :, 0], exchanged, HALPE)[:, :, None]
    score = put_back(k.score[:, :, 0], exchanged, HALPE)[:, :, None]
    wrong = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    return solve_take(rig, reconstruct_points(wrong, rig, common_timeline(k.time_s, Fraction(60))))


def test_legs_exchanged_in_two_views_are_put_back(
    take: SolvedTake, seen: SyntheticDetections, exchanged: np.ndarray
) -> None:
    assert (take.exchanged & exchanged).sum() / exchanged.sum() > 0.98
    assert (take.exchanged & ~exchanged).sum() <= 1
    legs = limb_groups(HALPE)[LEGS]
    same = np.isclose(
        take.detections.xy_px[:, :, 0][:, :, legs], seen.keypoints.xy_px[:, :, 0][:, :, legs], equal_nan=True
    )
    assert same.mean() > 0.98


def test_legs_exchanged_in_most_views_at_once_are_put_back_in_those(seen: SyntheticDetections) -> None:
    rig, k = ring_rig(5, np.random.default_rng(28)), seen.keypoints
    exchanged = np.zeros((5, 97, 3), bool)
    exchanged[[0, 1, 2, 4], 30:50, LEGS] = True
    xy, score = (put_back(v[:, :, 0], exchanged, HALPE)[:, :, None] for v in (k.xy_px, k.score))
    wrong = Keypoints2D(k.keypoint_set, k.camera_names, xy, score, k.time_s)
    points = reconstruct_points(wrong, rig, common_timeline(k.time_s, Fraction(60)))
    assert (points.exchanged == exchanged).mean() > 0.99
    assert (points.exchanged & exchanged).sum() / exchanged.sum() > 0.98


def test_outlying_detections_are_found(take: SolvedTake, seen: SyntheticDetections) -> None:
    detected = seen.keypoints.score[:, :, 0] > 0
    called, true = detected & (take.inlier_probability < 0.5), seen.is_outlier[:, :, 0] & detected
    assert (called & true).sum() / true.sum() > 0.95
    assert (called & true).sum() / called.sum() > 0.95
    assert abs(take.rejected["inconsistent"] - called.sum()) < 0.01 * detected.sum()


def test_the_log_says_which_camera_which_limb_and_when(take: SolvedTake) -> None:
    (finding,) = (d for d in take.diagnostics if d.code == "limbs-exchanged")
    found = {(s["camera"], s["limb"]): s for s in finding.data["stretches"] if s["frames"] > 5}
    names = take.detections.camera_names
    assert set(found) == {(names[1], "legs"), (names[3], "legs")}
    assert found[names[1], "legs"]["from_s"] == pytest.approx(20 / 60, abs=0.02)
    assert found[names[1], "legs"]["to_s"] == pytest.approx(44 / 60, abs=0.02)
    assert found[names[1], "legs"]["what"] == "left and right exchanged"
