"""How long pipelines are expected to take on a device: from rates that were measured and the planner's row estimates.

Good for choosing between devices that differ by factors, not for predicting a time. What an estimate is made of:
bytes read from the source and written by a sink, lookups in and insertions into hash tables, sorting, expressions,
a fixed cost per pipeline (launches and waits among it), bytes that must be sent first, and bytes of the result that
must be brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log2

from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.optimizer.cost import expression_cost
from gpuql_planner.physical.nodes import (
    AggregateSink,
    BuildScan,
    CollectSink,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    LimitSink,
    PhysicalPlan,
    Pipeline,
    ProjectExec,
    ResultScan,
    RunningSink,
    SortSink,
    TableScan,
    ValuesSource,
    WindowSink,
)
from gpuql_planner.thresholds import BYTES_PER_OPERATION
from gpuql_planner.types import BYTE_TYPES, DataType, TypeId

#: Sorting rates are measured with so many rows; more of them take longer by the logarithm.
_MEASURED_SORT_BITS = 22.0

_FIXED_WIDTHS = {
    TypeId.REAL: 4,
    TypeId.DOUBLE: 8,
    TypeId.INTERVAL: 16,
    # Positions in a dictionary or in a list of strings; the bytes of the strings come from the scan.
    **dict.fromkeys(BYTE_TYPES, 4),
}


@dataclass(frozen=True, slots=True)
class DeviceCosts:
    """Rates of one device, all threads or multiprocessors together.

    ``name`` as in ``Pipeline.device``. ``pipeline_s`` is the fixed cost of a pipeline in seconds. Uploads are pageable
    host memory to the device, downloads the way back; infinite where the device works in host memory.
    """

    name: str
    read_bytes_per_s: float
    probe_rows_per_s: float
    build_rows_per_s: float
    sort_rows_per_s: float
    pipeline_s: float
    upload_bytes_per_s: float = inf
    download_bytes_per_s: float = inf


@dataclass(frozen=True, slots=True)
class ScanBytes:
    """What a scan reads: bytes altogether, and those of them that are not in the memory of the device yet."""

    num_bytes: float
    missing_bytes: float = 0.0


#: Bytes of a scan, as far as somebody knows; None: to be estimated from rows and types, and all missing.
KnownBytes = Callable[[TableScan], ScanBytes | None]


@dataclass(frozen=True, slots=True)
class PipelineSeconds:
    """Estimate for one pipeline. ``work_s`` is everything but ``upload_s``."""

    work_s: float
    upload_s: float

    @property
    def total_s(self) -> float:
        """Both."""
        return self.work_s + self.upload_s


def estimate_plan(
    plan: PhysicalPlan, costs: DeviceCosts, known_bytes: KnownBytes
) -> tuple[PipelineSeconds, ...]:
    """Estimates of all pipelines; the download of the result counts with the last one."""
    estimates = [_pipeline(plan, pipeline, costs, known_bytes) for pipeline in plan.pipelines]
    last = plan.pipelines[-1]
    result_bytes = kept_rows(last) * sum(stored_width(attribute.dtype) for attribute in plan.outputs)
    work_s = estimates[-1].work_s + result_bytes / costs.download_bytes_per_s
    return (*estimates[:-1], PipelineSeconds(work_s, estimates[-1].upload_s))


def _pipeline(
    plan: PhysicalPlan, pipeline: Pipeline, costs: DeviceCosts, known_bytes: KnownBytes
) -> PipelineSeconds:
    rows = source_rows(pipeline)
    scanned = _scanned(pipeline, rows, known_bytes)
    # Filters and joins thin out the rows on the way; the estimate knows both ends.
    between = (rows + pipeline.estimated_rows) / 2
    # Columns that are handed on as they are cost nothing.
    passes = not pipeline.transforms and isinstance(pipeline.sink, CollectSink | LimitSink)
    read_bytes = 0.0 if passes else scanned.num_bytes
    seconds = costs.pipeline_s
    for number, transform in enumerate(pipeline.transforms):
        reached = rows if number == 0 else between
        match transform:
            case FilterExec(predicates):
                read_bytes += _operations(predicates) * reached * BYTES_PER_OPERATION
            case ProjectExec(expressions):
                read_bytes += _operations([e for _, e in expressions]) * reached * BYTES_PER_OPERATION
            case HashJoinProbe(build=build, probe_keys=keys, residual=residual, build_outputs=outputs):
                # Without keys every pair of rows is looked at.
                lookups = reached if keys else reached * max(1.0, plan.pipelines[build].estimated_rows)
                seconds += lookups / costs.probe_rows_per_s
                read_bytes += _operations(residual) * reached * BYTES_PER_OPERATION + reached * _width(
                    outputs
                )
    rows_in = pipeline.estimated_rows
    match pipeline.sink:
        case HashJoinBuild(payload=payload):
            seconds += rows_in / costs.build_rows_per_s
            read_bytes += rows_in * _width(payload)
        case AggregateSink(group_keys, aggregates):
            seconds += rows_in / costs.build_rows_per_s if group_keys else 0.0
            arguments = [argument for _, call in aggregates for argument in call.arguments]
            read_bytes += rows_in * (_operations(arguments) + len(aggregates)) * BYTES_PER_OPERATION
        case SortSink(attributes=attributes, limit=limit):
            if limit is None:
                seconds += rows_in * _sort_depth(rows_in) / costs.sort_rows_per_s
            read_bytes += min(rows_in, limit or inf) * _width(attributes) + 8 * rows_in
        case WindowSink(window_keys, calls, attributes):
            if window_keys:
                in_order = _sort_depth(rows_in) / costs.sort_rows_per_s
                seconds += rows_in * (in_order if pipeline.sink.needs_order else 1 / costs.build_rows_per_s)
            passes_over = len(calls) * BYTES_PER_OPERATION
            read_bytes += rows_in * (_width(attributes) + passes_over) + 8 * rows_in
        case RunningSink(attributes=attributes):
            read_bytes += 2 * rows_in * _width(attributes)
        case CollectSink(attributes) if not passes:
            read_bytes += rows_in * _width(attributes)
    return PipelineSeconds(
        seconds + read_bytes / costs.read_bytes_per_s, scanned.missing_bytes / costs.upload_bytes_per_s
    )


def _scanned(pipeline: Pipeline, rows: float, known_bytes: KnownBytes) -> ScanBytes:
    estimated = rows * _width(pipeline.source.outputs)
    match pipeline.source:
        case TableScan():
            known = known_bytes(pipeline.source)
            return ScanBytes(estimated, estimated) if known is None else known
        case ValuesSource():
            return ScanBytes(estimated, estimated)
    return ScanBytes(estimated)


def source_rows(pipeline: Pipeline) -> float:
    """Rows that come out of the source; of earlier results only those that reach the sink are known."""
    match pipeline.source:
        case TableScan(table=table) if table.num_rows is not None:
            return float(table.num_rows)
        case ValuesSource(rows=rows):
            return float(len(rows))
        case ResultScan() | BuildScan() | TableScan():
            return pipeline.estimated_rows
    raise AssertionError("all sources are listed")


def kept_rows(pipeline: Pipeline) -> float:
    """Rows that the sink keeps, at most; groups count as rows, as their number is not in the plan."""
    match pipeline.sink:
        case AggregateSink(keys=()):
            return 1.0
        case SortSink(limit=int(limit)) | LimitSink(limit=int(limit)):
            return min(pipeline.estimated_rows, float(limit))
    return pipeline.estimated_rows


def stored_width(dtype: DataType) -> int:
    """Bytes of a value before encoding: strings count as positions."""
    fixed = _FIXED_WIDTHS.get(dtype.id)
    if fixed is not None:
        return fixed
    limits = dtype.limits
    if limits is None:
        return 16
    span = max(abs(limit) for limit in limits)
    return next((width for width in (1, 2, 4, 8) if span <= 1 << 8 * width), 16)


def _width(attributes: Sequence[Attribute]) -> int:
    return sum(stored_width(attribute.dtype) for attribute in attributes)


def _operations(expressions: Sequence[Expression]) -> float:
    return sum(map(expression_cost, expressions))


def _sort_depth(rows: float) -> float:
    return max(1.0, log2(max(2.0, rows)) / _MEASURED_SORT_BITS)
