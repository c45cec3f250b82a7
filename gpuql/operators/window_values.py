"""Window functions that number rows, or take the value of another row."""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.blend import blend
from gpuql.operators.window_frames import Frames, frames_of
from gpuql.operators.window_rows import SortedRows
from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.logical.expressions import Expression, Literal
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.types import BIGINT


def _numbers(values: Array, num_rows: int, validity: Array | None = None) -> Column:
    return Column(BIGINT, values, validity, None, (0, max(1, num_rows)))


def row_number(call: WindowCall, rows: SortedRows) -> Column:
    """1, 2, 3 … in the partition."""
    return _numbers(rows.positions - rows.partitions(call).first + 1, rows.total_rows)


def rank(call: WindowCall, rows: SortedRows) -> Column:
    """Number of the first peer."""
    return _numbers(rows.peers(call).first - rows.partitions(call).first + 1, rows.total_rows)


def dense_rank(call: WindowCall, rows: SortedRows) -> Column:
    """Number of the set of peers in the partition."""
    return _numbers(rows.peer_number(call) + 1, rows.total_rows)


def percent_rank(call: WindowCall, rows: SortedRows) -> Column:
    """``(rank - 1) / (rows - 1)``, 0 in a partition of one row."""
    xp, partitions = rows.context.xp, rows.partitions(call)
    sizes = xp.maximum(partitions.stop - partitions.first - 1, 1)
    before = rows.peers(call).first - partitions.first
    return Column(call.type, before.astype(xp.float64) / sizes)


def cume_dist(call: WindowCall, rows: SortedRows) -> Column:
    """Rows up to the last peer, of all rows of the partition."""
    xp, partitions = rows.context.xp, rows.partitions(call)
    upto = rows.peers(call).stop - partitions.first
    return Column(call.type, upto.astype(xp.float64) / (partitions.stop - partitions.first))


def ntile(call: WindowCall, rows: SortedRows) -> Column:
    """Number of the row's bucket, of which the first ones have a row more where they cannot be equal."""
    xp, partitions = rows.context.xp, rows.partitions(call)
    buckets = rows.value(call.arguments[0])
    count = buckets.values.astype(xp.int64)
    validity = buckets.validity
    wrong = count <= 0
    if validity is not None:
        wrong &= validity
        count = xp.where(validity, count, 1)
    if bool(wrong.any()):
        raise OutOfRangeError("argument of ntile must be greater than zero")
    total = partitions.stop - partitions.first
    place = rows.positions - partitions.first
    count = xp.minimum(count, xp.maximum(total, 1))
    small = total // count
    num_large = total - small * count
    large_rows = num_large * (small + 1)
    inside = place < large_rows
    number = xp.where(inside, place // (small + 1), num_large + (place - large_rows) // xp.maximum(small, 1))
    return _numbers(number + 1, rows.total_rows, validity)


def neighbour(call: WindowCall, rows: SortedRows) -> Column:
    """``lag`` and ``lead``: the value so many rows before or behind, or the default where the partition ends."""
    xp, partitions = rows.context.xp, rows.partitions(call)
    value, offset, default = call.arguments
    if rows.num_rows == 0:
        return rows.value(value)
    # The smallest offset has no opposite, and none beyond the number of rows makes a difference.
    steps_column = rows.value(offset)
    steps = xp.clip(steps_column.values.astype(xp.int64), -rows.total_rows - 1, rows.total_rows + 1)
    if call.function == "lag":
        steps = -steps
    if call.ignore_nulls:
        source, inside = _step_over_nulls(value, steps, rows, call)
    else:
        source = rows.positions + steps
        inside = (source >= partitions.first) & (source < partitions.stop)
    known = steps_column.validity
    found = inside if known is None else inside & known
    result = rows.pick(value, xp.where(found, source, -1))
    if isinstance(default, Literal) and default.is_null:
        return result
    outside = ~inside if known is None else ~inside & known
    return blend(xp, call.type, [(outside, rows.value(default))], result, rows.num_rows)


def _step_over_nulls(
    value: Expression, steps: Array, rows: SortedRows, call: WindowCall
) -> tuple[Array, Array]:
    """Row ``steps`` further among the rows that are not NULL, and whether the partition has it."""
    xp, partitions = rows.context.xp, rows.partitions(call)
    # Forward from the rows up to this one, backward from those before it.
    forward = steps > 0
    before = rows.known_before(value, rows.positions + forward)
    target = before + steps - forward
    first, stop = (rows.known_before(value, bound) for bound in (partitions.first, partitions.stop))
    inside = (target >= first) & (target < stop)
    here = steps == 0
    source = rows.known_rows(value, xp.where(inside, target, 0))
    return xp.where(here, rows.positions, source), inside | here


def value_of_frame(call: WindowCall, rows: SortedRows) -> Column:
    """``first_value``, ``last_value`` and ``nth_value``."""
    xp = rows.context.xp
    value = call.arguments[0]
    frames = frames_of(call, rows)
    if call.ignore_nulls:
        pieces = tuple(
            (rows.known_before(value, start), rows.known_before(value, stop)) for start, stop in frames.pieces
        )
        frames = Frames(pieces, frames.ids)
    if call.function == "nth_value":
        place = rows.value(call.arguments[1])
        wanted = place.values.astype(xp.int64) - 1
        if place.validity is not None:
            wanted = xp.where(place.validity, wanted, -1)
        if frames.ids is not None:
            frames = Frames(tuple((start[frames.ids], stop[frames.ids]) for start, stop in frames.pieces))
    elif call.function == "last_value":
        wanted = frames.counts - 1
    else:
        wanted = xp.zeros(len(frames.pieces[0][0]), xp.int64)
    source = _nth(frames, wanted, xp)
    if call.ignore_nulls:
        source = xp.where(source < 0, -1, rows.known_rows(value, xp.maximum(source, 0)))
    if frames.ids is not None:
        source = source[frames.ids]
    return rows.pick(value, source)


def _nth(frames: Frames, wanted: Array, xp: Any) -> Array:
    """Row number ``wanted`` (from 0) of each frame; -1 where it has none."""
    source = xp.full(len(wanted), -1, xp.int64)
    for start, stop in frames.pieces:
        here = (wanted >= 0) & (wanted < stop - start)
        source = xp.where(here, start + wanted, source)
        wanted = xp.where(here, -1, wanted - (stop - start))
    return source
