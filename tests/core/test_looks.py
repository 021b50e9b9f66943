"""Cameras that look at different moments: what each of them sees between its looks."""

from __future__ import annotations

import numpy as np
import pytest

from mocap.core.looks import Looks, looks_of

FPS = 60.0
N_FRAMES = 60


def quick(*first: float, stride: int = 4) -> Looks:
    """Return the looks of cameras of 60 Hz, every stride-th frame, that begin at these master frames."""
    frame = np.arange(N_FRAMES) + np.array(first)[:, None]
    return looks_of(frame, np.tile(np.arange(N_FRAMES) % stride == 0, (len(first), 1)), N_FRAMES, FPS)


def test_cameras_that_look_at_the_same_frames_see_nothing_between_them() -> None:
    looks = quick(0.0, 0.4)
    assert not looks.in_turns.any()
    assert np.flatnonzero(looks.count == 2).tolist() == list(range(0, N_FRAMES, 4))
    assert looks.step == pytest.approx([4.0, 4.0])


def test_a_look_of_one_camera_lies_between_two_of_the_other() -> None:
    looks = quick(0.0, 1.9)
    first, second = looks.between
    assert looks.in_turns.all()
    assert first.frame.tolist()[:3] == [2, 6, 10]
    assert first.before.tolist()[:3] == [0, 4, 8]
    assert first.after.tolist()[:3] == [4, 8, 12]
    assert first.share[:3] == pytest.approx(0.5)
    assert second.frame.tolist()[:2] == [4, 8]
    assert second.share[:2] == pytest.approx((4 - 1.9) / 4)
    # nobody looks at the odd frames, and the second camera not yet at the first one
    assert looks.count[:7].tolist() == [1, 0, 2, 0, 2, 0, 2]
    place = 3.0 * np.arange(N_FRAMES)[:, None]
    assert first.sampled(place)[:2, 0] == pytest.approx([6.0, 18.0])
    assert first.both(np.arange(N_FRAMES) == 4).tolist()[:2] == [False, False]


def test_looks_that_are_far_apart_tell_nothing_of_what_was_between() -> None:
    looks = quick(0.0, 3.0, stride=7)
    assert not looks.in_turns.any()
    assert looks.count.max() == 1


def test_a_slower_camera_is_known_between_its_frames_on_footage_that_nobody_thinned() -> None:
    frame = np.full((2, N_FRAMES), np.nan)
    frame[0] = np.arange(N_FRAMES)
    frame[1, :25] = 2.4 * np.arange(25)
    looks = looks_of(frame, np.isfinite(frame), N_FRAMES, FPS)
    assert looks.in_turns.tolist() == [False, True]
    assert (looks.count[:57] == 2).all()
    assert looks.step == pytest.approx([1.0, 2.4])


def test_a_camera_that_saw_nothing_has_no_looks_between() -> None:
    frame = np.full((2, N_FRAMES), np.nan)
    frame[0] = np.arange(N_FRAMES)
    looks = looks_of(frame, np.isfinite(frame), N_FRAMES, FPS)
    assert looks.count.max() == 1
    assert np.isnan(looks.step[1])
