"""Pictures of single frames, exact whatever the timing of the video."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mocap.analysis.footage import grab_frames
from mocap.media.probe import probe

WANTED = (0, 1, 57, 58, 59, 60, 61, 62, 99)


def levels_of(pictures: dict[int, np.ndarray]) -> dict[int, float]:
    return {index: float(picture.mean()) for index, picture in pictures.items()}


def check(pictures: dict[int, np.ndarray]) -> None:
    assert sorted(pictures) == list(WANTED)
    assert levels_of(pictures) == {k: pytest.approx(20 + 2 * k, abs=2.5) for k in WANTED}
    # One frame off would be 2: neighbours must differ, and in the right direction.
    assert np.diff([levels_of(pictures)[k] for k in (57, 58, 59, 60, 61, 62)]).min() > 0.5


def test_frames_of_a_variable_rate_with_gaps_are_exact(write_clip: Callable[..., Path], tmp_path: Path) -> None:
    steps = [1500] * 40 + [3003] * 20 + [9009] + [3750, 1501] * 19
    times = np.concatenate([[0], np.cumsum(steps)])[:100]
    video = write_clip(tmp_path / "phone.mp4", [20 + 2 * k for k in range(100)], Fraction(60), times=times.tolist())
    assert probe(video).is_variable_rate
    check(grab_frames(video, WANTED))


def test_frames_of_later_chapters_are_found_by_their_place_in_the_recording(
    write_clip: Callable[..., Path], tmp_path: Path
) -> None:
    for k, (begin, end) in enumerate(((0, 58), (58, 61), (61, 100)), 1):
        levels = [20 + 2 * f for f in range(begin, end)]
        write_clip(tmp_path / f"GX0{k}0077.mp4", levels, Fraction(60000, 1001))
    check(grab_frames(tmp_path / "GX010077.mp4", [*WANTED, 100, -1]))
