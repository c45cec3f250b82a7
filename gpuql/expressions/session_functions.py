"""Functions of the session and of no column: version, random numbers, errors on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.construct import UUID_SHIFT, literal_column
from gpuql.expressions import evaluate as evaluation
from gpuql.expressions.host_calls import host_function
from gpuql.expressions.vectors import (
    EvaluationContext,
    expand,
    joint_validity,
    match_length,
    null_constant,
)
from gpuql_planner.definitions import Sequence
from gpuql_planner.errors import DataError
from gpuql_planner.logical.expressions import Call, Literal
from gpuql_planner.types import DataType


class RandomSource:
    """Random numbers of the process; threads take turns. ``setseed`` makes what follows in one thread repeatable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generator = np.random.default_rng()

    def seed(self, value: float) -> None:
        """Start again from a value between -1 and 1."""
        with self._lock:
            self._generator = np.random.default_rng(int.from_bytes(np.float64(value).tobytes(), "little"))

    def doubles(self, count: int) -> np.ndarray:
        """Uniform in [0, 1), float64 (count,)."""
        with self._lock:
            return self._generator.random(count)

    def bytes(self, count: int) -> np.ndarray:
        """uint8 (count,)."""
        with self._lock:
            return np.frombuffer(self._generator.bytes(count), np.uint8)


RANDOM = RandomSource()


def _random(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    return Column(call.type, context.xp.asarray(RANDOM.doubles(batch.num_rows)))


def _uuids(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """Version 4: random; version 7: milliseconds since 1970, then random (RFC 9562)."""
    xp = context.xp
    data = RANDOM.bytes(16 * batch.num_rows).reshape(-1, 16).copy()
    version = 4
    if call.function == "uuidv7":
        version = 7
        millis = np.full(batch.num_rows, time.time_ns() // 1_000_000, np.int64)
        data[:, :6] = millis.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    data[:, 6] = data[:, 6] & 0x0F | version << 4
    data[:, 8] = data[:, 8] & 0x3F | 0x80
    halves = data.view(">u8").astype(np.uint64)
    high = (halves[:, 0] ^ np.uint64(1 << 63)).view(np.int64)
    values = np.stack((halves[:, 1].view(np.int64), high), axis=-1)
    return Column(call.type, xp.asarray(values))


def _version_of_uuid(shifted: int) -> int:
    return ((shifted + UUID_SHIFT) >> 76) & 0xF


def _set_seed(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    column = evaluation.evaluate_operand(call.arguments[0], batch, context)
    valid = column.validity
    for row, value in enumerate(column.values.tolist()):
        if valid is not None and not bool(valid[row]):
            continue
        if not -1 <= value <= 1:
            raise DataError(f"seed must be between -1 and 1: {value}")
        RANDOM.seed(value)
    return null_constant(context.xp, call.type)


def _version(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    from gpuql import __version__

    return literal_column(f"gpuql {__version__}", call.type, 1, xp=context.xp)


def _error(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """Raises the first message that is not NULL."""
    from gpuql.columnar.construct import column_to_python

    column = expand(
        context.xp, evaluation.evaluate_operand(call.arguments[0], batch, context), batch.num_rows
    )
    for message in column_to_python(column):
        if message is not None:
            raise DataError(message)
    return null_constant(context.xp, call.type)


def constant_or_null(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """The first argument where no argument is NULL."""
    validity = joint_validity(*arguments)
    if validity is None:
        return arguments[0]
    value = expand(context.xp, arguments[0], len(validity))
    return Column(
        dtype,
        value.values,
        match_length(context.xp, validity, len(value.values)),
        value.strings,
        value.bounds,
    )


def _next_value(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """The sequence's next value for each row, in their order within the batch."""
    runs = _sequence(call).take(batch.num_rows)
    values = [np.arange(run.start, run.stop, run.step, dtype=np.int64) for run in runs]
    return Column(call.type, context.xp.asarray(np.concatenate(values)))


def _current_value(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    return literal_column(_sequence(call).current(), call.type, 1, xp=context.xp)


def _sequence(call: Call) -> Sequence:
    argument = call.arguments[0]
    assert isinstance(argument, Literal) and isinstance(argument.value, Sequence), "bound to a sequence"  # noqa: PT018
    return argument.value


SPECIAL: dict[str, Callable[[Call, Batch, EvaluationContext], Column]] = {
    "random": _random,
    "setseed": _set_seed,
    "uuid": _uuids,
    "uuidv7": _uuids,
    "version": _version,
    "error": _error,
    "nextval": _next_value,
    "currval": _current_value,
}

FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "uuid_extract_version": host_function(_version_of_uuid),
}

#: Functions that see NULL arguments.
NULL_AWARE: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "constant_or_null": constant_or_null,
}
