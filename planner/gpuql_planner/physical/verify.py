"""Invariants of physical plans: every pipeline reads only what is available where it reads it."""

from __future__ import annotations

from collections.abc import Iterable

from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.logical.visit import references
from gpuql_planner.physical.nodes import (
    AggregateSink,
    BuildScan,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    PhysicalPlan,
    Pipeline,
    ProjectExec,
    RepeatExec,
    ResultScan,
    RunningSink,
    Sink,
    SortSink,
    TableScan,
    UnnestExec,
    WindowSink,
)

Available = frozenset[Attribute]


def verify(plan: PhysicalPlan) -> None:
    """Raise InternalError if a pipeline uses an attribute or an earlier result that does not exist."""
    _believe(bool(plan.pipelines), "a plan has no pipeline", -1)
    for index, pipeline in enumerate(plan.pipelines):
        _verify_pipeline(plan, index, pipeline)
    last = len(plan.pipelines) - 1
    _contains(sink_outputs(plan.pipelines[last].sink), plan.outputs, "plan outputs", last)
    _believe(not isinstance(plan.pipelines[last].sink, HashJoinBuild), "the last sink keeps no rows", last)
    _believe(len(plan.names) == len(plan.outputs), "names and outputs differ in number", last)


def sink_outputs(sink: Sink) -> tuple[Attribute, ...]:
    """Attributes of the rows that a sink keeps."""
    if isinstance(sink, AggregateSink):
        return tuple(attribute for attribute, _ in (*sink.keys, *sink.aggregates))
    if isinstance(sink, HashJoinBuild):
        return sink.payload
    if isinstance(sink, WindowSink):
        return (*sink.attributes, *(attribute for attribute, _ in sink.calls))
    if isinstance(sink, RunningSink):
        return sink.outputs
    return sink.attributes


def _verify_pipeline(plan: PhysicalPlan, index: int, pipeline: Pipeline) -> None:
    available = _verify_source(plan, index, pipeline)
    for transform in pipeline.transforms:
        if isinstance(transform, FilterExec):
            _reads(available, transform.predicates, "filter", index)
        elif isinstance(transform, ProjectExec):
            _reads(available, (e for _, e in transform.expressions), "project", index)
            available = frozenset(attribute for attribute, _ in transform.expressions)
        elif isinstance(transform, RepeatExec):
            _reads(available, (transform.count,), "repeat", index)
        elif isinstance(transform, UnnestExec):
            _reads(available, (e for _, e in transform.lists), "unnest", index)
            available = available.union(transform.made)
        else:
            available = _verify_probe(plan, index, transform, available)
    sink = pipeline.sink
    if isinstance(sink, AggregateSink):
        _reads(available, (e for _, e in (*sink.keys, *sink.aggregates)), "aggregate", index)
        return
    if isinstance(sink, WindowSink):
        _reads(available, (key.expression for key in sink.keys), "window keys", index)
        _reads(available, (call for _, call in sink.calls), "window calls", index)
        _contains(available, sink.attributes, "sink", index)
        return
    if isinstance(sink, HashJoinBuild):
        _reads(available, sink.keys, "build keys", index)
    elif isinstance(sink, SortSink):
        _reads(available, (key.expression for key in sink.keys), "sort keys", index)
    _contains(available, sink.inputs if isinstance(sink, RunningSink) else sink_outputs(sink), "sink", index)


def _verify_source(plan: PhysicalPlan, index: int, pipeline: Pipeline) -> Available:
    source = pipeline.source
    if isinstance(source, ResultScan):
        for read in source.pipelines:
            _believe(0 <= read < index, "a pipeline reads a later one", index)
        for _, taken in source.columns:
            _believe(len(taken) == len(source.pipelines), "a column lacks a source", index)
            for read, attribute in zip(source.pipelines, taken, strict=True):
                _contains(sink_outputs(plan.pipelines[read].sink), (attribute,), "result scan", index)
    elif isinstance(source, BuildScan):
        build = _build_of(plan, index, source.build)
        _contains(build.payload, source.build_attributes, "unmatched build rows", index)
    elif isinstance(source, TableScan):
        _reads(frozenset(source.outputs), source.predicates, "scan predicates", index)
    return frozenset(source.outputs)


def _build_of(plan: PhysicalPlan, index: int, build: int) -> HashJoinBuild:
    _believe(0 <= build < index, "a pipeline probes a later build", index)
    sink = plan.pipelines[build].sink
    if not isinstance(sink, HashJoinBuild):
        raise InternalError(f"broken pipeline: a probe refers to no build: pipeline {index}")
    return sink


def _verify_probe(
    plan: PhysicalPlan, index: int, probe: HashJoinProbe, available: Available
) -> frozenset[Attribute]:
    build = _build_of(plan, index, probe.build)
    _reads(available, probe.probe_keys, "probe keys", index)
    types = [key.dtype for key in probe.probe_keys] == [key.dtype for key in build.keys]
    _believe(types, "probe and build keys differ in type", index)
    _believe(probe.null_safe == build.null_safe, "probe and build differ in null safety", index)
    _reads(available.union(build.payload), probe.residual, "residual", index)
    _contains(build.payload, probe.build_outputs, "build outputs", index)
    puts_out = set(available)
    if probe.kind is JoinKind.MARK and probe.mark is not None:
        puts_out.add(probe.mark)
    elif probe.kind not in (JoinKind.SEMI, JoinKind.ANTI):
        puts_out.update(probe.build_outputs)
    _contains(puts_out, probe.outputs, "probe outputs", index)
    return frozenset(probe.outputs)


def _reads(available: Available, expressions: Iterable[Expression], what: str, index: int) -> None:
    for expression in expressions:
        _contains(available, references(expression), what, index)


def _contains(available: Iterable[Attribute], used: Iterable[Attribute], what: str, index: int) -> None:
    missing = sorted(f"{a.name}#{a.id}" for a in set(used).difference(available))
    _believe(not missing, f"{what} not available: {', '.join(missing)}", index)


def _believe(condition: bool, belief: str, index: int) -> None:  # noqa: FBT001
    if not condition:
        raise InternalError(f"broken pipeline: {belief}: pipeline {index}")
