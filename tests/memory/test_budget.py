"""Who gets bytes, who waits, who gives way, and that nothing is ever given back twice or kept for good."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuql.errors import InterruptError, OutOfMemoryError
from gpuql.execution.morsels import Morsel, Workers, cut
from gpuql.memory import budget as budgets
from gpuql.memory import faults
from gpuql.memory.budget import Account, Budget, Reservation, format_bytes, resting


class Holding:
    """Bytes that can be won back; ``reclaim`` takes a moment if asked to, or says that slower memory is full."""

    def __init__(self, budget: Budget, account: Account, num_bytes: int, *, pause: float = 0) -> None:
        assert budget.try_take(account, num_bytes)
        self.held = num_bytes
        self.pause = pause
        self.full = False
        self.asked: list[int] = []
        self._budget, self._account = budget, account
        self._lock = threading.Lock()
        account.stores[id(self)] = self

    @property
    def reclaimable_bytes(self) -> int:
        return self.held

    def reclaim(self, wanted_bytes: int) -> int:
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            self.asked.append(wanted_bytes)
            if self.full:
                raise OutOfMemoryError("temporary files would exceed their limit", hint="raise the limit")
            time.sleep(self.pause)
            freed = min(wanted_bytes, self.held)
            self.held -= freed
            self._budget.give(self._account, freed)
            return freed
        finally:
            self._lock.release()

    def close(self) -> None:
        self._budget.give(self._account, self.held)
        self.held = 0


@pytest.fixture
def budget() -> Budget:
    return Budget("host memory", "memory_limit", 1000)


def reserve(
    budget: Budget, account: Account, num_bytes: int, check: Callable[[], None] = lambda: None
) -> Reservation:
    reservation = Reservation(budget, account, "test", check)
    try:
        reservation.resize(num_bytes)
    except BaseException:
        reservation.release()
        raise
    return reservation


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(budgets, "MEMORY_PATIENCE_S", 0.2)
    monkeypatch.setattr(budgets, "MEMORY_POLL_S", 0.005)
    yield
    assert not budgets._resting_threads


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.001)


def test_numbers_add_up(budget: Budget) -> None:
    one, other = budget.open_account(), budget.open_account()
    assert budget.try_take(one, 600)
    assert not budget.try_take(other, 401)
    assert budget.try_take(other, 400)
    assert (budget.used_bytes, budget.free_bytes, budget.peak_bytes) == (1000, 0, 1000)
    budget.transfer(one, other, 100)
    assert (one.held_bytes, other.held_bytes, other.peak_bytes) == (500, 500, 500)
    budget.give(other, 500)
    budget.close_account(one)
    assert budget.used_bytes == 0
    assert budget.peak_bytes == 1000


def test_nothing_is_given_back_twice(budget: Budget) -> None:
    account = budget.open_account()
    reservation = reserve(budget, account, 300)
    reservation.release()
    reservation.release()
    assert budget.used_bytes == 0
    late = reserve(budget, account, 300)
    budget.close_account(account)
    budget.close_account(account)
    late.release()
    assert (budget.used_bytes, account.held_bytes, account.borrowers) == (0, 0, {})


def test_a_closed_account_gets_nothing(budget: Budget) -> None:
    account = budget.open_account()
    budget.close_account(account)
    assert not budget.try_take(account, 1)
    assert not budget.take_if_possible(account, 1)
    budget.take_anyway(account, 1)
    with pytest.raises(OutOfMemoryError):
        reserve(budget, account, 1)
    assert budget.used_bytes == 0


def test_a_lower_limit_leaves_what_is_held(budget: Budget) -> None:
    account = budget.open_account()
    held = reserve(budget, account, 900)
    budget.limit_bytes = 500
    assert budget.free_bytes == 0
    with pytest.raises(OutOfMemoryError):
        reserve(budget, account, 1)
    held.release()
    reserve(budget, account, 500).release()


def test_the_asking_query_gives_first_and_larger_stores_before_smaller(budget: Budget) -> None:
    asking, other = budget.open_account(), budget.open_account()
    small = Holding(budget, asking, 100)
    large = Holding(budget, asking, 300)
    foreign = Holding(budget, other, 500)
    assert budget.take_if_possible(asking, 350)
    assert (large.held, small.held, foreign.held) == (50, 100, 500)
    assert budget.take_if_possible(asking, 600)
    assert (large.held, small.held, foreign.held) == (0, 0, 50)


def test_caches_give_before_stores(budget: Budget) -> None:
    account, cached = budget.open_account(), budget.open_account(running=False)
    store = Holding(budget, account, 300)
    cache = Holding(budget, cached, 600)
    del cached.stores[id(cache)]
    budget.add_cache(cache)
    assert budget.available_bytes == 700
    assert budget.take_if_possible(account, 500)
    assert (cache.held, store.held) == (200, 300)


def test_more_than_the_limit_is_refused_at_once_and_nobody_is_asked(budget: Budget) -> None:
    account = budget.open_account()
    store = Holding(budget, account, 500)
    with pytest.raises(OutOfMemoryError) as caught:
        reserve(budget, account, 1001)
    assert store.asked == []
    assert (
        "test needs more host memory than is left: 1001 B (500 B of 1000 B used, 500 B by this query)"
        in str(caught.value)
    )
    assert "memory_limit" in str(caught.value)
    assert account.borrowers == {}


def test_full_files_are_named(budget: Budget) -> None:
    account = budget.open_account()
    Holding(budget, account, 900).full = True
    assert not budget.take_if_possible(account, 200)
    with pytest.raises(OutOfMemoryError, match="rows cannot move: temporary files would exceed") as caught:
        reserve(budget, account, 200)
    assert "raise the limit" in str(caught.value)


def test_a_full_store_does_not_keep_others_from_giving(budget: Budget) -> None:
    account, other = budget.open_account(), budget.open_account()
    Holding(budget, account, 500).full = True
    Holding(budget, other, 400)
    assert budget.take_if_possible(account, 300)


def test_waiting_ends_when_another_query_gives_back(budget: Budget) -> None:
    waiting, running = budget.open_account(), budget.open_account()
    held = reserve(budget, running, 800)
    done: list[int] = []
    thread = in_thread(lambda: done.append(reserve(budget, waiting, 500).num_bytes))
    wait_until(lambda: bool(waiting.waiting))
    assert not done
    held.release()
    thread.join(120)
    assert done == [500]
    assert not waiting.waiting


def test_waiting_can_be_cancelled(budget: Budget) -> None:
    waiting, running = budget.open_account(), budget.open_account()
    reserve(budget, running, 800)
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise InterruptError("query was cancelled")

    caught: list[BaseException] = []

    def work() -> None:
        try:
            reserve(budget, waiting, 500, check)
        except InterruptError as error:
            caught.append(error)

    thread = in_thread(work)
    wait_until(lambda: bool(waiting.waiting))
    cancelled.set()
    thread.join(120)
    assert len(caught) == 1
    assert (waiting.held_bytes, waiting.borrowers, waiting.waiting) == (0, {}, set())


def test_of_two_that_wait_for_each_other_the_later_gives_way(budget: Budget) -> None:
    older, younger = budget.open_account(), budget.open_account()
    outcome: dict[str, object] = {}
    both = threading.Barrier(2)

    def work(name: str, account: Account) -> None:
        first = reserve(budget, account, 400)
        both.wait()
        try:
            reserve(budget, account, 400).release()
            outcome[name] = "finished"
        except OutOfMemoryError as error:
            outcome[name] = error
        first.release()
        budget.close_account(account)

    threads = [in_thread(lambda: work("older", older)), in_thread(lambda: work("younger", younger))]
    for thread in threads:
        thread.join(120)
    assert outcome["older"] == "finished"
    assert isinstance(outcome["younger"], OutOfMemoryError)
    assert budget.used_bytes == 0


def test_a_worker_waits_for_its_sibling(budget: Budget) -> None:
    account = budget.open_account()
    sibling = reserve(budget, account, 800)
    done: list[int] = []
    thread = in_thread(lambda: done.append(reserve(budget, account, 500).num_bytes))
    wait_until(lambda: bool(account.waiting))
    time.sleep(0.3)
    assert not done
    assert thread.is_alive()
    sibling.release()
    thread.join(120)
    assert done == [500]


def test_a_worker_does_not_wait_for_a_thread_that_waits_for_it(budget: Budget) -> None:
    account = budget.open_account()
    whole = reserve(budget, account, 800)  # what the main thread holds while its workers run
    outcome: list[object] = []

    def work() -> None:
        try:
            reserve(budget, account, 500)
        except OutOfMemoryError as error:
            outcome.append(error)

    with resting():
        in_thread(work).join(120)
    assert len(outcome) == 1
    whole.release()


def test_workers_short_of_memory_end_though_the_main_thread_holds_some(budget: Budget) -> None:
    account = budget.open_account()
    workers = Workers(2)

    def work(morsels: Iterator[Morsel]) -> None:
        for morsel in morsels:
            time.sleep(0.05)
            if threading.current_thread() is not threading.main_thread():
                reserve(budget, account, 500).release()
            del morsel

    with reserve(budget, account, 800), pytest.raises(OutOfMemoryError):
        workers.run(cut(40, 4, max_rows=1), work)
    workers.close()
    assert budget.used_bytes == 0


def test_a_waiting_query_does_not_keep_another_from_its_threads(budget: Budget) -> None:
    """Its helpers occupy the pool; the other query, for which it waits, must get on without any."""
    workers = Workers(2)
    one, other = budget.open_account(), budget.open_account()
    held = reserve(budget, other, 800)
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise InterruptError("query was cancelled")

    def greedy(morsels: Iterator[Morsel]) -> None:
        for _ in morsels:
            reserve(budget, one, 500, check).release()

    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(workers.run, cut(4, 2, max_rows=1), greedy)
        wait_until(lambda: len(one.waiting) == 2)
        finished: list[int] = []

        def work(morsels: Iterator[Morsel]) -> None:
            finished.extend(morsel.start for morsel in morsels)

        thread = in_thread(lambda: workers.run(cut(4, 2, max_rows=1), work))
        thread.join(120)
        cancelled.set() if thread.is_alive() else held.release()
        assert sorted(finished) == [0, 1, 2, 3]
        blocked.result(120)
    workers.close()
    assert budget.used_bytes == 0


def test_a_store_that_is_being_emptied_is_waited_for(budget: Budget) -> None:
    account = budget.open_account()
    Holding(budget, account, 900, pause=0.3)
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(reserve(budget, account, 400).num_bytes)
        except OutOfMemoryError as error:
            outcome.append(error)

    threads = [in_thread(work), in_thread(work)]
    for thread in threads:
        thread.join(120)
    assert outcome == [400, 400]


def test_errors_while_waiting_leave_no_trace(budget: Budget) -> None:
    waiting, running = budget.open_account(), budget.open_account()
    reserve(budget, running, 1000)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reserve(budget, waiting, 10, check)
    assert (waiting.waiting, waiting.borrowers, waiting.held_bytes) == (set(), {}, 0)


def test_resize(budget: Budget) -> None:
    account = budget.open_account()
    reservation = reserve(budget, account, 100)
    reservation.resize(700)
    assert not reservation.try_resize(1001)
    assert reservation.num_bytes == 700
    with pytest.raises(OutOfMemoryError):
        reservation.resize(1001)
    assert budget.used_bytes == 700
    assert reservation.try_resize(50)
    assert budget.used_bytes == 50
    reservation.release()
    assert budget.used_bytes == 0


def test_an_injected_failure_takes_nothing(budget: Budget) -> None:
    account = budget.open_account()
    fault = faults.Fault(faults.RESERVATION, 2, lambda: OutOfMemoryError("injected"))
    with faults.injected(fault):
        first = reserve(budget, account, 10)
        with pytest.raises(OutOfMemoryError, match="injected"):
            reserve(budget, account, 10)
        with pytest.raises(RuntimeError, match="another fault"), faults.injected(fault):
            pass
    assert fault.raised
    first.release()
    assert (budget.used_bytes, account.borrowers) == (0, {})
    with pytest.raises(ValueError, match="unknown fault point"):
        faults.Fault("nowhere", 1, MemoryError)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), num_threads=st.integers(2, 5))
def test_many_threads_leave_nothing_behind(seed: int, num_threads: int) -> None:
    budget = Budget("host memory", "memory_limit", 1000)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 31 + number)
        account = budget.open_account()
        try:
            for _ in range(20):
                action = rng.randrange(3)
                if action == 0:
                    with reserve(budget, account, rng.randrange(200)):
                        time.sleep(0)
                elif action == 1 and budget.free_bytes > 300:
                    if budget.take_if_possible(account, 50):
                        budget.give(account, 50)
                elif budget.try_take(account, 60):
                    budget.give(account, 60)
        except BaseException as error:
            failures.append(error)
        finally:
            budget.close_account(account)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert (budget.used_bytes, budget._accounts) == (0, set())
    assert budget.peak_bytes <= 1000


def test_bytes_for_a_person() -> None:
    assert [format_bytes(size) for size in (0, 1023, 1536, 3 << 20, 5 << 30, 7 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "7.0 TiB",
    ]
