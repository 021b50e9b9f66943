"""Crops of all cameras and people through one model: threads that take what is waiting, several crops at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Runs `work` on lists of submitted items. Use it as a context: its threads live while any context is open."""

    def __init__(self, work: Callable[[list[Item]], list[Answer]], n_threads: int, max_batch: int) -> None:
        """Take the work, how many threads do it, and the longest list that it is given."""
        self._work, self._n_threads, self._max_batch = work, n_threads, max_batch
        self._waiting: queue.SimpleQueue[tuple[Item, Future[Answer]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._n_users = 0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Batcher[Item, Answer]:
        with self._lock:
            self._n_users += 1
            if self._n_users == 1:
                self._threads = [
                    threading.Thread(target=self._serve, name=f"mocap-infer-{i}", daemon=True)
                    for i in range(self._n_threads)
                ]
                for thread in self._threads:
                    thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._n_users -= 1
            if self._n_users == 0:
                for _ in self._threads:
                    self._waiting.put(None)
                for thread in self._threads:
                    thread.join()

    def submit(self, item: Item) -> Future[Answer]:
        """Return the future answer for an item."""
        future: Future[Answer] = Future()
        self._waiting.put((item, future))
        return future

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            is_over = False
            # A fair share of what waits: one thread must not take all of it while another has nothing to do.
            share = -(-(self._waiting.qsize() + 1) // self._n_threads)
            while len(batch) < min(share, self._max_batch):
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    is_over = True
                    break
                batch.append(more)
            self._answer(batch)
            if is_over:
                return

    def _answer(self, batch: list[tuple[Item, Future[Answer]]]) -> None:
        try:
            answers = self._work([item for item, _ in batch])
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the answer
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
