"""Pipelines: a source, transforms that pass rows on, and a sink that keeps them.

A pipeline runs from source to sink without stopping; what a sink keeps is read by later pipelines, named by the
pipeline's index in ``PhysicalPlan.pipelines``. Pipelines are listed so that each stands after those it reads.
All expressions are over attributes available at that point.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuql_planner.catalog import Table
from gpuql_planner.functions.windows import WINDOW_FUNCTIONS
from gpuql_planner.logical.expressions import AggregateCall, Attribute, Expression, LiteralValue, SortKey
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.logical.window_calls import WindowCall

# --- sources ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableScan:
    """Rows of a table. ``predicates`` may be used to skip row groups; a FilterExec applies them again."""

    table: Table
    columns: tuple[tuple[Attribute, str], ...]
    predicates: tuple[Expression, ...] = ()

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Attributes of the columns read."""
        return tuple(attribute for attribute, _ in self.columns)


@dataclass(frozen=True)
class ValuesSource:
    """Constant rows, as ``logical.nodes.Values``."""

    attributes: tuple[Attribute, ...]
    rows: tuple[tuple[LiteralValue, ...], ...]

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """The attributes."""
        return self.attributes


@dataclass(frozen=True)
class ResultScan:
    """Rows kept by earlier pipelines that end in no HashJoinBuild, one pipeline after the other.

    ``columns`` pairs each output with, per pipeline of ``pipelines``, the attribute it takes there (so that several
    pipelines make a UNION ALL, and one result can be read under other attributes).
    """

    pipelines: tuple[int, ...]
    columns: tuple[tuple[Attribute, tuple[Attribute, ...]], ...]

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """First members of ``columns``."""
        return tuple(attribute for attribute, _ in self.columns)


