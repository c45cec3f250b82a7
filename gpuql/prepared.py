"""A bound query with its physical plan, made once per settings and run many times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuql.api.device_result import DeviceResult
from gpuql.api.result import Result, distinct_names
from gpuql.columnar.batch import Batch
from gpuql.columnar.table import ResidentTable
from gpuql.config import Settings
from gpuql.explain import explain_analyze, explain_codegen, explain_plan
from gpuql.interrupts import RunningQueries
from gpuql.memory.connection_memory import ConnectionMemory
from gpuql.memory.table_builder import TableBuilder
from gpuql.stack_room import room_for_deep_statements
from gpuql.thresholds import TEMPLATE_PLANS
from gpuql_planner.catalog import Field
from gpuql_planner.errors import GpuqlError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.nodes import Scan, Values
from gpuql_planner.logical.traced import SlotValues, Trace
from gpuql_planner.physical.instantiate import instantiate
from gpuql_planner.session_zone import binding_in_zone
from gpuql_planner.sql.statement_subject import locate_value
from gpuql_planner.sql.statements import Query

if TYPE_CHECKING:
    from gpuql.execution.device_choice import DeviceChoice
    from gpuql.execution.executor import Executor, RowsThere, TableRows
    from gpuql_planner.physical.nodes import PhysicalPlan


@dataclass(frozen=True)
class QueryHost:
    """What a prepared query needs of its connection: settings as of now, an executor, memory, a place to sign in.

    ``device_choice`` is None where all queries run on one device.
    """

    settings: Callable[[], Settings]
    executor: Callable[[Settings], Executor]
    device_choice: Callable[[Settings], DeviceChoice | None]
    memory: ConnectionMemory
    running: RunningQueries


class QueryTemplate:
    """A bound query whose literals may take other values, and its plans. Safe to use from several threads at once.

    Plans are made for the values of the statement that came first; what that made them depend on is in ``trace``.
    """

    def __init__(self, query: Query, trace: Trace) -> None:
        self._query = query
        self._trace = trace
        self._plans: dict[Settings, PhysicalPlan] = {}
        self._lock = threading.Lock()

    def accepts(self, values: SlotValues) -> bool:
        """Whether the query, bound anew with ``values``, would be this one but for them."""
        with self._lock:
            return self._trace.holds(values)

    def query(self, values: SlotValues) -> Query:
        """The query with ``values``; they must be acceptable."""
        return replace(self._query, plan=instantiate(self._query.plan, values))

    def physical_plan(
        self, settings: Settings, values: SlotValues, lower: Callable[[Query], PhysicalPlan]
    ) -> PhysicalPlan | None:
        """The plan with ``values``; None if planning looked at the values and these need a plan of their own.

        None too if no plan can be made for the values that came first.

        ``lower`` makes the plan if these settings have none yet.
        """
        with self._lock:
            plan = self._plans.get(settings)
            if plan is None:
                try:
                    plan = lower(self._query)
                except GpuqlError:
                    return None
                if len(self._plans) == TEMPLATE_PLANS:
                    self._plans.clear()
                self._plans[settings] = plan
            if not self._trace.holds(values):
                return None
        return instantiate(plan, values)


class PreparedQuery:
    """A :class:`gpuql.api.dataframe.RunnableQuery`. Safe to run from several threads at once.

    ``query`` is a bound query without traced literals, or a template together with ``values`` that it accepts.
    ``text`` is what it was written as, if it was written, for the places of errors.
    """

    def __init__(
        self,
        query: Query | QueryTemplate,
        host: QueryHost,
        values: SlotValues | None = None,
        text: str | None = None,
    ) -> None:
        self._text = text
        self._source = query
        self._query = query if isinstance(query, Query) else None
        self._values = SlotValues(()) if values is None else values
        self._host = host
        self._planned: tuple[Settings, PhysicalPlan] | None = None

    @property
    def query(self) -> Query:
        """The bound query."""
        if self._query is None:
            assert isinstance(self._source, QueryTemplate), "a query or a template"
            self._query = self._source.query(self._values)
        return self._query

    @property
    def time_zone(self) -> str:
        """The session's time zone now."""
        return self._host.settings().timezone

    def physical_plan(self, settings: Settings) -> PhysicalPlan:
        """Optimised, lowered and placed."""
        planned = self._planned
        if planned is None or planned[0] != settings:
            planned = settings, self._plan(settings)
            self._planned = planned
        return planned[1]

    @room_for_deep_statements()
    def run(self) -> Result:
        """Run to the end; InterruptError if it was interrupted, KeyboardInterrupt if Ctrl-C was pressed."""
        return self._run(self._host.settings())

    @room_for_deep_statements()
    def run_into(self, rows: TableRows) -> None:
        """Run to the end; ``rows`` takes the rows as they come. Errors: as :meth:`run`, and those of ``rows``."""
        self._run(self._host.settings(), rows)

    @room_for_deep_statements()
    def run_on_device(self) -> DeviceResult:
        """Run to the end; the rows stay on the device. Errors: as :meth:`run`; OutOfMemoryError if it is too small."""
        from gpuql.execution.executor import RowsThere

        there = RowsThere()
        result = self._run(self._host.settings(), there)
        return DeviceResult(
            result.outputs, result.names, there.rows, there.device, there.release, there.metrics
        )

    def kept(self, *, on_device: bool) -> Query:
        """Run to the end; a query over a table of the rows. Errors: as :meth:`run`, and for lack of device memory."""
        outputs, names = self.query.plan.outputs, self.query.names
        fields = tuple(
            Field(name, output.dtype, nullable=output.nullable)
            for name, output in zip(distinct_names(names), outputs, strict=True)
        )
        columns = self._host.memory.columns
        with TableBuilder(columns, "cached", fields) as builder:
            self.run_into(builder)
            table = ResidentTable("cached", fields, builder.num_rows, builder.finish(), columns.for_table)
        if on_device:
            settings = self._host.settings()
            self._host.executor(settings).keep(table, settings, self._host.memory)
        scanned = tuple(
            (Attribute.fresh(field.name, field.dtype, nullable=field.nullable), field.name)
            for field in fields
        )
        return Query(Scan(table, scanned), names)

    def _run(self, settings: Settings, into: TableRows | RowsThere | None = None) -> Result:
        try:
            return self._run_plan(settings, into)
        except GpuqlError as error:
            if self._text is not None:
                locate_value(error, self._text)
            raise

    def _run_plan(self, settings: Settings, into: TableRows | RowsThere | None) -> Result:
        plan = self.physical_plan(settings)
        choice = self._host.device_choice(settings)
        if choice is not None:
            plan = choice.place(plan)
            settings = _on_device_of(plan, settings)
        if settings.on_unsupported == "error" and settings.device != "cpu":
            from gpuql.execution.host_parts import refuse_host_parts

            refuse_host_parts(plan)
        executor = self._host.executor(settings)
        with self._host.running.query() as token:
            finished = executor.execute(
                plan, cancel=token, settings=settings, memory=self._host.memory, into=into
            )
        return Result(plan.outputs, plan.names, finished.batches, finished.metrics, settings.timezone)

    @room_for_deep_statements()
    def explain(self, mode: str) -> str:
        """Plan as text; ``mode`` is plan, or after a run: analyze (rows and times), codegen (source).

        For the source every pipeline that can be compiled is, however few rows it has.
        """
        settings = self._host.settings()
        if mode == "codegen":
            return explain_codegen(self._run(replace(settings, tier="compiled")).metrics)
        plan = self.physical_plan(settings)
        choice = self._host.device_choice(settings)
        shown = plan if choice is None else choice.explain(plan)
        if mode == "plan":
            chosen = settings if choice is None else _on_device_of(shown, settings)
            return explain_plan(shown, self._host.executor(chosen).foresee(shown, chosen))
        return explain_analyze(shown, self._run(settings).metrics)

    def _plan(self, settings: Settings) -> PhysicalPlan:
        if isinstance(self._source, QueryTemplate):
            plan = self._source.physical_plan(
                settings, self._values, lambda query: self._lower(query, settings)
            )
            if plan is not None:
                return plan
        return self._lower(self.query, settings)

    def _lower(self, query: Query, settings: Settings) -> PhysicalPlan:
        from gpuql_planner.optimizer import optimize
        from gpuql_planner.physical.lower import lower

        with binding_in_zone(settings.timezone):
            plan = optimize(query.plan, verify=settings.verify_plans, enabled=settings.optimizer)
        device = self._host.executor(settings).device
        return lower(plan, query.names, device=device.name, reason=device.reason)


