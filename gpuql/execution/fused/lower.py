"""Pipeline to program: which transforms fuse, how keys are packed, which aggregation strategy fits the data.

Decisions read the actual inputs (a pipeline starts when all that it reads is there): ranges, dictionaries, row counts
and the form of the join indexes. The program holds their consequences, never the numbers themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.construct import narrowest_dtype
from gpuql.execution.fanout import probe_fanout
from gpuql.execution.fused.aggregates import AggregateLowering, LoweredAggregates
from gpuql.execution.fused.arguments import ArgumentList, Binding, Inputs, padded
from gpuql.execution.fused.attributes import build_attributes, needed_attributes
from gpuql.execution.fused.expressions import ExpressionLowering
from gpuql.execution.fused.group_keys import GroupKey, UnplacedKeys, determined_probes
from gpuql.execution.fused.group_states import cpu_states, grid_states
from gpuql.execution.fused.keys import distinct_entries, mark_follows_from_presence, translate
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql.operators.contract import JoinTable, KeyColumn, RunContext
from gpuql.thresholds import DENSE_BYTES_PER_ROW, MATCH_BYTES, MAX_FANOUT, ROWS_PER_KEY_ENTRY, SMALL_DOMAIN
from gpuql_kernels.codegen import program as ir
from gpuql_planner.logical.expressions import Attribute, AttributeRef
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.physical.nodes import (
    AggregateSink,
    CollectSink,
    FilterExec,
    HashJoinProbe,
    LimitSink,
    Pipeline,
    ProjectExec,
    RunningSink,
    TableScan,
    Transform,
)
from gpuql_planner.types import BIGINT


@dataclass(frozen=True, eq=False)
class OutputColumn:
    """A value of an ``Emit`` sink: which attribute it becomes (None: the row number), and what the array means."""

    attribute: Attribute | None
    operand: Operand
    dtype: str


@dataclass(frozen=True, eq=False)
class FusedPipeline:
    """A program with its bindings and what its sink leaves.

    ``num_transforms`` leading transforms are in the program; the rest, and the sink unless ``aggregates`` is set,
    are run by the interpreter on the rows put out. ``domain`` is the number of dense groups. ``clustered_by`` names
    the source column by which groups are disjoint between contiguous ranges of rows (dense groups only).
    """

    program: ir.Program
    bindings: tuple[Binding, ...]
    num_transforms: int
    fanout: int
    outputs: tuple[OutputColumn, ...] = ()
    aggregates: LoweredAggregates | None = None
    group_keys: tuple[GroupKey, ...] = ()
    domain: int = 1
    aggregate_attributes: tuple[Attribute, ...] = ()
    estimated_groups: int = 1
    clustered_by: int | None = None
    remaining_reason: str = ""

    def arguments(self, inputs: Inputs) -> list[Any]:
        """Values of all arguments for one run."""
        return [binding(inputs) for binding in self.bindings]


class PipelineLowering:
    """Lowers one pipeline over the inputs of one run."""

    def __init__(self, pipeline: Pipeline, inputs: Inputs, context: RunContext, *, on_grid: bool) -> None:
        self.pipeline = pipeline
        self.on_grid = on_grid
        self.inputs = inputs
        self.context = context
        self.arguments = ArgumentList()
        self.expressions = ExpressionLowering(self.arguments, context, inputs)
        self.steps: list[ir.Step] = []
        self.fanout = 1
        for key in inputs.batch.columns:
            self.expressions.define(key, partial(self._source_column, key))

    # --- inputs -------------------------------------------------------------------------------------------------

    def _source_column(self, key: int) -> Operand:
        column = self.inputs.batch.columns[key]
        if isinstance(column, FrameOfReferenceColumn):
            return self._offset_column(key, column)
        _require_one_word(column)
        dtype, _ = column.form
        rows = _whole if self.on_grid else _sliceable
        array = self.arguments.add(("source", key), "column", dtype, lambda run: rows(run.batch.columns[key]))
        validity = None
        if column.validity is not None:
            validity = self.arguments.add(
                ("source validity", key), "column", "bool", lambda run: run.batch.columns[key].validity
            )
        value = ir.Column(dtype, validity is not None, array, validity)
        return Operand(value, column.dtype, _usable_bounds(column), column.strings)

    def _offset_column(self, key: int, column: FrameOfReferenceColumn) -> Operand:
        """Offsets as they are stored, plus the reference, which is an argument."""
        dtype = column.offsets.dtype.name
        array = self.arguments.add(
            ("source", key), "column", dtype, lambda run: _offsets(run.batch.columns[key])
        )
        validity = None
        if column.validity is not None:
            validity = self.arguments.add(
                ("source validity", key), "column", "bool", lambda run: run.batch.columns[key].validity
            )
        nullable = validity is not None
        reference = ir.Parameter(
            "int64", nullable=False, argument=self.arguments.scalar(column.reference, "int64")
        )
        offsets = ir.Column(dtype, nullable, array, validity)
        return Operand(ir.Arithmetic("int64", nullable, "+", offsets, reference), column.dtype, column.bounds)

    def _build_column(self, node: HashJoinProbe, step: int, attribute: Attribute) -> Operand:
        column = self.inputs.table(node.build).payload[attribute]
        _require_one_word(column)
        xp, build = self.context.xp, node.build
        array = self.arguments.add(
            ("build", build, attribute.id),
            "array",
            str(column.values.dtype),
            lambda run: padded(run.table(build).payload[attribute].values, xp),
        )
        validity = None
        if column.validity is not None:
            validity = self.arguments.add(
                ("build validity", build, attribute.id),
                "array",
                "bool",
                lambda run: padded(run.table(build).payload[attribute].validity, xp),
            )
        outer = node.kind in (JoinKind.LEFT, JoinKind.FULL, JoinKind.SINGLE)
        value = ir.Gather(str(column.values.dtype), outer or validity is not None, step, array, validity)
        origin = (build, attribute)
        return Operand(value, column.dtype, _usable_bounds(column), column.strings, early=False, build=origin)

    # --- transforms ---------------------------------------------------------------------------------------------

    def lower(self) -> FusedPipeline:
        """The whole pipeline, or its longest leading part that fuses; raises NotFusible if that is not worth it."""
        reason = ""
        done = 0
        for transform in self.pipeline.transforms:
            known = self.expressions.known()
            try:
                self._transform(transform)
            except NotFusible as refusal:
                reason = str(refusal)
                self.expressions.keep_only(known)
                break
            done += 1
        transforms = self.pipeline.transforms
        if done == len(transforms) and isinstance(self.pipeline.sink, AggregateSink):
            try:
                return self._aggregate(self.pipeline.sink, done)
            except NotFusible as refusal:
                reason = str(refusal)
        if not any(isinstance(t, FilterExec | HashJoinProbe) for t in transforms[:done]):
            raise NotFusible(reason or "nothing to fuse: rows pass through")
        return self._emit(done, reason)

    def _transform(self, transform: Transform) -> None:
        match transform:
            case FilterExec():
                for predicate in transform.predicates:
                    operand = self.expressions.lower(predicate)
                    self.steps.append(ir.Keep(operand.value, operand.early and not self._probed()))
            case ProjectExec():
                operands = [self.expressions.lower(expression) for _, expression in transform.expressions]
                self.expressions.forget()
                for (attribute, _), operand in zip(transform.expressions, operands, strict=True):
                    self.expressions.define(attribute.id, lambda operand=operand: operand)  # type: ignore[misc]
            case HashJoinProbe():
                self._probe(transform)
            case _:
                raise NotFusible(f"no generated form of {type(transform).__name__}")

    def _probed(self) -> bool:
        return any(isinstance(step, ir.Probe) for step in self.steps)

    def _probe(self, node: HashJoinProbe) -> None:
        table = self.inputs.table(node.build)
        if node.probe_keys and not table.encoding.packable:
            raise NotFusible("join keys do not fit one word")
        kind = node.kind.value
        if node.kind is JoinKind.CROSS:
            kind = "inner"
        if node.kind is JoinKind.MARK and (node.residual or not node.probe_keys):
            raise NotFusible("MARK join with a further condition")
        build = node.build
        keys = tuple(self._key_part(node, position, table) for position in range(len(node.probe_keys)))
        if node.kind is JoinKind.MARK and not mark_follows_from_presence(node, table, keys):
            raise NotFusible("MARK join whose NULL depends on pairs of rows")
        fanout = self.fanout * probe_fanout(table, node)
        if fanout > min(MAX_FANOUT, self.context.memory.part_bytes // MATCH_BYTES):
            raise NotFusible("one row may match very many")
        step = len(self.steps)
        for attribute in build_attributes(node):
            if attribute.id in table.payload.columns:
                self.expressions.define(attribute.id, partial(self._build_column, node, step, attribute))
        residual = self._residual(node)
        matched = None
        if node.kind in (JoinKind.RIGHT, JoinKind.FULL):
            matched = self.arguments.add(
                ("matched", build), "array", "bool", lambda run: run.table(build).matched
            )
        has_null = None
        if node.kind is JoinKind.MARK:
            has_null = self.arguments.add(
                ("null key", build), "scalar", "bool", lambda run: np.bool_(run.table(build).has_null_key)
            )
        num_rows = self.arguments.add(
            ("rows", build), "scalar", "int64", lambda run: np.int64(run.table(build).num_rows)
        )
        index = self._index(build, table) if keys else None
        self.steps.append(ir.Probe(kind, keys, index, num_rows, residual, matched, has_null))
        self.fanout = fanout
        if node.mark is not None:
            nullable = table.has_null_key or any(part.value.nullable for part in keys)
            mark = Operand(ir.Mark("bool", nullable, step), node.mark.dtype, early=False)
            self.expressions.define(node.mark.id, lambda: mark)

    def _residual(self, node: HashJoinProbe) -> ir.Value | None:
        if not node.residual:
            return None
        values = [self.expressions.lower(condition).value for condition in node.residual]
        if len(values) == 1:
            return values[0]
        return ir.Connective("bool", any(value.nullable for value in values), "and", tuple(values))

    def _key_part(self, node: HashJoinProbe, position: int, table: JoinTable) -> ir.KeyPart:
        operand = self.expressions.lower(node.probe_keys[position])
        column = table.encoding.columns[position]
        build = node.build

        def field(name: str, get: Any) -> int:
            return self.arguments.add(
                ("key", build, position, name), "scalar", "int64", lambda run: np.int64(get(run.table(build)))
            )

        translation = self._translation(operand, column)
        if translation is None and not (operand.is_integer or operand.value.dtype == "bool"):
            raise NotFusible(f"join key of type {operand.dtype}")
        if operand.value.dtype == "uint64":
            raise NotFusible("join key of type UBIGINT")
        null_code = None
        if column.null_code >= 0 and operand.value.nullable:
            null_code = field("null", lambda t: t.encoding.columns[position].null_code)
        return ir.KeyPart(
            operand.value,
            field("minimum", lambda t: t.encoding.columns[position].minimum),
            field("cardinality", lambda t: t.encoding.columns[position].cardinality),
            field("stride", lambda t: t.encoding.strides[position]),
            null_code,
            translation,
            self._filter(build, position, table),
            null_in_index=column.null_code >= 0,
        )

    def _filter(self, build: int, position: int, table: JoinTable) -> int | None:
        if position >= len(table.filters) or table.filters[position] is None:
            return None
        return self.arguments.add(
            ("filter", build, position), "array", "uint8", lambda run: run.table(build).filters[position]
        )

    def _translation(self, operand: Operand, column: KeyColumn) -> int | None:
        """Array argument from the probe's dictionary positions to the build's codes; None if they are the same."""
        if operand.strings is None:
            if column.distinct is not None:
                raise NotFusible("join keys are factorised")
            return None
        if not isinstance(column.distinct, StringArray):
            raise NotFusible("join keys are factorised")
        if column.distinct is operand.strings:
            return None
        found = translate(operand.strings, column.distinct, self.context, self._most_entries(1))
        table = self.context.xp.asarray(found)
        return self.arguments.array(("translation", id(operand.strings), id(column.distinct)), table)

    def _index(self, build: int, table: JoinTable) -> ir.IndexArguments:
        def scalar(name: str) -> int:
            return self.arguments.add(
                ("index", build, name),
                "scalar",
                "int64",
                lambda run: np.int64(getattr(run.table(build).index, name)),
            )

        def array(name: str) -> int | None:
            values = getattr(table.index, name)
            if values is None:
                return None
            return self.arguments.add(
                ("index", build, name),
                "array",
                str(values.dtype),
                lambda run: getattr(run.table(build).index, name),
            )

        hashed = table.index.slot_keys is not None
        return ir.IndexArguments(
            scalar("minimum"),
            scalar("num_buckets"),
            array("slot_keys"),
            array("slot_used"),
            scalar("shift") if hashed else None,
            array("first"),
            array("starts"),
            array("rows"),
        )

    # --- sinks --------------------------------------------------------------------------------------------------

    def _emit(self, done: int, reason: str) -> FusedPipeline:
        """Put out the attributes that the remaining transforms and the sink read."""
        needed = needed_attributes(self.pipeline.transforms[done:], self.pipeline.sink, self.inputs)
        outputs = []
        for attribute in needed:
            operand = self.expressions.lower(AttributeRef(attribute))
            outputs.append(OutputColumn(attribute, operand, _output_dtype(operand)))
        if self.on_grid and outputs and isinstance(self.pipeline.sink, CollectSink | LimitSink | RunningSink):
            number = Operand(ir.RowNumber("int64", nullable=False), BIGINT)
            outputs.append(OutputColumn(None, number, "int64"))
        values = tuple(output.operand.value for output in outputs)
        program = ir.Program(tuple(self.arguments.arguments), tuple(self.steps), ir.Emit(values))
        return FusedPipeline(
            program,
            tuple(self.arguments.bindings),
            done,
            self.fanout,
            outputs=tuple(outputs),
            remaining_reason=reason,
        )

    def _aggregate(self, sink: AggregateSink, done: int) -> FusedPipeline:
        max_rows = max(1, self.inputs.batch.num_rows * self.fanout)
        lowered_keys = [self.expressions.lower(expression) for _, expression in sink.keys]
        determined = determined_probes(self.steps, [operand.value for operand in lowered_keys])
        lowering = AggregateLowering(self.expressions, max_rows, determined, may_be_empty=not sink.keys)
        calls = [call for _, call in sink.aggregates]
        attributes = tuple(attribute for attribute, _ in sink.aggregates)
        if not sink.keys:
            aggregates = lowering.lower(calls, [], count_rows=False)
            return self._finished(ir.Reduce(aggregates.accumulators), done, aggregates, attributes, (), 1, 1)
        operands = [self._groupable(operand) for operand in lowered_keys]
        unplaced = UnplacedKeys(list(zip((key for key, _ in sink.keys), operands, strict=True)))
        domain = unplaced.domain
        reached = max(1, min(int(self.pipeline.estimated_rows), max_rows))
        groups = min(reached, domain)
        clustered = self._clustered(operands)
        # Every state array is cleared, merged and searched for groups, however few rows arrive; hashing costs per row.
        copies = 1 if clustered is not None else self.context.workers
        state_bytes = 8 * (1 + len(calls)) * copies
        dense = domain <= SMALL_DOMAIN or domain * state_bytes <= DENSE_BYTES_PER_ROW * reached
        keys = unplaced.placed(dense=dense)
        valued = [key for key in keys if key.kept_value]
        aggregates = lowering.lower(calls, [key.operand for key in valued], count_rows=dense)
        attributes += tuple(key.attribute for key in valued)
        parts = tuple(part for key in keys for part in key.parts(self.arguments))
        if dense:
            placed = grid_states if self.on_grid else cpu_states
            ir_sink: ir.Sink = placed(parts, aggregates.accumulators, domain)
        else:
            ir_sink = ir.GroupHash(parts, aggregates.accumulators)
        return self._finished(
            ir_sink, done, aggregates, attributes, keys, domain, groups, clustered if dense else None
        )

    def _finished(
        self,
        sink: ir.Sink,
        done: int,
        aggregates: LoweredAggregates,
        attributes: tuple[Attribute, ...],
        keys: tuple[GroupKey, ...],
        domain: int,
        groups: int,
        clustered: int | None = None,
    ) -> FusedPipeline:
        program = ir.Program(tuple(self.arguments.arguments), tuple(self.steps), sink)
        return FusedPipeline(
            program,
            tuple(self.arguments.bindings),
            done,
            self.fanout,
            aggregates=aggregates,
            group_keys=keys,
            domain=domain,
            aggregate_attributes=attributes,
            estimated_groups=groups,
            clustered_by=clustered,
        )

    def _groupable(self, operand: Operand) -> Operand:
        """Strings by positions that are equal exactly where the strings are."""
        strings = operand.strings
        if strings is None or strings.unique:
            return operand
        distinct, codes = distinct_entries(strings, self.context, self._most_entries(ROWS_PER_KEY_ENTRY))
        array = self.arguments.array(("distinct entries", id(strings)), codes)
        value = ir.Lookup("int32", operand.value.nullable, operand.value, array)
        return Operand(value, operand.dtype, None, distinct, operand.early)

    def _most_entries(self, rows_per_entry: int) -> int:
        """Of so many strings each may be looked at once, rather than the string of each source row."""
        return 0 if self.inputs.is_part else self.inputs.batch.num_rows // rows_per_entry

    def _clustered(self, keys: list[Operand]) -> int | None:
        """Source attribute of a single key that the source rows are sorted by."""
        source = self.pipeline.source
        if len(keys) != 1 or not isinstance(source, TableScan):
            return None
        value = keys[0].value
        if not isinstance(value, ir.Column) or value.nullable:
            return None
        for attribute, name in source.columns:
            if self.arguments.position(("source", attribute.id)) == value.array:
                return attribute.id if source.table.statistics(name).sorted else None
        return None


def _sliceable(column: Column) -> Any:
    """What gives the values of a slice of rows: the array, or runs that decode just these."""
    return column if isinstance(column, RunLengthColumn) else column.values


def _offsets(column: Column) -> Any:
    assert isinstance(column, FrameOfReferenceColumn), "the same form as when the pipeline was lowered"
    return column.offsets


def _whole(column: Column) -> Any:
    return column.values


def _require_one_word(column: Column) -> None:
    if column.form[1] != 1:
        raise NotFusible(f"column of type {column.dtype} takes several words")


def _usable_bounds(column: Column) -> tuple[int, int] | None:
    """Known bounds, or what the array's width implies."""
    if column.strings is not None:
        return None
    if column.bounds is not None:
        return column.bounds
    if column.values.dtype.kind not in "iu":
        return None
    limits = np.iinfo(column.values.dtype)
    return int(limits.min), int(limits.max)


def _output_dtype(operand: Operand) -> str:
    """Width of an output array: as narrow as the range allows."""
    if operand.is_integer and operand.bounds is not None and operand.strings is None:
        narrow = narrowest_dtype(*operand.bounds, operand.dtype)
        if narrow is not None:
            return str(narrow)
    return operand.value.dtype