@dataclass(frozen=True)
class BuildScan:
    """Build rows of join ``build`` that some probe row matched, or that none did.

    Unmatched rows complete RIGHT and FULL joins: ``null_attributes`` are the probe-side attributes, all NULL here.
    Either kind answers SEMI and ANTI joins whose left side was built, because it is the smaller. Runs after the
    pipeline that probes.
    """

    build: int
    build_attributes: tuple[Attribute, ...]
    null_attributes: tuple[Attribute, ...]
    matched: bool

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Probe side (NULL), then build side."""
        return (*self.null_attributes, *self.build_attributes)


Source = TableScan | ValuesSource | ResultScan | BuildScan

# --- transforms ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterExec:
    """Rows for which every predicate is true; cheap and selective predicates come first."""

    predicates: tuple[Expression, ...]


@dataclass(frozen=True)
class ProjectExec:
    """Exactly these attributes go on."""

    expressions: tuple[tuple[Attribute, Expression], ...]


@dataclass(frozen=True)
class HashJoinProbe:
    """Look up each row among the build rows of pipeline ``build`` (which ends in a HashJoinBuild).

    A pair matches if all ``probe_keys`` equal the build keys (by position; equal types; NULL equals nothing unless
    the position is in ``null_safe``) and all ``residual`` conjuncts are true. No keys: every pair is a candidate.

    kind
        INNER, LEFT, SINGLE: probe attributes and the build attributes in ``build_outputs``; RIGHT, FULL: likewise,
        and build rows matched are remembered for a BuildScan; SEMI, ANTI: probe rows only; MARK: probe
        rows and ``mark`` (three-valued over keys and residual, as in ``logical.nodes.Join``).
    outputs
        Attributes that later transforms or the sink use, a subset of what the kind puts out.
    """

    build: int
    kind: JoinKind
    probe_keys: tuple[Expression, ...]
    residual: tuple[Expression, ...]
    outputs: tuple[Attribute, ...]
    build_outputs: tuple[Attribute, ...]
    mark: Attribute | None = None
    null_safe: frozenset[int] = frozenset()


@dataclass(frozen=True)
class RepeatExec:
    """Each row ``count`` times (BIGINT, not NULL; zero or less drops it)."""

    count: Expression


@dataclass(frozen=True)
class UnnestExec:
    """Each row once for each element of its lists; see ``logical.nodes.Unnest``."""

    lists: tuple[tuple[Attribute, Expression], ...]
    keep_empty: bool = False
    ordinality: Attribute | None = None

    @property
    def made(self) -> tuple[Attribute, ...]:
        """Attributes of the elements, then the ordinality."""
        elements = tuple(attribute for attribute, _ in self.lists)
        return elements if self.ordinality is None else (*elements, self.ordinality)


Transform = FilterExec | ProjectExec | HashJoinProbe | RepeatExec | UnnestExec

# --- sinks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HashJoinBuild:
    """Keep rows under their keys for a HashJoinProbe.

    ``payload`` are the attributes that the probe puts out or its residual reads. ``null_safe`` as in the probe.
    ``unique`` promises that no two rows have the same keys (proved by the planner). ``existence_only`` means only
    the presence of a key matters (SEMI, ANTI or MARK without residual).
    """

    keys: tuple[Expression, ...]
    payload: tuple[Attribute, ...]
    null_safe: frozenset[int] = frozenset()
    unique: bool = False
    existence_only: bool = False


@dataclass(frozen=True)
class AggregateSink:
    """Group rows; as ``logical.nodes.Aggregate``. No keys: exactly one row, also for no input."""

    keys: tuple[tuple[Attribute, Expression], ...]
    aggregates: tuple[tuple[Attribute, AggregateCall], ...]


@dataclass(frozen=True)
class SortSink:
    """Keep ``attributes`` in order of ``keys``; only rows offset .. offset + limit if a limit is given."""

    keys: tuple[SortKey, ...]
    attributes: tuple[Attribute, ...]
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class WindowSink:
    """Keep ``attributes`` and the values of ``calls``, as ``logical.nodes.Window``.

    Rows in order of ``keys`` have the rows of each partition of each call together, and in the call's order. ``limit``
    as there.
    """

    keys: tuple[SortKey, ...]
    calls: tuple[tuple[Attribute, WindowCall], ...]
    attributes: tuple[Attribute, ...]
    limit: tuple[Attribute, int] | None = None

    @property
    def needs_order(self) -> bool:
        """Whether some call asks for more than the rows of its partition, in whatever order."""
        return self.limit is not None or not all(
            call.function not in WINDOW_FUNCTIONS and call.is_of_partition for _, call in self.calls
        )


@dataclass(frozen=True)
class LimitSink:
    """Keep rows offset .. offset + limit in input order."""

    attributes: tuple[Attribute, ...]
    limit: int | None
    offset: int = 0


@dataclass(frozen=True)
class CollectSink:
    """Keep all rows. Input order is kept when the source is a ResultScan of a SortSink or LimitSink."""

    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class RunningSink:
    """Rows in input order with what stands before them, as ``logical.nodes.Running``; ``attributes`` are kept."""

    attributes: tuple[Attribute, ...]
    number: Attribute | None = None
    marker: Attribute | None = None
    carried: tuple[tuple[Attribute, Attribute], ...] = ()

    @property
    def inputs(self) -> tuple[Attribute, ...]:
        """Attributes read."""
        marker = () if self.marker is None else (self.marker,)
        return (*self.attributes, *marker, *(origin for _, origin in self.carried))

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Attributes of the rows kept."""
        number = () if self.number is None else (self.number,)
        return (*self.attributes, *number, *(out for out, _ in self.carried))


Sink = HashJoinBuild | AggregateSink | SortSink | WindowSink | LimitSink | CollectSink | RunningSink


@dataclass(frozen=True)
class Pipeline:
    """One pass over the data.

    ``estimated_rows`` is the planner's estimate of rows reaching the sink. ``device`` is "cpu", "gpu" or "cudasim"
    with ``reason`` saying why in words.
    """

    source: Source
    transforms: tuple[Transform, ...]
    sink: Sink
    device: str
    reason: str
    estimated_rows: float


@dataclass(frozen=True)
class Loop:
    """A recursion: pipelines that run in rounds, until a round gives no rows.

    Pipeline ``anchor`` gives the first round, ``step`` every other one, each under its ``outputs``. Pipelines of
    ``body`` (``step`` is one of them) run in every round. ``working`` and ``total`` are pipelines of no rows whose
    results are the rows of the last round and those of all rounds. ``result`` stands where the loop runs; as a pipeline
    it is one round of the loop.
    """

    result: int
    anchor: int
    anchor_outputs: tuple[Attribute, ...]
    step: int
    step_outputs: tuple[Attribute, ...]
    working: int
    total: int
    body: tuple[int, ...]


@dataclass(frozen=True)
class PhysicalPlan:
    """Pipelines in an order in which they can run; the last one's sink holds the result.

    ``outputs`` are the result columns in order and ``names`` their names (which may repeat). ``loops`` says which
    pipelines run in rounds.
    """

    pipelines: tuple[Pipeline, ...]
    outputs: tuple[Attribute, ...]
    names: tuple[str, ...]
    loops: tuple[Loop, ...] = ()