def _on_device_of(plan: PhysicalPlan, settings: Settings) -> Settings:
    """Settings with the device on which ``plan`` was placed; the accelerator is what they name already."""
    return replace(settings, device="cpu") if plan.pipelines[0].device == "cpu" else settings


class FinishedQuery:
    """A result as a :class:`gpuql.api.dataframe.RunnableQuery`: what a command returned, ready for more verbs."""

    def __init__(self, result: Result) -> None:
        self._result = result

    @property
    def query(self) -> Query:
        """The rows as constants."""
        return Query(Values(self._result.outputs, tuple(self._result.iter_rows())), self._result.names)

    @property
    def time_zone(self) -> str:
        """The session's time zone when it ran."""
        return self._result.time_zone

    def run(self) -> Result:
        """The result."""
        return self._result

    def run_on_device(self) -> DeviceResult:
        """The result in host arrays."""
        columns = dict(zip((a.id for a in self._result.outputs), self._result.whole_columns(), strict=True))
        rows = Batch(columns, self._result.num_rows)
        return DeviceResult(self._result.outputs, self._result.names, rows, "cpu", lambda: None)

    def kept(self, *, on_device: bool) -> Query:
        """The rows as constants, which are nowhere but on the host."""
        return self.query

    def explain(self, mode: str) -> str:
        """Says that nothing is left to run."""
        return f"{self._result.num_rows} rows, already computed"
