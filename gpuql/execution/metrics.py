"""What a run measured, pipeline by pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuql.memory.query_memory import MemoryMetrics


@dataclass
class PipelineMetrics:
    """One pipeline of one run.

    ``tier`` is "fused" or "interpreted" and ``reason`` says why not fused ("" if it is). ``num_source_rows`` came
    in, in ``num_parts`` parts, ``num_rows`` are what the sink kept. ``num_bytes`` is the size of the source columns
    read, ``spilled_bytes`` that of rows moved to slower memory meanwhile. ``source`` is the generated code of a fused
    pipeline.
    """

    device: str
    tier: str = "interpreted"
    reason: str = ""
    num_source_rows: int = 0
    num_rows: int = 0
    num_bytes: int = 0
    num_parts: int = 0
    spilled_bytes: int = 0
    elapsed_ns: int = 0
    source: str | None = None


@dataclass
class QueryMetrics:
    """One run: pipelines in plan order, memory, and the whole."""

    pipelines: list[PipelineMetrics] = field(default_factory=list)
    memory: MemoryMetrics = field(default_factory=MemoryMetrics)
    elapsed_ns: int = 0
