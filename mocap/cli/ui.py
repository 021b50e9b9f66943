"""What every verb talks to: progress on standard error, and one result that main prints."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from mocap.core.errors import Cancelled, InputError
from mocap.core.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SHOW_AFTER_S = 1.5
"""Work that ends sooner shows no bar."""
PLAIN_LINE_EVERY_S = 5.0
"""Where there is no terminal, progress is one plain line this often at most."""


class UsageError(InputError):
    """The command line itself is wrong (exit status 2)."""


@dataclass(frozen=True)
class Result:
    """What a verb hands back: the same facts for a program and for a person."""

    data: dict[str, Any]
    """JSON-serialisable (arrays, paths and fractions are converted, NaN becomes null)."""
    text: str
    """What a person reads."""
    quality_ok: bool = True
    """False: everything was done, but a quality gate failed (exit status 3)."""
    done: bool = True
    """False: part of the work failed, as the data and the text say (exit status 1)."""


class Cancellation:
    """A flag that the signal handler sets and that progress reports look at, in whichever thread they run."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Ask all work to stop at its next progress report."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """True once the user asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled when the user asked to stop."""
        if self._event.is_set():
            raise Cancelled()


@dataclass
class _Task:
    label: str
    total: float | None
    start_s: float
    done: float = 0.0
    bar: TaskID | None = None


class _Stacks(threading.local):
    """Each thread nests its own pieces of work."""

    def __init__(self) -> None:
        self.tasks: list[_Task] = []


class PlainProgress:
    """One line now and then, for logs; an implementation of `mocap.core.progress.Progress`."""

    def __init__(self, stream: TextIO, cancellation: Cancellation, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._cancellation = cancellation
        self._clock = clock
        self._stacks = _Stacks()
        self._outer = self._stacks.tasks
        """Work of the thread that made this: what threads without work of their own count for."""
        self._said_s = clock()

    def start(self, label: str, total: float | None) -> None:
        """Begin a piece of work."""
        self._cancellation.check()
        self._stacks.tasks.append(_Task(label, total, self._clock()))

    def advance(self, amount: float = 1.0) -> None:
        """Count work as done. Raises Cancelled when the user asked to stop."""
        self._cancellation.check()
        if tasks := self._stacks.tasks or self._outer:
            task = tasks[-1]
            task.done += amount
            now = self._clock()
            is_over = task.total is not None and task.done >= task.total
            if now - self._said_s >= PLAIN_LINE_EVERY_S and not is_over:
                self._said_s = now
                self._stream.write(_line(task, now) + "\n")
                self._stream.flush()

    def finish(self) -> None:
        """End the piece of work begun last."""
        if self._stacks.tasks:
            self._stacks.tasks.pop()


def _line(task: _Task, now_s: float) -> str:
    if not task.total or task.done <= 0:
        return f"{task.label}: {now_s - task.start_s:.0f} s"
    share = min(task.done / task.total, 1.0)
    left_s = (now_s - task.start_s) * (1 - share) / share
    return f"{task.label}: {share:.0%}, about {left_s:.0f} s left"


class BarProgress:
    """Bars with an estimate of the time left, on a terminal; an implementation of `mocap.core.progress.Progress`."""

    def __init__(self, stream: TextIO, cancellation: Cancellation) -> None:
        self._stream = stream
        self._cancellation = cancellation
        self._stacks = _Stacks()
        self._outer = self._stacks.tasks
        """Work of the thread that made this: what threads without work of their own count for."""
        self._bars: RichProgress | None = None

    def start(self, label: str, total: float | None) -> None:
        """Begin a piece of work."""
        self._cancellation.check()
        if self._bars is None:
            self._bars = _rich_bars(self._stream)
            self._bars.start()
        task = _Task(label, total, time.monotonic(), bar=self._bars.add_task(label, total=total))
        self._stacks.tasks.append(task)

    def advance(self, amount: float = 1.0) -> None:
        """Count work as done. Raises Cancelled when the user asked to stop."""
        self._cancellation.check()
        tasks = self._stacks.tasks or self._outer
        if tasks and self._bars is not None and (bar := tasks[-1].bar) is not None:
            self._bars.advance(bar, amount)

    def finish(self) -> None:
        """End the piece of work begun last."""
        if self._stacks.tasks and self._bars is not None and (bar := self._stacks.tasks.pop().bar) is not None:
            self._bars.remove_task(bar)

    def close(self) -> None:
        """Take the bars off the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def _rich_bars(stream: TextIO) -> RichProgress:
    # Only a command that has something to show pays for importing rich.
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    class LateBars(Progress):
        def get_renderables(self) -> list[RenderableType]:
            late = [t for t in self.tasks if (t.elapsed or 0.0) > SHOW_AFTER_S]
            return [self.make_tasks_table(late)]

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return LateBars(*columns, console=Console(file=stream), transient=True, redirect_stdout=False)


@dataclass
class Ui:
    """What a verb may use of the outside: progress, cancellation, and short notes on standard error."""

    progress: Progress
    cancellation: Cancellation = field(default_factory=Cancellation)
    quiet: bool = False
    """True with --json: notes are dropped."""
    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def note(self, text: str) -> None:
        """Tell a person something at once, without touching the result."""
        if not self.quiet:
            self.stream.write(text + "\n")
            self.stream.flush()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if isinstance(self.progress, BarProgress):
            self.progress.close()


def make_ui(json_mode: bool, stream: TextIO | None = None) -> Ui:
    """Return bars on a terminal, and now and then a plain line elsewhere or with --json."""
    out: TextIO = stream if stream is not None else sys.stderr
    cancellation = Cancellation()
    bars = not json_mode and out.isatty()
    progress = BarProgress(out, cancellation) if bars else PlainProgress(out, cancellation)
    return Ui(progress, cancellation, quiet=json_mode, stream=out)
