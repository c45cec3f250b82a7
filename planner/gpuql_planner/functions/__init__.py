"""Functions and operators of the dialect, as builders of typed expressions.

In: a function's name and bound argument expressions. Out: logical expressions with every cast explicit, in canonical
names only. The SQL binder and the DataFrame API both build their expressions here, so that they mean the same.
"""

from __future__ import annotations

from gpuql_planner.functions.aggregates import (
    AGGREGATE_FUNCTIONS,
    is_aggregate_function,
    make_aggregate,
)
from gpuql_planner.functions.coercion import (
    can_cast,
    coerce,
    explicit_cast,
    integer_literal,
    python_literal,
    unify,
)
from gpuql_planner.functions.comparison import (
    as_condition,
    make_and,
    make_comparison,
    make_in_list,
    make_is_not_null,
    make_is_null,
    make_not,
    make_or,
    split_conjuncts,
)
from gpuql_planner.functions.conditional import make_case, make_coalesce, make_simple_case
from gpuql_planner.functions.scalar import SCALAR_FUNCTIONS, is_scalar_function, make_call
from gpuql_planner.functions.temporal import VOLATILE_FUNCTIONS, make_date_part
from gpuql_planner.functions.windows import (
    WINDOW_FUNCTIONS,
    is_window_function,
    resolve_window_function,
)

__all__ = [
    "AGGREGATE_FUNCTIONS",
    "SCALAR_FUNCTIONS",
    "VOLATILE_FUNCTIONS",
    "WINDOW_FUNCTIONS",
    "as_condition",
    "can_cast",
    "coerce",
    "explicit_cast",
    "integer_literal",
    "is_aggregate_function",
    "is_scalar_function",
    "is_window_function",
    "make_aggregate",
    "make_and",
    "make_call",
    "make_case",
    "make_coalesce",
    "make_comparison",
    "make_date_part",
    "make_in_list",
    "make_is_not_null",
    "make_is_null",
    "make_not",
    "make_or",
    "make_simple_case",
    "python_literal",
    "resolve_window_function",
    "split_conjuncts",
    "unify",
]
