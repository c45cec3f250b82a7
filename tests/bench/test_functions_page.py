"""docs/functions.md: every function has an example, the page is what the generator writes, and DuckDB agrees."""

from __future__ import annotations

import math

import duckdb
import pytest

import gpuql
from gpuql.bench.functions_page import PAGE, TOPICS, documented_names, page, statement
from gpuql_planner.functions.aggregates import AGGREGATE_ALIASES, AGGREGATE_FUNCTIONS
from gpuql_planner.functions.comparison import COMPARISONS
from gpuql_planner.functions.examples import OPERATORS, UNREPEATABLE, function_of
from gpuql_planner.functions.lists import LIST_FUNCTIONS
from gpuql_planner.functions.scalar import ALIASES, SCALAR_FUNCTIONS
from gpuql_planner.functions.structs import STRUCT_FUNCTIONS

#: What operators are called in plans.
OPERATOR_NAMES = {
    *COMPARISONS,
    *("and", "or", "not", "is_null", "is_not_null", "negate", "integer_divide", "modulo", "concat_operator"),
    *("bit_not", "shift_left", "shift_right", "like", "ilike", "glob", "count_star"),
}
#: What DuckDB has no such name for (operators among it), aggregates that give lists, and functions of ENUM types.
UNNAMED = {"list_equals_any", "array_overlap", "list_mean", "array_mean", "list", "array_agg", "histogram"}
ENUM_FUNCTIONS = {"enum_first", "enum_last", "enum_code", "enum_range", "enum_range_boundary"}

ALL_EXAMPLES = [("", example) for example in OPERATORS.values()] + [
    (topic, example) for topic, examples in TOPICS.items() for example in examples
]


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs-functions"


def test_every_function_is_on_the_page() -> None:
    aliases = {**ALIASES, **AGGREGATE_ALIASES}
    hidden = OPERATOR_NAMES | UNNAMED | ENUM_FUNCTIONS
    hidden |= {alias for alias, target in aliases.items() if target in hidden}
    names = {*SCALAR_FUNCTIONS, *AGGREGATE_FUNCTIONS, *LIST_FUNCTIONS, *STRUCT_FUNCTIONS, *aliases}
    assert names - hidden - documented_names() == set()


def test_at_least_350_names() -> None:
    assert len(documented_names()) >= 350


@pytest.mark.parametrize(("topic", "example"), ALL_EXAMPLES)
def test_duckdb_agrees(topic: str, example: str) -> None:
    if function_of(example) in UNREPEATABLE:
        return
    query = statement(topic, example)
    with duckdb.connect() as reference, gpuql.connect(device="cpu", threads=1) as connection:
        try:
            expected = reference.execute(query).fetchone()
        except duckdb.Error:
            with pytest.raises(gpuql.errors.GpuqlError):
                connection.execute(query).fetchall()
            return
        assert expected is not None
        as_text = query.replace(f"SELECT {example}", f"SELECT ({example})::VARCHAR", 1)
        (got,) = connection.execute(query).fetchall()
        if isinstance(expected[0], float):
            assert math.isclose(float(got[0]), expected[0], rel_tol=1e-12)
            return
        assert connection.execute(as_text).fetchall() == reference.execute(as_text).fetchall()
