"""Batches of every form come back from files bit for bit, and stores give up exactly what they took."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.parts import batch_size, stored_arrays
from gpuql.columnar.strings import entry_bytes, string_array
from gpuql.errors import InterfaceError, OutOfMemoryError
from gpuql.memory.block_file import BlockFile
from gpuql.memory.budget import Budget
from gpuql.memory.query_memory import QueryMemory, host_memory
from gpuql.memory.spill_space import SpillSpace
from gpuql_planner.types import BIGINT, BOOLEAN, DOUBLE, HUGEINT, INTERVAL, VARCHAR

Make = Callable[[int, np.random.Generator], Column]


def _validity(n: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return rng.random(n) < 0.7


def _words(n: int, rng: np.random.Generator) -> list[bytes]:
    return [b"x" * int(length) + bytes([65 + i % 26]) for i, length in enumerate(rng.integers(0, 9, n))]


def _dictionary_column(n: int, rng: np.random.Generator) -> Column:
    strings = string_array(sorted(b"%05d" % i for i in range(50)), unique=True, sorted=True)
    return Column(VARCHAR, rng.integers(0, 50, n).astype(np.int8), None, strings)


def _large_dictionary_column(n: int, rng: np.random.Generator) -> Column:
    strings = string_array([b"%0100d" % i for i in range(5000)], unique=True, sorted=True)
    return Column(VARCHAR, rng.integers(0, 5000, n).astype(np.int16), None, strings)


def _own_strings_column(n: int, rng: np.random.Generator) -> Column:
    return Column(VARCHAR, np.arange(n, dtype=np.int32), _validity(n, rng), string_array(_words(n, rng)))


def _slice_of_strings_column(n: int, rng: np.random.Generator) -> Column:
    values = np.arange(10, 10 + n, dtype=np.int32)
    return Column(VARCHAR, values, None, string_array(_words(n + 20, rng)))


def _scattered_strings_column(n: int, rng: np.random.Generator) -> Column:
    values = rng.permutation(3 * n + 1)[:n].astype(np.int32)
    return Column(VARCHAR, values, None, string_array(_words(3 * n + 1, rng)))


FORMS: dict[str, Make] = {
    "narrow": lambda n, rng: Column(
        BIGINT, rng.integers(-100, 100, n).astype(np.int8), None, None, (-100, 99)
    ),
    "wide, nulls": lambda n, rng: Column(BIGINT, rng.integers(-(2**62), 2**62, n), _validity(n, rng)),
    "doubles": lambda n, rng: Column(DOUBLE, np.where(rng.random(n) < 0.5, np.nan, -0.0)),
    "booleans": lambda n, rng: Column(BOOLEAN, rng.random(n) < 0.5, _validity(n, rng)),
    "two words": lambda n, rng: Column(HUGEINT, rng.integers(-(2**62), 2**62, (n, 2)), _validity(n, rng)),
    "interval": lambda n, rng: Column(INTERVAL, rng.integers(-9, 9, (n, 3))),
    "all null": lambda n, _: Column(BIGINT, np.zeros(n, np.int8), np.zeros(n, np.bool_), None, (0, 0)),
    "null strings": lambda n, _: Column(
        VARCHAR, np.zeros(n, np.int32), np.zeros(n, np.bool_), string_array([], unique=True, sorted=True)
    ),
    "every second": lambda n, rng: Column(BIGINT, rng.integers(0, 9, 2 * n)[::2]),
    "dictionary": _dictionary_column,
    "large dictionary": _large_dictionary_column,
    "own strings": _own_strings_column,
    "slice of strings": _slice_of_strings_column,
    "scattered strings": _scattered_strings_column,
    "offsets": lambda n, rng: FrameOfReferenceColumn(
        BIGINT, rng.integers(0, 100, n).astype(np.int8), 10**12, _validity(n, rng), (10**12, 10**12 + 99)
    ),
    "runs": lambda n, rng: (
        RunLengthColumn(BIGINT, rng.integers(0, 5, 3), np.array([n // 3, n // 2, n]), None, (0, 4))
        if n
        else Column(BIGINT, np.empty(0, np.int64))
    ),
    "runs of strings": lambda n, rng: (
        RunLengthColumn(
            VARCHAR,
            np.array([1, 0], np.int8),
            np.array([n // 2, n]),
            string_array([b"a", b"b"], unique=True),
            None,
        )
        if n
        else Column(VARCHAR, np.empty(0, np.int8), None, string_array([]))
    ),
}


def _rows(column: Column) -> list[object]:
    """Bits of the rows that are not NULL, None of those that are."""
    values = column.values
    if column.strings is not None:
        entries = entry_bytes(column.strings)
        bits: list[object] = [entries[i] if entries else None for i in values.tolist()]
    else:
        words = np.ascontiguousarray(values)
        if words.dtype.kind == "i":
            words = words.astype(np.int64)
        bits = [words[i].tobytes() for i in range(len(words))]
    if column.validity is None:
        return bits
    return [bit if valid else None for bit, valid in zip(bits, column.validity.tolist(), strict=True)]


def _assert_same(left: Batch, right: Batch) -> None:
    assert left.num_rows == right.num_rows
    assert list(left.columns) == list(right.columns)
    for key, column in left.columns.items():
        other = right.columns[key]
        assert other.dtype == column.dtype
        assert other.bounds == column.bounds or other.strings is not None
        assert _rows(other) == _rows(column)


@pytest.fixture
def space(tmp_path: Path) -> SpillSpace:
    return SpillSpace(tmp_path / "spill", None)


def _memory(space: SpillSpace, limit_bytes: int) -> QueryMemory:
    return host_memory(Budget("host memory", "memory_limit", limit_bytes), space, lambda: None)


@pytest.mark.parametrize("num_rows", [0, 1, 3, 70, 6000])
@pytest.mark.parametrize("form", FORMS)
def test_a_column_comes_back_as_it_was(form: str, num_rows: int, space: SpillSpace) -> None:
    rng = np.random.default_rng(7)
    batch = Batch({5: FORMS[form](num_rows, rng), 3: FORMS[form](num_rows, rng)}, num_rows)
    file = BlockFile(space)
    tickets = [file.put(batch), file.put(batch.slice(0, num_rows // 2)), file.put(batch.slice(1, num_rows))]
    for ticket, expected in zip(
        tickets, [batch, batch.slice(0, num_rows // 2), batch.slice(1, num_rows)], strict=True
    ):
        for _ in range(2):
            _assert_same(expected, file.get(ticket))
    used = file.num_bytes
    assert space.used_bytes == used
    file.close()
    file.close()
    assert (space.used_bytes, space.num_files) == (0, 0)


def test_rows_without_columns_are_counted(space: SpillSpace) -> None:
    file = BlockFile(space)
    assert file.get(file.put(Batch({}, 7))).num_rows == 7
    assert space.num_files == 0


def test_equal_values_are_compressed_and_random_ones_are_not(space: SpillSpace) -> None:
    rng = np.random.default_rng(1)
    file = BlockFile(space)
    file.put(Batch({1: Column(BIGINT, np.full(100_000, 2**40))}, 100_000))
    assert file.num_bytes < 80_000
    before = file.num_bytes
    file.put(Batch({1: Column(BIGINT, rng.integers(-(2**62), 2**62, 100_000))}, 100_000))
    assert file.num_bytes - before == 800_000


def test_a_small_dictionary_is_written_once_and_shared_again(space: SpillSpace) -> None:
    strings = string_array(sorted(b"%0200d" % i for i in range(1000)), unique=True, sorted=True)
    file = BlockFile(space)
    batches = [Batch({1: Column(VARCHAR, np.full(10, i, np.int16), None, strings)}, 10) for i in range(100)]
    tickets = [file.put(batch) for batch in batches]
    assert file.num_bytes < 250_000
    read = file.get(tickets[0])
    assert read.columns[1].strings is strings, "whoever still has the dictionary shares it"
    del strings, batches, read
    gc.collect()
    first, second = file.get(tickets[0]), file.get(tickets[99])
    assert first.columns[1].strings is second.columns[1].strings
    assert first.columns[1].strings is not None
    assert first.columns[1].strings.unique
    assert first.columns[1].strings.sorted
    assert _rows(second.columns[1]) == [b"%0200d" % 99] * 10


def test_a_slice_takes_only_its_own_strings_to_the_file(space: SpillSpace) -> None:
    strings = string_array([b"%0100d" % i for i in range(10_000)])
    batch = Batch({1: Column(VARCHAR, np.arange(10_000, dtype=np.int32), None, strings)}, 10_000)
    file = BlockFile(space)
    file.put(batch.slice(10, 20))
    assert file.num_bytes < 2000
    scattered = Batch({1: Column(VARCHAR, np.array([5, 9000, 5], np.int32), None, strings)}, 3)
    _assert_same(scattered, file.get(file.put(scattered)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    forms=st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=3),
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=6),
    limit=st.integers(0, 60_000),
    drain=st.booleans(),
)
def test_stores_give_the_rows_in_order_and_all_bytes_back(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    forms: list[str],
    sizes: list[int],
    limit: int,
    *,
    drain: bool,
) -> None:
    rng = np.random.default_rng(seed)
    space = SpillSpace(tmp_path_factory.getbasetemp() / "shared-spill", None)
    memory = _memory(space, limit)
    stores = [memory.new_store("test"), memory.new_store("test")]
    batches = []
    for position, size in enumerate(sizes):
        batch = Batch({key: FORMS[form](size, rng) for key, form in enumerate(forms)}, size)
        batches.append(batch)
        stores[position % 2].append(batch, position)
        assert 0 <= memory.budget.used_bytes <= limit
    first, second = stores
    first.absorb(second)
    first.reclaim(int(rng.integers(0, 30_000)))
    read = list(first.drain() if drain else first)
    joined = {key: [row for batch in read for row in _rows(batch.columns[key])] for key in range(len(forms))}
    for key in range(len(forms)):
        assert joined[key] == [row for batch in batches for row in _rows(batch.columns[key])]
    memory.close()
    assert memory.budget.used_bytes == 0
    assert (space.used_bytes, space.num_files) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    forms=st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=3),
    sizes=st.lists(st.integers(0, 60), min_size=8, max_size=40),
    limit=st.sampled_from([3000, 20_000, 1 << 30]),
)
def test_tiny_batches_are_joined_as_they_come(
    tmp_path_factory: pytest.TempPathFactory, seed: int, forms: list[str], sizes: list[int], limit: int
) -> None:
    rng = np.random.default_rng(seed)
    space = SpillSpace(tmp_path_factory.getbasetemp() / "shared-spill", None)
    memory = _memory(space, limit)
    store = memory.new_store("test")
    batches = [Batch({key: FORMS[form](size, rng) for key, form in enumerate(forms)}, size) for size in sizes]
    for batch in batches:
        store.append(batch)
        assert 0 <= memory.budget.used_bytes <= limit
    if limit == 1 << 30:  # nothing moved
        held = {id(strings): strings for batch in store for strings in batch_size(batch).strings}
        strings_bytes = sum(strings.offsets.nbytes + strings.data.nbytes for strings in held.values())
        rows_bytes = sum(batch_size(batch).row_bytes for batch in store)
        assert memory.budget.used_bytes == rows_bytes + strings_bytes == store.total_bytes
    assert store.num_rows == sum(sizes)
    read = list(store.drain())
    for key in range(len(forms)):
        joined = [row for batch in read for row in _rows(batch.columns[key])]
        assert joined == [row for batch in batches for row in _rows(batch.columns[key])]
    assert memory.budget.used_bytes == 0
    memory.close()
    assert (space.used_bytes, space.num_files) == (0, 0)


def test_only_neighbours_with_rows_of_their_own_are_joined(space: SpillSpace) -> None:
    memory = _memory(space, 1 << 30)
    own, apart, shared, encoded = (memory.new_store("test") for _ in range(4))
    rng = np.random.default_rng(0)
    strings = string_array([b"%0100d" % i for i in range(1000)])
    for place in range(64):
        own.append(Batch({1: _own_strings_column(10, rng), 2: Column(BIGINT, np.full(10, place))}, 10))
        apart.append(Batch({2: Column(BIGINT, np.full(10, place))}, 10), place)
        rows = Column(VARCHAR, np.full(10, place, np.int32), None, strings)
        other = Column(VARCHAR, np.full(10, place, np.int32), None, string_array([b"x"] * 64))
        shared.append(Batch({1: rows if place % 2 else other}, 10))
        low = 2**40 + place
        column = FrameOfReferenceColumn(BIGINT, np.zeros(10, np.int8), low, None, (low, low))
        encoded.append(Batch({1: column}, 10))
    assert len(own) < 16
    assert (len(apart), len(shared), len(encoded)) == (64, 64, 64)
    assert [int(batch.columns[2].values[0]) for batch in apart] == list(range(64))
    memory.close()
    assert memory.budget.used_bytes == 0


def test_strings_that_batches_share_are_counted_once(space: SpillSpace) -> None:
    strings = string_array([b"%0100d" % i for i in range(1000)])
    memory = _memory(space, 1 << 30)
    store, other = memory.new_store("test"), memory.new_store("test")
    batch = Batch({1: Column(VARCHAR, np.arange(1000, dtype=np.int32), None, strings)}, 1000)
    for position in range(4):
        store.append(batch.slice(250 * position, 250 * position + 250))
    size = batch_size(batch)
    assert memory.budget.used_bytes == size.row_bytes + strings.offsets.nbytes + strings.data.nbytes
    other.append(batch)
    store.absorb(other)
    assert memory.budget.used_bytes == 2 * size.row_bytes + strings.offsets.nbytes + strings.data.nbytes
    assert store.reclaim(1 << 30) == 2 * size.row_bytes + strings.offsets.nbytes + strings.data.nbytes
    assert memory.budget.used_bytes == 0
    memory.close()


def test_resident_arrays_cost_nothing_to_keep(space: SpillSpace) -> None:
    values = np.arange(100_000)
    column = Column(BIGINT, values)
    memory = _memory(space, 1000)
    memory.mark_resident(column)
    store = memory.new_store("test")
    store.append(Batch({1: column}, 100_000).slice(5, 90_000))
    assert memory.budget.used_bytes == 0
    assert not store.is_spilled
    memory.close()


def test_a_batch_larger_than_the_budget_goes_straight_to_a_file_in_blocks(space: SpillSpace) -> None:
    memory = _memory(space, 1 << 20)
    store = memory.new_store("test")
    values = np.random.default_rng(3).integers(0, 2**62, 5_000_000)
    store.append(Batch({1: Column(BIGINT, values)}, len(values)))
    assert memory.budget.peak_bytes == 0
    assert store.is_spilled
    read = list(store)
    assert len(read) > 1
    assert np.array_equal(np.concatenate([batch.columns[1].values for batch in read]), values)
    memory.close()


def test_a_full_folder_leaves_the_rows_where_they_are(space: SpillSpace) -> None:
    space.limit_bytes = 10_000
    memory = _memory(space, 1 << 20)
    store = memory.new_store("test")
    values = np.random.default_rng(3).integers(0, 2**62, 10_000)
    store.append(Batch({1: Column(BIGINT, values)}, 10_000))
    assert memory.try_reserve(1 << 20, "test") is None
    with pytest.raises(OutOfMemoryError, match="rows cannot move: temporary files would exceed their limit"):
        memory.reserve(1 << 20, "test")
    assert [batch.num_rows for batch in store] == [10_000]
    assert np.array_equal(next(iter(store)).columns[1].values, values)
    memory.close()
    assert (memory.budget.used_bytes, space.used_bytes) == (0, 0)


def test_rows_of_a_closed_store_are_an_error_not_other_rows(space: SpillSpace) -> None:
    memory = _memory(space, 0)
    store = memory.new_store("test")
    for value in range(3):
        store.append(Batch({1: Column(BIGINT, np.full(1000, value))}, 1000), value)
    rows = iter(store)
    next(rows)
    store.close()
    with pytest.raises(InterfaceError, match="rows are not there any more"):
        next(rows)


def test_readers_and_reclaimers_of_one_store_do_not_meet(space: SpillSpace) -> None:
    memory = _memory(space, 1 << 40)
    store = memory.new_store("test")
    expected = []
    stop = threading.Event()
    errors: list[BaseException] = []

    def reclaim() -> None:
        try:
            while not stop.is_set():
                store.reclaim(200_000)
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        try:
            while not stop.is_set():
                known = len(expected)
                seen = [int(batch.columns[1].values[0]) for batch in store]
                assert seen[:known] == expected[:known]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (reclaim, reclaim, read, read)]
    for thread in threads:
        thread.start()
    for value in range(300):
        store.append(Batch({1: Column(BIGINT, np.full(10_000, value))}, 10_000), value)
        expected.append(value)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert [int(batch.columns[1].values[0]) for batch in store] == expected
    assert sum(batch.num_rows for batch in store.drain()) == 3_000_000
    assert memory.budget.used_bytes == 0
    memory.close()


def test_views_of_stored_columns_are_measured_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for form, make in FORMS.items():
        column = make(100, rng)
        arrays = stored_arrays(column)
        assert batch_size(Batch({1: column}, 100)).row_bytes == sum(array.nbytes for array in arrays), form
        assert isinstance(column.strings, StringArray | None)


def test_sizes_are_asked_for_while_rows_move(space: SpillSpace) -> None:
    """Another query that is short of memory may move rows at any time."""
    memory = _memory(space, 1 << 30)
    store = memory.new_store("test")
    rng = np.random.default_rng(1)
    failures: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            while not ended.is_set():
                assert store.total_bytes >= 0
        except BaseException as error:
            failures.append(error)

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(10):
            for number in range(40):
                store.append(Batch({1: _own_strings_column(2000, rng)}, 2000), number)
            store.reclaim(1 << 30)
    finally:
        sys.setswitchinterval(usual_s)
        ended.set()
        thread.join()
    memory.close()
    assert failures == []
