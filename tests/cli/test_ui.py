"""Progress: plain lines now and then without a terminal, bars that come late on one."""

from __future__ import annotations

import io
import threading

import pytest

from mocap.cli.ui import BarProgress, Cancellation, PlainProgress, make_ui
from mocap.core.errors import Cancelled
from sessions.side_by_side import SideBySide


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_without_a_terminal_a_line_with_the_time_left_comes_every_few_seconds() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = PlainProgress(stream, Cancellation(), clock)
    progress.start("detecting", 20)
    for _ in range(20):
        clock.now_s += 1
        progress.advance()
    progress.finish()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "detecting: 25%, about 15 s left"
    assert len(lines) == 3


def test_cameras_that_run_at_once_are_one_share_and_one_time_left() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = PlainProgress(stream, Cancellation(), clock)
    progress.start("finding keypoints", 2)
    cameras = SideBySide(progress)
    parts = [cameras.part(), cameras.part()]
    turns = [threading.Event() for _ in range(81)]
    turns[0].set()

    def camera(c: int) -> None:
        parts[c].start("finding keypoints", 40)
        for k in range(40):
            turns[2 * k + c].wait()
            clock.now_s += 1
            parts[c].advance()
            turns[2 * k + c + 1].set()
        parts[c].finish()
        parts[c].close()

    threads = [threading.Thread(target=camera, args=(c,)) for c in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.finish()
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 14
    percents = [int(line.split(": ")[1].split("%")[0]) for line in lines]
    left_s = [int(line.split("about ")[1].split(" ")[0]) for line in lines]
    assert percents == sorted(percents)
    assert percents[0] == 6
    assert left_s == sorted(left_s, reverse=True)


def test_a_camera_that_reports_more_than_its_part_or_nothing_still_counts_as_one() -> None:
    progress = PlainProgress(io.StringIO(), Cancellation())
    progress.start("finding keypoints", 2)
    cameras = SideBySide(progress)
    more, nothing = cameras.part(), cameras.part()
    for _ in range(2):
        more.start("reading", 3)
        more.advance(3)
        more.finish()
    more.close()
    nothing.close()
    assert progress._outer[-1].done == pytest.approx(2)


def test_short_work_says_nothing() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = PlainProgress(stream, Cancellation(), clock)
    progress.start("quick", None)
    clock.now_s += 1.0
    progress.advance()
    progress.finish()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("kind", [PlainProgress, BarProgress])
def test_a_requested_stop_is_raised_in_any_thread(kind: type) -> None:
    cancellation = Cancellation()
    progress = kind(io.StringIO(), cancellation)
    progress.start("work", 3)
    cancellation.request()
    caught: list[bool] = []

    def work() -> None:
        try:
            progress.advance()
        except Cancelled:
            caught.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with pytest.raises(Cancelled):
        progress.advance()
    assert caught == [True]
    if isinstance(progress, BarProgress):
        progress.close()


def test_bars_nest_and_leave_nothing_behind() -> None:
    progress = BarProgress(io.StringIO(), Cancellation())
    progress.start("outer", None)
    progress.start("inner", 7)
    progress.advance(3)
    progress.finish()
    progress.finish()
    assert progress._bars is not None
    assert progress._bars.tasks == []
    progress.close()


def test_notes_are_dropped_with_json() -> None:
    stream = io.StringIO()
    make_ui(True, stream).note("hello")
    assert stream.getvalue() == ""
    make_ui(False, stream).note("hello")
    assert stream.getvalue() == "hello\n"
