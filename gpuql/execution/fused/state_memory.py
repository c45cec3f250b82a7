"""Memory of group states: what generated aggregations reserve before they make or enlarge arrays."""

from __future__ import annotations

import threading
from types import TracebackType

from gpuql.columnar.batch import Batch
from gpuql.columnar.parts import batch_size
from gpuql.execution.fused.refusal import StatesDoNotFit
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.thresholds import UNCOUNTED_STATE_BYTES

_OWNER = "aggregation"


class StateMemory:
    """Bytes of the states of all workers of one run; a context manager that gives them back. Thread-safe.

    Nobody waits for bytes here: a run that gets none ends with :class:`StatesDoNotFit`, and the rows are aggregated in
    parts instead.
    """

    def __init__(self, context: RunContext) -> None:
        self._reservation = context.memory.reserve(0, _OWNER)
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> None:
        """Bytes for more states. Errors: StatesDoNotFit."""
        with self._lock:
            if not self._reservation.try_resize(self._reservation.num_bytes + num_bytes):
                raise StatesDoNotFit

    def give(self, num_bytes: int) -> None:
        """Give bytes of states back that are gone."""
        with self._lock:
            self._reservation.resize(self._reservation.num_bytes - num_bytes)

    def __enter__(self) -> StateMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reservation.release()


def kept_result(batches: list[Batch], context: RunContext) -> RowsResult:
    """A result whose bytes the query's memory knows of, if they are many."""
    if sum(batch_size(batch).row_bytes for batch in batches) <= UNCOUNTED_STATE_BYTES:
        return RowsResult(batches)
    store = context.memory.new_store(_OWNER)
    for sequence, batch in enumerate(batches):
        store.append(batch, sequence)
    return RowsResult(store)
