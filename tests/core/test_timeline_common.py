"""The instants that two cameras see at the same time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mocap.core.observations import common_timeline

FPS = Fraction(10)


def times(*spans: tuple[float, float]) -> np.ndarray:
    out = np.full((len(spans), 101), np.nan)
    for c, (start_s, end_s) in enumerate(spans):
        row = start_s + np.arange(round((end_s - start_s) * 10) + 1) / 10
        out[c, : len(row)] = row
    return out


def test_a_camera_that_ends_before_the_others_begin_does_not_count() -> None:
    # The second start is 3 s, when the first camera has ended: two cameras run from 4 s only.
    timeline = common_timeline(times((0.0, 2.0), (3.0, 9.0), (4.0, 8.0)), FPS)
    assert (timeline.start_s, timeline.n_frames) == (4.0, 41)


def test_it_reaches_from_the_first_to_the_last_pair() -> None:
    timeline = common_timeline(times((0.0, 3.0), (1.0, 9.0), (5.0, 7.0)), FPS)
    assert (timeline.start_s, timeline.n_frames) == (1.0, 61)


def test_cameras_that_never_run_together_give_no_frames() -> None:
    assert common_timeline(times((0.0, 2.0), (3.0, 4.0)), FPS).n_frames == 0
    assert common_timeline(times((0.0, 2.0)), FPS).n_frames == 0
