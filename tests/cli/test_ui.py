"""Progress: plain lines now and then without a terminal, bars that come late on one."""

from __future__ import annotations

import io
import threading

import pytest

from mocap.cli.ui import BarProgress, Cancellation, PlainProgress, make_ui
from mocap.core.errors import Cancelled


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
