"""Rows that a device has no room for move to the host, and from there to files, and come back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.encodings import encode_column
from gpuql.device import Device
from gpuql.errors import OutOfMemoryError
from gpuql.execution.transfer import DeviceRows
from gpuql.memory import faults
from gpuql.memory.budget import Budget
from gpuql.memory.device_memory import DeviceMemory, DeviceQuery
from gpuql.memory.query_memory import QueryMemory, host_memory
from gpuql.memory.row_store import RowStore
from gpuql.memory.spill_space import SpillSpace
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import ValuesSource
from gpuql_planner.types import BIGINT, VARCHAR

ROWS = 400


@pytest.fixture
def space(tmp_path: Path) -> SpillSpace:
    return SpillSpace(tmp_path, None)


@pytest.fixture
def host(space: SpillSpace) -> Iterator[QueryMemory]:
    memory = host_memory(Budget("host memory", "memory_limit", 20_000), space, lambda: None)
    yield memory
    memory.close()
    assert memory.budget.used_bytes == 0
    assert space.used_bytes == 0


@pytest.fixture
def device() -> DeviceMemory:
    memory = DeviceMemory(Device("cudasim", "test"))
    memory.budget.limit_bytes = 10_000
    return memory


@pytest.fixture
def query(device: DeviceMemory, host: QueryMemory) -> Iterator[DeviceQuery]:
    with device.running_query(host, lambda: None) as running:
        yield running
    assert device.budget.used_bytes == 0


def batch(number: int) -> Batch:
    values = np.arange(ROWS, dtype=np.int64) * 7919 + number
    texts = column_from_python([f"{number} {row}" for row in range(ROWS)], VARCHAR)
    return Batch({1: Column(BIGINT, values), 2: texts}, ROWS)


def test_rows_pass_through_all_tiers(query: DeviceQuery, host: QueryMemory, space: SpillSpace) -> None:
    store = query.memory.new_store("test")
    order = [(number * 5) % 12 for number in range(12)]
    for number in order:
        store.append(query.upload(batch(number)), number)
    assert query.memory.metrics.spilled_bytes > 0
    assert host.metrics.spilled_bytes > 0
    assert space.used_bytes > 0
    for _ in range(2):
        found = [(int(one.columns[1].values[0]), column_to_python(one.columns[2])) for one in store]
        assert [first for first, _ in found] == list(range(12))
        assert [texts[3] for _, texts in found] == [f"{number} 3" for number in range(12)]
    assert query.memory.metrics.read_bytes > 0
    assert sum(one.num_rows for one in store.drain()) == 12 * ROWS


def fill(store: RowStore, query: DeviceQuery) -> None:
    for number in range(20):
        store.append(query.upload(batch(number)), number)


def test_all_tiers_full_is_an_error_that_names_the_last(query: DeviceQuery, space: SpillSpace) -> None:
    space.limit_bytes = 3_000
    with pytest.raises(OutOfMemoryError, match="temporary files") as raised:
        fill(query.memory.new_store("test"), query)
    assert raised.value.tier is None
    assert "max_temp_directory_size" in str(raised.value)


def test_columns_kept_from_before_give_way_to_rows(device: DeviceMemory, host: QueryMemory) -> None:
    column = Column(BIGINT, np.arange(1000, dtype=np.int64))
    with device.running_query(host, lambda: None) as before:
        before.keep(Batch({1: column}, 1000))
    with device.running_query(host, lambda: None) as running:
        store = running.memory.new_store("test")
        store.append(running.upload(Batch({1: Column(BIGINT, np.arange(1000))}, 1000)))
        assert not store.is_spilled
        assert device.columns.used_bytes == 0
    assert device.budget.used_bytes == 0


def test_memory_that_ran_out_in_spite_of_the_budget_is_won_back(
    device: DeviceMemory, host: QueryMemory
) -> None:
    """As when an allocation fails: what the budget knows of goes down by about as much as is asked for."""
    with device.running_query(host, lambda: None) as running:
        store = running.memory.new_store("test")
        for number in range(2):
            store.append(running.upload(Batch({1: batch(number).columns[1]}, ROWS)), number)
        assert not store.is_spilled
        assert device.reclaim(1000) >= 1000
        assert store.is_spilled
        assert [int(one.columns[1].values[0]) for one in store] == [0, 1]
        assert device.reclaim(1 << 30) > 0
        assert device.reclaim(1) == 0


def parts_of(columns: list[Column], query: DeviceQuery) -> list[Batch]:
    """Host columns that arrive on the device as parts, one after the other."""
    context = RunContext(np, None, lambda: None, memory=query.memory, device=query)
    source = ValuesSource((), ())
    parts = iter([Batch({1: column}, len(column)) for column in columns])
    found = []
    with closing(DeviceRows().arriving(parts, source, context)) as arriving:
        for part in arriving:
            assert query.memory.account.held_bytes >= part.columns[1].nbytes
            found.append(part)
    assert query.memory.account.held_bytes == 0
    assert query.host.account.held_bytes == 0
    return found


def test_parts_arrive_in_order_and_without_runs(query: DeviceQuery) -> None:
    columns = [encode_column(Column(BIGINT, np.full(300, number) + 10**12)) for number in range(5)]
    columns += [encode_column(Column(BIGINT, 10**15 + np.arange(200) % 100))]
    assert isinstance(columns[0], RunLengthColumn)
    assert isinstance(columns[-1], FrameOfReferenceColumn)
    found = parts_of(columns, query)
    assert [type(part.columns[1]) for part in found] == [Column] * 5 + [FrameOfReferenceColumn]
    for part, column in zip(found, columns, strict=True):
        np.testing.assert_array_equal(part.columns[1].values, column.values)


def test_a_part_without_room_gives_back_what_was_reserved(query: DeviceQuery) -> None:
    columns = [Column(BIGINT, np.arange(400)), Column(BIGINT, np.arange(2000))]
    with pytest.raises(OutOfMemoryError, match="scan needs more GPU memory"):
        parts_of(columns, query)
    assert query.memory.account.held_bytes == 0
    assert query.host.account.held_bytes == 0


def test_a_failed_copy_of_a_part_gives_back_what_was_reserved(query: DeviceQuery) -> None:
    for number in (1, 2):
        fault = faults.Fault(faults.ALLOCATION, number, lambda: MemoryError("no"))
        with faults.injected(fault), pytest.raises(MemoryError, match="no"):
            parts_of([Column(BIGINT, np.arange(400)) for _ in range(3)], query)
        assert query.memory.account.held_bytes == 0
        assert query.host.account.held_bytes == 0
