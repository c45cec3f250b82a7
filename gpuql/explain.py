"""What EXPLAIN prints: the plan, what a run measured, or the generated source."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql.execution.metrics import PipelineMetrics, QueryMetrics
from gpuql_planner.physical.format import format_plan
from gpuql_planner.physical.nodes import PhysicalPlan, Pipeline


def explain_plan(plan: PhysicalPlan, foreseen: Sequence[PipelineMetrics]) -> str:
    """Pipelines with estimates, device, tier and reasons; nothing runs but on no rows."""
    annotations = {
        index: [tier_line(expected), *host_lines(pipeline)]
        for index, (pipeline, expected) in enumerate(zip(plan.pipelines, foreseen, strict=True))
    }
    return format_plan(plan, annotations)


def explain_analyze(plan: PhysicalPlan, metrics: QueryMetrics) -> str:
    """The plan with each pipeline's tier, rows and time as one run had them, and the whole time."""
    annotations = {
        index: [*measured_lines(measured), *host_lines(pipeline)]
        for index, (pipeline, measured) in enumerate(zip(plan.pipelines, metrics.pipelines, strict=True))
    }
    lines = [format_plan(plan, annotations), *memory_lines(metrics)]
    return "\n".join([*lines, f"total {format_duration(metrics.elapsed_ns)}"])


def host_lines(pipeline: Pipeline) -> list[str]:
    """What the CPU computes of a pipeline that runs on a GPU, one line each."""
    if pipeline.device == "cpu":
        return []
    from gpuql.execution.host_parts import host_parts

    return [f"on the CPU: {part}" for part in host_parts(pipeline)]


def memory_lines(metrics: QueryMetrics) -> list[str]:
    """What a run held and moved, one line for each memory that had no room for all of it."""
    memories = [
        ("host memory", "files", metrics.memory),
        ("GPU memory", "host memory", metrics.device_memory),
    ]
    return [
        f"{memory}: at most {measured.peak_bytes:,} bytes held; {measured.spilled_bytes:,} moved to {below}, "
        f"{measured.read_bytes:,} read again"
        for memory, below, measured in memories
        if measured is not None and measured.spilled_bytes
    ]


def explain_codegen(metrics: QueryMetrics) -> str:
    """Generated source of each pipeline of a run, or why there is none."""
    parts = []
    for index, measured in enumerate(metrics.pipelines):
        code = measured.source or f"# not compiled: {measured.reason or 'interpreted'}"
        parts.append(f"-- pipeline {index}: {measured.device}, {measured.tier}\n{code.rstrip()}")
    return "\n\n".join(parts)


def measured_lines(measured: PipelineMetrics) -> list[str]:
    """What one run of a pipeline measured, as lines for its place in the plan."""
    rows = f"rows in {measured.num_source_rows:,}, kept {measured.num_rows:,}"
    parts = f" in {measured.num_parts} parts" if measured.num_parts > 1 else ""
    spilled = f"; spilled {measured.spilled_bytes:,} bytes" if measured.spilled_bytes else ""
    moved = [f"ran on {measured.device}: {measured.moved}"] if measured.moved else []
    return [
        *moved,
        tier_line(measured),
        *measured.joins,
        f"{rows}; {measured.num_bytes:,} bytes{parts}{spilled}; {format_duration(measured.elapsed_ns)}",
    ]


def tier_line(measured: PipelineMetrics) -> str:
    """Tier, and why it is not the fused one or not wholly."""
    return f"tier: {measured.tier} ({measured.reason})" if measured.reason else f"tier: {measured.tier}"


def format_duration(elapsed_ns: int) -> str:
    """Time with a unit that gives it few digits."""
    if elapsed_ns < 1_000_000:
        return f"{elapsed_ns / 1_000:.0f} us"
    if elapsed_ns < 10_000_000_000:
        return f"{elapsed_ns / 1_000_000:.1f} ms"
    return f"{elapsed_ns / 1_000_000_000:.1f} s"
