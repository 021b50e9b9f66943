"""Which of two looks at a person is believed."""

from __future__ import annotations

import numpy as np

from mocap.pose2d.second_look import better_of


def test_each_keypoint_comes_from_the_look_that_is_nearer_to_the_expectation() -> None:
    expected = np.array([[[0.0, 0.0], [100.0, 0.0], [0.0, 400.0]]])
    first = expected + [[[2.0, 0.0], [90.0, 0.0], [3.0, 0.0]]]
    again = expected + [[[80.0, 0.0], [1.0, 0.0], [2.0, 0.0]]]
    xy, score, is_again = better_of((first, np.full((1, 3), 0.8)), (again, np.full((1, 3), 0.4)), expected)
    assert is_again.tolist() == [[False, True, True]]
    np.testing.assert_array_equal(xy[0], [first[0, 0], again[0, 1], again[0, 2]])
    # the first two contradict each other, the third was confirmed
    np.testing.assert_allclose(score, [[0.8, 0.4, 0.8]])


def test_the_second_look_stands_where_both_are_as_near_as_detectors_err() -> None:
    expected = np.array([[[0.0, 0.0], [100.0, 0.0], [0.0, 400.0]]])
    first, again = expected + [1.0, 0.0], expected + [0.0, 3.0]
    xy, _, is_again = better_of((first, np.full((1, 3), 0.8)), (again, np.full((1, 3), 0.4)), expected)
    assert is_again.all()
    np.testing.assert_array_equal(xy, again)


def test_what_one_look_did_not_detect_comes_from_the_other() -> None:
    here = np.array([[[5.0, 5.0], [50.0, 90.0]]])
    nowhere = np.full_like(here, np.nan)
    for first, again in ((here, nowhere), (nowhere, here)):
        scores = [np.where(np.isfinite(xy[..., 0]), 0.7, 0.0) for xy in (first, again)]
        xy, score, _ = better_of((first, scores[0]), (again, scores[1]), here + 30.0)
        np.testing.assert_array_equal(xy, here)
        np.testing.assert_allclose(score, 0.7)


def test_what_neither_look_detected_stays_missing() -> None:
    nowhere, nothing = np.full((2, 3, 2), np.nan), np.zeros((2, 3))
    xy, score, is_again = better_of((nowhere, nothing), (nowhere, nothing), np.zeros((2, 3, 2)))
    assert np.isnan(xy).all()
    assert (score == 0).all()
    assert not is_again.any()


def test_where_nothing_is_expected_the_surer_look_counts() -> None:
    first, again = np.zeros((1, 2, 2)), np.full((1, 2, 2), 300.0)
    scores = np.array([[0.9, 0.2]]), np.array([[0.3, 0.6]])
    xy, score, is_again = better_of((first, scores[0]), (again, scores[1]), np.full((1, 2, 2), np.nan))
    assert is_again.tolist() == [[False, True]]
    np.testing.assert_allclose(score, [[0.9, 0.6]])
    np.testing.assert_array_equal(xy[0, :, 0], [0.0, 300.0])
