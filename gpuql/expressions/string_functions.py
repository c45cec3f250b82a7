"""String functions by name that run in ``text_functions``, and those that see NULL: concat, concat_ws."""

from __future__ import annotations

from collections.abc import Callable

from gpuql.columnar.column import Column
from gpuql.expressions.strings import join_columns
from gpuql.expressions.text_functions import apply_text_function
from gpuql.expressions.vectors import EvaluationContext, is_null_constant, null_constant
from gpuql_planner.types import DataType


def _text_function(name: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        return apply_text_function(name, dtype, arguments, context)

    return apply


def concat(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """All arguments end to end; NULL adds nothing and the result is never NULL."""
    kept = [argument for argument in arguments if not is_null_constant(argument)]
    if not kept:
        return apply_text_function("join", dtype, arguments, context)
    return join_columns(dtype, kept, None, context)


def concat_ws(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Arguments that are not NULL, joined by the first one; NULL only if the separator is."""
    if is_null_constant(arguments[0]):
        return null_constant(context.xp, dtype)
    return apply_text_function("concat_ws", dtype, arguments, context, validity=arguments[0].validity)


_BY_ROW = (
    "trim",
    "ltrim",
    "rtrim",
    "replace",
    "translate",
    "reverse",
    "repeat",
    "lpad",
    "rpad",
    "split_part",
    "chr",
    "ascii",
    "unicode",
    "strpos",
)

FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    name: _text_function(name) for name in _BY_ROW
}

#: Functions that see NULL arguments.
NULL_AWARE: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "concat": concat,
    "concat_ws": concat_ws,
}
