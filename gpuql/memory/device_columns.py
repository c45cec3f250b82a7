"""Columns and batches between host and one device, and the table columns that stay there between queries.

String arrays keep their identity on the way: one host array has one copy on the device and the other way round, as long
as anybody uses both, so positions stay comparable.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.parts import mapped, stored_arrays, string_bytes, with_arrays
from gpuql.columnar.strings import narrow_positions, take_strings
from gpuql.memory.budget import Account, Budget
from gpuql.memory.device_link import ArrivingArrays, DeviceLink
from gpuql.thresholds import DECODED_RUN_ROWS, TEMPERATURE_HALF_LIFE_USES


class _SharedCache(dict[Any, Any]):
    """Results of functions over a string array, which queries on several streams share.

    They are complete before others can see them, and read to the end before they are let go.
    """

    def __init__(self, link: DeviceLink) -> None:
        super().__init__()
        self._link = link

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.finish()
        super().__setitem__(key, value)

    def pop(self, key: Any, *default: Any) -> Any:
        """As a dictionary's."""
        self._link.finish_all()
        return super().pop(key, *default)


@dataclass(eq=False)
class _HeldStrings:
    """A string array on the device, and how many held columns and running queries (``pins``) use it."""

    strings: StringArray
    num_bytes: int
    users: int = 0
    pins: int = 0


@dataclass(eq=False)
class _HeldColumn:
    """A column on the device. ``temperature`` counts its uses, older ones less; ``last_use`` is a number of a use."""

    column: Column
    num_bytes: int
    strings: _HeldStrings | None
    pins: int = 0
    temperature: float = 0.0
    last_use: int = 0
    is_orphan: bool = False

    def temperature_at(self, use: int) -> float:
        """Temperature when so many columns have been asked for."""
        return float(self.temperature * 0.5 ** ((use - self.last_use) / TEMPERATURE_HALF_LIFE_USES))


class ColumnPins:
    """Columns and strings that one query uses: they stay until :meth:`release`.

    ``account`` is the query's with the device's budget: it takes the bytes of a copy, until that is there.
    """

    def __init__(self, columns: DeviceColumns, account: Account) -> None:
        self.account = account
        self._columns = columns
        self.held: dict[int, _HeldColumn] = {}
        self.strings: dict[int, _HeldStrings] = {}

    def release(self, but: ColumnPins | None = None) -> None:
        """Let go of all, or of all but what ``but`` has too, once the query's stream is done. Twice does no harm."""
        self._columns.unpin(self, but)

    def copy(self) -> ColumnPins:
        """The same columns, as they are now."""
        copied = ColumnPins(self._columns, self.account)
        copied.held, copied.strings = dict(self.held), dict(self.strings)
        return copied


