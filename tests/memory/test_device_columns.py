"""Columns kept on a device: found again, counted, let go coldest first, and never while a query uses them.

The simulated device's memory is the host's, so these need neither a GPU nor the simulator.
"""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.encodings import encode_column
from gpuql.columnar.parts import string_bytes
from gpuql.device import Device
from gpuql.errors import OutOfMemoryError
from gpuql.memory import faults
from gpuql.memory.connection_memory import unlimited_memory
from gpuql.memory.device_columns import encoded_slice, plain_bytes
from gpuql.memory.device_memory import DeviceMemory, DeviceQuery
from gpuql_planner.types import BIGINT, VARCHAR

KIB = 1024


@pytest.fixture
def device() -> DeviceMemory:
    memory = DeviceMemory(Device("cudasim", "test"))
    memory.budget.limit_bytes = 100 * KIB
    return memory


@pytest.fixture
def query(device: DeviceMemory) -> Iterator[DeviceQuery]:
    with device.running_query(unlimited_memory(), lambda: None) as running:
        yield running


def integers(num_rows: int, seed: int = 0) -> Column:
    return Column(BIGINT, np.random.default_rng(seed).integers(0, 2**60, num_rows))


def texts(num_rows: int) -> Column:
    return column_from_python([f"text {number}" for number in range(num_rows)], VARCHAR)


def one(column: Column) -> Batch:
    return Batch({1: column}, len(column))


def kept(query: DeviceQuery, column: Column) -> Column:
    return query.keep(one(column)).columns[1]


def test_a_column_is_copied_once_and_counted(device: DeviceMemory, query: DeviceQuery) -> None:
    column = integers(1000)
    there = kept(query, column)
    assert there.values is not column.values
    np.testing.assert_array_equal(there.values, column.values)
    assert kept(query, column) is there
    assert device.budget.used_bytes == device.columns.used_bytes == 8000


def test_the_copy_goes_with_its_column(device: DeviceMemory) -> None:
    column = integers(1000)
    with device.running_query(unlimited_memory(), lambda: None) as running:
        kept(running, column)
    assert device.budget.used_bytes == 8000
    del column
    gc.collect()
    wait_until(lambda: device.budget.used_bytes == 0)


def wait_until(is_true: Callable[[], bool]) -> None:
    """A thread lets go of copies; it is given some seconds."""
    deadline = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < deadline, "copies were not let go of"
        time.sleep(0.001)


def test_a_copy_in_use_outlives_its_column(device: DeviceMemory) -> None:
    column = integers(1000)
    expected = column.values.copy()
    with device.running_query(unlimited_memory(), lambda: None) as running:
        there = kept(running, column)
        del column
        gc.collect()
        assert device.columns.reclaim(1 << 20) == 0
        assert device.columns.used_bytes == 8000
        np.testing.assert_array_equal(there.values, expected)
    assert device.columns.used_bytes == 0


def test_the_coldest_columns_go_first(device: DeviceMemory) -> None:
    columns = [integers(1000, seed) for seed in range(10)]
    for used in (*columns, *columns[3:], *columns[3:]):
        with device.running_query(unlimited_memory(), lambda: None) as running:
            kept(running, used)
    before = device.columns.missing_bytes(batch_of(columns))
    assert before == 0
    assert device.columns.reclaim(20_000) == 24_000
    assert [device.columns.missing_bytes(one(column)) > 0 for column in columns] == [True] * 3 + [False] * 7


def batch_of(columns: list[Column]) -> Batch:
    return Batch(dict(enumerate(columns)), len(columns[0]))


def test_one_scan_of_many_columns_leaves_what_is_used_often(device: DeviceMemory) -> None:
    hot = [integers(1000, seed) for seed in range(4)]
    for _ in range(20):
        with device.running_query(unlimited_memory(), lambda: None) as running:
            running.keep(batch_of(hot))
    cold = [integers(1000, seed) for seed in range(100, 130)]
    for column in cold:
        with device.running_query(unlimited_memory(), lambda: None) as running:
            kept(running, column)
    assert device.columns.missing_bytes(batch_of(hot)) == 0
    assert device.columns.missing_bytes(batch_of(cold)) > 0
    assert device.budget.used_bytes <= device.budget.limit_bytes


def test_what_a_query_uses_stays(device: DeviceMemory, query: DeviceQuery) -> None:
    used = [integers(4000, seed) for seed in range(3)]
    query.keep(batch_of(used))
    assert device.columns.reclaimable_bytes == 0
    with pytest.raises(OutOfMemoryError, match="GPU memory") as raised:
        kept(query, integers(4000, 9))
    assert raised.value.tier == "GPU memory"
    assert "gpu_memory_limit" in str(raised.value)
    assert device.columns.missing_bytes(batch_of(used)) == 0
    assert device.budget.used_bytes == 3 * 32_000


