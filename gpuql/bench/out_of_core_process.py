"""One query in a process of its own: ``python -m gpuql.bench.out_of_core_process SPECIFICATION``.

The specification is JSON, see :class:`Run`. What came of it is pickled to a file; then the process says so and waits
for its parent, which measures it from outside meanwhile.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Run:
    """What to run. ``warm_files`` are small tables of the same form, run first; without ``files`` that is all.

    A ``streamed`` result is taken batch by batch: of it only a checksum in its order is kept.
    """

    engine: str
    sql: str
    warm_files: dict[str, str]
    files: dict[str, str]
    settings: dict[str, Any]
    outcome: str
    streamed: bool = False


@dataclass
class Outcome:
    """What came of it: rows (of a streamed result their number and checksums), time, bytes spilled, or an error."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    seconds: float = 0.0
    spilled_bytes: int = 0
    partitions: int = 0
    budget_peak_bytes: int = 0
    error: str | None = None


def main(specification: str) -> int:
    """Run what the specification says, report, and wait until the parent has looked."""
    run = Run(**json.loads(specification))
    outcome = Outcome()
    try:
        (_run_gpuql if run.engine == "gpuql" else _run_duckdb)(run, outcome)
    except Exception as error:  # whatever goes wrong is the finding
        outcome.error = f"{type(error).__name__}: {error}"
    Path(run.outcome).write_bytes(pickle.dumps(asdict(outcome)))
    print("done", flush=True)
    sys.stdin.read()
    return 0


def _run_gpuql(run: Run, outcome: Outcome) -> None:
    import gpuql

    with gpuql.connect(**run.settings) as connection:
        tier = connection.settings.tier
        for setting in ("compiled", tier):
            connection.set_variable("tier", setting)
            _define(connection, run.warm_files)
            list(_summary(connection.sql(run.sql).collect(), streamed=run.streamed))
        if not run.files:
            return
        _define(connection, run.files)
        started = time.perf_counter()
        result = connection.sql(run.sql).collect()
        memory = result.metrics.memory
        outcome.rows = list(_summary(result, streamed=run.streamed))
        outcome.seconds = time.perf_counter() - started
        outcome.spilled_bytes, outcome.partitions = memory.spilled_bytes, memory.partitions
        outcome.budget_peak_bytes = memory.peak_bytes


def _run_duckdb(run: Run, outcome: Outcome) -> None:
    import duckdb

    connection: Any = duckdb.connect(config=run.settings)
    _define(connection, run.files)
    started = time.perf_counter()
    result = connection.sql(run.sql)
    if run.streamed:
        outcome.rows = list(_checksums(result.to_arrow_reader()))
    else:
        outcome.rows = result.fetchall()
    outcome.seconds = time.perf_counter() - started


def _define(connection: Any, files: dict[str, str]) -> None:
    for name, path in files.items():
        quoted = path.replace("'", "''")
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{quoted}')")


def _summary(result: Any, *, streamed: bool) -> Iterable[tuple[Any, ...]]:
    if not streamed:
        return list(result.iter_rows())
    import pyarrow as pa

    return _checksums(pa.RecordBatchReader.from_stream(result))


def _checksums(reader: Any) -> Iterable[tuple[Any, ...]]:
    """Number of rows, and of each column a checksum of its values in their order, however they are cut into batches."""
    sums = [0] * len(reader.schema)
    num_rows = 0
    for batch in reader:
        num_rows += batch.num_rows
        for position, column in enumerate(batch.columns):
            sums[position] = zlib.crc32(_value_bytes(column), sums[position])
    return [(num_rows, *sums)]


def _value_bytes(column: Any) -> Any:
    """The bytes of the values of an Arrow array without NULLs."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    buffers = column.buffers()
    if pa.types.is_large_string(column.type):
        first, last = (
            int.from_bytes(memoryview(buffers[1])[8 * row : 8 * row + 8], sys.byteorder)
            for row in (column.offset, column.offset + len(column))
        )
        return memoryview(buffers[2])[first:last] if last > first else b""
    width = column.type.bit_width // 8
    return memoryview(buffers[1])[column.offset * width : (column.offset + len(column)) * width]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
