"""Pipelines that probe joins whose build rows have no room in memory: partition by partition, as the build left them.

The pipeline is cut before each such probe. The rows that reach the cut are split by the hash that split the build
rows; then, one partition after the other, a table is made of the build rows, and the probe rows go on through the rest
of the pipeline (Kitsuregawa et al., "Application of Hash to Data Base Machine and Its Architecture", 1983). A partition
that is still too large is split again by another hash; one that no hash splits, because its keys are equal, or because
the join has no keys, is taken in blocks of build rows, of which each meets all probe rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.parts import batch_size
from gpuql.execution.fused.attributes import attributes_read
from gpuql.execution.interpreted import SinkRun, max_pairs, transform_operators
from gpuql.execution.metrics import PipelineMetrics
from gpuql.execution.morsels import Morsel, Workers, cut
from gpuql.execution.sources import empty_batch
from gpuql.expressions.evaluate import evaluate
from gpuql.memory.allocator import return_holes
from gpuql.memory.row_store import RowStore
from gpuql.memory.shared_tier import SharedTier
from gpuql.operators.contract import (
    MATCHED,
    JoinTable,
    PartitionedBuild,
    RunContext,
    SinkResult,
)
from gpuql.operators.hash_join_probe import HashJoinProbeOperator
from gpuql.operators.join_table import (
    OWNER,
    StoredBuild,
    fits_table,
    fitting_bytes,
    key_id,
    make_table,
    row_table_bytes,
    table_bytes,
)
from gpuql.operators.row_partitions import (
    Keys,
    PartitionWriter,
    every_partition,
    grouped,
    merged,
    with_own_strings,
)
from gpuql.thresholds import INDIVISIBLE_SHARE, MAX_JOIN_SPLITS
from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.physical.nodes import HashJoinBuild, HashJoinProbe, Pipeline, ResultScan
from gpuql_planner.types import BIGINT, BOOLEAN

#: Under this id (no attribute has it) stands which probe row a row is, while blocks of build rows meet them.
_NUMBER = -1_001

_NEED_MATCH = (JoinKind.INNER, JoinKind.SEMI, JoinKind.RIGHT)
_KEEP_BUILD_ROWS = (JoinKind.RIGHT, JoinKind.FULL)


class Feeder(Protocol):
    """The part of the pipeline runner that passes rows through the transforms of a pipeline into a sink."""

    @property
    def workers(self) -> Workers:
        """The threads."""

    def source(self, pipeline: Pipeline, sink: SinkRun) -> None:
        """All rows of the pipeline's source."""

    def part(self, pipeline: Pipeline, part: Batch, sink: SinkRun, sequence: int) -> int:
        """These rows, in order from place ``sequence``; the place after them."""


def probes_partitions(pipeline: Pipeline, results: Mapping[int, SinkResult]) -> bool:
    """Whether some probe of the pipeline meets a build that has no table."""
    return any(_is_partitioned(transform, results) for transform in pipeline.transforms)


def run_partitioned(
    pipeline: Pipeline, feeder: Feeder, context: RunContext, measured: PipelineMetrics, batch_rows: int
) -> SinkResult:
    """Run a pipeline for which :func:`probes_partitions` holds; ``batch_rows`` as in ``run_interpreted``."""
    stages = _stages(pipeline, context)
    first = stages[0]
    feeder.source(first.pipeline, first.sink)
    for before, stage in pairwise(stages):
        assert isinstance(before.sink, _SplitRun), "only the last stage has the pipeline's sink"
        join = _PartitionedJoin(stage, feeder, context, batch_rows)
        join.run(before.sink.partitions())
        measured.joins.append(join.summary())
    return stages[-1].sink.result()


# --- stages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Stage:
    """A piece of the pipeline: it begins with the probe of a partitioned build, but for the first one."""

    pipeline: Pipeline
    sink: SinkRun


def _is_partitioned(transform: object, results: Mapping[int, SinkResult]) -> bool:
    return isinstance(transform, HashJoinProbe) and isinstance(results[transform.build], PartitionedBuild)


