"""Which device a query runs on when the user left it open: by estimates for both, from costs measured on the machine.

A query runs on one device as a whole: results of pipelines lie in the memory of one.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gpuql.columnar.column import Column
from gpuql.columnar.table import ResidentTable
from gpuql_planner.physical.device_costs import DeviceCosts, ScanBytes, estimate_plan
from gpuql_planner.physical.nodes import PhysicalPlan, Pipeline, TableScan
from gpuql_planner.physical.placement import DeviceDecision, decide


@dataclass(frozen=True)
class _Held:
    """Columns of tables that a plan reads: those that were sent to the accelerator before, and those that were not."""

    sent: tuple[Column, ...]
    missing: tuple[Column, ...]


class DeviceChoice:
    """Chooses between the processor and one accelerator, query by query. Thread-safe.

    Remembers which columns went to the accelerator with earlier queries, and takes them to be there still: one that was
    let go since costs more than was expected, once. For columns that are not there it remembers how much time they
    would have saved, so that they are sent when that is as much as sending takes.
    """

    def __init__(self, host: DeviceCosts, accelerator: DeviceCosts) -> None:
        self._host = host
        self._accelerator = accelerator
        self._sent: weakref.WeakSet[Column] = weakref.WeakSet()
        self._saved_s: weakref.WeakKeyDictionary[Column, float] = weakref.WeakKeyDictionary()
        self._on_host: dict[int, tuple[weakref.ref[Pipeline], Pipeline]] = {}
        self._lock = threading.Lock()

    def explain(self, plan: PhysicalPlan) -> PhysicalPlan:
        """``plan`` on the device where it would run now, each pipeline with both estimates as its reason."""
        with self._lock:
            decision, _ = self._decide(plan)
        return replace(
            plan,
            pipelines=tuple(
                replace(pipeline, device=decision.device, reason=reason)
                for pipeline, reason in zip(plan.pipelines, decision.reasons, strict=True)
            ),
        )

    def place(self, plan: PhysicalPlan) -> PhysicalPlan:
        """``plan``, which is about to run, on its device; what the choice says about the columns is remembered.

        ``plan`` is placed on the accelerator. The same pipeline gives the same object each time, so that what was made
        for it is found again.
        """
        with self._lock:
            decision, held = self._decide(plan)
            if decision.device != self._host.name:
                self._sent.update(held.missing)
                return plan
            if decision.saved_s > 0:
                for column in held.missing:
                    share = decision.saved_s / len(held.missing)
                    self._saved_s[column] = self._saved_s.get(column, 0.0) + share
            return replace(plan, pipelines=tuple(map(self._placed_on_host, plan.pipelines)))

    def _decide(self, plan: PhysicalPlan) -> tuple[DeviceDecision, _Held]:
        columns = list(_table_columns(plan))
        held = _Held(
            tuple(column for column in columns if column in self._sent),
            tuple(column for column in columns if column not in self._sent),
        )
        decision = decide(
            (self._host.name, self._accelerator.name),
            estimate_plan(plan, self._host, self._known_bytes),
            estimate_plan(plan, self._accelerator, self._known_bytes),
            sum(self._saved_s.get(column, 0.0) for column in held.missing),
        )
        return decision, held

    def _known_bytes(self, scan: TableScan) -> ScanBytes | None:
        if not isinstance(scan.table, ResidentTable):
            return None
        columns = [scan.table.column(name) for _, name in scan.columns]
        missing = sum(_num_bytes(column) for column in columns if column not in self._sent)
        return ScanBytes(sum(map(_num_bytes, columns)), missing)

    def _placed_on_host(self, pipeline: Pipeline) -> Pipeline:
        known = self._on_host.get(id(pipeline))
        if known is not None and known[0]() is pipeline:
            return known[1]
        reason = f"auto: expected to take less time than on {self._accelerator.name}"
        placed = replace(pipeline, device=self._host.name, reason=reason)
        self._on_host[id(pipeline)] = weakref.ref(pipeline, self._forgetter(id(pipeline))), placed
        return placed

    def _forgetter(self, key: int) -> Callable[[object], object]:
        return lambda _: self._on_host.pop(key, None)


def _table_columns(plan: PhysicalPlan) -> Iterator[Column]:
    """Columns of resident tables that the plan reads, each once."""
    seen: set[int] = set()
    for pipeline in plan.pipelines:
        scan = pipeline.source
        if isinstance(scan, TableScan) and isinstance(scan.table, ResidentTable):
            for _, name in scan.columns:
                column = scan.table.column(name)
                if id(column) not in seen:
                    seen.add(id(column))
                    yield column


def _num_bytes(column: Column) -> int:
    """Bytes of the column and of the strings that it points to."""
    strings = column.strings
    return column.nbytes + (0 if strings is None else int(strings.offsets.nbytes + strings.data.nbytes))
