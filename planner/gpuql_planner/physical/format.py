"""Pipelines as text for EXPLAIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.logical.format import (
    AttributeNamer,
    AttributeNames,
    format_expression,
    format_items,
    format_sort_keys,
    running_text,
)
from gpuql_planner.physical.nodes import (
    AggregateSink,
    BuildScan,
    CollectSink,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    LimitSink,
    PhysicalPlan,
    Pipeline,
    ProjectExec,
    RepeatExec,
    ResultScan,
    RunningSink,
    Sink,
    SortSink,
    Source,
    TableScan,
    Transform,
    UnnestExec,
    ValuesSource,
    WindowSink,
)

_NO_ANNOTATIONS: Mapping[int, Sequence[str]] = {}


def format_plan(plan: PhysicalPlan, annotations: Mapping[int, Sequence[str]] = _NO_ANNOTATIONS) -> str:
    """Text of a plan.

    Parameters
    ----------
    plan : placed pipelines.
    annotations : further lines for a pipeline, by its index: tier, rows, time. The executor knows those.

    Returns
    -------
    str
        For each pipeline its source, transforms and sink in the order in which rows meet them.
    """
    name = AttributeNames()
    lines: list[str] = []
    for index, pipeline in enumerate(plan.pipelines):
        lines.append(f"Pipeline {index} [{pipeline.device}: {pipeline.reason}]")
        lines.extend(f"  {line}" for line in format_pipeline(pipeline, name))
        lines.extend(f"  · {line}" for line in annotations.get(index, ()))
    return "\n".join(lines)


def format_pipeline(pipeline: Pipeline, name: AttributeNamer) -> list[str]:
    """Lines of one pipeline: source, transforms, sink with the estimate of the rows that reach it."""
    return [
        _source(pipeline.source, name),
        *(_transform(transform, name) for transform in pipeline.transforms),
        f"{_sink(pipeline.sink, name)}  (about {format_count(pipeline.estimated_rows)} rows in)",
    ]


def format_count(rows: float) -> str:
    """A row count with thousands separators, without fractions."""
    return f"{max(round(rows), 0):,}"


def _columns(attributes: Sequence[Attribute], name: AttributeNamer) -> str:
    return ", ".join(map(name, attributes)) or "no columns"


def _all(predicates: Sequence[Expression], name: AttributeNamer) -> str:
    texts = [format_expression(predicate, name) for predicate in predicates]
    return " AND ".join(f"({text})" if " OR " in text else text for text in texts)


def _source(source: Source, name: AttributeNamer) -> str:
    match source:
        case TableScan(table, columns, predicates):
            text = f"Scan {table.name} ({_columns([a for a, _ in columns], name)})"
            return f"{text} zone maps: {_all(predicates, name)}" if predicates else text
        case ValuesSource(attributes, rows):
            return f"Values ({_columns(attributes, name)}), {len(rows)} rows"
        case ResultScan(pipelines, columns):
            renamed = [
                f"{name(origins[0])} AS {name(a)}" if origins and origins[0] != a else name(a)
                for a, origins in columns
            ]
            return f"Result of {', '.join(map(str, pipelines))} ({', '.join(renamed) or 'no columns'})"
        case BuildScan(build, build_attributes, _, matched):
            which = "Matched" if matched else "Unmatched"
            return f"{which} build rows of {build} ({_columns(build_attributes, name)})"


def _transform(transform: Transform, name: AttributeNamer) -> str:
    match transform:
        case FilterExec(predicates):
            return f"Filter {_all(predicates, name)}"
        case ProjectExec(expressions):
            return f"Project {format_items(expressions, name)}"
        case RepeatExec(count):
            return f"Repeat {format_expression(count, name)} times"
        case UnnestExec(lists):
            return f"Unnest {format_items(lists, name)}"
        case HashJoinProbe():
            return _probe(transform, name)


def _probe(probe: HashJoinProbe, name: AttributeNamer) -> str:
    text = f"Probe {probe.kind.value} build {probe.build}"
    if probe.probe_keys:
        text += f" by ({', '.join(format_expression(key, name) for key in probe.probe_keys)})"
    if probe.null_safe:
        text += " null-safe"
    if probe.residual:
        text += f" and {_all(probe.residual, name)}"
    if probe.build_outputs:
        text += f" takes {_columns(probe.build_outputs, name)}"
    return text if probe.mark is None else f"{text} mark {name(probe.mark)}"


def _sink(sink: Sink, name: AttributeNamer) -> str:
    match sink:
        case HashJoinBuild(keys, payload):
            text = f"Build ({', '.join(format_expression(key, name) for key in keys) or 'no keys'})"
            flags = [word for word, on in (("unique", sink.unique), ("keys only", sink.existence_only)) if on]
            text += f" {', '.join(flags)}" if flags else ""
            return f"{text} keeps {_columns(payload, name)}" if payload else text
        case AggregateSink(keys, aggregates):
            parts = [f"by {format_items(keys, name)}"] if keys else []
            parts += [format_items(aggregates, name)] if aggregates else []
            return f"Aggregate {': '.join(parts)}"
        case SortSink(keys, _, limit, offset):
            return f"Sort {format_sort_keys(keys, name)}{_limit(limit, offset)}"
        case WindowSink(keys, calls):
            order = f" sorted by {format_sort_keys(keys, name)}" if keys and sink.needs_order else ""
            best = "" if sink.limit is None else f" limit {sink.limit[1]}"
            return f"Window {format_items(calls, name)}{order}{best}"
        case LimitSink(_, limit, offset):
            return f"Limit{_limit(limit, offset)}"
        case RunningSink(_, number, marker, carried):
            return f"Running {running_text(number, marker, carried, name)}"
        case CollectSink(attributes):
            return f"Collect ({_columns(attributes, name)})"


def _limit(limit: int | None, offset: int) -> str:
    text = "" if limit is None else f" limit {limit}"
    return text + (f" offset {offset}" if offset else "")
