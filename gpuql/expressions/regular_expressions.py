"""regexp_matches, regexp_full_match, regexp_replace, regexp_extract: RE2 over all distinct strings at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.strings import on_host, string_array, take_strings
from gpuql.expressions.host_calls import call_on_host
from gpuql.expressions.string_entries import constant_text, map_strings, per_row
from gpuql.expressions.vectors import EvaluationContext, constant_integer, is_constant, make_column
from gpuql_planner.types import BLOB, BOOLEAN, DataType, TypeId


def _host_strings(xp: Any, strings: StringArray, positions: Array | None) -> StringArray:
    if positions is not None:
        strings = take_strings(strings, positions.astype(xp.int64), xp=xp)
    return StringArray(on_host(strings.offsets), on_host(strings.data))


def _constants(arguments: list[Column]) -> tuple[Any, ...]:
    return tuple(
        constant_text(argument) if argument.strings is not None else constant_integer(argument)
        for argument in arguments
    )


def _row_by_row(
    compute: Callable[[StringArray, tuple[Any, ...]], Any],
    dtype: DataType,
    arguments: list[Column],
    context: EvaluationContext,
) -> Column:
    """Patterns that differ from row to row."""

    def one(text: str, *rest: Any) -> Any:
        result = compute(string_array([text.encode("utf-8", "surrogateescape")]), rest)
        if isinstance(result, StringArray):
            return bytes(result.data[result.offsets[0] : result.offsets[1]].tobytes())
        return bool(result[0])

    if dtype.id is TypeId.VARCHAR:
        column = call_on_host(one, BLOB, arguments, context)
        return Column(dtype, column.values, column.validity, column.strings)
    return call_on_host(one, dtype, arguments, context)


def _test(name: str, *, whole: bool) -> Callable[..., Column]:
    def compute(strings: StringArray, rest: tuple[Any, ...]) -> Array:
        from gpuql.columnar import arrow_regex

        return arrow_regex.matches(strings, arrow_regex.regex_with_options(*rest), whole=whole)

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        if not all(is_constant(argument) for argument in arguments[1:]):
            return _row_by_row(compute, BOOLEAN, arguments, context)
        rest = _constants(arguments[1:])

        def of(strings: StringArray, positions: Array | None) -> Array:
            return xp.asarray(compute(_host_strings(xp, strings, positions), rest))

        mask = per_row(xp, arguments[0], (name, *rest), of, default=False)
        return make_column(xp, BOOLEAN, mask, arguments[0].validity)

    return apply


def _text(name: str, compute: Callable[[StringArray, tuple[Any, ...]], StringArray]) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        if not all(is_constant(argument) for argument in arguments[1:]):
            return _row_by_row(compute, dtype, arguments, context)
        rest = _constants(arguments[1:])

        def of(strings: StringArray, positions: Array | None) -> tuple[StringArray, Array | None]:
            from gpuql.expressions.strings import distinct_strings

            host = compute(_host_strings(xp, strings, positions), rest)
            return distinct_strings(xp, StringArray(xp.asarray(host.offsets), xp.asarray(host.data)), context)

        mapped = map_strings(xp, arguments[0], (name, *rest), of)
        return Column(dtype, mapped.values, arguments[0].validity, mapped.strings)

    return apply


def _replace(strings: StringArray, rest: tuple[Any, ...]) -> StringArray:
    from gpuql.columnar import arrow_regex

    pattern, replacement, options = (*rest, "")[:3]
    return arrow_regex.replaced(
        strings, arrow_regex.regex_with_options(pattern, options), replacement, every="g" in options
    )


def _extract(strings: StringArray, rest: tuple[Any, ...]) -> StringArray:
    from gpuql.columnar import arrow_regex

    pattern, group, options = (*rest, "")[:3]
    return arrow_regex.extracted(strings, arrow_regex.regex_with_options(pattern, options), group)


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "regexp_matches": _test("regexp_matches", whole=False),
    "regexp_full_match": _test("regexp_full_match", whole=True),
    "regexp_replace": _text("regexp_replace", _replace),
    "regexp_extract": _text("regexp_extract", _extract),
}