class DeviceColumns:
    """Copies of host columns on one device, let go coldest first when its budget is short. Thread-safe.

    A copy goes with its host column at the latest. It is in ``budget``, under an account of the cache.
    """

    def __init__(self, link: DeviceLink, budget: Budget, xp: Any) -> None:
        self._link = link
        self._budget = budget
        self._xp = xp
        self._account = budget.open_account(running=False)
        self._columns: dict[int, tuple[weakref.ref[Column], _HeldColumn]] = {}
        self._strings: dict[int, _HeldStrings] = {}
        self._on_device: weakref.WeakKeyDictionary[StringArray, weakref.ref[StringArray]] = (
            weakref.WeakKeyDictionary()
        )
        self._on_host: weakref.WeakKeyDictionary[StringArray, StringArray] = weakref.WeakKeyDictionary()
        self._gone: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._sweeper: threading.Thread | None = None
        self._listeners: list[weakref.WeakMethod[Callable[[StringArray], None]]] = []
        self._lock = threading.RLock()
        self._uses = 0
        self._pinned_bytes = 0
        budget.add_cache(self)

    # --- whole columns, kept -----------------------------------------------------------------------------------------

    def batch(self, batch: Batch, pins: ColumnPins, check_cancelled: Callable[[], None]) -> Batch:
        """The batch on the device, its columns kept there and pinned. Errors: OutOfMemoryError."""
        columns = {key: self._column(column, pins, check_cancelled) for key, column in batch.columns.items()}
        return Batch(columns, batch.num_rows)

    def missing_bytes(self, batch: Batch) -> int:
        """Bytes that :meth:`batch` would have to find room for."""
        with self._lock:
            self._forget_gone()
            missing = {id(c): c for c in batch.columns.values() if id(c) not in self._columns}
            strings = {id(c.strings): c.strings for c in missing.values() if c.strings is not None}
            num_bytes = sum(string_bytes(one) for key, one in strings.items() if key not in self._strings)
        return num_bytes + sum(plain_bytes(column) for column in missing.values())

    def kept_bytes(self, batch: Batch) -> int:
        """Bytes of the columns of ``batch`` that are there already."""
        with self._lock:
            held = [self._columns.get(id(column)) for column in batch.columns.values()]
        return sum(found[1].num_bytes for found in held if found is not None)

    def _column(self, column: Column, pins: ColumnPins, check_cancelled: Callable[[], None]) -> Column:
        known = self._pinned(column, pins)
        if known is not None:
            return known
        num_bytes = plain_bytes(column)
        self._budget.take(pins.account, num_bytes, "columns of a table", check_cancelled)
        strings = None
        try:
            if column.strings is not None:
                strings = self._held_strings(column.strings, pins, check_cancelled)
            copied = self._upload(column, None if strings is None else strings.strings)
            self._link.finish()  # complete for every stream before others can see it
        except BaseException:
            self._budget.give(pins.account, num_bytes)
            raise
        with self._lock:
            self._forget_gone()
            if id(column) in self._columns:  # another query was first
                self._budget.give(pins.account, num_bytes)
            else:
                self._budget.transfer(pins.account, self._account, num_bytes)
                if strings is not None:
                    strings.users += 1
                key = id(column)
                reference = weakref.ref(column, lambda _: self._gone.put(key))
                self._columns[key] = reference, _HeldColumn(copied, num_bytes, strings)
                self._forget_gone()
        found = self._pinned(column, pins)
        assert found is not None, "it was just put there, and its host column is alive"
        return found

    def _pinned(self, column: Column, pins: ColumnPins) -> Column | None:
        with self._lock:
            self._forget_gone()
            found = self._columns.get(id(column))
            if found is None:
                return None
            held = found[1]
            self._uses += 1
            held.temperature = held.temperature_at(self._uses) + 1
            held.last_use = self._uses
            if id(held) not in pins.held:
                pins.held[id(held)] = held
                self._pinned_bytes += held.num_bytes if held.pins == 0 else 0
                held.pins += 1
                if held.strings is not None:
                    self._pin_strings(held.strings, pins)
            return held.column

    def _held_strings(
        self, strings: StringArray, pins: ColumnPins, check_cancelled: Callable[[], None]
    ) -> _HeldStrings:
        """Strings on the device for as long as the query or a held column uses them."""
        with self._lock:
            held = self._strings.get(id(strings))
            if held is not None:
                self._pin_strings(held, pins)
                return held
        num_bytes = string_bytes(strings)
        self._budget.take(pins.account, num_bytes, "strings of a table", check_cancelled)
        try:
            copied = self.strings(strings)
            self._link.finish()
        except BaseException:
            self._budget.give(pins.account, num_bytes)
            raise
        with self._lock:
            held = self._strings.get(id(strings))
            if held is None:
                self._budget.transfer(pins.account, self._account, num_bytes)
                held = self._strings[id(strings)] = _HeldStrings(copied, num_bytes)
            else:
                self._budget.give(pins.account, num_bytes)
            self._pin_strings(held, pins)
            return held

    def _pin_strings(self, held: _HeldStrings, pins: ColumnPins) -> None:
        if id(held) not in pins.strings:
            pins.strings[id(held)] = held
            self._pinned_bytes += held.num_bytes if held.pins == 0 else 0
            held.users += 1
            held.pins += 1

    def unpin(self, pins: ColumnPins, but: ColumnPins | None = None) -> None:
        """Let go of what a query used; what it alone held of strings, or whose host column is gone, goes."""
        with self._lock:
            for key in [key for key in pins.held if but is None or key not in but.held]:
                held = pins.held.pop(key)
                held.pins -= 1
                if held.pins == 0:
                    self._pinned_bytes -= held.num_bytes
                    if held.is_orphan:
                        self._release(held)
            for key in [key for key in pins.strings if but is None or key not in but.strings]:
                strings = pins.strings.pop(key)
                strings.pins -= 1
                self._pinned_bytes -= strings.num_bytes if strings.pins == 0 else 0
                self._drop_strings(strings)
            self._forget_gone()

    # --- giving bytes back -------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """Bytes of columns and strings that are kept."""
        with self._lock:
            self._forget_gone()
            return self._account.held_bytes

    @property
    def reclaimable_bytes(self) -> int:
        """See ``Reclaimable``: what no query uses."""
        return max(0, self._account.held_bytes - self._pinned_bytes)

    def reclaim(self, wanted_bytes: int) -> int:
        """Let go of columns that no query uses, the coldest first; see ``Reclaimable``."""
        if not self._lock.acquire(timeout=1.0):
            return 0
        try:
            before = self._account.held_bytes
            self._forget_gone()
            idle = [(key, held) for key, (_, held) in self._columns.items() if held.pins == 0]
            idle.sort(key=lambda item: item[1].temperature_at(self._uses))
            for key, held in idle:
                if before - self._account.held_bytes >= wanted_bytes:
                    break
                del self._columns[key]
                self._release(held)
            return before - self._account.held_bytes
        finally:
            self._lock.release()

    def clear(self) -> int:
        """Let go of all columns that no query uses; how many bytes they had."""
        return self.reclaim(self._account.held_bytes)

    def _forget_gone(self) -> None:
        """Let go of copies whose host column nobody has any more.

        A column can be collected anywhere, also where a lock is held; it is noted in a queue that needs none.
        """
        if self._sweeper is None and self._columns:
            self._sweeper = threading.Thread(target=self._sweep, name="gpuql-columns", daemon=True)
            self._sweeper.start()
        while True:
            try:
                self._forget(self._gone.get_nowait())
            except queue.Empty:
                return

    def _sweep(self) -> None:
        """Let go of copies as soon as their host columns are gone, for as long as the process runs."""
        while True:
            key = self._gone.get()
            with self._lock:
                self._forget(key)

    def _forget(self, key: int) -> None:
        reference, held = self._columns.get(key, (None, None))
        if held is None or reference is None or reference() is not None:
            return
        del self._columns[key]
        if held.pins:
            held.is_orphan = True
        else:
            self._release(held)

    def _release(self, held: _HeldColumn) -> None:
        self._budget.give(self._account, held.num_bytes)
        if held.strings is not None:
            self._drop_strings(held.strings)

    def _drop_strings(self, held: _HeldStrings) -> None:
        held.users -= 1
        if held.users == 0:
            self._strings = {key: other for key, other in self._strings.items() if other is not held}
            self._budget.give(self._account, held.num_bytes)
            for listener in self._listeners:
                told = listener()
                if told is not None:
                    told(held.strings)

    def tell_when_dropped(self, listener: Callable[[StringArray], None]) -> None:
        """Call a method with each string array that is let go of, so that nothing else keeps it; its object may die."""
        with self._lock:
            self._listeners = [known for known in self._listeners if known() is not None]
            self._listeners.append(weakref.WeakMethod(listener))

    # --- parts and rows of queries, not kept -------------------------------------------------------------------------

    def upload(self, batch: Batch) -> Batch:
        """A copy of a host batch on the device, in bytes that the caller has reserved."""
        columns = {}
        for key, column in batch.columns.items():
            strings = None if column.strings is None else self.strings(column.strings)
            columns[key] = self._upload(column, strings)
        return Batch(columns, batch.num_rows)

    def begin_upload(self, batch: Batch) -> ArrivingBatch:
        """Begin to copy a host batch without runs, in bytes that the caller has reserved."""
        arrays: list[Array] = []
        strings: list[StringArray | None] = []
        for column in batch.columns.values():
            arrays += stored_arrays(column)
            strings.append(None if column.strings is None else self.strings(column.strings))
        return ArrivingBatch(batch, self._link.begin_upload(arrays), strings)

    def _upload(self, column: Column, strings: StringArray | None) -> Column:
        if isinstance(column, RunLengthColumn):
            values = self._decoded(column)
            return Column(column.dtype, values, None, strings, column.bounds)
        return mapped(column, self._link.upload, strings)

    def _decoded(self, column: RunLengthColumn) -> Array:
        """The values of a column of runs, of which the runs alone cross the bus."""
        xp = self._xp
        run_values, run_ends = self._link.upload(column.run_values), self._link.upload(column.run_ends)
        values = xp.empty(len(column), run_values.dtype)
        if len(run_values) == 1:
            values[...] = run_values[0]
            return values
        for start in range(0, len(values), DECODED_RUN_ROWS):
            rows = xp.arange(start, min(start + DECODED_RUN_ROWS, len(values)), dtype=run_ends.dtype)
            values[start : start + len(rows)] = run_values[xp.searchsorted(run_ends, rows, side="right")]
        return values

    def strings(self, strings: StringArray) -> StringArray:
        """The copy on the device of a host string array; a new one if there is none."""
        with self._lock:
            known = self._on_device.get(strings)
            found = None if known is None else known()
        if found is not None:
            return found
        offsets, data = self._link.upload(strings.offsets), self._link.upload(strings.data)
        cache = _SharedCache(self._link)
        copied = StringArray(offsets, data, strings.unique, strings.sorted, cache)
        with self._lock:
            self._on_device[strings] = weakref.ref(copied)
            self._on_host[copied] = strings
        return copied

    def download(self, batch: Batch) -> Batch:
        """A copy of a device batch on the host; waits for the device."""
        columns = {
            key: mapped(
                column,
                self._link.download,
                None if column.strings is None else self.host_strings(column.strings),
            )
            for key, column in batch.columns.items()
        }
        return Batch(columns, batch.num_rows)

    def host_strings(self, strings: StringArray) -> StringArray:
        """The host string array that a device one is a copy of, or a copy on the host."""
        with self._lock:
            known = self._on_host.get(strings)
        if known is not None:
            return known
        offsets, data = self._link.download(strings.offsets), self._link.download(strings.data)
        copied = StringArray(offsets, data, strings.unique, strings.sorted)
        with self._lock:
            self._on_host[strings] = copied
            self._on_device[copied] = weakref.ref(strings)
        return copied


