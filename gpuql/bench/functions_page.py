"""``python -m gpuql.bench.functions_page``: docs/functions.md from the tables of functions and their examples."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gpuql
from gpuql.api.table_text import format_value
from gpuql.bench.written_page import write_or_check
from gpuql.errors import GpuqlError
from gpuql.execution.host_parts import aggregate_reason, function_reason
from gpuql_planner.functions.aggregates import AGGREGATE_ALIASES
from gpuql_planner.functions.examples import (
    EXAMPLE_ROWS,
    EXAMPLES,
    OPERATORS,
    UNREPEATABLE,
    function_of,
)
from gpuql_planner.functions.lists import LIST_FUNCTIONS
from gpuql_planner.functions.nested_examples import NESTED_EXAMPLES, twin_of
from gpuql_planner.functions.scalar import ALIASES, SCALAR_FUNCTIONS
from gpuql_planner.functions.signatures import Overload

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"
AGGREGATES = "Aggregates"
TOPICS = {**EXAMPLES, **NESTED_EXAMPLES}

_INTRODUCTION = f"""\
# Functions

Names and meanings are DuckDB's. This page is made by `make docs-functions` from the tables of functions, and every
example on it is run by the tests, under gpuql and under DuckDB.

Where a function runs:

- **generated**: has a form of its own in generated code, on the CPU and on the GPU;
- **arrays**: runs interpreted over whole columns, on the CPU or on the GPU;
- **host**: runs on the CPU, also in a query on the GPU; of text once for each distinct value, or combination of values.

Generated code contains every strict function of one column that has few possible values (dictionary entries, dates,
small integers): the function is computed once for each of them and looked up.

{{count}} names of functions, those beside an example among them. The examples of aggregates are about these rows:

```sql
FROM {EXAMPLE_ROWS}
```
"""

#: Operators and aggregates that generated code has a form of, by their names in plans.
_GENERATED = frozenset(
    {
        *("add", "subtract", "multiply", "divide", "negate", "and", "or", "not"),
        *("is_null", "is_not_null", "coalesce", "eq", "ne", "lt", "le", "gt", "ge", "if", "nullif"),
    }
)
_GENERATED_AGGREGATES = frozenset(
    ["count", "count_if", "sum", "avg", "min", "max", "bool_and", "bool_or", "any_value"]
)


def statement(topic: str, example: str) -> str:
    """The query that an example is."""
    return f"SELECT {example} FROM {EXAMPLE_ROWS}" if topic == AGGREGATES else f"SELECT {example}"


def shown_result(connection: gpuql.Connection, topic: str, example: str) -> str:
    """Value of an example, or its error."""
    if function_of(example) in UNREPEATABLE:
        return "…"
    try:
        rows = connection.execute(statement(topic, example)).fetchall()
    except GpuqlError as error:
        return f"error: {error.message}"
    return _code(format_value(rows[0][0]))


def _code(text: str) -> str:
    return f"`{text}`" if text else "(empty)"


def _signature(name: str, resolver: Callable[..., object]) -> str:
    """Parameter types and result of the first overloads; of functions that decide by themselves the name alone."""
    held = (
        inspect.getclosurevars(resolver).nonlocals.get("overloads", ())
        if inspect.isfunction(resolver)
        else ()
    )
    overloads = [overload for overload in held if isinstance(overload, Overload)]
    if not overloads:
        return f"{name}(…)"
    shown = [f"{name}({_parameters(overload)}) → {overload.result}" for overload in overloads[:2]]
    return "; ".join(shown) + ("; …" if len(overloads) > len(shown) else "")


def _parameters(overload: Overload) -> str:
    required = len(overload.parameters) if overload.required is None else overload.required
    names = [str(parameter) for parameter in overload.parameters]
    optional = "".join(f" [, {name}]" for name in names[required:])
    return ", ".join(names[:required]) + optional


def _place(name: str) -> str:
    if name in _GENERATED:
        return "generated"
    return "arrays" if function_reason(name) is None else "host"


def _list_twin(name: str) -> str:
    """``array_sum`` for ``list_sum`` and the contrary, if there is such a function and it has no example of its own."""
    twin = twin_of(name)
    examples = {function_of(example) for topic in TOPICS.values() for example in topic}
    return twin if twin in LIST_FUNCTIONS and twin not in examples else ""


def _aggregate_place(name: str) -> str:
    if name in _GENERATED_AGGREGATES:
        return "generated"
    return "arrays" if aggregate_reason(name) is None else "host"


def _others(name: str, aliases: dict[str, str]) -> str:
    return ", ".join(f"`{alias}`" for alias, target in sorted(aliases.items()) if target == name)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [*lines, ""]


def documented_names() -> set[str]:
    """Names on the page, aliases among them."""
    names = {function_of(example) for examples in TOPICS.values() for example in examples}
    aliases = {**ALIASES, **AGGREGATE_ALIASES}
    names |= {_list_twin(name) for name in names} - {""}
    return names | {alias for alias, target in aliases.items() if target in names}


def page() -> str:
    """Text of docs/functions.md."""
    lines = [_INTRODUCTION.replace("{count}", str(len(documented_names()))), "## Operators", ""]
    with gpuql.connect(device="cpu", tier="interpreted", threads=1) as connection:
        lines += _table(
            ("operator", "example", "result"),
            (
                (_code(name), _code(example), shown_result(connection, "", example))
                for name, example in OPERATORS.items()
            ),
        )
        for topic, examples in TOPICS.items():
            lines += [f"## {topic}", ""]
            lines += _table(
                ("function", "example", "result", "runs", "also called"),
                (_line(connection, topic, example) for example in examples),
            )
    return "\n".join(lines).rstrip() + "\n"


def _line(connection: gpuql.Connection, topic: str, example: str) -> tuple[str, ...]:
    name = function_of(example)
    result = shown_result(connection, topic, example)
    if topic == AGGREGATES:
        others = _others(name, AGGREGATE_ALIASES)
        return _code(f"{name}(…)"), _code(example), result, _aggregate_place(name), others
    if topic in NESTED_EXAMPLES:
        twin = _list_twin(name)
        return _code(f"{name}(…)"), _code(example), result, "host", _code(twin) if twin else ""
    canonical = ALIASES.get(name, name)
    resolver_of = SCALAR_FUNCTIONS[canonical]
    return (
        _code(_signature(name, resolver_of)),
        _code(example),
        result,
        _place(canonical),
        _others(canonical, ALIASES),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with ``--check`` say whether it is as it would be written."""
    return write_or_check(page, PAGE, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
