"""Rows that a store keeps: bytes of rows and strings are counted, moved, given back, and handed over with a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.columnar.strings import string_array
from gpuql.memory.connection_memory import ConnectionMemory
from gpuql.memory.query_memory import QueryMemory
from gpuql_planner.types import BIGINT, VARCHAR

NUM_ROWS = 10_000


class _Settings:
    def __init__(self, folder: Path, limit: str) -> None:
        self.memory_limit = limit
        self.temp_directory = str(folder)
        self.max_temp_directory_size = "auto"


@pytest.fixture
def connection_memory(tmp_path: Path) -> ConnectionMemory:
    return ConnectionMemory(_Settings(tmp_path, "100MB"))


@pytest.fixture
def memory(connection_memory: ConnectionMemory) -> QueryMemory:
    return connection_memory.open_query(lambda: None)


def numbers(start: int) -> Batch:
    return Batch({0: Column(BIGINT, np.arange(start, start + NUM_ROWS))}, NUM_ROWS)


def texts(start: int) -> Batch:
    strings = string_array(b"%050d" % value for value in range(start, start + NUM_ROWS))
    return Batch({0: Column(VARCHAR, np.arange(NUM_ROWS, dtype=np.int32), None, strings)}, NUM_ROWS)


def bytes_of(batch: Batch) -> int:
    size = batch_size(batch)
    return size.row_bytes + sum(string_bytes(strings) for strings in size.strings)


def test_strings_of_a_batch_are_freed_when_it_moves(memory: QueryMemory) -> None:
    store = memory.new_store("test")
    batches = [texts(start * NUM_ROWS) for start in range(4)]
    for sequence, batch in enumerate(batches):
        store.append(batch, sequence)
    assert memory.account.held_bytes == sum(map(bytes_of, batches))
    freed = store.reclaim(bytes_of(batches[0]))
    assert freed == bytes_of(batches[3])  # the latest went, whole, and no other
    assert memory.account.held_bytes == sum(map(bytes_of, batches[:3]))
    read = [batch.columns[0] for batch in store]
    assert [int(column.strings.offsets[-1]) for column in read if column.strings] == [50 * NUM_ROWS] * 4


def test_strings_that_batches_share_are_freed_with_the_last(memory: QueryMemory) -> None:
    store = memory.new_store("test")
    batch = texts(0)
    for sequence in range(3):
        store.append(batch, sequence)
    assert batch.columns[0].strings is not None
    row_bytes, shared = batch_size(batch).row_bytes, string_bytes(batch.columns[0].strings)
    assert memory.account.held_bytes == 3 * row_bytes + shared
    assert store.reclaim(1) == row_bytes
    assert store.reclaim(row_bytes + 1) == 2 * row_bytes + shared
    assert memory.account.held_bytes == 0


def test_strings_of_batches_that_move_while_another_comes(tmp_path: Path) -> None:
    """The bytes for a batch are won from earlier ones, which held strings that it uses too."""
    batch = texts(0)
    limit = bytes_of(batch) + batch_size(batch).row_bytes // 2
    memory = ConnectionMemory(_Settings(tmp_path, str(limit))).open_query(lambda: None)
    store = memory.new_store("test")
    for sequence in range(3):
        store.append(batch, sequence)
    assert memory.account.held_bytes == bytes_of(batch)
    assert sum(part.num_rows for part in store.drain()) == 3 * NUM_ROWS
    assert memory.account.held_bytes == 0


def test_stores_that_share_strings_count_them_once_when_joined(memory: QueryMemory) -> None:
    one, other = memory.new_store("test"), memory.new_store("test")
    batch = texts(0)
    one.append(batch)
    other.append(batch)
    one.absorb(other)
    assert memory.account.held_bytes == bytes_of(batch) + batch_size(batch).row_bytes
    assert sum(part.num_rows for part in one.drain()) == 2 * NUM_ROWS
    assert memory.account.held_bytes == 0


def test_draining_gives_bytes_back_as_it_goes(memory: QueryMemory) -> None:
    store = memory.new_store("test")
    for sequence in (1, 0):
        store.append(numbers(sequence * NUM_ROWS), sequence)
    held = []
    for sequence, batch in store.drain_numbered():
        held.append((sequence, int(batch.columns[0].values[0]), memory.account.held_bytes))
    size = 8 * NUM_ROWS
    assert held == [(0, 0, 2 * size), (1, NUM_ROWS, size)]
    assert memory.account.held_bytes == 0


def test_drained_bytes_can_go_to_a_reservation(memory: QueryMemory) -> None:
    store = memory.new_store("test")
    store.append(numbers(0))
    with memory.reserve(0, "test") as reservation:
        for _ in store.drain(reservation):
            pass
        assert reservation.num_bytes == 8 * NUM_ROWS
        assert memory.account.held_bytes == 8 * NUM_ROWS
    assert memory.account.held_bytes == 0


def test_a_store_handed_over_closes_its_account(connection_memory: ConnectionMemory) -> None:
    memory = connection_memory.open_query(lambda: None)
    store = memory.new_store("test")
    store.append(numbers(0), 0)
    store.append(numbers(NUM_ROWS), 1)
    store.reclaim(1)
    store.hand_over(connection_memory.open_query(lambda: None, running=False))
    memory.close()
    assert connection_memory.host.used_bytes == 8 * NUM_ROWS
    assert connection_memory.space.num_files == 1
    assert sum(batch.num_rows for batch in store) == 2 * NUM_ROWS
    store.close()
    assert store.is_closed
    assert connection_memory.host.used_bytes == 0
    assert connection_memory.space.num_files == 0
    assert connection_memory.space.used_bytes == 0