def _stages(pipeline: Pipeline, context: RunContext) -> list[_Stage]:
    transforms = pipeline.transforms
    cuts = [i for i, transform in enumerate(transforms) if _is_partitioned(transform, context.results)]
    stages = []
    source = pipeline.source
    for start, stop in pairwise([0, *cuts, len(transforms)]):
        piece = replace(pipeline, source=source, transforms=transforms[start:stop])
        if stop == len(transforms):
            stages.append(_Stage(piece, SinkRun(pipeline.sink, context)))
            break
        probe = transforms[stop]
        assert isinstance(probe, HashJoinProbe), "cut before a probe"
        read = tuple(
            attributes_read(transforms[stop:], pipeline.sink, lambda build: _payload(build, context))
        )
        # To keep rows under the keys of a join is what a build does, too: its node names what has to be passed on.
        kept = HashJoinBuild(probe.probe_keys, read)
        stages.append(_Stage(replace(piece, sink=kept), _SplitRun(kept, probe, read, context)))
        source = ResultScan((), tuple((attribute, ()) for attribute in read))
    return stages


def _payload(build: int, context: RunContext) -> set[int]:
    result = context.results[build]
    if isinstance(result, PartitionedBuild):
        return {attribute.id for attribute in result.node.payload}
    assert isinstance(result, JoinTable), "a probe reads what a build left"
    return set(result.payload.columns)


class _SplitRun(SinkRun):
    """A sink that splits probe rows as the build rows were."""

    def __init__(
        self, node: HashJoinBuild, probe: HashJoinProbe, read: Sequence[Attribute], context: RunContext
    ) -> None:
        self._split = _SplitOperator(probe, read, context)
        super().__init__(node, context, self._split)

    def partitions(self) -> list[RowStore]:
        """The rows, partition by partition."""
        return merged(self.states or [self._split.new_state(self.context)])


class _SplitOperator:
    """A ``SinkOperator`` that gives rows to the partitions of a build, which ask for them by ``_SplitRun``."""

    def __init__(self, probe: HashJoinProbe, read: Sequence[Attribute], context: RunContext) -> None:
        build = context.results[probe.build]
        assert isinstance(build, PartitionedBuild), "a stage begins with the probe of a partitioned build"
        self._probe = probe
        self._read = read
        self._bounds = build.bounds
        if _meets_all(probe):
            _unite(build)
            self._bounds = build.bounds
        self._shared = SharedTier(lambda: context.memory.lower_tier(OWNER))

    def new_state(self, context: RunContext) -> PartitionWriter:
        """One worker's rows."""
        keys = _probe_keys(self._probe, context)
        return PartitionWriter(context, OWNER, keys, self._bounds, self._shared)

    def consume(self, state: PartitionWriter, batch: Batch, sequence: int, context: RunContext) -> None:
        """Split a batch; its place in the order of the source is not kept."""
        state.add(batch.select(self._read))

    def combine(self, states: list[PartitionWriter], context: RunContext) -> SinkResult:
        """Never: ``_SplitRun.partitions`` has the rows."""
        raise InternalError("split rows are asked for by partition")

    def is_full(self, states: list[PartitionWriter]) -> bool:
        """Never: every row counts."""
        return False


def _meets_all(probe: HashJoinProbe) -> bool:
    """Whether build rows with other keys matter: NULL in one of several keys may make a MARK unknown for any row."""
    return not probe.probe_keys or (
        probe.kind is JoinKind.MARK and (len(probe.probe_keys) > 1 or bool(probe.residual))
    )


def _unite(build: PartitionedBuild) -> None:
    first, *others = build.partitions
    for other in others:
        first.absorb(other)
    build.partitions, build.bounds = [first], (0, build.bounds[-1])


def _probe_keys(probe: HashJoinProbe, context: RunContext) -> Keys:
    return lambda batch: [evaluate(key, batch, context) for key in probe.probe_keys]


def _build_keys(node: HashJoinBuild) -> Keys:
    return lambda batch: [batch.columns[key_id(node, position)] for position in range(len(node.keys))]


