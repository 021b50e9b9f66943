"""Linking one view's detections over time."""

from __future__ import annotations

import numpy as np

from mocap.tracking.tracklets import link, masked_median, person_size_px

N_KEYPOINTS = 11


def walkers(n_frames: int, speeds: list[float], starts: list[float]) -> np.ndarray:
    """Return detections [camera=1 frame person keypoint 2] of people walking along the picture."""
    body = np.random.default_rng(3).uniform([-40, -150], [40, 150], (N_KEYPOINTS, 2))
    frame = np.arange(n_frames)[:, None]
    x = np.array(starts) + np.array(speeds) * frame
    return (body + np.stack([x, np.full_like(x, 300)], -1)[:, :, None])[None]


def run(xy: np.ndarray) -> np.ndarray:
    times = np.arange(xy.shape[1])[None] / 30.0
    return link(xy, times, person_size_px(xy)).label[0]


def test_people_listed_in_random_order_keep_their_tracklets() -> None:
    xy = walkers(37, [3.0, -2.0], [100.0, 700.0])
    order = np.random.default_rng(5).integers(0, 2, 37)
    shuffled = np.take_along_axis(xy, np.stack([order, 1 - order], -1)[None, :, :, None, None], 2)
    label = run(shuffled)
    mine = np.take_along_axis(label, order[:, None] * 1, 1)
    assert len(np.unique(label)) == 2
    assert len(np.unique(mine)) == 1


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    xy = walkers(101, [1.0], [100.0])
    xy[0, 31:37] = np.nan
    xy[0, 61:83] = np.nan
    label = run(xy)[:, 0]
    assert label[0] == label[50] != label[90]
    assert (label[31:37] == -1).all()


def test_people_on_top_of_each_other_end_their_tracklets() -> None:
    xy = walkers(61, [4.0, -4.0], [100.0, 340.0])
    label = run(xy)
    assert len(np.unique(label[label >= 0])) > 2
    assert set(label[0]).isdisjoint(label[60])


def test_a_jump_to_somebody_else_starts_a_new_tracklet() -> None:
    xy = walkers(41, [1.0], [100.0])
    xy[0, 20:, ..., 0] += 500.0
    label = run(xy)[:, 0]
    assert len(np.unique(label)) == 2


def test_nobody_has_no_tracklet() -> None:
    xy = np.full((3, 7, 2, N_KEYPOINTS, 2), np.nan)
    tracklets = link(xy, np.zeros((3, 7)), person_size_px(xy))
    assert len(tracklets) == 0
    assert (tracklets.label == -1).all()


def test_a_gross_error_does_not_change_the_size_much() -> None:
    xy = walkers(1, [0.0], [100.0])[0, 0, 0]
    spoilt = xy.copy()
    spoilt[4] += 2000.0
    assert abs(person_size_px(spoilt) / person_size_px(xy) - 1) < 0.35


def test_the_masked_median_ignores_what_is_missing() -> None:
    values = np.array([[3.0, np.nan, 1.0, 2.0], [np.nan] * 4])
    median = masked_median(values, np.array([3, 0]))
    assert median[0] == 2.0
    assert np.isnan(median[1])
