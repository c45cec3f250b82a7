"""How the rows of a source come to where a pipeline runs: as they are on the CPU, copied to a device otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import RunLengthColumn
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.execution.sources import open_source
from gpuql.memory.budget import Reservation
from gpuql.memory.device_columns import ArrivingBatch, encoded_slice, plain_bytes
from gpuql.memory.device_memory import DeviceQuery
from gpuql.operators.contract import RunContext
from gpuql.thresholds import WHOLE_STRINGS_SHARE
from gpuql_planner.physical.nodes import Source, TableScan, ValuesSource


class SourceRows(Protocol):
    """How one device gets the rows of sources."""

    def open(self, source: Source, context: RunContext) -> Iterator[Batch]:
        """The rows where they are: one batch if there is room for it, else parts."""

    def whole(self, batch: Batch, source: Source, context: RunContext) -> Batch | None:
        """The only batch of a source on the device; None if it is to be taken as a part all the same."""

    def arriving(self, parts: Iterator[Batch], source: Source, context: RunContext) -> Generator[Batch]:
        """Parts on the device, each in reserved memory until the next one is asked for."""


class HostRows:
    """``SourceRows`` for the CPU."""

    def open(self, source: Source, context: RunContext) -> Iterator[Batch]:
        """See ``SourceRows``."""
        return open_source(source, context)

    def whole(self, batch: Batch, source: Source, context: RunContext) -> Batch | None:
        """See ``SourceRows``."""
        return batch

    def arriving(self, parts: Iterator[Batch], source: Source, context: RunContext) -> Generator[Batch]:
        """See ``SourceRows``."""
        for part in parts:
            with context.memory.reserve(batch_size(part, context.memory.resident).row_bytes, "scan"):
                yield part
            del part  # else it would stay while the next one is read


@dataclass(frozen=True, eq=False)
class _Part:
    """A part on its way to the device, and what it holds of both memories."""

    arriving: ArrivingBatch
    held: ExitStack


class DeviceRows:
    """``SourceRows`` for a device with memory of its own.

    Columns of a source that fits stay on the device for later queries. Of a larger one, slices go there one after the
    other, each while the one before is worked on. Rows of earlier pipelines are on the device already.
    """

    def open(self, source: Source, context: RunContext) -> Iterator[Batch]:
        """See ``SourceRows``."""
        batches = open_source(source, context)
        return _cut(batches, context) if _is_on_host(source) else batches

    def whole(self, batch: Batch, source: Source, context: RunContext) -> Batch | None:
        """See ``SourceRows``."""
        if not _is_on_host(source):
            return batch
        if batch.num_rows == 0:
            return _device(context).upload(batch)
        return _device(context).keep(batch) if _is_kept(batch, context) else None

    def arriving(self, parts: Iterator[Batch], source: Source, context: RunContext) -> Generator[Batch]:
        """See ``SourceRows``."""
        if not _is_on_host(source):
            yield from HostRows().arriving(parts, source, context)
            return
        pending: deque[_Part] = deque()
        waiting: Batch | None = None
        ended = False
        try:
            while True:
                while len(pending) < 2 and not ended:
                    if waiting is None:
                        waiting = next(parts, None)
                        if waiting is None:
                            ended = True
                            break
                        waiting = _without_runs(waiting)
                    held = _try_reserve(waiting, context) if pending else _reserve(waiting, context)
                    if held is None:
                        break
                    pending.append(_begin(waiting, context, held))
                    waiting = None
                if not pending:
                    return
                with pending[0].held:
                    yield pending[0].arriving.wait()
                pending.popleft()
        finally:
            for part in pending:
                with part.held:
                    part.arriving.settle()


def _cut(batches: Iterator[Batch], context: RunContext) -> Iterator[Batch]:
    for batch in batches:
        if batch.num_rows == 0 or _is_kept(batch, context):
            yield batch
        else:
            yield from _slices(batch, context.memory.part_bytes)
        del batch  # else it would stay while the next one is read


def _without_runs(part: Batch) -> Batch:
    """The part as arrays of one element for each row, as which it is to arrive."""
    if not any(isinstance(column, RunLengthColumn) for column in part.columns.values()):
        return part
    columns = {
        key: column.slice(0, len(column)) if isinstance(column, RunLengthColumn) else column
        for key, column in part.columns.items()
    }
    return Batch(columns, part.num_rows)


def _slices(batch: Batch, part_bytes: int) -> Iterator[Batch]:
    most_string_bytes = int(WHOLE_STRINGS_SHARE * part_bytes)
    row_bytes = sum(plain_bytes(column) for column in batch.columns.values()) / batch.num_rows
    row_bytes += sum(_gathered_bytes(column, most_string_bytes) for column in batch.columns.values())
    step = max(1, int(part_bytes / max(row_bytes, 1e-9)))
    for start in range(0, batch.num_rows, step):
        stop = min(start + step, batch.num_rows)
        columns = {
            key: encoded_slice(column, start, stop, most_string_bytes=most_string_bytes)
            for key, column in batch.columns.items()
        }
        yield Batch(columns, stop - start)


def _gathered_bytes(column: Column, most_string_bytes: int) -> float:
    """Bytes of strings for each row, if only those that rows use are copied."""
    if column.strings is None or string_bytes(column.strings) <= most_string_bytes:
        return 0.0
    return string_bytes(column.strings) / max(1, len(column.strings))


def _is_on_host(source: Source) -> bool:
    return isinstance(source, TableScan | ValuesSource)


def _is_kept(batch: Batch, context: RunContext) -> bool:
    return not context.memory.reads_in_parts and _device(context).can_keep(batch)


def _device(context: RunContext) -> DeviceQuery:
    assert context.device is not None, "rows go to a device"
    return context.device


def _part_bytes(part: Batch) -> int:
    size = batch_size(part)
    return size.row_bytes + sum(string_bytes(strings) for strings in size.strings)


def _reserve(part: Batch, context: RunContext) -> ExitStack:
    host = context.host_memory
    with ExitStack() as held:
        held.enter_context(host.reserve(batch_size(part, host.resident).row_bytes, "scan"))
        held.enter_context(context.memory.reserve(_part_bytes(part), "scan"))
        return held.pop_all()


def _try_reserve(part: Batch, context: RunContext) -> ExitStack | None:
    host = context.host_memory
    with ExitStack() as held:
        reservations: list[Reservation | None] = [
            host.try_reserve(batch_size(part, host.resident).row_bytes, "scan"),
            context.memory.try_reserve(_part_bytes(part), "scan"),
        ]
        for reservation in reservations:
            if reservation is not None:
                held.enter_context(reservation)
        return held.pop_all() if None not in reservations else None


def _begin(part: Batch, context: RunContext, held: ExitStack) -> _Part:
    """Start the copy; if that fails, what was reserved for it is given back."""
    device = _device(context)
    with held:
        arriving = device.begin_upload(part)
        return _Part(arriving, held.pop_all())
