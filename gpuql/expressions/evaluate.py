"""``evaluate``: one expression over one batch. Functions live in files by topic and are found by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.construct import literal_column, null_column
from gpuql.expressions.vectors import EvaluationContext, expand, is_null_constant, null_constant
from gpuql_planner.errors import GpuqlError, InternalError, NotSupportedError
from gpuql_planner.logical.expressions import (
    AttributeRef,
    Call,
    Case,
    Cast,
    Expression,
    InList,
    Literal,
    LiteralValue,
)
from gpuql_planner.types import DataType

StrictFunction = Callable[[DataType, list[Column], EvaluationContext], Column]
SpecialFunction = Callable[[Call, Batch, EvaluationContext], Column]


def evaluate(expression: Expression, batch: Batch, context: EvaluationContext) -> Column:
    """Value of ``expression`` for each row of ``batch``.

    Returns
    -------
    Column
        ``batch.num_rows`` rows of ``expression.dtype``; may share arrays with the batch.

    Notes
    -----
    Errors: those of SQL, such as ArithmeticOverflowError and ConversionError, for any row of the batch whose value
    SQL needs. Memory: a few temporaries of the batch's length.
    """
    if batch.num_rows == 0:  # constants have one row, so functions could not tell how long their result is
        return null_column(expression.dtype, 0, xp=context.xp)
    with np.errstate(all="ignore"):
        return expand(context.xp, evaluate_operand(expression, batch, context), batch.num_rows)


def evaluate_operand(expression: Expression, batch: Batch, context: EvaluationContext) -> Column:
    """Like :func:`evaluate`, but one row if the value is the same for all rows."""
    match expression:
        case AttributeRef():
            column = batch.columns.get(expression.attribute.id)
            if column is None:
                attribute = expression.attribute
                raise InternalError(f"batch lacks an attribute: {attribute.name}#{attribute.id}")
            return column
        case Literal():
            return _constant(expression, context.xp)
        case Call():
            try:
                return _call(expression, batch, context)
            except GpuqlError as error:
                error.origin = error.origin or expression.origin
                raise
        case Cast():
            from gpuql.expressions.cast import evaluate_cast

            argument = evaluate_operand(expression.argument, batch, context)
            try:
                return evaluate_cast(
                    argument, expression.type, context, try_=expression.try_, zone=expression.zone
                )
            except GpuqlError as error:
                error.origin = error.origin or expression.origin
                raise
        case Case():
            from gpuql.expressions.case import evaluate_case

            return evaluate_case(expression, batch, context)
        case InList():
            from gpuql.expressions.in_list import evaluate_in_list

            return evaluate_in_list(expression, batch, context)
        case _:
            raise InternalError(f"expression cannot be evaluated on a batch: {type(expression).__name__}")


def _constant(literal: Literal, xp: Any) -> Column:
    """One row. Kept on the host, as every batch asks for it again."""
    value = literal.value
    if xp is not np or isinstance(value, float):  # equal floats may differ: 0.0 and -0.0
        return literal_column(value, literal.type, 1, xp=xp)
    return _host_constant(type(value).__name__, value, literal.type)


@lru_cache(maxsize=4096)
def _host_constant(kind: str, value: LiteralValue, dtype: DataType) -> Column:
    """``kind`` keeps values apart that are equal but of different types, such as 1 and True."""
    return literal_column(value, dtype, 1)


def _call(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    special, null_aware, strict = _tables()
    name = call.function
    if name in special:
        return special[name](call, batch, context)
    arguments = [evaluate_operand(argument, batch, context) for argument in call.arguments]
    if name in null_aware:
        return null_aware[name](call.type, arguments, context)
    function = strict.get(name)
    if function is None:
        raise NotSupportedError(f"function is not supported: {name}")
    if any(is_null_constant(argument) for argument in arguments):
        return null_of(call.type, context)
    return function(call.type, arguments, context)


def null_of(dtype: DataType, context: EvaluationContext) -> Column:
    """The constant NULL."""
    return null_constant(context.xp, dtype)


_function_tables: list[Any] = []


def _tables() -> tuple[dict[str, SpecialFunction], dict[str, StrictFunction], dict[str, StrictFunction]]:
    """Special, null-aware and strict functions by name; built at first use, as topics import this module."""
    if not _function_tables:
        from gpuql.expressions import (
            arithmetic,
            arrays,
            boolean,
            calendar_functions,
            comparison,
            encodings,
            enum_cast,
            json_cast,
            json_documents,
            json_text,
            lambdas,
            lists,
            maps,
            mathematics,
            numeric,
            regular_expressions,
            session_functions,
            string_functions,
            strings,
            temporal,
            text_lists,
            text_measures,
            zoned_functions,
        )

        special = boolean.SPECIAL | lambdas.SPECIAL | session_functions.SPECIAL
        null_aware = (
            comparison.NULL_AWARE
            | boolean.NULL_AWARE
            | string_functions.NULL_AWARE
            | encodings.NULL_AWARE
            | session_functions.NULL_AWARE
            | lists.NULL_AWARE
            | maps.NULL_AWARE
            | text_lists.NULL_AWARE
            | json_cast.NULL_AWARE
        )
        strict = (
            arithmetic.FUNCTIONS
            | comparison.FUNCTIONS
            | boolean.FUNCTIONS
            | numeric.FUNCTIONS
            | strings.FUNCTIONS
            | string_functions.FUNCTIONS
            | temporal.FUNCTIONS
            | regular_expressions.FUNCTIONS
            | enum_cast.FUNCTIONS
            | mathematics.FUNCTIONS
            | session_functions.FUNCTIONS
            | encodings.FUNCTIONS
            | text_measures.FUNCTIONS
            | calendar_functions.FUNCTIONS
            | arrays.FUNCTIONS
            | lists.FUNCTIONS
            | json_text.FUNCTIONS
            | json_cast.FUNCTIONS
            | json_documents.FUNCTIONS
            | maps.FUNCTIONS
            | text_lists.FUNCTIONS
            | zoned_functions.FUNCTIONS
        )
        _function_tables.append((special, null_aware, strict))
    tables: tuple[dict[str, SpecialFunction], dict[str, StrictFunction], dict[str, StrictFunction]] = (
        _function_tables[0]
    )
    return tables


def function_named(name: str) -> Callable[..., Column] | None:
    """The interpreter's function of that name; None if it has none."""
    for table in _tables():
        if name in table:
            found: Callable[..., Column] = table[name]
            return found
    return None


def function_names() -> frozenset[str]:
    """Names of ``Call.function`` that the interpreter knows."""
    return frozenset(name for table in _tables() for name in table)
