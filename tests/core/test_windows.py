"""Windows of a long take: every frame once, and work in threads as if it were in a row."""

from __future__ import annotations

import os
import time
import weakref

import numpy as np
import pytest

from mocap.core.progress import NoProgress
from mocap.core.windows import (
    AHEAD,
    MAX_AT_ONCE,
    MAX_FRAMES,
    OVERLAP_S,
    OVERLAP_SHARE,
    Window,
    in_parts,
    in_windows,
    windows,
)


@pytest.mark.parametrize("fps", [24.0, 60.0, 1000.0])
@pytest.mark.parametrize("n_frames", [0, 1, 7, MAX_FRAMES, MAX_FRAMES + 1, 3000, 36007])
def test_every_frame_belongs_to_one_window_of_bounded_length(n_frames: int, fps: float) -> None:
    cuts = windows(n_frames, fps)
    assert [f for w in cuts for f in range(w.start, w.stop)] == list(range(n_frames))
    assert all(w.stop - w.start <= MAX_FRAMES for w in cuts)
    assert all(w.n_frames <= MAX_FRAMES + 2 * MAX_FRAMES // OVERLAP_SHARE for w in cuts)
    assert all(w.low + w.keep.start == w.start and w.low + w.keep.stop == w.stop for w in cuts)


@pytest.mark.parametrize("fps", [24.0, 60.0, 240.0])
def test_windows_look_as_far_beyond_their_frames_in_seconds_at_any_frame_rate(fps: float) -> None:
    before, after = windows(2 * MAX_FRAMES, fps)
    assert before.high - before.stop == after.start - after.low == round(OVERLAP_S * fps)


@pytest.mark.parametrize("fps", [24.0, 60.0, 1000.0])
def test_shares_of_neighbours_fade_without_a_step_where_both_look_and_nowhere_else(fps: float) -> None:
    n_frames = 4 * MAX_FRAMES + 1
    cuts = windows(n_frames, fps)
    share = np.zeros((len(cuts), n_frames))
    for n, w in enumerate(cuts):
        share[n, w.looked_at] = 1.0
        share[n, w.shared] = w.fade
        share[:n, w.shared] *= 1.0 - w.fade
        share[:n, w.shared.stop : w.high] = 0.0
    assert np.allclose(share.sum(0), 1.0)
    assert all(share[n, f] == 0.0 for n, w in enumerate(cuts) for f in (w.low - 1, w.high) if 0 <= f < n_frames)
    assert np.abs(np.diff(share, axis=1)).max() <= 1.5 / (cuts[1].shared.stop - cuts[1].shared.start)


def test_results_come_in_order_with_progress_for_each() -> None:
    class Counting(NoProgress):
        steps = 0

        def advance(self, amount: float = 1.0) -> None:
            self.steps += 1

    progress = Counting()
    out = list(in_windows(lambda w: w.start, 4 * MAX_FRAMES, 60.0, progress))
    assert [result for _, result in out] == [w.start for w, _ in out] == [i * MAX_FRAMES for i in range(4)]
    assert progress.steps == 4


def test_an_error_in_a_window_is_raised_and_windows_that_wait_never_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    begun: list[int] = []

    def work(window: Window) -> None:
        begun.append(window.start)
        if window.start == 0:
            raise ZeroDivisionError
        time.sleep(0.3)  # two windows are at work while the error is met and the fourth is let go of

    with pytest.raises(ZeroDivisionError):
        list(in_windows(work, 20 * MAX_FRAMES, 60.0, NoProgress()))
    assert AHEAD * 2 == 4
    assert 0 < len(begun) < 4


def test_few_results_are_in_memory_at_once() -> None:
    class Result:
        pass

    made: weakref.WeakSet[Result] = weakref.WeakSet()

    def work(window: object) -> Result:
        result = Result()
        made.add(result)
        return result

    most = 0
    for _ in in_windows(work, 60 * MAX_FRAMES, 60.0, NoProgress()):
        time.sleep(0.002)  # a reader slower than the windows
        most = max(most, len(made))
    assert most <= AHEAD * MAX_AT_ONCE + 2


def test_parts_come_in_order_and_leave_no_frame_out() -> None:
    parts = in_parts(lambda part: list(range(11)[part]), 11, 4)
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert in_parts(lambda part: part, 0, 4) == []
