"""Contacts of hand-made foot paths."""

from __future__ import annotations

import numpy as np

from mocap.solve.contacts import detect_contacts

FPS = 60.0


def _steps(height_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Return height and speed [frame 1] of a foot: 30 frames down, 30 frames swinging, four times."""
    phase = (np.arange(240) // 30) % 2
    return np.where(phase == 0, height_m, height_m + 0.12)[:, None], np.where(phase == 0, 0.05, 2.5)[:, None]


def test_a_foot_stands_while_it_is_down_and_still() -> None:
    contact = detect_contacts(*_steps(0.02), FPS)[:, 0]
    down = (np.arange(240) // 30) % 2 == 0
    assert (contact == down).mean() > 0.97


def test_the_support_may_be_a_beam_above_the_floor() -> None:
    assert detect_contacts(*_steps(0.35), FPS).mean() > 0.45


def test_a_foot_held_still_in_the_air_beside_a_standing_one_is_no_contact() -> None:
    heights = np.tile([0.02, 0.30], (240, 1))
    contact = detect_contacts(heights, np.full((240, 2), 0.02), FPS)
    assert contact[:, 0].all()
    assert not contact[:, 1].any()


def test_a_blink_of_stillness_is_no_contact() -> None:
    speed = np.full((240, 1), 2.0)
    speed[100:102] = 0.0
    assert not detect_contacts(np.full((240, 1), 0.02), speed, FPS).any()


def test_one_frame_of_noise_does_not_break_a_contact() -> None:
    speed = np.full((240, 1), 0.02)
    speed[100] = 0.5
    assert detect_contacts(np.full((240, 1), 0.02), speed, FPS).all()
