"""What pipelines left on a device: brought to the host, where the rest of a query goes on, or put together there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import NATURAL_DTYPE, Array, Column, StringArray
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.parts import batch_size
from gpuql.memory.device_memory import DeviceQuery
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import JoinTable, PartitionedBuild, RowsResult, SinkResult


def bring_to_host(result: SinkResult, device: DeviceQuery) -> SinkResult:
    """The same result in host arrays, in memory of the query's host account; ``result`` is closed.

    Join indexes and hashes of keys are the same on all devices. Errors: OutOfMemoryError if the host has no room.
    """
    moved: SinkResult
    if isinstance(result, RowsResult):
        moved = RowsResult(_rows(result.batches, device))
    elif isinstance(result, PartitionedBuild):
        moved = replace(
            result,
            partitions=[_rows(rows, device) for rows in result.partitions],
            empty=device.download(result.empty),
            rest=None if result.rest is None else _rows(result.rest, device),
        )
    else:
        moved = _table(result, device)
    result.close()
    return moved


def _rows(batches: RowStore | object, device: DeviceQuery) -> RowStore:
    store = device.host.new_store("rows from the GPU")
    if isinstance(batches, RowStore):
        for sequence, batch in batches.drain_numbered():
            store.append(device.download(batch), sequence)
        return store
    assert isinstance(batches, Sequence), "rows are batches or a store of them"
    for sequence, batch in enumerate(batches):
        store.append(device.download(batch), sequence)
    return store


def _table(table: JoinTable, device: DeviceQuery) -> JoinTable:
    reservation = device.host.reserve(_table_bytes(table), "hash join")
    fetch = device.download_array
    encoding = replace(
        table.encoding,
        columns=tuple(
            replace(key, distinct=_distinct(key.distinct, device)) for key in table.encoding.columns
        ),
    )
    arrays: dict[str, Any] = {name: _fetched(getattr(table.index, name), fetch) for name in _INDEX_ARRAYS}
    keys = device.download(Batch(dict(enumerate(table.keys)), table.num_rows))
    return replace(
        table,
        payload=device.download(table.payload),
        encoding=encoding,
        index=replace(table.index, **arrays),
        matched=_fetched(table.matched, fetch),
        filters=tuple(_fetched(one, fetch) for one in table.filters),
        keys=tuple(keys.columns.values()),
        reservation=reservation,
    )


_INDEX_ARRAYS = ("slot_keys", "slot_used", "first", "starts", "rows")


def _table_bytes(table: JoinTable) -> int:
    arrays = [getattr(table.index, name) for name in _INDEX_ARRAYS] + [table.matched, *table.filters]
    rows = batch_size(table.payload).row_bytes + sum(column.nbytes for column in table.keys)
    return rows + sum(int(array.nbytes) for array in arrays if array is not None)


def _fetched(array: Array | None, fetch: Callable[[Array], Array]) -> Array | None:
    return None if array is None else fetch(array)


def _distinct(distinct: object, device: DeviceQuery) -> object:
    """What key codes are positions in: strings, an array, or nothing if they are differences."""
    if isinstance(distinct, StringArray):
        return device.host_strings(distinct)
    return _fetched(distinct, device.download_array)


def finished_rows(
    result: RowsResult, device: DeviceQuery, new_account: Callable[[], QueryMemory]
) -> list[Batch] | RowStore:
    """The rows of a result for the user, in host memory; those that had to move to files stay there."""
    store = _rows(result.batches, device)
    if store.is_spilled:
        store.hand_over(new_account())
        return store
    return list(store)


def plain_rows(result: RowsResult, xp: Any) -> Batch:
    """All rows in one batch of plain columns, each as wide as its type, where they are."""
    rows = concat_batches(list(result), xp=xp)
    return Batch({key: _widened(column) for key, column in rows.columns.items()}, rows.num_rows)


def _widened(column: Column) -> Column:
    values = column.values
    natural = NATURAL_DTYPE.get(column.dtype.id)
    if natural is not None and column.strings is None:
        values = values.astype(natural, copy=False)
    return Column(column.dtype, values, column.validity, column.strings)
