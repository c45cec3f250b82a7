"""Aggregate functions as accumulators of a program, and their results from the merged states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import narrowest_dtype, null_column
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.expressions import INT64, ExpressionLowering
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql.execution.fused.variances import VARIANCES, exact_argument, finish, square
from gpuql.expressions import bounds as ranges
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.int128 import words
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.types import BOOLEAN, DataType, TypeId

#: From state arrays (already cut to the groups put out) to the result column.
Assembler = Callable[[list[Array], Inputs, Any], Column]


@dataclass(frozen=True, eq=False)
class LoweredAggregates:
    """Accumulators, one assembler per aggregate, and the position of an accumulator that counts all rows (or None)."""

    accumulators: tuple[ir.Accumulator, ...]
    assemblers: tuple[Assembler, ...]
    row_count: int | None


class AggregateLowering:
    """Shares accumulators between aggregates: ``avg`` and ``sum`` of one value add once.

    ``determined`` are the probes that match the same build row for all rows of a group.
    """

    def __init__(
        self,
        expressions: ExpressionLowering,
        max_rows: int,
        determined: frozenset[int] = frozenset(),
        *,
        may_be_empty: bool,
    ) -> None:
        self.expressions = expressions
        self.max_rows = max_rows
        self.determined = determined
        self.may_be_empty = may_be_empty
        self.accumulators: list[ir.Accumulator] = []
        self._positions: dict[tuple[Any, ...], int] = {}
        self._build_rows: dict[int, ir.BuildRow] = {}

    def lower(
        self, calls: list[AggregateCall], values: list[Operand], *, count_rows: bool
    ) -> LoweredAggregates:
        """Lower all, and keep some of each of ``values``.

        ``count_rows`` asks for an accumulator that is positive where a group exists.
        """
        assemblers = (*(self._lower(call) for call in calls), *(self._any(value, None) for value in values))
        row_count = self._row_seen() if count_rows else None
        return LoweredAggregates(tuple(self.accumulators), assemblers, row_count)

    def _accumulator(self, kind: str, value: ir.Value | None, keep: ir.Value | None, dtype: str) -> int:
        key = (kind, id(value), id(keep))
        position = self._positions.get(key)
        if position is None:
            position = len(self.accumulators)
            self._positions[key] = position
            self.accumulators.append(ir.Accumulator(kind, value, keep, dtype))
        return position

    def _count_dtype(self) -> str:
        return "int32" if self.max_rows < 2**31 else "int64"

    def _row_count(self, keep: ir.Value | None) -> int:
        return self._accumulator("count", None, keep, self._count_dtype())

    def _row_seen(self) -> int:
        """Accumulator that is positive for groups with a row: their count if it is needed anyway, else one byte."""
        counted = self._positions.get(("count", id(None), id(None)))
        return self._accumulator("seen", None, None, "int8") if counted is None else counted

    def _presence(self, operand: Operand, keep: ir.Value | None) -> int | None:
        """Accumulator that is zero where the aggregate saw no value; None if every group has one."""
        if operand.value.nullable:
            return self._accumulator("count", operand.value, keep, self._count_dtype())
        if keep is not None or self.may_be_empty:
            return self._row_count(keep)
        return None

    def _lower(self, call: AggregateCall) -> Assembler:
        if call.distinct and call.function not in ("min", "max", "bool_and", "bool_or", "any_value"):
            raise NotFusible(f"{call.function} of distinct values")
        if call.order_by:
            raise NotFusible(f"{call.function} with an order")
        keep = None if call.filter is None else self.expressions.lower(call.filter).value
        if call.function == "count_star" or (call.function == "count" and not call.arguments):
            return self._count(self._row_count(keep))
        if len(call.arguments) != 1:
            raise NotFusible(f"no generated form of aggregate {call.function}")
        if call.function in VARIANCES:
            return self._variance(call, keep)
        operand = self.expressions.lower(call.arguments[0])
        match call.function:
            case "count":
                value = operand.value if operand.value.nullable else None
                return self._count(self._accumulator("count", value, keep, self._count_dtype()))
            case "count_if":
                if keep is not None:
                    raise NotFusible("count_if with a filter")
                return self._count_if(call.dtype, operand)
            case "sum":
                return self._sum(call.dtype, operand, keep)
            case "avg":
                return self._average(call.dtype, operand, keep)
            case "min" | "max":
                return self._extreme(call.function, operand, keep)
            case "bool_and" | "bool_or":
                return self._extreme("min" if call.function == "bool_and" else "max", operand, keep)
            case "any_value":
                return self._any(operand, keep)
        raise NotFusible(f"no generated form of aggregate {call.function}")

    @staticmethod
    def _count(position: int) -> Assembler:
        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            counts = states[position].astype("int64")
            return Column(DataType(TypeId.BIGINT), counts, None, None, _reach(counts))

        return assemble

    def _count_if(self, dtype: DataType, operand: Operand) -> Assembler:
        """The sum of a condition: NULL where it never has a value."""
        presence = self._presence(operand, None)
        position = self._accumulator("count", None, operand.value, self._count_dtype())

        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            counts = states[position].astype("int64")
            return Column(dtype, counts, _present(states, presence), None, _reach(counts))

        return assemble

    def _halves(self, operand: Operand, keep: ir.Value | None) -> list[int]:
        """Accumulators of an integer sum: one if it fits a word, else low and high parts."""
        if operand.value.dtype == "uint64" or operand.bounds is None:
            raise NotFusible("sum of values without a known range")
        if ranges.within(self._sum_bounds(operand), INT64):
            return [self._accumulator("sum", operand.value, keep, "int64")]
        if self.max_rows >= 2**31:
            raise NotFusible("sum over too many rows for two words")
        return [
            self._accumulator("sum_low", operand.value, keep, "int64"),
            self._accumulator("sum_high", operand.value, keep, "int64"),
        ]

    def _sum_bounds(self, operand: Operand) -> tuple[int, int]:
        assert operand.bounds is not None, "the caller checked"
        low, high = operand.bounds
        return min(low, 0) * self.max_rows, max(high, 0) * self.max_rows

    def _sum(self, dtype: DataType, operand: Operand, keep: ir.Value | None) -> Assembler:
        presence = self._presence(operand, keep)
        if operand.dtype.is_float:
            position = self._accumulator("sum", operand.value, keep, "float64")

            def assemble_float(states: list[Array], inputs: Inputs, xp: Any) -> Column:
                return Column(dtype, states[position], _present(states, presence))

            return assemble_float
        if not operand.is_integer:
            raise NotFusible(f"sum of {operand.dtype}")
        halves = self._halves(operand, keep)
        reach = self._sum_bounds(operand)

        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            validity = _present(states, presence)
            if len(halves) == 1:
                return Column(dtype, states[halves[0]], validity, None, reach)
            wide = _joined(states, halves, xp)
            if bool(words.fits_int64(wide).all()):
                return Column(dtype, wide[:, 0], validity, None, None)
            return Column(dtype, wide, validity, None, None)

        return assemble

    def _average(self, dtype: DataType, operand: Operand, keep: ir.Value | None) -> Assembler:
        if dtype.id is not TypeId.DOUBLE or not (operand.dtype.is_numeric or operand.dtype == BOOLEAN):
            raise NotFusible(f"avg of {operand.dtype}")
        count_of = operand.value if operand.value.nullable else None
        count = self._accumulator("count", count_of, keep, self._count_dtype())
        scale = float(10**operand.dtype.scale) if operand.dtype.is_decimal else 1.0
        if operand.dtype.is_float:
            halves = [self._accumulator("sum", operand.value, keep, "float64")]
        elif operand.is_integer:
            halves = self._halves(operand, keep)
        else:
            raise NotFusible(f"avg of {operand.dtype}")

        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            counts = states[count]
            total = (
                states[halves[0]] if len(halves) == 1 else words.to_float64(xp, _joined(states, halves, xp))
            )
            validity = counts > 0
            values = total / xp.maximum(counts, 1) / scale
            return Column(dtype, values, None if bool(validity.all()) else validity)

        return assemble

    def _variance(self, call: AggregateCall, keep: ir.Value | None) -> Assembler:
        operand = self.expressions.lower(exact_argument(call.arguments[0]))
        squared = square(operand, self.max_rows)
        counted = operand.value if operand.value.nullable else None
        count = self._accumulator("count", counted, keep, self._count_dtype())
        total = self._accumulator("sum", operand.value, keep, "int64")
        squares = self._halves(squared, keep)
        scale = operand.dtype.scale if operand.dtype.is_decimal else 0

        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            of_squares = states[squares[0]] if len(squares) == 1 else _joined(states, squares, xp)
            counts = states[count].astype("int64")
            values, enough = finish(call.function, counts, states[total], of_squares, scale, xp)
            return Column(call.dtype, values, None if bool(enough.all()) else enough)

        return assemble

    def _extreme(self, kind: str, operand: Operand, keep: ir.Value | None) -> Assembler:
        if operand.strings is not None and not operand.strings.sorted:
            raise NotFusible(f"{kind} of strings without an order")
        if operand.value.dtype == "uint64":
            raise NotFusible(f"{kind} of UBIGINT")
        is_float = operand.value.dtype.startswith("float")
        position = self._accumulator(kind, operand.value, keep, "float64" if is_float else "int64")
        presence = self._presence(operand, keep)
        return self._value_assembler(operand, position, presence)

    def _any(self, operand: Operand, keep: ir.Value | None) -> Assembler:
        if operand.build is not None and keep is None and self._is_determined(operand.value):
            return self._from_build(operand, None, None)
        if operand.value.dtype == "uint64":
            raise NotFusible("any_value of UBIGINT")
        if operand.build is not None and not operand.value.nullable:
            return self._from_build(operand, keep, self._presence(operand, keep))
        dtype = _state_dtype(operand)
        position = self._accumulator("any", operand.value, keep, dtype)
        return self._value_assembler(operand, position, self._presence(operand, keep))

    def _is_determined(self, value: ir.Value) -> bool:
        return isinstance(value, ir.Gather) and value.probe in self.determined

    def _from_build(self, operand: Operand, keep: ir.Value | None, presence: int | None) -> Assembler:
        """Keep the build row, once for all columns of that side, and fetch the value at the end."""
        value = operand.value
        assert isinstance(value, ir.Gather), "columns of a build side are gathered"
        assert operand.build is not None, "the caller checked"
        build, attribute = operand.build
        row = self._build_rows.setdefault(
            value.probe, ir.BuildRow("int64", nullable=False, probe=value.probe)
        )
        position = self._accumulator(
            "any", row, keep, "int32" if self.expressions.max_build_rows < 2**31 else "int64"
        )

        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            column = inputs.table(build).payload[attribute]
            if len(column) == 0:
                return null_column(column.dtype, len(states[position]), xp=xp)
            taken = column.take(states[position])
            validity = taken.validity if presence is None else _present(states, presence)
            return Column(taken.dtype, taken.values, validity, taken.strings, taken.bounds)

        return assemble

    @staticmethod
    def _value_assembler(operand: Operand, position: int, presence: int | None) -> Assembler:
        def assemble(states: list[Array], inputs: Inputs, xp: Any) -> Column:
            validity = _present(states, presence)
            values = states[position]
            if validity is not None:
                values = xp.where(validity, values, values.dtype.type(0))
            if operand.value.dtype == "bool":
                values = values != 0
            elif operand.value.dtype == "float32":
                values = values.astype("float32")
            return Column(operand.dtype, values, validity, operand.strings, operand.bounds)

        return assemble


def _state_dtype(operand: Operand) -> str:
    if operand.is_integer:
        if operand.strings is not None:
            return operand.value.dtype
        if operand.bounds is not None:
            narrow = narrowest_dtype(*operand.bounds, operand.dtype)
            if narrow is not None:
                return str(narrow)
        return "int64"
    return "float64" if operand.value.dtype.startswith("float") else "int8"


def _present(states: list[Array], presence: int | None) -> Array | None:
    if presence is None:
        return None
    validity = states[presence] > 0
    return None if bool(validity.all()) else validity


def _joined(states: list[Array], halves: list[int], xp: Any) -> Array:
    """``low + high * 2**32`` as two words."""
    low, high = states[halves[0]], states[halves[1]]
    shifted = words.multiply_int64(xp, high, xp.full_like(high, 2**32))
    total, _ = words.add(xp, shifted, words.from_int64(xp, low))
    return total


def _reach(counts: Array) -> tuple[int, int]:
    """Counts are bounded by the largest of them; groups are few, so looking is cheap."""
    return (0, int(counts.max())) if len(counts) else (0, 0)
