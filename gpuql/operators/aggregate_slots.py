"""The aggregates of one sink: the columns that each keeps, its arguments of a batch, and its rows of given groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.accumulators.by_function import make_accumulator
from gpuql.operators.accumulators.moments import MOMENT_PARTS
from gpuql.operators.accumulators.rows import Accumulator, Rows, without_nulls
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import Groups
from gpuql.operators.holistic import HOLISTIC, KEEPS_NULLS
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import AggregateCall, Attribute, Literal
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import TypeId

#: Partial columns of each function that keeps more than one.
_PARTS = {
    "avg": 2,
    "stddev_samp": 3,
    "stddev_pop": 3,
    "var_samp": 3,
    "var_pop": 3,
    "first": 2,
    "last": 2,
    "any_value": 2,
    "arg_min": 3,
    "arg_max": 3,
    "arg_min_null": 3,
    "arg_max_null": 3,
}


@dataclass(frozen=True, eq=False)
class Slot:
    """One aggregate: the attribute that it becomes, its call, and its accumulator unless it is holistic."""

    attribute: Attribute
    call: AggregateCall
    accumulator: Accumulator | None

    @property
    def num_parts(self) -> int:
        """Columns of a partial result."""
        if self.call.function == "avg" and self.call.type.id is TypeId.INTERVAL:
            return 4
        return _PARTS.get(self.call.function) or MOMENT_PARTS.get(self.call.function, 1)

    @property
    def num_arguments(self) -> int:
        """Arguments that differ from row to row."""
        return sum(not self._is_parameter(position) for position in range(len(self.call.arguments)))

    def arguments(self, batch: Batch, context: RunContext) -> tuple[list[Column], Array | None]:
        """Evaluated arguments and the mask of rows that FILTER keeps."""
        mask = None
        if self.call.filter is not None:
            condition = evaluate(self.call.filter, batch, context)
            mask = condition.values if condition.validity is None else condition.values & condition.validity
        columns = [
            evaluate(argument, batch, context)
            for position, argument in enumerate(self.call.arguments)
            if not self._is_parameter(position)
        ]
        return columns, mask

    def rows(
        self, groups: Groups, columns: list[Column], mask: Array | None, order: Array, context: RunContext
    ) -> Rows:
        """The rows that count: FILTER keeps them, and no argument that must not be NULL is."""
        rows = Rows(groups.ids, groups.num_groups, columns, order, groups)
        if mask is not None and not bool(mask.all()):
            kept = context.xp.flatnonzero(mask)
            rows = Rows(groups.ids[kept], groups.num_groups, [c.take(kept) for c in columns], order[kept])
        if self.skips_nulls:
            rows = without_nulls(rows, context)
        return rows

    @property
    def skips_nulls(self) -> bool:
        """Whether rows with a NULL argument count nothing."""
        if self.accumulator is None:
            return self.call.function not in KEEPS_NULLS
        return self.accumulator.skips_nulls

    def _is_parameter(self, position: int) -> bool:
        """The argument is a constant of the function, such as the fraction of a quantile, not a value per row."""
        call = self.call
        if call.function.endswith("_n"):
            return position == len(call.arguments) - 1
        return position > 0 and call.function in HOLISTIC and isinstance(call.arguments[position], Literal)


def make_slots(node: AggregateSink) -> list[Slot]:
    """One for each aggregate. Errors: NotSupportedError."""
    slots = []
    for attribute, call in node.aggregates:
        accumulator = make_accumulator(call)
        if accumulator is None and call.function not in HOLISTIC:
            raise NotSupportedError(f"aggregate function is not supported: {call.function}")
        slots.append(Slot(attribute, call, accumulator))
    return slots


def aggregate_rows(
    call: AggregateCall, columns: Sequence[Column], ids: Array, num_groups: int, context: RunContext
) -> Column:
    """The value of one aggregate for each group of evaluated rows, in their order. Errors: NotSupportedError."""
    accumulator = make_accumulator(call)
    if accumulator is None and call.function not in HOLISTIC:
        raise NotSupportedError(f"aggregate function is not supported: {call.function}")
    slot = Slot(Attribute.fresh(call.function, call.type), call, accumulator)
    rows = Rows(ids, num_groups, list(columns), context.xp.arange(len(ids)))
    if slot.skips_nulls:
        rows = without_nulls(rows, context)
    if call.distinct:
        from gpuql.operators.collected_rows import distinct_rows

        rows = distinct_rows(rows, context)
    if accumulator is None:
        return HOLISTIC[call.function](call, rows, context)
    return accumulator.finish(accumulator.partial(rows, context), context)


def with_parts(
    slots: list[Slot], rows: Batch, num_keys: int
) -> Iterator[tuple[Slot, Accumulator, list[Column]]]:
    """Each slot with its columns of partial rows, which stand behind the keys."""
    place = num_keys
    for slot in slots:
        assert slot.accumulator is not None, "functions without accumulator collect rows"
        yield (
            slot,
            slot.accumulator,
            [rows.columns[index] for index in range(place, place + slot.num_parts)],
        )
        place += slot.num_parts
