"""Robust scales and the noise of scores."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.kernels.robust import fit_sigma_of_score, geman_mcclure, rayleigh_scale


def test_the_scale_ignores_a_tenth_of_gross_errors() -> None:
    rng = np.random.default_rng(7)
    lengths = np.linalg.norm(rng.normal(scale=2.5, size=(20_000, 2)), axis=1)
    lengths[:2000] += rng.uniform(40, 300, 2000)
    assert rayleigh_scale(lengths) == pytest.approx(2.5, rel=0.05)


def test_the_scale_of_nothing_is_nan() -> None:
    assert np.isnan(rayleigh_scale(np.full(5, np.nan)))


def test_noise_is_found_as_a_falling_function_of_the_score() -> None:
    rng = np.random.default_rng(8)
    score = rng.uniform(0.1, 1.0, 50_000)
    sigma = 10.0 - 8.0 * score
    lengths = np.linalg.norm(rng.normal(size=(len(score), 2)), axis=1) * sigma
    knots = fit_sigma_of_score(lengths, score)
    at = np.array([0.2, 0.5, 0.9])
    assert np.interp(at, *knots) == pytest.approx(10.0 - 8.0 * at, rel=0.1)


def test_a_detector_with_one_score_gives_one_noise_level() -> None:
    rng = np.random.default_rng(9)
    lengths = np.linalg.norm(rng.normal(scale=3.0, size=(5000, 2)), axis=1)
    centres, sigmas = fit_sigma_of_score(lengths, np.ones(5000))
    assert len(centres) == len(sigmas) == 1
    assert sigmas[0] == pytest.approx(3.0, rel=0.05)


def test_weights_fall_from_one_to_nothing() -> None:
    weights = geman_mcclure(np.array([0.0, 12.0, 1e6]), 12.0)
    assert weights[0] == 1.0
    assert weights[1] == 0.25
    assert weights[2] < 1e-6
