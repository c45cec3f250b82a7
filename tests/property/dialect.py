"""Where gpuql and DuckDB may differ: each entry with its reason. Anything else is a defect."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.property.engines import Oracle, Outcome, difference, run_duckdb


@dataclass(frozen=True)
class Allowed:
    """A difference that is none: ``test`` recognises it."""

    name: str
    reason: str
    test: Callable[[Outcome, Outcome, str, Oracle], bool]


#: Constructs one of whose operands may not be needed, and constants that may make another operand needless.
_OPTIONAL_OPERANDS = re.compile(
    r"\b(CASE|AND|OR|BETWEEN|IN|coalesce|nullif|greatest|least|NULL|TRY_CAST|JOIN|EXISTS|WHERE|FILTER)\b|none_"
)


def _only_one_fails(expected: Outcome, found: Outcome, sql: str, oracle: Oracle) -> bool:
    if {expected.kind, found.kind} != {"rows", "error"}:
        return False
    return _OPTIONAL_OPERANDS.search(sql) is not None or (expected.kind == "rows" and oracle.may_fail(sql))


def _duckdb_without_its_optimizer_agrees(expected: Outcome, found: Outcome, sql: str, oracle: Oracle) -> bool:
    return difference(run_duckdb(oracle.plain, sql), found) is None


ALLOWED = (
    Allowed(
        "needless operands",
        "SQL leaves open whether a value is computed that cannot matter (the other side of AND, an operand of NULL, "
        "a row that another predicate drops): an error may appear on one side only.",
        _only_one_fails,
    ),
    Allowed(
        "defects of DuckDB's optimizer",
        "DuckDB 2.0 gives other rows with its optimizer than without (an EXISTS over a LEFT JOIN whose condition no "
        "row of the left side meets finds nothing); gpuql gives those without.",
        _duckdb_without_its_optimizer_agrees,
    ),
)


def allowed(expected: Outcome, found: Outcome, sql: str, oracle: Oracle) -> str | None:
    """Name of the entry that allows the difference, or None."""
    for entry in ALLOWED:
        if entry.test(expected, found, sql, oracle):
            return entry.name
    return None
