"""Join tables: how much memory one takes, and building it from stored rows if there is that much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.memory.budget import Reservation
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import JoinTable, KeyEncoding, RunContext
from gpuql.operators.key_filters import key_filters
from gpuql.operators.keys import PACKED_LIMIT, encode_build
from gpuql.thresholds import (
    JOIN_PARTITION_SHARE,
    JOIN_TABLE_SHARE,
    MANY_BUILD_ROWS,
    MAX_FILTER_BITS,
    SPARSE_INDEX_SHARE,
    STRING_INDEX_BYTES,
)
from gpuql_kernels.hash_table.contract import JoinIndex, build_bytes
from gpuql_kernels.thresholds import SPARSE_TABLE_BYTES
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import HashJoinBuild

OWNER = "hash join"


KeyRanges = tuple[tuple[int, int] | None, ...]


def key_id(node: HashJoinBuild, position: int) -> int:
    """Under which id stored build rows have a key: its own if it is a plain column, else -1, -2 and so on."""
    key = node.keys[position]
    return key.attribute.id if isinstance(key, AttributeRef) else -1 - position


def range_of(column: Column) -> tuple[int, int] | None:
    """Range of a key column that is packed by subtracting its minimum; None if its values are numbered instead."""
    if column.strings is not None or column.dtype.is_float or column.values.ndim != 1:
        return None
    return column.bounds


def joint_range(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Range of both; None if one is not known."""
    return None if one is None or other is None else (min(one[0], other[0]), max(one[1], other[1]))


def sparse_bytes(context: RunContext) -> int:
    """Most bytes of a table of which few entries are used."""
    return min(SPARSE_TABLE_BYTES, int(SPARSE_INDEX_SHARE * context.memory.reachable_bytes))


def fitting_bytes(context: RunContext) -> int:
    """Bytes up to which a table should be made when rows are parted so that tables fit."""
    return int(JOIN_PARTITION_SHARE * context.memory.reachable_bytes)


def fits_table(node: HashJoinBuild, ranges: KeyRanges, context: RunContext) -> Callable[[int, int], bool]:
    """Whether so many rows of so many bytes make a table up to that size."""
    limit = fitting_bytes(context)
    return lambda num_rows, row_bytes: table_bytes(node, num_rows, row_bytes, ranges, context) <= limit


def table_bytes(
    node: HashJoinBuild, num_rows: int, row_bytes: int, ranges: KeyRanges, context: RunContext
) -> int:
    """Most bytes that a table takes while it is built; ``row_bytes`` are those of all rows, with their strings."""
    if not node.keys:
        return row_bytes + num_rows
    span: int | None = 1
    numbered = 0
    for known in ranges:
        if known is None:
            numbered += 1
            span = None
        elif span is not None:
            span *= known[1] - known[0] + 2
    if span is not None and span > PACKED_LIMIT:
        numbered, span = numbered + 1, None
    sparse = sparse_bytes(context)
    # Codes of each key, keys packed from them, the same without NULLs, the mask of matches; sorting to number values.
    work = num_rows * (8 * len(node.keys) + 8 * (len(node.keys) > 1) + 17 + 56 * numbered)
    work += build_bytes(num_rows, span, sparse)
    sizes = [MAX_FILTER_BITS if known is None else known[1] - known[0] + 2 for known in ranges]
    filters = sum(min(size, MAX_FILTER_BITS, sparse) for size in sizes)
    texts = sum(key.dtype.is_bytes for key in node.keys)
    strings = row_bytes + texts * num_rows * STRING_INDEX_BYTES if texts else 0
    return row_bytes + max(work + filters + strings, row_bytes)


def row_table_bytes(node: HashJoinBuild, row_bytes: int, ranges: KeyRanges, context: RunContext) -> float:
    """Bytes that each row of a table of many takes."""
    return table_bytes(node, MANY_BUILD_ROWS, MANY_BUILD_ROWS * row_bytes, ranges, context) / MANY_BUILD_ROWS


@dataclass(frozen=True, eq=False)
class StoredBuild:
    """Stored build rows that are to become a table."""

    node: HashJoinBuild
    rows: RowStore
    ranges: KeyRanges
    empty: Batch

    def try_table(self, context: RunContext, *, keep: bool = False) -> JoinTable | None:
        """The table, which takes the rows over (or not: ``keep``), if memory has room for it; else None.

        If there is no table the rows stay as well.
        """
        wanted = table_bytes(self.node, self.rows.num_rows, self.rows.total_bytes, self.ranges, context)
        memory = context.memory
        if wanted > JOIN_TABLE_SHARE * memory.reachable_bytes:
            return None
        reservation = memory.try_reserve(0, OWNER)
        assert reservation is not None, "nothing can always be had"
        while True:
            # What the rows hold is handed over with them; meanwhile they may have to make room for the rest.
            held = 0 if keep else self.rows.reclaimable_bytes
            if not reservation.try_resize(max(0, wanted - held)):
                reservation.release()
                return None
            if keep or self.rows.reclaimable_bytes >= held:
                break
        try:
            batches = iter(self.rows) if keep else self.rows.drain(reservation)
            rows = joined(batches, self.empty, context)
            reservation.resize(max(wanted, reservation.num_bytes))
            return make_table(self.node, rows, context, reservation)
        except BaseException:
            reservation.release()
            raise


