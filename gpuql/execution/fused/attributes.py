"""Which attributes parts of a pipeline read."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

from gpuql.execution.fused.arguments import Inputs
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.visit import references, walk
from gpuql_planner.physical.nodes import (
    AggregateSink,
    CollectSink,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    LimitSink,
    ProjectExec,
    RunningSink,
    Sink,
    SortSink,
    Transform,
    UnnestExec,
    WindowSink,
)


def build_attributes(node: HashJoinProbe) -> Iterator[Attribute]:
    """Attributes that a probe's outputs and residual name, among them those of the build side."""
    yield from node.build_outputs
    for condition in node.residual:
        for part in walk(condition):
            if isinstance(part, AttributeRef) and part.attribute in references(condition):
                yield part.attribute


def needed_attributes(transforms: tuple[Transform, ...], sink: Sink, inputs: Inputs) -> list[Attribute]:
    """Attributes that the transforms and the sink read and do not make themselves, in a fixed order."""
    return attributes_read(transforms, sink, lambda build: inputs.table(build).payload.columns)


def attributes_read(
    transforms: tuple[Transform, ...], sink: Sink, payload: Callable[[int], Container[int]]
) -> list[Attribute]:
    """Like :func:`needed_attributes`; ``payload`` gives the ids of the attributes that a build keeps."""
    made: set[Attribute] = set()
    needed: dict[Attribute, None] = {}

    def read(expressions: Iterable[Expression]) -> None:
        for expression in expressions:
            for part in walk(expression):
                if not isinstance(part, AttributeRef) or part.attribute in made:
                    continue
                if part.attribute in references(expression):  # parameters of lambda functions are no columns
                    needed[part.attribute] = None

    for transform in transforms:
        match transform:
            case FilterExec():
                read(transform.predicates)
            case ProjectExec():
                read(expression for _, expression in transform.expressions)
                made.update(
                    attribute
                    for attribute, expression in transform.expressions
                    if not (isinstance(expression, AttributeRef) and expression.attribute == attribute)
                )
            case HashJoinProbe():
                read(transform.probe_keys)
                made.update(transform.build_outputs)
                made.update(a for a in build_attributes(transform) if a.id in payload(transform.build))
                if transform.mark is not None:
                    made.add(transform.mark)
                read(transform.residual)
                read(AttributeRef(attribute) for attribute in transform.outputs)
            case UnnestExec():
                read(expression for _, expression in transform.lists)
                made.update(transform.made)
            case _:
                read((transform.count,))
    match sink:
        case HashJoinBuild():
            read(sink.keys)
            read(AttributeRef(attribute) for attribute in sink.payload)
        case AggregateSink():
            read(expression for _, expression in sink.keys)
            for _, call in sink.aggregates:
                read(call.arguments)
                read(() if call.filter is None else (call.filter,))
                read(key.expression for key in call.order_by)
        case SortSink():
            read(key.expression for key in sink.keys)
            read(AttributeRef(attribute) for attribute in sink.attributes)
        case WindowSink():
            read(key.expression for key in sink.keys)
            read(call for _, call in sink.calls)
            read(AttributeRef(attribute) for attribute in sink.attributes)
        case RunningSink():
            read(AttributeRef(attribute) for attribute in sink.inputs)
        case LimitSink() | CollectSink():
            read(AttributeRef(attribute) for attribute in sink.attributes)
    return list(needed)
