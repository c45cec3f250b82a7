"""String functions that run on bytes in kernels: LIKE and its kin, lengths, substrings."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.strings import narrow_positions
from gpuql.expressions.string_entries import constant_text, map_strings, per_row
from gpuql.expressions.text_functions import FOLD_CASE, apply_text_function
from gpuql.expressions.vectors import (
    EvaluationContext,
    constant_integer,
    is_constant,
    joint_validity,
    make_column,
)
from gpuql_kernels.string_match.contract import ANY_SEQUENCE, LikePattern, parse_like
from gpuql_planner.errors import DataError
from gpuql_planner.types import BOOLEAN, DataType

#: Length that reaches the end of every string.
TO_END = 2**40


def _like(name: str) -> Callable[..., Column]:
    folds = name.startswith("ilike")

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        column, pattern_column = arguments[0], arguments[1]
        if not all(is_constant(argument) for argument in arguments[1:]):
            return apply_text_function(name, dtype, arguments, context)
        escape = constant_text(arguments[2]) if len(arguments) > 2 else None
        if escape is not None and len(escape) > 1:
            raise DataError("escape of LIKE must be one character")
        pattern = constant_text(pattern_column)
        if folds:
            column = apply_text_function(FOLD_CASE, column.dtype, [column], context)
            pattern = pattern.lower()
        parsed = parse_like(pattern, escape)
        if parsed is None:
            raise DataError("LIKE pattern must not end with its escape character")
        return _match(column, parsed, context)

    return apply


def _match(column: Column, pattern: LikePattern, context: EvaluationContext) -> Column:
    kernel = context.kernels.string_match

    def compute(strings: StringArray, positions: Array | None) -> Array:
        return kernel.like(strings.offsets, strings.data, positions, pattern)

    mask = per_row(context.xp, column, ("like", pattern.tokens), compute, default=False)
    return make_column(context.xp, BOOLEAN, mask, column.validity)


def _containment(name: str) -> Callable[..., Column]:
    """starts_with, ends_with, contains: a LIKE pattern whose literal part is the second argument."""

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        column, part = arguments
        if not is_constant(part):
            return apply_text_function(name, dtype, arguments, context)
        literal = constant_text(part).encode("utf-8", "surrogateescape")
        tokens = list(literal)
        segments = [literal]
        if name != "starts_with":
            tokens.insert(0, ANY_SEQUENCE)
            segments.insert(0, b"")
        if name != "ends_with":
            tokens.append(ANY_SEQUENCE)
            segments.append(b"")
        return _match(column, LikePattern(tuple(tokens), tuple(segments)), context)

    return apply


def _counter(name: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        (column,) = arguments
        kernel = context.kernels.string_match

        def compute(strings: StringArray, positions: Array | None) -> Array:
            if name == "length" and column.dtype.is_text:
                return kernel.character_count(strings.offsets, strings.data, positions)
            sizes = strings.offsets[1:] - strings.offsets[:-1]
            return sizes if positions is None else sizes[positions]

        counts = per_row(xp, column, (name, column.dtype.id), compute, default=0)
        return make_column(xp, dtype, counts.astype(xp.int64), column.validity)

    return apply


def substring(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """substring(text, start [, length]), positions from 1, negative from the end."""
    numbers = [constant_integer(argument) for argument in arguments[1:]]
    if None in numbers:
        return apply_text_function("substring", dtype, arguments, context)
    start, length = (*numbers, TO_END)[:2]
    assert start is not None, "checked above"
    assert length is not None, "checked above"
    return _cut(dtype, arguments[0], start, length, context)


def left(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """First characters; a negative count drops that many from the end."""
    count = constant_integer(arguments[1])
    if count is None or count < 0:
        return apply_text_function("left", dtype, arguments, context)
    return _cut(dtype, arguments[0], 1, count, context)


def right(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Last characters; a negative count drops that many from the start."""
    count = constant_integer(arguments[1])
    if count is None or count == 0:
        return apply_text_function("right", dtype, arguments, context)
    start = -count if count > 0 else 1 - count
    return _cut(dtype, arguments[0], start, TO_END, context)


def _cut(dtype: DataType, column: Column, start: int, length: int, context: EvaluationContext) -> Column:
    xp = context.xp
    kernel = context.kernels.string_match

    def compute(strings: StringArray, positions: Array | None) -> tuple[StringArray, Array | None]:
        starts, ends = kernel.character_range(strings.offsets, strings.data, positions, start, length)
        offsets, data = kernel.gather(strings.data, starts, ends)
        return distinct_strings(xp, StringArray(offsets, data), context)

    key: Hashable = ("substring", start, length)
    return _relabel(map_strings(xp, column, key, compute), dtype)