def joined(batches: Iterator[Batch], empty: Batch, context: RunContext) -> Batch:
    """All rows as one batch, or ``empty``. Joined column after column, so that few stand twice in memory."""
    parts: dict[int, list[Column]] = {key: [] for key in empty.columns}
    num_rows = 0
    for batch in batches:
        num_rows += batch.num_rows
        if batch.num_rows:
            for key, columns in parts.items():
                columns.append(batch.columns[key])
    if num_rows == 0:
        return empty
    whole = {key: concat_columns(parts.pop(key), xp=context.xp) for key in tuple(parts)}
    return Batch(whole, num_rows)


def make_table(
    node: HashJoinBuild, rows: Batch, context: RunContext, reservation: Reservation | None
) -> JoinTable:
    """Index rows by their keys. The table keeps of ``reservation`` what it needs, until it is closed."""
    xp = context.xp
    payload = rows.select(node.payload)
    matched = xp.zeros(rows.num_rows, bool)
    if not node.keys:
        no_keys = KeyEncoding((), (), packable=False)
        table = JoinTable(payload, no_keys, no_index(context), has_null_key=False, num_rows=rows.num_rows)
        return _holding(table, matched, (), reservation, context)
    keys = [rows.columns[key_id(node, position)] for position in range(len(node.keys))]
    encoding, packed, valid = encode_build(keys, node.null_safe, context)
    has_null = valid is not None and not bool(valid.all())
    rows_of_keys = None
    if has_null:
        rows_of_keys = xp.flatnonzero(valid)
        packed = packed[rows_of_keys]
    if node.existence_only:
        packed, rows_of_keys = distinct_keys(xp, packed), None
    sparse = sparse_bytes(context)
    kernel = context.kernels.hash_table
    if rows_of_keys is None:
        index = kernel.build(packed, sparse_bytes=sparse)
    else:
        index = kernel.build(packed, rows_of_keys, sparse_bytes=sparse)
    filters = key_filters(encoding, index, packed, xp, max_bits=min(MAX_FILTER_BITS, sparse))
    table = JoinTable(payload, encoding, index, has_null, rows.num_rows, filters=filters)
    return _holding(table, matched, tuple(keys), reservation, context)


def _holding(
    table: JoinTable,
    matched: Array,
    keys: tuple[Column, ...],
    reservation: Reservation | None,
    context: RunContext,
) -> JoinTable:
    """The table with the rest of its parts, and a reservation as large as it is."""
    if reservation is not None:
        reservation.try_resize(_held_bytes(table, keys, context) + int(matched.nbytes))
    return JoinTable(
        table.payload,
        table.encoding,
        table.index,
        table.has_null_key,
        table.num_rows,
        matched,
        table.filters,
        keys,
        reservation,
    )


def _held_bytes(table: JoinTable, keys: Sequence[Column], context: RunContext) -> int:
    """Bytes of a table's arrays, but for those of resident columns."""
    columns = {id(column): column for column in (*table.payload.columns.values(), *keys)}
    size = batch_size(Batch(columns, table.num_rows), context.memory.resident)
    held = size.row_bytes + sum(string_bytes(strings) for strings in size.strings)
    index = table.index
    arrays: list[Any] = [
        index.slot_keys,
        index.slot_used,
        index.first,
        index.starts,
        index.rows,
        *table.filters,
    ]
    return held + sum(int(array.nbytes) for array in arrays if array is not None)


def distinct_keys(xp: Any, packed: Array) -> Array:
    """Each key once, where marking them in a table is cheap: to know a key exists, its rows need not be sorted."""
    if len(packed) == 0:
        return packed
    low, high = int(packed.min()), int(packed.max())
    if high - low >= 8 * len(packed):
        return packed
    marks = xp.zeros(high - low + 1, bool)
    marks[packed - low] = True
    return xp.flatnonzero(marks) + low


def no_index(context: RunContext) -> JoinIndex:
    """An index of nothing."""
    index: JoinIndex = context.kernels.hash_table.build(context.xp.zeros(0, context.xp.int64))
    return index
