"""Whether a query's first pipeline has a generated form, found out without compiling it."""

from __future__ import annotations

import gpuql
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.lower import PipelineLowering
from gpuql.execution.fused.refusal import NotFusible
from gpuql.execution.sources import open_source
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RunContext
from gpuql.prepared import PreparedQuery


def fuses(connection: gpuql.Connection, sql: str) -> bool:
    """Whether the pipeline that reads the table aggregates in generated code."""
    prepared = connection.sql(sql)._prepared
    assert isinstance(prepared, PreparedQuery), "a query that has not run yet"
    plan = prepared.physical_plan(connection.settings)
    device = connection.device
    context = RunContext(device.xp, device.kernels, lambda: None)
    pipeline = plan.pipelines[0]
    batch = next(open_source(pipeline.source, context))
    inputs = Inputs(batch, {}, lambda expression, rows: evaluate(expression, rows, context))
    try:
        lowered = PipelineLowering(pipeline, inputs, context, on_grid=False).lower()
    except NotFusible:
        return False
    return lowered.aggregates is not None
