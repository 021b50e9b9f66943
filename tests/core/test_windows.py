"""Windows of a long take: every frame once, and work in threads as if it were in a row."""

from __future__ import annotations

import pytest

from mocap.core.progress import NoProgress
from mocap.core.windows import MAX_FRAMES, OVERLAP_FRAMES, in_parts, in_windows, windows


@pytest.mark.parametrize("n_frames", [0, 1, 7, MAX_FRAMES, MAX_FRAMES + 1, 3000, 36007])
def test_every_frame_belongs_to_one_window_of_bounded_length(n_frames: int) -> None:
    cuts = windows(n_frames)
    assert [f for w in cuts for f in range(w.start, w.stop)] == list(range(n_frames))
    assert all(w.stop - w.start <= MAX_FRAMES for w in cuts)
    assert all(w.n_frames <= MAX_FRAMES + 2 * OVERLAP_FRAMES for w in cuts)
    assert all(w.low + w.keep.start == w.start and w.low + w.keep.stop == w.stop for w in cuts)


def test_results_come_in_order_with_progress_for_each() -> None:
    class Counting(NoProgress):
        steps = 0

        def advance(self, amount: float = 1.0) -> None:
            self.steps += 1

    progress = Counting()
    out = list(in_windows(lambda w: w.start, 4 * MAX_FRAMES, progress))
    assert [result for _, result in out] == [w.start for w, _ in out] == [i * MAX_FRAMES for i in range(4)]
    assert progress.steps == 4


def test_an_error_in_a_window_is_raised_and_windows_that_wait_never_begin() -> None:
    begun: list[int] = []

    def work(window: object) -> None:
        begun.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_windows(work, 200 * MAX_FRAMES, NoProgress()))
    assert len(begun) < 200


def test_parts_come_in_order_and_leave_no_frame_out() -> None:
    parts = in_parts(lambda part: list(range(11)[part]), 11, 4)
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert in_parts(lambda part: part, 0, 4) == []
