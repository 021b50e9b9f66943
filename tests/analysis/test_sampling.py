"""Values between samples."""

from __future__ import annotations

import numpy as np

from mocap.analysis.sampling import nearest, sample_at


def test_a_quadratic_between_inner_samples_is_reproduced_exactly():
    t = np.array([0.0, 0.9, 2.0, 3.2, 4.0, 5.1, 6.0])
    values = np.stack([t**2, 3 * t - 1], -1)
    at = np.array([1.3, 2.5, 3.9, 4.6])
    assert np.allclose(sample_at(t, values, at), np.stack([at**2, 3 * at - 1], -1), atol=1e-12)


def test_samples_themselves_come_back_even_beside_gaps():
    t = np.arange(7) / 60
    values = np.array([np.nan, 1.0, np.nan, 3.0, 5.0, 6.0, np.nan])[:, None]
    assert np.array_equal(sample_at(t, values, t), values, equal_nan=True)


def test_nothing_is_extrapolated_and_gaps_stay_gaps():
    t = np.arange(7.0)
    values = np.where(t == 3, np.nan, t)
    out = sample_at(t, values, np.array([-0.5, 6.5, 2.5, np.nan, 4.5]))
    assert np.isnan(out[:4]).all()
    assert np.isclose(out[4], 4.5)


def test_a_single_sample_answers_its_own_instant_alone():
    out = sample_at(np.array([2.0]), np.array([[7.0, 8.0]]), np.array([2.0, 2.1]))
    assert np.array_equal(out[0], [7.0, 8.0])
    assert np.isnan(out[1]).all()


def test_no_samples_give_nan():
    assert np.isnan(sample_at(np.zeros(0), np.zeros((0, 3)), np.array([0.0, 1.0]))).all()


def test_the_nearest_sample_ignores_padding():
    t = np.array([0.0, 1.0, 2.0, np.nan, np.nan])
    assert nearest(t, np.array([-5.0, 0.4, 0.6, 9.0, np.nan])).tolist() == [0, 0, 1, 2, -1]
    assert nearest(np.full(5, np.nan), np.array([0.0])).tolist() == [-1]
