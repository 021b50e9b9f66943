"""Contacts of hand-made foot paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mocap.solve.contacts import HEIGHT_SIGMA_M, contacts, standing

FPS = 60.0
HIPS = np.tile([0.0, 0.0, 0.95], (240, 1))
both = pytest.mark.parametrize("detect", [contacts, standing])
Detect = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def _path(height_m: np.ndarray, speed_m_s: np.ndarray) -> np.ndarray:
    """Return points [frame 1 3] at heights, moving along x."""
    x = np.concatenate([[0.0], np.cumsum((speed_m_s[1:] + speed_m_s[:-1]) / 2 / FPS)])
    return np.stack([x, 0 * x, height_m], axis=-1)[:, None]


def _steps(height_m: float) -> np.ndarray:
    """Return a foot [frame 1 3]: 30 frames down, 30 frames swinging, four times."""
    phase = (np.arange(240) // 30) % 2
    return _path(np.where(phase == 0, height_m, height_m + 0.12), np.where(phase == 0, 0.05, 2.5))


@both
def test_a_foot_stands_while_it_is_down_and_still(detect: Detect) -> None:
    contact = detect(_steps(0.02), HIPS, FPS)[:, 0]
    down = (np.arange(240) // 30) % 2 == 0
    assert (contact == down).mean() > 0.9


@both
def test_the_support_may_be_a_beam_above_the_floor(detect: Detect) -> None:
    assert detect(_steps(0.35), HIPS, FPS).mean() > 0.4


@both
@pytest.mark.parametrize("height_m", [0.02, 0.045, 0.05, 0.055, 0.06, 0.09, 0.1, 0.11, 0.4])
def test_who_stands_on_a_mat_or_a_box_stands(detect: Detect, height_m: float) -> None:
    feet = np.tile([0.3, 0.0, height_m], (240, 4, 1))
    feet[..., 2] += np.random.default_rng(1).normal(0.0, HEIGHT_SIGMA_M / 2, (240, 4))
    assert detect(feet, HIPS, FPS).mean() > 0.98


@pytest.mark.parametrize(("height_m", "is_on"), [(0.03, True), (0.07, False), (0.11, True), (0.15, False)])
def test_a_foot_above_the_floor_that_the_other_stands_on(height_m: float, is_on: bool) -> None:
    """Held a little above it, it is in the air; from 10 cm it may be a kerb, up to what the two may differ by."""
    feet = np.zeros((240, 4, 3))
    feet[..., 2] = [0.02, 0.02, height_m, height_m]
    assert (contacts(feet, HIPS, FPS)[:, 2:] == is_on).all()


@both
@pytest.mark.parametrize("height_m", [0.02, 0.3])
def test_feet_that_never_rest_are_not_in_contact(detect: Detect, height_m: float) -> None:
    gliding = _path(np.full(240, height_m), np.full(240, 0.33))
    assert not detect(np.concatenate([gliding] * 4, axis=1), HIPS, FPS).any()


@both
def test_a_foot_held_still_in_the_air_beside_a_standing_one_is_no_contact(detect: Detect) -> None:
    on_floor, in_air = (_path(np.full(240, h), np.full(240, 0.02)) for h in (0.02, 0.30))
    contact = detect(np.concatenate([on_floor, in_air], axis=1), HIPS, FPS)
    assert contact[:, 0].all()
    assert not contact[:, 1].any()


@both
def test_a_blink_of_stillness_is_no_contact(detect: Detect) -> None:
    speed = np.full(240, 2.0)
    speed[100:102] = 0.0
    assert not detect(_path(np.full(240, 0.02), speed), HIPS, FPS).any()


@both
def test_a_short_slip_does_not_break_a_contact(detect: Detect) -> None:
    speed = np.full(240, 0.02)
    speed[100] = 0.5
    assert detect(_path(np.full(240, 0.02), speed), HIPS, FPS).all()


def test_a_heel_raised_above_the_toes_is_in_contact_up_to_five_centimetres() -> None:
    height = np.linspace(0.01, 0.09, 240)
    heel, toes = (_path(h, np.full(240, 0.1)) for h in (height, np.full(240, 0.02)))
    contact = contacts(np.concatenate([heel, toes], axis=1), HIPS, FPS)[:, 0]
    assert contact[height < 0.049].all()
    assert not contact[height > 0.051].any()


@both
def test_feet_above_the_hips_support_nothing(detect: Detect) -> None:
    assert not detect(_path(np.full(240, 1.6), np.full(240, 0.02)), HIPS, FPS).any()


def test_a_still_heel_counts_less_while_the_toes_of_its_foot_fly() -> None:
    still, flying = _path(np.full(240, 0.02), np.full(240, 0.2)), _path(np.full(240, 0.02), np.full(240, 2.0))
    foot = np.concatenate([still, flying], axis=1)
    assert contacts(still, HIPS, FPS).all()
    assert not contacts(foot, HIPS, FPS).any()


def test_a_foot_stands_where_heel_and_toes_both_nearly_do() -> None:
    nearly, sure, lifted = (_path(np.full(240, h), np.full(240, 0.05)) for h in (0.0515, 0.02, 0.08))
    other_foot = [sure, sure]
    assert not contacts(np.concatenate([nearly, lifted, *other_foot], axis=1), HIPS, FPS)[:, :2].any()
    assert contacts(np.concatenate([nearly, nearly, *other_foot], axis=1), HIPS, FPS).all()
    assert contacts(np.concatenate([lifted, sure], axis=1), HIPS, FPS).tolist() == [[False, True]] * 240
