"""Observations are judged as what they are: good, wrong, or of the other side's limb."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mocap.kernels.evidence import (
    EXCHANGED,
    IN_PLACE,
    LEFT_ON_RIGHT,
    distances_px,
    forward_backward,
    judge,
    limb_transition,
)

PAIRS = np.array([[0, 1], [2, 3], [4, 5]])
FPS = 60.0


def test_chains_have_the_probabilities_of_all_their_paths() -> None:
    rng = np.random.default_rng(31)
    log_likelihood = rng.normal(size=(5, 2, 3))
    transition, start = rng.dirichlet(np.ones(3), size=3), rng.dirichlet(np.ones(3))
    expected = np.zeros((5, 2, 3))
    for path in itertools.product(range(3), repeat=5):
        p = start[path[0]] * np.prod([transition[a, b] for a, b in itertools.pairwise(path)])
        for t, state in enumerate(path):
            expected[t, :, state] += p * np.exp(sum(log_likelihood[i, :, s] for i, s in enumerate(path)))
    expected /= expected.sum(-1, keepdims=True)
    assert forward_backward(log_likelihood, transition, start) == pytest.approx(expected, rel=1e-9)


def test_transitions_are_probabilities_at_any_rate() -> None:
    for fps in (1.0, 24.0, 240.0):
        matrix = limb_transition(fps)
        assert (matrix >= 0).all()
        assert matrix.sum(1) == pytest.approx(np.ones(4))


def _distances(apart: float = 60.0) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray]:
    """Return a generator and own, crossed and apart distances [camera 2 frame 97 keypoint 7] of good observations."""
    rng = np.random.default_rng(32)
    own = np.linalg.norm(rng.normal(scale=3.0, size=(2, 97, 7, 2)), axis=-1)
    crossed = apart + rng.normal(scale=3.0, size=own.shape)
    return rng, own, np.abs(crossed), np.abs(apart + rng.normal(scale=3.0, size=own.shape))


def test_gross_errors_are_wrong_and_the_rest_is_good() -> None:
    rng, own, crossed, apart = _distances()
    wrong = rng.random(own.shape) < 0.1
    own[wrong] = rng.uniform(40, 300, wrong.sum())
    found = judge(own, crossed, apart, np.full(own.shape, 3.0), (PAIRS,), FPS)
    assert (found.in_place[wrong] < 0.5).all()
    assert (found.in_place[~wrong] > 0.5).mean() > 0.995
    assert (found.state == IN_PLACE).all()


def test_a_stretch_of_exchanged_frames_is_found_and_a_single_jump_is_none() -> None:
    _, own, crossed, apart = _distances()
    own[1, 30:38, :6], crossed[1, 30:38, :6] = crossed[1, 30:38, :6].copy(), own[1, 30:38, :6].copy()
    own[0, 60, 2], crossed[0, 60, 2] = 60.0, 2.0
    found = judge(own, crossed, apart, np.full(own.shape, 3.0), (PAIRS,), FPS)
    expected = np.full(found.state.shape, IN_PLACE)
    expected[1, 30:38] = EXCHANGED
    assert np.array_equal(found.state, expected)
    assert (found.in_place[1, 30:38, :6] < 0.01).all()
    assert (found.crossed[1, 30:38, :6] > 0.5).mean() > 0.9


def test_a_side_drawn_on_the_other_is_wrong_even_where_the_two_are_near() -> None:
    _, own, crossed, apart = _distances(apart=5.0)
    own[0, 40:52, ::2][:, :3] = crossed[0, 40:52, 1::2]
    apart[0, 40:52, :6] = 0.2
    found = judge(own, crossed, apart, np.full(own.shape, 3.0), (PAIRS,), FPS)
    assert (found.state[0, 40:52, 0] >= LEFT_ON_RIGHT).all()
    assert (found.state[1] == IN_PLACE).all()


def test_the_unseen_is_not_judged_and_empty_takes_are_fine() -> None:
    _, own, crossed, apart = _distances()
    own[:, 10:20, 3] = np.nan
    crossed[:, 10:20, 3] = np.nan
    apart[:, 10:20, [2, 3]] = np.nan
    found = judge(own, crossed, apart, np.full(own.shape, 3.0), (PAIRS,), FPS)
    assert np.array_equal(np.isnan(found.in_place), np.isnan(own))
    nothing = np.zeros((2, 0, 7))
    assert judge(nothing, nothing, nothing, nothing, (PAIRS,), FPS).state.shape == (2, 0, 1)


def test_distances_are_from_the_own_point_the_other_side_and_its_sighting() -> None:
    points = np.zeros((1, 1, 3, 3))
    points[0, 0, :, 0] = [0.0, 1.0, 2.0]
    xy = np.array([[[[0.0, 0.0], [0.3, 0.0], [0.4, 0.0]]]])
    scale = np.array([[[100.0, 100.0, 0.0]]])
    t = np.array([[0.0, 0.0, 5.0]])
    own, crossed, apart = distances_px(points, xy, scale, np.eye(3)[None], t, np.array([1, 0, 2]))
    assert own[0, 0, :2] == pytest.approx([0.0, 10.0])
    assert crossed[0, 0, :2] == pytest.approx([20.0, 30.0])
    assert apart[0, 0, :2] == pytest.approx([30.0, 30.0])
    assert np.isnan([own[0, 0, 2], crossed[0, 0, 2], apart[0, 0, 2]]).all()
