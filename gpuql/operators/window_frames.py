"""The frame of each row: which neighbours in its partition its value is computed from."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import value_words
from gpuql.operators.window_rows import SortedRows
from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.logical.window_calls import BoundKind, Exclusion, FrameBound, FrameUnit, WindowCall


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of some rows: rows ``start`` to ``stop`` of each piece, piece after piece in order, none overlapping.

    int64 arrays, one entry for each frame. ``ids`` are the frames of all rows where several rows share one; None if
    each row has its own. ``starts_with_partition`` promises that all frames begin with their partition.
    """

    pieces: tuple[tuple[Array, Array], ...]
    ids: Array | None = None
    starts_with_partition: bool = False

    @property
    def counts(self) -> Array:
        """Rows in each frame."""
        total = None
        for start, stop in self.pieces:
            total = stop - start if total is None else total + (stop - start)
        return total

    def mapped(self, places: Array) -> Frames:
        """Frames over chosen rows; ``places`` (num_rows + 1) says how many were chosen before each row."""
        pieces = tuple((places[start], places[stop]) for start, stop in self.pieces)
        return Frames(pieces, self.ids, self.starts_with_partition)


def frames_of(call: WindowCall, rows: SortedRows) -> Frames:
    """Frames of a call, those that rows share once."""
    frame, partitions = call.frame, rows.partitions(call)
    if frame.is_partition or _is_all_peers(call):
        return Frames(((partitions.starts, partitions.stops),), partitions.ids, starts_with_partition=True)
    first = frame.start.kind is BoundKind.UNBOUNDED_PRECEDING
    shared = (
        frame.unit is not FrameUnit.ROWS
        and frame.start.value is None
        and frame.end.value is None
        and frame.exclusion in (Exclusion.NO_OTHERS, Exclusion.GROUP)
    )
    start, stop = _edges(call, rows)
    if shared:
        peers = rows.peers(call)
        start, stop = start[peers.starts], stop[peers.starts]
        cut_start, cut_stop = peers.starts, peers.stops
        ids = peers.ids
    else:
        ids = None
        cut_start, cut_stop = rows.positions, rows.positions + 1
        if frame.exclusion in (Exclusion.GROUP, Exclusion.TIES):
            cut_start, cut_stop = rows.peers(call).first, rows.peers(call).stop
    xp = rows.context.xp
    if frame.exclusion is Exclusion.NO_OTHERS:
        return Frames(((start, xp.maximum(start, stop)),), ids, first)
    stop = xp.maximum(start, stop)
    before = (start, xp.clip(cut_start, start, stop))
    after = (xp.clip(cut_stop, start, stop), stop)
    if frame.exclusion is not Exclusion.TIES:
        return Frames((before, after), ids)
    own = (xp.clip(rows.positions, start, stop), xp.clip(rows.positions + 1, start, stop))
    return Frames((before, own, after), ids)


def _is_all_peers(call: WindowCall) -> bool:
    """Whether nothing orders the partition, so that frames up to a row's peers are all of it."""
    frame = call.frame
    return (
        not call.order_by
        and frame.unit is not FrameUnit.ROWS
        and frame.start.value is None
        and frame.end.value is None
        and frame.exclusion is Exclusion.NO_OTHERS
    )


def _edges(call: WindowCall, rows: SortedRows) -> tuple[Array, Array]:
    """First row of each row's frame, and the row after its last, which may come before the first."""
    partitions = rows.partitions(call)
    start = _edge(call, call.frame.start, rows, is_start=True)
    stop = _edge(call, call.frame.end, rows, is_start=False)
    xp = rows.context.xp
    first, last = partitions.first, partitions.stop
    return xp.clip(start, first, last), xp.clip(stop, first, last)


