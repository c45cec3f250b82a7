"""Lowered pipelines by plan node and input form, so that a repeated query goes straight to its machine code."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gpuql.columnar.column import StringArray
from gpuql.columnar.parts import root_of
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.fused.lower import FusedPipeline, PipelineLowering
from gpuql.execution.fused.refusal import NotFusible
from gpuql.execution.fused.signature import inputs_signature, named_objects
from gpuql.operators.contract import RunContext
from gpuql.thresholds import MANY_PROBES, MAX_LOWERED_PIPELINES
from gpuql_planner.physical.nodes import HashJoinProbe, Pipeline


@dataclass(frozen=True, eq=False)
class Lowered:
    """A fused pipeline with its compiled form, or the reason why there is none.

    ``named`` are the objects that the key names by id. They are not kept alive; once one is gone its id may come to
    mean another object, and the entry is void.
    """

    fused: FusedPipeline | None
    compiled: Any
    reason: str
    named: tuple[weakref.ref[object], ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the key still means what it did."""
        return all(reference() is not None for reference in self.named)


class LoweringCache:
    """Thread-safe, least recently used first out.

    Entries go with their pipeline: when nobody holds a plan any more (a table it reads was dropped, say), what was
    lowered for it, dictionaries and tabulated functions among it, is let go too.
    """

    def __init__(self, driver: FusedDriver) -> None:
        self._driver = driver
        self._entries: OrderedDict[tuple[int, Hashable], Lowered] = OrderedDict()
        self._pipelines: dict[int, tuple[weakref.ref[Pipeline], list[tuple[int, Hashable]]]] = {}
        # Reentrant: a pipeline may be collected, and its entries dropped, while this thread holds the lock.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def lower(self, pipeline: Pipeline, inputs: Inputs, context: RunContext) -> Lowered:
        """Lower ``pipeline`` for inputs of this form, or find that it was done before.

        What was lowered for a part of the rows is not kept if it names objects of that part: they would stay in memory
        with it.
        """
        key = (id(pipeline), inputs_signature(pipeline, inputs))
        with self._lock:
            known = self._entries.get(key)
            if known is not None and known.is_valid:
                self._entries.move_to_end(key)
                return known
        lowered = self._lower(pipeline, inputs, context)
        if context.device is not None:
            context.device.finish()  # other queries, on other streams, may use the arrays that lowering made
        if inputs.is_part and not all(_is_resident(reference(), context) for reference in lowered.named):
            return lowered
        with self._lock:
            if id(pipeline) not in self._pipelines:
                reference = weakref.ref(pipeline, partial(self._forget, id(pipeline)))
                self._pipelines[id(pipeline)] = reference, []
            self._pipelines[id(pipeline)][1].append(key)
            self._entries[key] = lowered
            while len(self._entries) > MAX_LOWERED_PIPELINES:
                self._entries.popitem(last=False)
        return lowered

    def forget_strings(self, strings: StringArray) -> None:
        """Let go of what was lowered for this string array, and would keep it in memory."""
        with self._lock:
            found = [
                key
                for key, lowered in self._entries.items()
                if any(named() is strings for named in lowered.named)
            ]
            for key in found:
                del self._entries[key]

    def _forget(self, number: int, _: weakref.ref[Pipeline]) -> None:
        with self._lock:
            _, keys = self._pipelines.pop(number)
            for key in keys:
                self._entries.pop(key, None)

    def _lower(self, pipeline: Pipeline, inputs: Inputs, context: RunContext) -> Lowered:
        named = tuple(map(weakref.ref, named_objects(pipeline, inputs)))
        lowering = PipelineLowering(pipeline, inputs, context, on_grid=self._driver.on_grid)
        try:
            fused = lowering.lower()
        except NotFusible as refusal:
            return Lowered(None, None, str(refusal), named)
        finally:
            # What it defined refers to it, and it to the rows: they would stay until the garbage collector comes.
            lowering.expressions.forget()
        probes = sum(isinstance(transform, HashJoinProbe) for transform in pipeline.transforms)
        try:
            compiled = self._driver.compile(fused.program)
            if probes >= MANY_PROBES:
                compile(compiled.source, "<pipeline>", "exec")
        except SyntaxError:
            # Python refuses more than 20 loops, or 100 indentations, within each other.
            return Lowered(None, None, f"too many joins for one loop: {probes}", named)
        return Lowered(fused, compiled, fused.remaining_reason, named)


def _is_resident(named: object, context: RunContext) -> bool:
    """Whether an object that a key names belongs to a table."""
    return isinstance(named, StringArray) and id(root_of(named.offsets)) in context.memory.resident
