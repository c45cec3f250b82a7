"""The frame of each row: which neighbours in its partition its value is computed from."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql.columnar.column import Array
from gpuql.operators.window_rows import KeySearch, SortedRows, comparable, less
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
    if rows.shares_frames and covers_partition(call):
        return Frames(((partitions.starts, partitions.stops),), partitions.ids, starts_with_partition=True)
    first = frame.start.kind is BoundKind.UNBOUNDED_PRECEDING
    shared = (
        rows.shares_frames
        and frame.unit is not FrameUnit.ROWS
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


def covers_partition(call: WindowCall) -> bool:
    """Whether every frame is the whole partition: as written, or as nothing orders it and all rows are peers."""
    frame = call.frame
    return frame.is_partition or (
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
    values = xp.minimum(values, rows.total_rows + 1)
    return -values if bound.kind is BoundKind.PRECEDING else values


def _row_edge(bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    edge = rows.positions + _offsets(bound, rows, "ROWS")
    return edge if is_start else edge + 1


def _group_edge(call: WindowCall, bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    xp = rows.context.xp
    if rows.num_rows == 0:
        return rows.positions
    partitions = rows.partitions(call)
    group = rows.peers(call).ids + _offsets(bound, rows, "GROUPS")
    first, last = rows.peer_range(call)
    inside = xp.clip(group, first, last)
    edge = rows.peer_starts(call, inside) if is_start else rows.peer_stops(call, inside)
    return xp.where(group < first, partitions.first, xp.where(group > last, partitions.stop, edge))


def _range_edge(call: WindowCall, bound: FrameBound, rows: SortedRows, *, is_start: bool) -> Array:
    """Search for the bound's value among the order keys of the partition."""
    assert bound.value is not None, "PRECEDING and FOLLOWING have a value"
    assert bound.key is not None, "it is compared with the order key"
    xp = rows.context.xp
    if rows.num_rows == 0:
        return rows.positions
    key, value = rows.value(bound.key), rows.value(bound.value)
    descending = call.order_by[0].descending
    known = None
    for column in (key, value):
        if column.validity is not None:
            known = column.validity if known is None else known & column.validity
    forward = (bound.kind is BoundKind.FOLLOWING) != descending
    keys, values = comparable(key, value, rows.context)
    wrong = less(values, keys) if forward else less(keys, values)
    if known is not None:
        wrong &= known
    if bool(wrong.any()):
        raise OutOfRangeError(f"offset of RANGE {bound.kind.value.upper()} is negative")
    partitions, peers = rows.partitions(call), rows.peers(call)
    # NULLs stand together at one end of the partition.
    low, high, num_nulls = partitions.first, partitions.stop, rows.num_nulls(bound.key, call)
    low, high = (low + num_nulls, high) if call.order_by[0].nulls_first else (low, high - num_nulls)
    edge = rows.search(KeySearch(bound.key, value, descending, past_equal=not is_start), low, high)
    if known is None:
        return edge
    return xp.where(known, edge, peers.first if is_start else peers.stop)
