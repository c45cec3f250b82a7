"""Cuts rows into morsels and runs them on worker threads (Leis et al., "Morsel-Driven Parallelism", SIGMOD 2014)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from gpuql.memory.budget import resting
from gpuql.thresholds import MAX_MORSEL_ROWS, MIN_MORSEL_ROWS, MORSELS_PER_WORKER


@dataclass(frozen=True, slots=True)
class Morsel:
    """Rows ``start`` to ``stop`` of a source; ``sequence`` is its place in order."""

    sequence: int
    start: int
    stop: int


def cut(num_rows: int, workers: int, *, max_rows: int = MAX_MORSEL_ROWS) -> list[Morsel]:
    """Morsels of about equal size, several per worker. No rows give one empty morsel, so that sinks see the types."""
    size = -(-num_rows // max(1, workers * MORSELS_PER_WORKER))
    size = max(1, min(max(size, min(MIN_MORSEL_ROWS, max_rows)), max_rows))
    starts = range(0, max(num_rows, 1), size)
    return [Morsel(i, start, min(start + size, num_rows)) for i, start in enumerate(starts)]


def cut_at(boundaries: Sequence[int]) -> list[Morsel]:
    """Morsels between given row positions."""
    pairs = itertools.pairwise(boundaries)
    return [Morsel(i, start, stop) for i, (start, stop) in enumerate(pairs) if start < stop]


class Workers:
    """Threads that take morsels until none is left. A query of one morsel runs on the calling thread."""

    def __init__(self, threads: int) -> None:
        self.threads = max(1, threads)
        self._pool = (
            ThreadPoolExecutor(self.threads, thread_name_prefix="gpuql") if self.threads > 1 else None
        )

    def run(self, morsels: Sequence[Morsel], work: Callable[[Iterator[Morsel]], None]) -> None:
        """Call ``work`` on up to ``threads`` threads with one shared iterator of morsels.

        Raises the first error of a worker after all have stopped; the others stop at their next morsel.
        """
        queue = _MorselQueue(morsels)
        helpers = min(self.threads, len(morsels)) - 1
        if self._pool is None or helpers < 1:
            work(queue)
            return
        futures = self._submitted(self._pool, helpers, work, queue)
        error = self._caught(work, queue)
        # No morsel is left. A helper that has not begun would find nothing to do, and waiting until a thread is free
        # for it would be to wait for other queries, which may themselves wait for what this one holds.
        begun = [future for future in futures if not future.cancel()]
        with resting():
            errors = [error, *(future.exception() for future in begun)]
        for found in errors:
            if found is not None:
                raise found

    def run_tasks(self, count: int, task: Callable[[int], None], *, check: Callable[[], None]) -> None:
        """Call ``task(0) … task(count - 1)`` on the threads, ``check`` before each; errors as in ``run``."""

        def work(morsels: Iterator[Morsel]) -> None:
            for morsel in morsels:
                check()
                task(morsel.sequence)

        self.run([Morsel(index, index, index + 1) for index in range(count)], work)

    def _submitted(
        self,
        pool: ThreadPoolExecutor,
        helpers: int,
        work: Callable[[Iterator[Morsel]], None],
        queue: _MorselQueue,
    ) -> list[Future[None]]:
        """Helpers on their way: fewer or none if the pool is closed meanwhile, as the caller works too."""
        futures: list[Future[None]] = []
        for _ in range(helpers):
            try:
                futures.append(pool.submit(self._guarded, work, queue))
            except RuntimeError:
                break
        return futures

    def _guarded(self, work: Callable[[Iterator[Morsel]], None], queue: _MorselQueue) -> None:
        error = self._caught(work, queue)
        if error is not None:
            raise error

    @staticmethod
    def _caught(work: Callable[[Iterator[Morsel]], None], queue: _MorselQueue) -> BaseException | None:
        try:
            work(queue)
        except BaseException as error:
            queue.close()
            return error
        return None

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


class _MorselQueue:
    """Hands each morsel to one taker; ``next`` on a shared counter is atomic."""

    def __init__(self, morsels: Sequence[Morsel]) -> None:
        self._morsels = morsels
        self._positions = itertools.count()
        self._closed = False

    def __iter__(self) -> Iterator[Morsel]:
        return self

    def __next__(self) -> Morsel:
        position = next(self._positions)
        if self._closed or position >= len(self._morsels):
            raise StopIteration
        return self._morsels[position]

    def close(self) -> None:
        """No more morsels."""
        self._closed = True
