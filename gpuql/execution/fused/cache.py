"""Lowered pipelines by plan node and input form, so that a repeated query goes straight to its machine code."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.fused.lower import FusedPipeline, PipelineLowering
from gpuql.execution.fused.refusal import NotFusible
from gpuql.execution.fused.signature import inputs_signature
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import Pipeline

#: Lowered pipelines kept; each holds a program and bindings (some kilobytes) and perhaps tabulated functions.
MAX_ENTRIES = 1024


@dataclass(frozen=True, eq=False)
class Lowered:
    """A fused pipeline with its compiled form, or the reason why there is none. Holds what its key names by id."""

    fused: FusedPipeline | None
    compiled: Any
    reason: str
    pipeline: Pipeline
    inputs: Inputs | None = None


class LoweringCache:
    """Thread-safe, least recently used first out."""

    def __init__(self, driver: FusedDriver) -> None:
        self._driver = driver
        self._entries: OrderedDict[Hashable, Lowered] = OrderedDict()
        self._lock = threading.Lock()

    def lower(self, pipeline: Pipeline, inputs: Inputs, context: RunContext) -> Lowered:
        """Lower ``pipeline`` for inputs of this form, or find that it was done before."""
        key = (id(pipeline), inputs_signature(pipeline, inputs))
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                self._entries.move_to_end(key)
                return known
        lowered = self._lower(pipeline, inputs, context)
        with self._lock:
            self._entries[key] = lowered
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
        return lowered

    def _lower(self, pipeline: Pipeline, inputs: Inputs, context: RunContext) -> Lowered:
        # The key names string arrays by id; empty slices of the inputs keep them alive without keeping the rows.
        kept = Inputs(inputs.batch.slice(0, 0), {}, inputs.evaluate)
        try:
            fused = PipelineLowering(pipeline, inputs, context, on_grid=self._driver.on_grid).lower()
        except NotFusible as refusal:
            return Lowered(None, None, str(refusal), pipeline, kept)
        return Lowered(fused, self._driver.compile(fused.program), fused.remaining_reason, pipeline, kept)
