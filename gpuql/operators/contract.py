"""How the executor drives an operator, and what sinks leave behind for later pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.memory.budget import Reservation
from gpuql.memory.connection_memory import unlimited_memory
from gpuql.memory.device_memory import DeviceQuery
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.row_store import RowStore
from gpuql_kernels.hash_table.contract import JoinIndex
from gpuql_kernels.tasks import RunTasks, serially
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.physical.nodes import HashJoinBuild


@dataclass(eq=False)
class RunContext:
    """What operators of one query share. Read-only while workers run, but for the thread-safe callables.

    ``xp`` is the array module (numpy or cupy), ``kernels`` the device's static kernel families,
    ``check_cancelled`` raises InterruptError once the query was cancelled (call it at least once a batch),
    ``results`` maps the index of each finished pipeline to what its sink left, ``workers`` counts the threads that
    share a pipeline. ``run_tasks`` lends these threads to ``SinkOperator.combine``, and to nothing that runs on one
    of them already: a worker that waits for others would keep them from starting. ``memory`` is what the query may
    hold where its arrays are: operators keep rows in its stores and reserve what their work takes besides. ``device``
    is what it holds of a device other than the host. ``collector`` takes the rows of a pipeline that ends in a
    ``CollectSink``, if they are not to be kept as a result.
    """

    xp: Any
    kernels: Any
    check_cancelled: Callable[[], None]
    results: dict[int, SinkResult] = field(default_factory=dict)
    integer_division: bool = False
    workers: int = 1
    run_tasks: RunTasks = serially
    memory: QueryMemory = field(default_factory=unlimited_memory)
    device: DeviceQuery | None = None
    collector: RowCollector | None = None

    def aggregate(
        self, call: AggregateCall, columns: Sequence[Column], ids: Array, num_groups: int
    ) -> Column:
        """The value of an aggregate call for each group of rows, whose evaluated arguments are ``columns``."""
        from gpuql.operators.aggregate_slots import aggregate_rows

        return aggregate_rows(call, columns, ids, num_groups, self)

    def working(self, num_bytes: int, owner: str) -> AbstractContextManager[object]:
        """Host bytes that a step of an expression takes while it runs."""
        return self.host_memory.reserve(num_bytes, owner)

    @property
    def work_bytes(self) -> int:
        """Host bytes that a step of an expression may take at once."""
        return self.host_memory.part_bytes

    @property
    def host_memory(self) -> QueryMemory:
        """The query's account with the host's memory, where tables are read."""
        return self.memory if self.device is None else self.device.host


class RowCollector(Protocol):
    """Takes batches in any order, from any thread."""

    def append(self, batch: Batch, sequence: int = 0) -> None:
        """Take a batch; ``sequence`` is its place in order."""


class TransformOperator(Protocol):
    """A step between source and sink. One object per pipeline, called by many threads at once: no state in it."""

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Rows that go on. May be empty, may be longer than ``batch``."""


class SinkOperator(Protocol):
    """The end of a pipeline. ``consume`` is called with one local state per worker, ``combine`` once at the end."""

    def new_state(self, context: RunContext) -> Any:
        """Fresh state of one worker."""

    def consume(self, state: Any, batch: Batch, sequence: int, context: RunContext) -> None:
        """Take a batch; ``sequence`` is its place in the source order."""

    def combine(self, states: list[Any], context: RunContext) -> SinkResult:
        """Merge all workers' states (at least one) into the result."""

    def is_full(self, states: list[Any]) -> bool:
        """Whether more rows cannot change the result; asked between parts of the source, when no worker runs."""


@runtime_checkable
class PartwiseSink(Protocol):
    """A sink that brings order into its states while it still can, with all workers."""

    def end_part(self, states: list[Any], context: RunContext) -> None:
        """Called between parts of the source, when no worker runs: ``context.run_tasks`` may be used."""


@dataclass(frozen=True, eq=False)
class RowsResult:
    """Rows kept by a sink, in order where the sink promises one: batches, or a store that may have moved some away."""

    batches: Sequence[Batch] | RowStore

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    @property
    def num_rows(self) -> int:
        """Rows over all batches."""
        if isinstance(self.batches, RowStore):
            return self.batches.num_rows
        return sum(batch.num_rows for batch in self.batches)

    @property
    def num_bytes(self) -> int:
        """Bytes that all rows would take in memory at once, strings apart unless they are in a store."""
        if isinstance(self.batches, RowStore):
            return self.batches.total_bytes
        return sum(column.nbytes for batch in self.batches for column in batch.columns.values())

    def close(self) -> None:
        """Give the bytes back, as nobody reads the rows any more."""
        if isinstance(self.batches, RowStore):
            self.batches.close()


