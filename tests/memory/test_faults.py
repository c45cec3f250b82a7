"""Every reservation, allocation, write and read of a query fails once: right rows or a typed error, nothing is left.

``GPUQL_FAULT_DEPTH=200`` makes each of the first 200 passings fail; without it a few of each query do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpuql
from gpuql.errors import InputError, InternalError, OutOfMemoryError
from gpuql.memory import faults
from tests.memory.fault_cases import QUERIES, Trial, tables

NUM_ROWS = 60_000
DEPTH = int(os.environ.get("GPUQL_FAULT_DEPTH", "0"))
POINTS = [faults.RESERVATION, faults.ALLOCATION, faults.FILE_WRITE, faults.FILE_READ]


@pytest.fixture(scope="module")
def answers() -> dict[str, list[tuple[object, ...]]]:
    with gpuql.connect(device="cpu", threads=1, tier="interpreted") as connection:
        for name, table in tables(NUM_ROWS).items():
            connection.register(name, table)
        return {name: connection.sql(sql).collect().fetchall() for name, sql in QUERIES.items()}


@pytest.fixture(scope="module", params=["interpreted", "compiled"])
def trial(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    answers: dict[str, list[tuple[object, ...]]],
) -> Iterator[Trial]:
    folder: Path = tmp_path_factory.mktemp("spill")
    settings = {"memory_limit": "4MB", "temp_directory": str(folder), "batch_rows": 4096}
    with gpuql.connect(device="cpu", threads=2, tier=request.param, **settings) as connection:
        for name, table in tables(NUM_ROWS).items():
            connection.register(name, table)
        yield Trial(connection, answers)
        assert list(folder.iterdir()) == []


def chosen(passes: int, tier: str) -> list[int]:
    """Which passings fail: one or two of them; with a depth, all up to it."""
    if DEPTH:
        return list(range(1, min(DEPTH, passes) + 1))
    return sorted(({passes // 3, passes} if tier == "interpreted" else {2 * passes // 3}) - {0})


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_failure_is_answered(trial: Trial, query: str, point: str) -> None:
    passes = trial.passes(query, point)
    tier = trial.connection.settings.tier
    outcomes = {nth: trial.fail(query, point, nth) for nth in chosen(passes, tier)}
    assert set(outcomes.values()) <= {"same rows", "OutOfMemoryError", "InputError"}
    trial.check(query)


def test_failures_are_seen(trial: Trial) -> None:
    """The trials above would say nothing if no query ever came by."""
    for point in POINTS:
        assert any(trial.passes(query, point) for query in ("sort", "full join", "distinct groups")), point
    assert trial.fail("distinct groups", faults.ALLOCATION, 1) == "OutOfMemoryError"


def test_errors_say_what_happened(trial: Trial) -> None:
    fault = faults.Fault(faults.ALLOCATION, 2, lambda: MemoryError("cannot allocate 3.00 GiB"))
    with faults.injected(fault), pytest.raises(OutOfMemoryError) as caught:
        trial.rows("distinct groups")
    assert "the system refuses more host memory, though memory_limit allows" in str(caught.value)
    assert "cannot allocate 3.00 GiB" in str(caught.value)


def test_errors_of_our_own_are_not_hidden(trial: Trial) -> None:
    fault = faults.Fault(faults.ALLOCATION, 1, lambda: InternalError("a bug"))
    with faults.injected(fault), pytest.raises(InternalError, match="a bug"):
        trial.rows("sort")
    broken = faults.Fault(faults.FILE_READ, 1, lambda: OSError(5, "Input/output error"))
    if trial.passes("sort", faults.FILE_READ):
        with faults.injected(broken), pytest.raises(InputError, match="temporary file cannot be read"):
            trial.rows("sort")