def _relabel(column: Column, dtype: DataType) -> Column:
    return Column(dtype, column.values, column.validity, column.strings)


def _case(name: str) -> Callable[..., Column]:
    """upper, lower: on bytes where all text is ASCII, letter by letter otherwise."""
    first, step = (0x61, -32) if name == "upper" else (0x41, 32)

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        (column,) = arguments

        def compute(strings: StringArray, positions: Array | None) -> tuple[StringArray, Array | None]:
            offsets, data = strings.offsets, strings.data
            if positions is not None:
                rows = positions.astype(xp.int64)
                offsets, data = context.kernels.string_match.gather(data, offsets[rows], offsets[rows + 1])
            if bool((data >= 0x80).any()):
                every = xp.arange(len(offsets) - 1)
                part = Column(column.dtype, every, None, StringArray(offsets, data))
                changed = apply_text_function(name, dtype, [part], context)
                assert changed.strings is not None, "text functions make strings"
                return changed.strings, changed.values
            letters = (data >= first) & (data < first + 26)
            changed_data = xp.where(letters, data + xp.uint8(step % 256), data)
            if positions is None:
                return distinct_strings(xp, StringArray(offsets, changed_data), context)
            return StringArray(offsets, changed_data), None

        return _relabel(map_strings(xp, column, ("case", name), compute), dtype)

    return apply


def distinct_strings(
    xp: Any, strings: StringArray, context: EvaluationContext
) -> tuple[StringArray, Array | None]:
    """The strings without repetitions and the position of each, if few are distinct; else as they are.

    A result with few distinct strings, such as a prefix, is grouped and compared by position afterwards.
    """
    kernel = context.kernels.string_match
    codes, first = kernel.factorize(strings.offsets, strings.data, None)
    if len(first) * 4 > len(strings) and len(first) != len(strings):
        return strings, None
    if len(first) == len(strings):
        return StringArray(strings.offsets, strings.data, unique=True), None
    offsets, data = kernel.gather(strings.data, strings.offsets[first], strings.offsets[first + 1])
    return StringArray(offsets, data, unique=True), narrow_positions(codes, len(first))


def concat_operator(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """``a || b``: NULL if either is."""
    return join_columns(dtype, arguments, joint_validity(*arguments), context)


def join_columns(
    dtype: DataType, arguments: list[Column], validity: Array | None, context: EvaluationContext
) -> Column:
    """Strings of all columns end to end; NULL rows of a column add nothing."""
    xp = context.xp
    varying = [argument for argument in arguments if not is_constant(argument)]
    if len(varying) <= 1:
        return apply_text_function("join", dtype, arguments, context, validity=validity)
    kernel = context.kernels.string_match
    num_rows = len(varying[0].values)
    starts, ends, buffers, shift = [], [], [], 0
    for argument in arguments:
        strings = argument.strings
        assert strings is not None, "the binder casts arguments of concat to VARCHAR"
        if len(strings) == 0:
            continue
        positions = argument.values.astype(xp.int64)
        begin, end = strings.offsets[positions], strings.offsets[positions + 1]
        if argument.validity is not None:
            end = xp.where(argument.validity, end, begin)
        offsets, data = kernel.gather(strings.data, begin, end)
        starts.append(xp.broadcast_to(offsets[:-1] + shift, (num_rows,)))
        ends.append(xp.broadcast_to(offsets[1:] + shift, (num_rows,)))
        buffers.append(data)
        shift += len(data)
    if not buffers:
        return arguments[0]
    all_starts, all_ends = xp.stack(starts, axis=1).reshape(-1), xp.stack(ends, axis=1).reshape(-1)
    offsets, data = kernel.gather(xp.concatenate(buffers), all_starts, all_ends)
    result = StringArray(xp.ascontiguousarray(offsets[:: len(starts)]), data)
    values = xp.arange(num_rows, dtype=xp.int32 if num_rows < 2**31 else xp.int64)
    return Column(dtype, values, validity, result)


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "like": _like("like"),
    "like_escape": _like("like_escape"),
    "ilike": _like("ilike"),
    "ilike_escape": _like("ilike_escape"),
    "starts_with": _containment("starts_with"),
    "ends_with": _containment("ends_with"),
    "contains": _containment("contains"),
    "length": _counter("length"),
    "strlen": _counter("strlen"),
    "substring": substring,
    "upper": _case("upper"),
    "lower": _case("lower"),
    "left": left,
    "right": right,
    "concat_operator": concat_operator,
}