@dataclass(eq=False)
class ArrivingBatch:
    """A batch on its way to the device. The host's is let go of when it has arrived."""

    _host: Batch | None
    _arrays: ArrivingArrays
    _strings: Sequence[StringArray | None]

    def wait(self) -> Batch:
        """The batch on the device, complete; to be called once."""
        arrays = iter(self._arrays.wait())
        host, self._host = self._host, None
        assert host is not None, "a batch arrives once"
        columns = {}
        for (key, column), strings in zip(host.columns.items(), self._strings, strict=True):
            own = [next(arrays) for _ in stored_arrays(column)]
            columns[key] = with_arrays(column, own, strings)
        return Batch(columns, host.num_rows)

    def settle(self) -> None:
        """Wait until nothing is written to the arrays any more, whether the copy succeeded or not."""
        self._arrays.settle()


def plain_bytes(column: Column) -> int:
    """Bytes of a column on the device, strings apart: runs are decoded there, offsets stay offsets."""
    if isinstance(column, RunLengthColumn):
        return len(column) * int(column.run_values.itemsize)
    return sum(int(array.nbytes) for array in stored_arrays(column))


def encoded_slice(column: Column, start: int, stop: int, *, most_string_bytes: int) -> Column:
    """Rows ``start`` to ``stop`` of a host column, offsets as such, with no more strings than worth it.

    Strings that take more than ``most_string_bytes`` are left behind but for those that the rows point into.
    """
    if isinstance(column, FrameOfReferenceColumn):
        return with_arrays(column, [array[start:stop] for array in stored_arrays(column)], None)
    rows = column.slice(start, stop)
    strings = rows.strings
    if strings is None or not len(rows) or string_bytes(strings) <= most_string_bytes:
        return rows
    used, positions = np.unique(rows.values, return_inverse=True)
    taken = take_strings(strings, used.astype(np.int64))
    kept = StringArray(taken.offsets, taken.data, strings.unique, strings.sorted)
    return Column(rows.dtype, narrow_positions(positions, len(used)), rows.validity, kept)
