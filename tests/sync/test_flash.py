"""Flashes as evidence."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.sync.flash import Flashes, find_flashes, flash_evidence, mean_brightness

FLASHES_S = (1.713, 4.002, 6.381)


def _seen(start_s: float, fps: float, seed: int, flashes: tuple[float, ...] = FLASHES_S) -> Flashes:
    """Return the flashes that a camera sees which began at `start_s`; each is bright for a fifth of a second."""
    time_s = np.arange(round(8 * fps)) / fps
    master = time_s + start_s
    level = 90 + 3 * np.sin(time_s) + np.random.default_rng(seed).normal(0, 0.15, len(time_s))
    for at in flashes:
        level += 25 * np.exp(-(master - at) / 0.2) * (master >= at)
    return find_flashes(time_s, level)


def test_a_flash_is_found_within_its_frame() -> None:
    found = _seen(0.0, 60, 1)
    assert np.abs(found.time_s - FLASHES_S).max() <= 0.5 / 60 + 1e-9


def test_brightness_that_changes_slowly_is_no_flash() -> None:
    assert len(_seen(0.0, 60, 1, ()).time_s) == 0


def test_flashes_place_cameras_of_different_rates_within_half_a_frame_of_the_faster() -> None:
    evidence = flash_evidence({"a": _seen(0.0, 60, 1), "b": _seen(0.8137, 29.97, 2)})
    lag = evidence[0].time_a_s - evidence[0].time_b_s
    assert lag == pytest.approx(0.8137, abs=0.5 / 60)
    assert abs(lag - 0.8137) < 3 * evidence[0].sigma_s
    assert evidence[0].detail["flashes"] == 3


def test_flashes_that_fit_at_two_lags_are_not_used() -> None:
    even = Flashes(np.array([1.0, 2.0, 3.0]), np.full(3, 1 / 60))
    part = Flashes(np.array([1.5, 2.5]), np.full(2, 1 / 60))
    assert flash_evidence({"a": even, "b": part}) == []


def test_pictures_are_measured_by_their_mean() -> None:
    pictures = [(0.0, np.full((16, 24, 3), 40, np.uint8)), (0.1, np.full((16, 24, 3), 80, np.uint8))]
    time_s, level = mean_brightness(pictures)
    assert time_s.tolist() == [0.0, 0.1]
    assert level.tolist() == [40.0, 80.0]
