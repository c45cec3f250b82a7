"""Which columns later steps of a pipeline read, so that filters copy no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.logical.visit import references
from gpuql_planner.physical import nodes


def needed_after(transforms: Sequence[nodes.Transform], sink: nodes.Sink) -> list[frozenset[int]]:
    """For each transform, ids of the attributes that the transforms after it or the sink read."""
    needed = _ids(_read_by_sink(sink))
    found: list[frozenset[int]] = []
    for transform in reversed(transforms):
        found.append(needed)
        needed = _needed_before(transform, needed)
    return found[::-1]


def _needed_before(transform: nodes.Transform, needed: frozenset[int]) -> frozenset[int]:
    match transform:
        case nodes.FilterExec(predicates=predicates):
            return needed | _ids(predicates)
        case nodes.RepeatExec(count=count):
            return needed | _ids([count])
        case nodes.UnnestExec(lists=lists):
            return needed | _ids(expression for _, expression in lists)
        case nodes.ProjectExec(expressions=expressions):
            return _ids(expression for _, expression in expressions)
        case nodes.HashJoinProbe():
            return _ids([*transform.probe_keys, *transform.residual, *transform.outputs])


def _read_by_sink(sink: nodes.Sink) -> list[Attribute | Expression]:
    match sink:
        case nodes.HashJoinBuild(keys=keys, payload=payload):
            return [*keys, *payload]
        case nodes.AggregateSink(keys=keys, aggregates=aggregates):
            return [*(key for _, key in keys), *(call for _, call in aggregates)]
        case nodes.SortSink(keys=keys, attributes=attributes):
            return [*(key.expression for key in keys), *attributes]
        case nodes.WindowSink(keys=keys, calls=calls, attributes=attributes):
            return [*(key.expression for key in keys), *(call for _, call in calls), *attributes]
        case nodes.RunningSink():
            return [*sink.inputs]
        case nodes.LimitSink(attributes=attributes) | nodes.CollectSink(attributes=attributes):
            return [*attributes]


def _ids(read: Iterable[Attribute | Expression]) -> frozenset[int]:
    """Ids of attributes and of those that expressions refer to. Build-side ones do no harm: no batch has them."""
    found: set[int] = set()
    for item in read:
        found.update(a.id for a in ((item,) if isinstance(item, Attribute) else references(item)))
    return frozenset(found)
