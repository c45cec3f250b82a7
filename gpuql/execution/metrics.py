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
    pipeline. ``moved`` says why the pipeline ran on ``device`` although the plan has another one for it.
    ``joins`` tells of each join that took its rows partition by partition how it did.
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
    moved: str = ""
    joins: list[str] = field(default_factory=list)

    def add(self, earlier: PipelineMetrics) -> None:
        """Count what earlier rounds of the same pipeline measured."""
        self.num_source_rows += earlier.num_source_rows
        self.num_rows += earlier.num_rows
        self.num_bytes += earlier.num_bytes
        self.num_parts += earlier.num_parts
        self.spilled_bytes += earlier.spilled_bytes
        self.elapsed_ns += earlier.elapsed_ns


@dataclass
class QueryMetrics:
    """One run: pipelines in plan order, memory, and the whole.

    ``memory`` is about the host's: rows that moved to files. ``device_memory`` is about a device's, if the query ran on
    one that has its own: rows that moved to the host.
    """

    pipelines: list[PipelineMetrics] = field(default_factory=list)
    memory: MemoryMetrics = field(default_factory=MemoryMetrics)
    device_memory: MemoryMetrics | None = None
    elapsed_ns: int = 0