# --- one join --------------------------------------------------------------------------------------------------------


class _PartitionedJoin:
    """The probe that a stage begins with, and what the stage does with its rows."""

    def __init__(self, stage: _Stage, feeder: Feeder, context: RunContext, batch_rows: int) -> None:
        probe = stage.pipeline.transforms[0]
        assert isinstance(probe, HashJoinProbe), "a stage begins with a probe"
        build = context.results[probe.build]
        assert isinstance(build, PartitionedBuild), "of a partitioned build"
        self._pipeline = stage.pipeline
        self._sink = stage.sink
        self._probe = probe
        self._build = build
        self._feeder = feeder
        self._context = context
        self._batch_rows = batch_rows
        self._sequence = 0
        self._num_tables = 0
        self._num_blocks = 0
        self._deepest = 0
        if probe.kind in _KEEP_BUILD_ROWS:
            build.rest = context.memory.new_store(OWNER)

    def run(self, probe_partitions: Sequence[RowStore]) -> None:
        """Join all partitions."""
        build, number = self._build, self._probe.build
        try:
            for build_rows, probe_rows in zip(build.partitions, probe_partitions, strict=True):
                if not self._sink.is_full():
                    self._join(build_rows, probe_rows, 0, None)
                    return_holes()
            if self._sequence == 0:
                self._join_nothing()
        finally:
            self._context.results[number] = build

    def _join_nothing(self) -> None:
        """Pass no rows on, as sinks learn the types of their columns from them."""
        self._context.results[self._probe.build] = make_table(
            self._build.node, self._build.empty, self._context, None
        )
        nothing = empty_batch(self._pipeline.source.outputs, self._context.xp)
        self._feeder.part(self._pipeline, nothing, self._sink, 0)

    def summary(self) -> str:
        """What the join took, in words."""
        text = f"hash join in {len(self._build.partitions)} partitions"
        if self._deepest:
            text += f", split {self._deepest + 1} times"
        return f"{text}, {self._num_blocks} blocks" if self._num_blocks else text

    def _join(self, build_rows: RowStore, probe_rows: RowStore, level: int, split_rows: int | None) -> None:
        """Join rows that may have equal keys; ``split_rows`` build rows there were before the last split."""
        self._context.check_cancelled()
        kind = self._probe.kind
        self._deepest = max(self._deepest, level)
        if (probe_rows.num_rows == 0 and kind not in _KEEP_BUILD_ROWS) or (
            build_rows.num_rows == 0 and kind in _NEED_MATCH
        ):
            build_rows.close()
            probe_rows.close()
            return
        if _meets_all(self._probe):
            self._join_blocks(build_rows, probe_rows, level)
            return
        stored = StoredBuild(self._build.node, build_rows, self._build.key_ranges, self._build.empty)
        table = stored.try_table(self._context, keep=self._keeps(level))
        if table is not None:
            self._probe_table(table, probe_rows)
        elif level >= MAX_JOIN_SPLITS or (
            split_rows is not None and build_rows.num_rows > INDIVISIBLE_SHARE * split_rows
        ):
            self._join_blocks(build_rows, probe_rows, level)
        else:
            self._split(build_rows, probe_rows, level)

    def _keeps(self, level: int) -> bool:
        """Whether build rows stay: where a device has no room for a pipeline, it is tried again in another way."""
        return level == 0 and self._context.device is not None

    def _taken(self, rows: RowStore, level: int) -> Iterator[Batch]:
        """Build rows, or probe rows, of which nothing was split on the way here at level 0."""
        return iter(rows) if self._keeps(level) else rows.drain()

    def _split(self, build_rows: RowStore, probe_rows: RowStore, level: int) -> None:
        """Split rows by another hash, and join what belongs together."""
        node, num_rows = self._build.node, build_rows.num_rows
        parts = self._parted(build_rows, _build_keys(node), every_partition(), level + 1)
        groups, bounds = grouped(parts, fits_table(node, self._build.key_ranges, self._context))
        self._context.memory.metrics.add_partitions(len(groups))
        probe_keys = _probe_keys(self._probe, self._context)
        probe_groups = self._parted(probe_rows, probe_keys, bounds, level + 1)
        for build_group, probe_group in zip(groups, probe_groups, strict=True):
            self._join(build_group, probe_group, level + 1, num_rows)

    def _parted(self, rows: RowStore, keys: Keys, bounds: Sequence[int], level: int) -> list[RowStore]:
        context = self._context
        shared = SharedTier(lambda: context.memory.lower_tier(OWNER))
        writer = PartitionWriter(context, OWNER, keys, bounds, shared, level=level)
        for batch in self._taken(rows, level - 1):
            context.check_cancelled()
            writer.add(batch)
        return merged([writer])

    # --- against a table of all build rows of a partition ------------------------------------------------------------

    def _probe_table(self, table: JoinTable, probe_rows: RowStore) -> None:
        """Probe a table of all build rows that may match."""
        if self._probe.kind is JoinKind.MARK:
            # Without a match, build rows of all partitions decide between false and unknown.
            table = replace(table, has_null_key=self._build.has_null_key, num_rows=self._build.num_rows)
        self._num_tables += 1
        try:
            self._context.results[self._probe.build] = table
            for part in self._parts(probe_rows.drain()):
                self._sequence = self._feeder.part(self._pipeline, part, self._sink, self._sequence)
                if self._sink.is_full():
                    break
            self._keep_rest(table)
        finally:
            table.close()

    def _parts(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The rows in batches of the size of a part of the source, reserved as long as each is in use."""
        memory, xp = self._context.memory, self._context.xp
        gathered: list[Batch] = []
        size = 0
        for batch in _cut_to(batches, memory.part_bytes):
            size += batch_size(batch).row_bytes
            gathered.append(batch)
            if size >= memory.part_bytes:
                with memory.reserve(size, OWNER):
                    yield concat_batches(gathered, xp=xp)
                gathered, size = [], 0
        if gathered:
            with memory.reserve(size, OWNER):
                yield concat_batches(gathered, xp=xp)

    def _keep_rest(self, table: JoinTable) -> None:
        """Note which build rows were matched, for the pipeline that reads them."""
        if self._build.rest is None:
            return
        assert table.matched is not None, "probes remember their matches"
        xp = self._context.xp
        only_unmatched = self._probe.kind is JoinKind.FULL
        rows = xp.flatnonzero(~table.matched) if only_unmatched else xp.arange(table.num_rows)
        row_bytes = max(1, batch_size(table.payload).row_bytes // max(table.num_rows, 1))
        step = max(1, self._context.memory.part_bytes // row_bytes)
        for start in range(0, len(rows), step):
            taken = rows[start : start + step]
            batch = with_own_strings(table.payload.take(taken), self._context)
            matched = Column(BOOLEAN, table.matched[taken])
            self._build.rest.append(Batch({**batch.columns, MATCHED: matched}, batch.num_rows))

    # --- against blocks of build rows --------------------------------------------------------------------------------

    def _join_blocks(self, build_rows: RowStore, probe_rows: RowStore, level: int) -> None:
        """Let every block of build rows meet all probe rows."""
        context, xp = self._context, self._context.xp
        num_rows = probe_rows.num_rows
        with context.memory.reserve(2 * num_rows, OWNER):
            found, unknown = xp.zeros(num_rows, bool), xp.zeros(num_rows, bool)
            for table in self._blocks(build_rows, level):
                self._num_blocks += 1
                self._pass_blocks(_BlockProbe(self._probe, table, found, unknown), iter(probe_rows))
                self._keep_rest(table)
            if self._probe.kind not in _NEED_MATCH:
                self._pass_blocks(_BlockProbe(self._probe, None, found, unknown), probe_rows.drain())
        probe_rows.close()

    def _blocks(self, build_rows: RowStore, level: int) -> Iterator[JoinTable]:
        """Tables of some build rows each."""
        node, ranges, memory = self._build.node, self._build.key_ranges, self._context.memory
        row_bytes = max(1, -(-build_rows.total_bytes // max(build_rows.num_rows, 1)))
        most_rows = int(
            fitting_bytes(self._context) // row_table_bytes(node, row_bytes, ranges, self._context)
        )
        if self._probe.kind not in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK):
            # A probe row may match them all, and its pairs are made together.
            most_rows = min(most_rows, max_pairs(self._context))
        most_rows = max(most_rows, 1)
        for rows in _of_rows(self._taken(build_rows, level), most_rows, self._context):
            wanted = table_bytes(node, rows.num_rows, batch_size(rows).row_bytes, ranges, self._context)
            reservation = memory.reserve(wanted, OWNER)
            try:
                yield make_table(node, rows, self._context, reservation)
            finally:
                reservation.release()

    def _pass_blocks(self, probe: _BlockProbe, batches: Iterator[Batch]) -> None:
        """All probe rows, with their numbers, through ``probe`` and the rest of the stage."""
        context, xp, workers = self._context, self._context.xp, self._feeder.workers
        transforms, sink_node = self._pipeline.transforms[1:], self._pipeline.sink
        operators = [probe, *transform_operators(transforms, sink_node)]
        most_rows = max(1, min(self._batch_rows, max_pairs(context) // probe.fanout))
        done = 0
        for part in self._parts(batches):
            numbers = Column(BIGINT, xp.arange(done, done + part.num_rows))
            numbered = Batch({**part.columns, _NUMBER: numbers}, part.num_rows)
            done += part.num_rows
            sequence = self._sequence

            def work(morsels: Iterator[Morsel], numbered: Batch = numbered, sequence: int = sequence) -> None:
                consume = self._sink.consumer(operators)
                for morsel in morsels:
                    context.check_cancelled()
                    consume(numbered.slice(morsel.start, morsel.stop), sequence + morsel.sequence)

            morsels = cut(part.num_rows, workers.threads, max_rows=most_rows)
            workers.run(morsels, work)
            self._sink.release_consumers()
            self._sequence += len(morsels)


class _BlockProbe:
    """A ``TransformOperator``: probe rows against one block of build rows, or what they come to after the last one."""

    def __init__(self, node: HashJoinProbe, table: JoinTable | None, found: Array, unknown: Array) -> None:
        self._operator = HashJoinProbeOperator(node)
        self._table = table
        self._found = found
        self._unknown = unknown
        one_row = node.kind in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK)
        self.fanout = 1 if table is None or one_row else max(1, table.num_rows)

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """See ``TransformOperator``; workers have rows of their own, so the gathered facts need no lock."""
        if batch.num_rows == 0:
            return self._operator.process_rest(batch, self._found[:0], self._unknown[:0], context)
        start = int(batch.columns[_NUMBER].values[0])
        rows = slice(start, start + batch.num_rows)
        found, unknown = self._found[rows], self._unknown[rows]
        if self._table is None:
            return self._operator.process_rest(batch, found, unknown, context)
        return self._operator.process_block(batch, self._table, found, unknown, context)


def _cut_to(batches: Iterator[Batch], most_bytes: int) -> Iterator[Batch]:
    """The same rows in batches of about ``most_bytes`` at most."""
    for batch in batches:
        pieces = max(1, -(-batch_size(batch).row_bytes // most_bytes))
        step = max(1, -(-batch.num_rows // pieces))
        for start in range(0, batch.num_rows, step):
            yield batch if pieces == 1 else batch.slice(start, start + step)


def _of_rows(batches: Iterator[Batch], most_rows: int, context: RunContext) -> Iterator[Batch]:
    """The same rows in batches of ``most_rows``, but for the last."""
    gathered: list[Batch] = []
    num_rows = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, min(batch.num_rows, start + most_rows - num_rows))
            start += piece.num_rows
            num_rows += piece.num_rows
            gathered.append(piece)
            if num_rows == most_rows:
                yield concat_batches(gathered, xp=context.xp)
                gathered, num_rows = [], 0
    if gathered:
        yield concat_batches(gathered, xp=context.xp)