def test_columns_share_their_strings(device: DeviceMemory) -> None:
    first = texts(500)
    second = Column(VARCHAR, first.values[::-1].copy(), None, first.strings)
    assert first.strings is not None
    num_bytes = string_bytes(first.strings)
    with device.running_query(unlimited_memory(), lambda: None) as running:
        there = running.keep(Batch({1: first, 2: second}, 500)).columns
        assert there[1].strings is there[2].strings
        back = running.download(Batch(there, 500)).columns
        assert back[1].strings is first.strings
    assert device.columns.used_bytes == num_bytes + plain_bytes(first) + plain_bytes(second)
    del there, back
    assert device.columns.clear() == num_bytes + plain_bytes(first) + plain_bytes(second)
    assert device.budget.used_bytes == 0


def test_strings_made_on_the_device_have_one_copy_on_the_host(query: DeviceQuery) -> None:
    made = StringArray(np.array([0, 1, 3], np.int64), np.frombuffer(b"abc", np.uint8))
    column = Column(VARCHAR, np.array([1, 0], np.int8), None, made)
    first, second = query.download(one(column)).columns[1], query.download(one(column)).columns[1]
    assert first.strings is second.strings
    assert query.upload(one(first)).columns[1].strings is made
    assert column_to_python(first) == ["bc", "a"]


def test_offsets_cross_as_offsets_and_runs_as_runs(device: DeviceMemory, query: DeviceQuery) -> None:
    offsets = encode_column(Column(BIGINT, 10**15 + np.arange(2000) % 100))
    assert isinstance(offsets, FrameOfReferenceColumn)
    there = kept(query, offsets)
    assert isinstance(there, FrameOfReferenceColumn)
    assert plain_bytes(offsets) == device.columns.used_bytes == 2000
    runs = encode_column(Column(BIGINT, np.repeat(np.arange(7) * 10**12, 300)))
    assert isinstance(runs, RunLengthColumn)
    np.testing.assert_array_equal(kept(query, runs).values, runs.values)
    assert device.columns.used_bytes == 2000 + plain_bytes(runs)


def test_a_failed_copy_leaves_nothing(device: DeviceMemory, query: DeviceQuery) -> None:
    def fail() -> BaseException:
        return MemoryError("out")

    column = texts(100)
    for number in (1, 2, 3):
        with (
            faults.injected(faults.Fault(faults.ALLOCATION, number, fail)),
            pytest.raises(MemoryError, match="out"),
        ):
            kept(query, column)
    query.close()
    assert device.budget.used_bytes == 0


def test_slices_take_the_strings_that_they_use() -> None:
    column = texts(1000)
    part = encoded_slice(column, 10, 20, most_string_bytes=100)
    assert part.strings is not None
    assert len(part.strings) == 10
    assert column_to_python(part) == [f"text {number}" for number in range(10, 20)]
    assert encoded_slice(column, 10, 20, most_string_bytes=1 << 20).strings is column.strings
    offsets = encode_column(Column(BIGINT, 10**15 + np.arange(2000) % 100))
    sliced = encoded_slice(offsets, 150, 155, most_string_bytes=0)
    assert isinstance(sliced, FrameOfReferenceColumn)
    np.testing.assert_array_equal(sliced.values, 10**15 + np.arange(50, 55))


def test_limits_of_connections_share_one_memory(device: DeviceMemory) -> None:
    class Holder:
        pass

    default = DeviceMemory(Device("cudasim", "test")).budget.limit_bytes
    first, second = Holder(), Holder()
    device.limit(first, 50 * KIB)
    device.limit(second, 80 * KIB)
    assert device.budget.limit_bytes == 50 * KIB
    device.limit(first, None)
    assert device.budget.limit_bytes == 80 * KIB
    del second
    device.limit(first, None)
    assert device.budget.limit_bytes == default


def test_a_lower_limit_lets_go_of_columns(device: DeviceMemory) -> None:
    columns = [integers(1000, seed) for seed in range(5)]
    with device.running_query(unlimited_memory(), lambda: None) as running:
        running.keep(batch_of(columns))
    device.limit(device, 20_000)
    assert device.columns.used_bytes == 16_000


def test_many_threads(device: DeviceMemory) -> None:
    """Threads keep columns of a set that does not fit, two at a time, while some of the columns are replaced."""
    device.budget.limit_bytes = 60_000
    columns = [integers(500, seed) for seed in range(20)]
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        try:
            for _ in range(60):
                chosen = choose.sample(range(20), 2)
                mine = [columns[number] for number in chosen]
                with device.running_query(unlimited_memory(), lambda: None) as running:
                    there = running.keep(batch_of(mine))
                    for position, column in enumerate(mine):
                        np.testing.assert_array_equal(there.columns[position].values, column.values)
                if choose.random() < 0.2:
                    columns[chosen[0]] = integers(500, choose.randrange(1000))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert device.budget.used_bytes <= 60_000
    columns.clear()
    gc.collect()
    wait_until(lambda: device.budget.used_bytes == 0)