def _edge(call: WindowCall, bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    match bound.kind:
        case BoundKind.UNBOUNDED_PRECEDING:
            return rows.partitions(call).first
        case BoundKind.UNBOUNDED_FOLLOWING:
            return rows.partitions(call).stop
        case BoundKind.CURRENT_ROW if call.frame.unit is FrameUnit.ROWS:
            return rows.positions if is_start else rows.positions + 1
        case BoundKind.CURRENT_ROW:
            return rows.peers(call).first if is_start else rows.peers(call).stop
    if call.frame.unit is FrameUnit.ROWS:
        return _row_edge(bound, rows, is_start=is_start)
    if call.frame.unit is FrameUnit.GROUPS:
        return _group_edge(call, bound, rows, is_start=is_start)
    return _range_edge(call, bound, rows, is_start=is_start)


def _offsets(bound: FrameBound, rows: SortedRows, unit: str) -> Array:
    """How many rows or groups, as far as there can be."""
    assert bound.value is not None, "PRECEDING and FOLLOWING have an offset"
    xp = rows.context.xp
    column = rows.value(bound.value)
    values = column.values.astype(xp.int64)
    kind = bound.kind.value.upper()
    if column.validity is not None:
        if unit == "ROWS" and not bool(column.validity.all()):
            raise OutOfRangeError(f"offset of {unit} {kind} is NULL")
        values = xp.where(column.validity, values, 0)
    if len(values) and bool((values < 0).any()):
        raise OutOfRangeError(f"offset of {unit} {kind} is negative")
    values = xp.minimum(values, rows.num_rows + 1)
    return -values if bound.kind is BoundKind.PRECEDING else values


def _row_edge(bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    edge = rows.positions + _offsets(bound, rows, "ROWS")
    return edge if is_start else edge + 1


def _group_edge(call: WindowCall, bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    xp = rows.context.xp
    peers, partitions = rows.peers(call), rows.partitions(call)
    if rows.num_rows == 0:
        return rows.positions
    group = peers.ids + _offsets(bound, rows, "GROUPS")
    first_group = peers.ids[partitions.first]
    last_group = peers.ids[partitions.stop - 1]
    inside = xp.clip(group, 0, len(peers) - 1)
    edge = peers.starts[inside] if is_start else peers.stops[inside]
    return xp.where(
        group < first_group, partitions.first, xp.where(group > last_group, partitions.stop, edge)
    )


def _range_edge(call: WindowCall, bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    """Binary search for the bound's value among the order keys of the partition."""
    assert bound.value is not None, "PRECEDING and FOLLOWING have a value"
    assert bound.key is not None, "it is compared with the order key"
    xp = rows.context.xp
    key, value = rows.value(bound.key), rows.value(bound.value)
    if rows.num_rows == 0:
        return rows.positions
    sort_key = call.order_by[0] if call.order_by else None
    descending = sort_key is not None and sort_key.descending
    keys, values = _comparable(key, value, rows.context)
    partitions, peers = rows.partitions(call), rows.peers(call)
    known = None
    low, high = partitions.first, partitions.stop
    if key.validity is not None:
        # NULLs stand together at one end of the partition.
        before = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(~key.validity, dtype=xp.int64)))
        num_nulls = before[high] - before[low]
        nulls_first = sort_key is not None and sort_key.nulls_first
        low, high = (low + num_nulls, high) if nulls_first else (low, high - num_nulls)
        known = key.validity
    if value.validity is not None:
        known = value.validity if known is None else known & value.validity
    forward = (bound.kind is BoundKind.FOLLOWING) != descending
    wrong = _less(values, keys) if forward else _less(keys, values)
    if known is not None:
        wrong &= known
    if bool(wrong.any()):
        raise OutOfRangeError(f"offset of RANGE {bound.kind.value.upper()} is negative")
    edge = _search(keys, values, low, high, rows, descending=descending, past_equal=not is_start)
    if known is None:
        return edge
    return xp.where(known, edge, peers.first if is_start else peers.stop)


def _comparable(key: Column, value: Column, context: RunContext) -> tuple[list[Array], list[Array]]:
    """Words of both columns that compare as their values do, most significant first."""
    both, _ = value_words(concat_columns([key, value], xp=context.xp), context)
    count = len(key)
    return [word[:count] for word in both], [word[count:] for word in both]


def _less(left: list[Array], right: list[Array]) -> Array:
    result = left[-1] < right[-1]
    for one, other in zip(left[-2::-1], right[-2::-1], strict=True):
        result = (one < other) | ((one == other) & result)
    return result


def _search(
    keys: list[Array],
    values: list[Array],
    low: Array,
    high: Array,
    rows: SortedRows,
    *,
    descending: bool,
    past_equal: bool,
) -> Array:
    """First row from ``low`` to ``high`` whose key is not before the value, or with ``past_equal`` is behind it."""
    xp = rows.context.xp
    if descending:
        keys, values = [~word for word in keys], [~word for word in values]
    if len(keys) == 1:
        found: Array = rows.context.kernels.window.search(
            keys[0], values[0], low, high, past_equal=past_equal
        )
        return found
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) >> 1
        here = [word[xp.minimum(middle, rows.num_rows - 1)] for word in keys]
        before = ~_less(values, here) if past_equal else _less(here, values)
        before &= low < high
        low, high = xp.where(before, middle + 1, low), xp.where(before, high, middle)
    return low