@dataclass(frozen=True, eq=False)
class KeyColumn:
    """How one key column becomes a code in ``0 .. cardinality - 1``, with one more code for NULL if null-safe.

    Affine (``distinct`` is None): ``code = value - minimum``. Otherwise ``code`` is the position of the value in
    ``distinct`` (sorted array for fixed-width types, a unique StringArray for strings).
    ``null_code`` is the code of NULL, or -1 if a NULL key matches nothing.
    """

    minimum: int
    cardinality: int
    distinct: Any | None
    null_code: int


@dataclass(frozen=True, eq=False)
class KeyEncoding:
    """Packs several key columns into one int64: mixed radix of the codes, ``sum(code[i] * stride[i])``.

    Where the product of the cardinalities passes 2**62 the leading columns are factorised first and ``packable`` is
    false: generated code then leaves the pipeline to the interpreter.
    """

    columns: tuple[KeyColumn, ...]
    strides: tuple[int, ...]
    packable: bool


@dataclass(frozen=True, eq=False)
class JoinTable:
    """What a HashJoinBuild leaves behind.

    Attributes
    ----------
    payload : Batch
        Build rows with the payload attributes; JoinIndex rows are positions in it.
    encoding : KeyEncoding
    index : JoinIndex
        Over the packed keys of rows whose keys are not NULL (or NULL at a null-safe position).
    has_null_key : bool
        Some build row had a NULL key at a position that is not null-safe (decides three-valued MARK and ANTI).
    num_rows : int
        Build rows, with and without NULL keys.
    matched : bool (num_rows,) or None
        Set by RIGHT and FULL probes; concurrent writers only ever write True.
    filters : tuple of uint8 bitmaps or None, one per key column
        Which codes occur among the build keys; a probe may skip rows that miss one. See ``key_filters``.
    keys : tuple of Column
        The key columns, row for row with ``payload``: a MARK probe with several keys or a residual compares them
        where NULLs leave the result open.
    reservation : what the table holds of the query's memory.
    """

    payload: Batch
    encoding: KeyEncoding
    index: JoinIndex
    has_null_key: bool
    num_rows: int
    matched: Array | None = None
    filters: tuple[Array | None, ...] = ()
    keys: tuple[Column, ...] = ()
    reservation: Reservation | None = None

    def close(self) -> None:
        """Give the bytes back, as nobody probes any more."""
        if self.reservation is not None:
            self.reservation.release()


@dataclass(eq=False)
class PartitionedBuild:
    """What a HashJoinBuild leaves behind when memory has no room for a table of its rows.

    Attributes
    ----------
    node : the build.
    partitions : its rows, payload and keys, split by a hash of the keys; a single one if there are no keys.
    bounds : int, one more than partitions
        Partition ``i`` holds the hash's partitions ``bounds[i]`` to ``bounds[i + 1]``.
    num_rows, has_null_key : as in :class:`JoinTable`, over all partitions.
    key_ranges : inclusive range of each key column of integers, None for others and where it is not known.
    empty : a batch of no rows that has the rows' columns.
    rest : RowStore or None
        Once RIGHT and FULL probes are done: build rows, and under ``MATCHED`` whether one matched (of FULL, only those
        that none did).
    """

    node: HashJoinBuild
    partitions: list[RowStore]
    bounds: tuple[int, ...]
    num_rows: int
    has_null_key: bool
    key_ranges: tuple[tuple[int, int] | None, ...]
    empty: Batch
    rest: RowStore | None = None

    def close(self) -> None:
        """Give the bytes back, as nobody probes any more."""
        for rows in self.partitions:
            rows.close()
        if self.rest is not None:
            self.rest.close()


#: Under this id (no attribute has it) stands in ``PartitionedBuild.rest`` whether a probe row matched.
MATCHED = -1_000

#: What sinks leave behind.
SinkResult = RowsResult | JoinTable | PartitionedBuild
