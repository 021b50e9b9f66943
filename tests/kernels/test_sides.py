"""Sides that change places within one view are found without any point in space."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mocap.kernels import sides
from mocap.kernels.sides import exchanged_by_motion, turned

FPS = 60.0
RATES_HZ = np.array([FPS, FPS])
ARMS, HEAD = np.array([[0, 1], [2, 3], [4, 5]]), np.array([[6, 7], [8, 9]])
N_FRAMES = 97


def _walk(fps: float = FPS, n_frames: int = N_FRAMES) -> np.ndarray:
    """Return [camera 2 frame keypoint 11 2] a picture: left and right swing past each other, the last is alone."""
    rng = np.random.default_rng(41)
    t = np.arange(n_frames) / fps
    xy = np.empty((2, n_frames, 11, 2))
    for k in range(11):
        swing = 60.0 * (-1) ** k * np.cos(2 * np.pi * t) if k < 6 else 8.0 * (-1) ** k * np.ones(n_frames)
        xy[:, :, k] = np.stack([300 + 200 * t + swing, np.full(n_frames, 100.0 + 40 * (k // 2))], axis=-1)
    return xy + rng.normal(scale=2.0, size=xy.shape)


def _exchange(xy: np.ndarray, camera: int, frames: slice, pairs: np.ndarray) -> None:
    xy[camera, frames, pairs.ravel()] = xy[camera, frames, pairs[:, ::-1].ravel()].copy()


def test_chains_have_the_probabilities_of_all_their_paths() -> None:
    rng = np.random.default_rng(42)
    log_odds, enter, leave = rng.normal(size=(1, 7, 1)), 0.1, 0.3
    expected, total = np.zeros(7), 0.0
    for path in itertools.product((0, 1), repeat=8):
        p = 1.0 if path[0] == 0 else enter / leave
        for t, (a, b) in enumerate(itertools.pairwise(path)):
            p *= (((1 - enter), enter), (leave, 1 - leave))[a][b]
            p *= np.exp((0.5 if a != b else -0.5) * log_odds[0, t, 0])
        expected += p * np.array(path[1:])
        total += p
    assert turned(log_odds, enter, np.array([leave]))[0, :, 0] == pytest.approx(expected / total)


def test_sides_that_pass_each_other_are_not_exchanged() -> None:
    assert not exchanged_by_motion(_walk(), (ARMS, HEAD), RATES_HZ).any()


def test_sides_that_change_places_are_exchanged_until_they_change_back() -> None:
    xy = _walk()
    _exchange(xy, 1, slice(30, 41), ARMS)
    found = exchanged_by_motion(xy, (ARMS, HEAD), RATES_HZ)[:, :, 0]
    assert np.array_equal(np.flatnonzero(found[1]), np.arange(30, 41))
    assert not found[0].any()


def test_a_side_that_appears_where_the_other_was_counts_though_the_other_is_unseen() -> None:
    xy = _walk()
    xy[1, :, ARMS[:, 1]] = np.nan
    _exchange(xy, 1, slice(55, 67), ARMS)
    assert np.array_equal(np.flatnonzero(exchanged_by_motion(xy, (ARMS, HEAD), RATES_HZ)[1, :, 0]), np.arange(55, 67))


def test_eyes_and_ears_follow_the_body() -> None:
    xy = _walk()
    _exchange(xy, 0, slice(60, 71), np.concatenate([ARMS, HEAD]))
    found = exchanged_by_motion(xy, (ARMS, HEAD), RATES_HZ)
    assert np.array_equal(np.flatnonzero(found[0, :, 1]), np.arange(60, 71))
    assert not found[1].any()


def test_nothing_seen_is_nothing_exchanged() -> None:
    assert not exchanged_by_motion(np.full((2, 13, 11, 2), np.nan), (ARMS, HEAD), RATES_HZ).any()
    assert exchanged_by_motion(np.full((2, 0, 11, 2), np.nan), (ARMS, HEAD), RATES_HZ).shape == (2, 0, 2)
    assert not exchanged_by_motion(_walk(), (HEAD,), RATES_HZ).any()


def test_each_view_is_judged_at_its_own_rate() -> None:
    mixed = _walk(2 * FPS, 2 * N_FRAMES)
    mixed[1] = np.nan
    mixed[1, :N_FRAMES] = _walk()[1]
    _exchange(mixed, 0, slice(60, 82), ARMS)
    _exchange(mixed, 1, slice(30, 41), ARMS)
    found = exchanged_by_motion(mixed, (ARMS, HEAD), np.array([2 * FPS, FPS]))[:, :, 0]
    assert np.array_equal(np.flatnonzero(found[0]), np.arange(60, 82))
    assert np.array_equal(np.flatnonzero(found[1]), np.arange(30, 41))


def test_lines_last_as_long_in_a_view_of_another_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[tuple[int, int]] = []
    ends = sides._ends

    def noted(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        lengths.append((len(values), n))
        return ends(values, n)

    monkeypatch.setattr(sides, "_ends", noted)
    exchanged_by_motion(_walk(), (ARMS,), np.array([FPS, FPS / 2]))
    assert sorted(lengths) == [(1, 2), (1, 5)]
