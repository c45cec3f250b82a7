"""Which device a query runs on when the user left it open: by estimates for both, from costs measured on the machine.

A query runs on one device as a whole: results of pipelines lie in the memory of one.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from gpuql.columnar.table import ResidentTable
from gpuql_planner.physical.device_costs import DeviceCosts, ScanBytes, estimate_plan
from gpuql_planner.physical.nodes import PhysicalPlan, Pipeline, TableScan
from gpuql_planner.physical.placement import DeviceDecision, decide


@dataclass
class _History:
    """Columns of one table, by name: those that were sent, and seconds that others would have saved had they been."""

    sent: set[str] = field(default_factory=set)
    saved_s: dict[str, float] = field(default_factory=dict)


class DeviceChoice:
    """Chooses between the processor and one accelerator, query by query. Thread-safe.

    Remembers which columns went to the accelerator with earlier queries, and takes them to be there still: one that was
    let go since costs more than was expected, once. For columns that are not there it remembers how much time they
    would have saved, so that they are sent when that is as much as sending takes.
    """

    def __init__(self, host: DeviceCosts, accelerator: DeviceCosts) -> None:
        self._host = host
        self._accelerator = accelerator
        self._histories: weakref.WeakKeyDictionary[ResidentTable, _History] = weakref.WeakKeyDictionary()
        self._on_host: dict[int, tuple[weakref.ref[Pipeline], Pipeline]] = {}
        self._lock = threading.Lock()

    def explain(self, plan: PhysicalPlan) -> PhysicalPlan:
        """``plan`` on the device where it would run now, each pipeline with both estimates as its reason."""
        with self._lock:
            decision = self._decide(plan, self._missing(plan))
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
            missing = self._missing(plan)
            decision = self._decide(plan, missing)
            if decision.device != self._host.name:
                for table, name in missing:
                    self._history(table).sent.add(name)
                return plan
            if decision.saved_s > 0:
                for table, name in missing:
                    saved_s = self._history(table).saved_s
                    saved_s[name] = saved_s.get(name, 0.0) + decision.saved_s / len(missing)
            return replace(plan, pipelines=tuple(map(self._placed_on_host, plan.pipelines)))

    def _decide(self, plan: PhysicalPlan, missing: list[tuple[ResidentTable, str]]) -> DeviceDecision:
        return decide(
            (self._host.name, self._accelerator.name),
            estimate_plan(plan, self._host, self._known_bytes),
            estimate_plan(plan, self._accelerator, self._known_bytes),
            sum(self._history(table).saved_s.get(name, 0.0) for table, name in missing),
        )

    def _history(self, table: ResidentTable) -> _History:
        known = self._histories.get(table)
        if known is None:
            known = self._histories[table] = _History()
        return known

    def _missing(self, plan: PhysicalPlan) -> list[tuple[ResidentTable, str]]:
        """Columns of resident tables that the plan reads and that were not sent."""
        columns = dict.fromkeys(_table_columns(plan))
        return [(table, name) for table, name in columns if name not in self._history(table).sent]

    def _known_bytes(self, scan: TableScan) -> ScanBytes | None:
        table = scan.table
        if not isinstance(table, ResidentTable):
            return None
        sizes = {name: table.whole_bytes(name) for _, name in scan.columns}
        if table.num_rows and not all(sizes.values()):
            return None  # some column has not been made yet
        sent = self._history(table).sent
        return ScanBytes(sum(sizes.values()), sum(size for name, size in sizes.items() if name not in sent))

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


def _table_columns(plan: PhysicalPlan) -> Iterator[tuple[ResidentTable, str]]:
    for pipeline in plan.pipelines:
        scan = pipeline.source
        if isinstance(scan, TableScan) and isinstance(scan.table, ResidentTable):
            yield from ((scan.table, name) for _, name in scan.columns)
