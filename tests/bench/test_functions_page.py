"""docs/functions.md: every function has an example, the page is what the generator writes, and DuckDB agrees."""

from __future__ import annotations

import math

import duckdb
import pytest

import gpuql
from gpuql.bench.functions_page import PAGE, documented_names, page, statement
from gpuql_planner.functions.aggregates import AGGREGATE_ALIASES, AGGREGATE_FUNCTIONS
from gpuql_planner.functions.comparison import COMPARISONS
from gpuql_planner.functions.examples import EXAMPLES, OPERATORS, UNREPEATABLE, function_of
from gpuql_planner.functions.lists import LIST_FUNCTIONS
from gpuql_planner.functions.scalar import ALIASES, SCALAR_FUNCTIONS
from gpuql_planner.functions.structs import STRUCT_FUNCTIONS

#: What operators are called in plans.
OPERATOR_NAMES = {
    *COMPARISONS,
    *("and", "or", "not", "is_null", "is_not_null", "negate", "integer_divide", "modulo", "concat_operator"),
    *("bit_not", "shift_left", "shift_right", "like", "ilike", "glob", "count_star"),
}
#: Functions and aggregates of lists, structs and maps.
NESTED = {*LIST_FUNCTIONS, *STRUCT_FUNCTIONS, "list", "array_agg", "histogram"}

#: What functions of types with pages of their own begin with.
OTHER_FAMILIES = ("enum_", "json", "from_json", "to_json", "array_to_json", "row_to_json")

ALL_EXAMPLES = [("", example) for example in OPERATORS.values()] + [
    (topic, example) for topic, examples in EXAMPLES.items() for example in examples
]


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs-functions"


def test_every_function_is_on_the_page() -> None:
    aliases = {**ALIASES, **AGGREGATE_ALIASES}
    hidden = OPERATOR_NAMES | NESTED
    hidden |= {alias for alias, target in aliases.items() if target in hidden}
    names = {*SCALAR_FUNCTIONS, *AGGREGATE_FUNCTIONS, *aliases}
    hidden |= {name for name in names if name.startswith(OTHER_FAMILIES)}
    assert names - hidden - documented_names() == set()


def test_at_least_350_names() -> None:
    assert len(documented_names()) + len(OPERATORS) >= 350


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
