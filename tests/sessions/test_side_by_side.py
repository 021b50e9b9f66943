import threading
import time

import pytest

from sessions.side_by_side import all_of


def test_results_come_in_the_order_of_the_jobs() -> None:
    assert all_of(lambda n: (time.sleep(0.01 * (3 - n)), n)[1], [0, 1, 2, 3], 4) == [0, 1, 2, 3]


def test_an_interrupt_while_a_thread_starts_leaves_nobody_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    start, n_started = threading.Thread.start, 0
    begun, over = [], []

    def interrupted(thread: threading.Thread) -> None:
        nonlocal n_started
        start(thread)
        n_started += 1
        if n_started == 2:
            raise KeyboardInterrupt

    def work(job: int) -> None:
        begun.append(job)
        time.sleep(0.1)
        over.append(job)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        all_of(work, [0, 1, 2, 3], 3)
    assert sorted(begun) == sorted(over)
    time.sleep(0.2)
    assert 3 not in begun
    assert sorted(begun) == sorted(over)
