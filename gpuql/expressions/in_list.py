"""``x IN (a, b, …)``: true if some option equals, else NULL if x or some option is NULL, else false."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.expressions import evaluate as evaluation
from gpuql.expressions.comparison import compare, with_validity
from gpuql.expressions.string_entries import constant_bytes, per_row
from gpuql.expressions.vectors import (
    EvaluationContext,
    constant_integer,
    is_constant,
    is_null_constant,
    match_length,
)
from gpuql_planner.logical.expressions import InList
from gpuql_planner.types import BOOLEAN


def evaluate_in_list(expression: InList, batch: Batch, context: EvaluationContext) -> Column:
    """Membership of each row's value."""
    xp = context.xp
    argument = evaluation.evaluate_operand(expression.argument, batch, context)
    if is_null_constant(argument):
        return evaluation.null_of(BOOLEAN, context)
    options = [evaluation.evaluate_operand(option, batch, context) for option in expression.options]
    constants = [option for option in options if is_constant(option) and not is_null_constant(option)]
    has_null = any(is_null_constant(option) for option in options)
    found = _among_constants(argument, constants, context)
    unknown: Array | None = None if argument.validity is None else ~argument.validity
    for option in options:
        if is_constant(option):
            continue
        equal = compare("eq", argument, option, context)
        if option.validity is not None:
            equal = equal & option.validity
            missing = ~option.validity
            unknown = missing if unknown is None else unknown | missing
        found = found | equal
    if has_null:
        unknown = xp.ones(1, bool)
    if unknown is None:
        return with_validity(xp, found, None)
    if argument.validity is not None:
        found = found & argument.validity
    num_rows = max(len(found), len(unknown))
    found = match_length(xp, found, num_rows)
    return with_validity(xp, found, match_length(xp, found | ~unknown, num_rows))


def _among_constants(argument: Column, constants: list[Column], context: EvaluationContext) -> Array:
    xp = context.xp
    if not constants:
        return xp.zeros(1, bool)
    if argument.strings is not None:
        literals = frozenset(constant_bytes(constant) for constant in constants)
        kernel = context.kernels.string_match
        ordered = sorted(literals)
        offsets = xp.asarray(np.cumsum([0, *(len(text) for text in ordered)]), dtype=xp.int64)
        data = xp.asarray(np.frombuffer(b"".join(ordered), np.uint8))

        def in_literals(strings: StringArray, positions: Array | None) -> Array:
            return kernel.lookup(offsets, data, strings.offsets, strings.data, positions) >= 0

        return per_row(xp, argument, ("in", literals), in_literals, default=False)
    integers = [constant_integer(constant) for constant in constants]
    values = argument.values
    if len(constants) > 8 and values.ndim == 1 and values.dtype.kind in "iu" and None not in integers:
        info = np.iinfo(values.dtype)
        wanted = [value for value in integers if value is not None and info.min <= value <= info.max]
        return xp.isin(values, xp.asarray(wanted, dtype=values.dtype))
    found = xp.zeros(1, bool)
    for constant in constants:
        found = found | compare("eq", argument, constant, context)
    return found
