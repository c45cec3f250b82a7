"""What the CPU computes even in a query on a GPU: functions, casts and aggregates without a form on arrays.

Pipelines that have such a part run on the GPU all the same; values of that part go to the host and come back, of text
the distinct ones. EXPLAIN names the parts of each pipeline, and ``on_unsupported = 'error'`` refuses them before
anything runs. ``docs/gpu-fallbacks.md`` is made from :func:`host_forms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache

from gpuql.expressions import evaluate
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import AggregateCall, Call, Cast, Expression
from gpuql_planner.logical.visit import references, walk
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import PhysicalPlan, Pipeline, TableScan, UnnestExec
from gpuql_planner.types import DataType, TypeId

TEXT = "text is made or read by Python, once for each distinct value"
NUMBERS = "computed by Python, once for each distinct value"
NESTED = "lists, structs and maps are decoded by the CPU"
PATTERNS = "regular expressions run in RE2, on the CPU"
JSON = "JSON is read by Python, once for each distinct text"

#: Modules of which every function is the CPU's.
_MODULES = {
    "arrays": NESTED,
    "json_cast": JSON,
    "json_documents": JSON,
    "json_text": JSON,
    "lambdas": NESTED,
    "list_rows": NESTED,
    "regular_expressions": PATTERNS,
}
#: Functions made from one of plain values, by what made them.
_MAKERS = {
    "host_function": NUMBERS,
    "_digits_of": NUMBERS,
    "_text_function": TEXT,
    "_read": TEXT,
    "_reader": TEXT,
    "day_name": TEXT,
    "month_name": TEXT,
    "strftime": TEXT,
}
_AGGREGATES = {
    "string_agg": "texts of a group are joined by Python",
    "list": NESTED,
    "histogram": NESTED,
    **dict.fromkeys(("min_n", "max_n", "arg_min_n", "arg_max_n"), NESTED),
}
_TEXTS = (TypeId.VARCHAR, TypeId.BLOB)
#: Rows of the list that are no functions: what, and why.
_CASTS = (
    ("CAST of text to another type", TEXT),
    ("CAST to text", TEXT),
    ("CAST of UUID to BLOB", TEXT),
    ("CAST of and to lists, structs and maps", NESTED),
)
_UNNEST = ("UNNEST", NESTED)


@cache
def function_reason(name: str) -> str | None:
    """Why the CPU computes a scalar function; None for those that have a form on arrays."""
    function = evaluate.function_named(name)
    if function is None:
        return None
    module = function.__module__.rpartition(".")[2]
    return _MODULES.get(module) or _MAKERS.get(function.__qualname__.partition(".")[0])


def aggregate_reason(name: str) -> str | None:
    """Why the CPU computes an aggregate; None for those that have a form on arrays."""
    return _AGGREGATES.get(name)


def cast_reason(source: DataType, target: DataType) -> str | None:
    """Why the CPU computes a cast; None for those that have a form on arrays."""
    if source == target:
        return None
    if source.is_nested or target.is_nested:
        return NESTED
    if source.id is TypeId.UUID and target.id is TypeId.BLOB:
        return TEXT
    if source.id is TypeId.ENUM:
        return None if target.id is TypeId.VARCHAR else TEXT
    return TEXT if source.id in _TEXTS or target.id in _TEXTS else None


def host_forms() -> list[tuple[str, str, str]]:
    """Everything that has no form on a GPU: kind, name, reason; sorted."""
    functions = ((name, function_reason(name)) for name in evaluate.function_names())
    listed = [("function", name, reason) for name, reason in functions if reason is not None]
    listed += [("aggregate", name, reason) for name, reason in _AGGREGATES.items()]
    listed += [("cast", *row) for row in _CASTS]
    listed.append(("operator", *_UNNEST))
    return sorted(listed)


def host_parts(pipeline: Pipeline) -> tuple[str, ...]:
    """What the CPU computes of a pipeline that runs on a GPU, each with its reason; sorted, without repetitions.

    Parts without a column are left out: they are computed once.
    """
    found: set[str] = set()
    for step in (pipeline.source, *pipeline.transforms, pipeline.sink):
        if isinstance(step, UnnestExec):
            found.add(f"{_UNNEST[0]} ({_UNNEST[1]})")
        if isinstance(step, TableScan):
            continue  # its predicates are hints: a filter above decides
        for expression in _expressions(step):
            parts = ((one, _part(one)) for one in walk(expression))
            found.update(part for one, part in parts if part is not None and references(one))
    return tuple(sorted(found))


def refuse_host_parts(plan: PhysicalPlan) -> None:
    """NotSupportedError with all parts of a plan that its device has no form for, if there are any."""
    refused = [
        f"pipeline {index}: {part}"
        for index, pipeline in enumerate(plan.pipelines)
        if pipeline.device != "cpu"
        for part in host_parts(pipeline)
    ]
    if refused:
        raise NotSupportedError(
            f"not wholly on the device, as on_unsupported = 'error' asks: {'; '.join(refused)}",
            hint="on_unsupported = 'fallback' lets the CPU compute these parts",
        )


def _part(expression: Expression) -> str | None:
    match expression:
        case Call(function=name):
            what, why = name, function_reason(name)
        case AggregateCall(function=name) | WindowCall(function=name):
            what, why = name, aggregate_reason(name)
        case Cast(argument=argument, type=target):
            what, why = f"CAST of {argument.dtype} to {target}", cast_reason(argument.dtype, target)
        case _:
            return None
    return None if why is None else f"{what} ({why})"


def _expressions(part: object) -> Iterator[Expression]:
    """Expressions anywhere in a step of a pipeline."""
    if isinstance(part, Expression):
        yield part
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for one in part:
            yield from _expressions(one)
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            yield from _expressions(getattr(part, field.name))
