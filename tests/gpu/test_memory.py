"""Device memory: one pool, nothing left behind, and a typed error or the right rows when there is too little."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuql
from gpuql.errors import GpuqlError, OutOfMemoryError
from tests.gpu.tested_device import Connect

GROUPED = "SELECT k, sum(v) AS s FROM t GROUP BY k ORDER BY s DESC, k LIMIT 10"
JOINED = "SELECT count(*), sum(a.v + b.v) FROM t a JOIN t b USING (k)"
SORTED = "SELECT count(*) FROM (SELECT k, v FROM t ORDER BY v, k LIMIT 1000000000 OFFSET 1)"


@pytest.fixture
def connection(connect_device: Connect, num_rows: int) -> gpuql.Connection:
    return filled(connect_device(), num_rows)


def filled(connection: gpuql.Connection, num_rows: int) -> gpuql.Connection:
    random = np.random.default_rng(5)
    columns = {"k": random.permutation(num_rows) * 1_000_003, "v": random.random(num_rows)}
    connection.register("frame", columns)
    connection.execute("CREATE TABLE t AS SELECT * FROM frame")
    connection.unregister("frame")
    return connection


@pytest.fixture
def used_bytes() -> Callable[[], int]:
    """Bytes that the pool of the device has given out."""
    from gpuql.device import open_device
    from gpuql.memory.pool import open_pool

    pool = open_pool(open_device("gpu").ordinal)

    def used() -> int:
        gc.collect()
        return pool.used_bytes

    return used


@pytest.mark.asks_driver
def test_cupy_and_numba_allocate_from_one_pool(used_bytes: Callable[[], int]) -> None:
    import cupy
    from numba import cuda

    driver: Any = cuda
    start = used_bytes()
    by_cupy = cupy.zeros(1 << 20, np.int64)
    assert used_bytes() - start == by_cupy.nbytes
    by_numba = driver.device_array(1 << 18, np.int64)
    assert used_bytes() - start == by_cupy.nbytes + (8 << 18)
    del by_cupy, by_numba
    # Numba frees in batches.
    driver.current_context().deallocations.clear()
    assert used_bytes() == start


@pytest.mark.asks_driver
@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_queries_give_all_memory_back(
    tier: str, used_bytes: Callable[[], int], connect_device: Connect, num_rows: int
) -> None:
    start = used_bytes()
    connection = filled(connect_device(tier=tier), num_rows)
    for statement in (GROUPED, JOINED, SORTED):
        connection.sql(statement).collect()
    # The table's columns stay; what queries need beside them does not.
    resident = used_bytes()
    for _ in range(5):
        for statement in (GROUPED, JOINED, SORTED):
            connection.sql(statement).collect()
    with pytest.raises(GpuqlError):
        connection.sql("SELECT CAST(CAST(k AS VARCHAR) || 'x' AS BIGINT) FROM t").fetchall()
    assert settled(used_bytes, resident) == resident
    connection.close()
    del connection
    assert settled(used_bytes, start) == start


def settled(used_bytes: Callable[[], int], expected: int) -> int:
    """Bytes in use once they are as expected, or after some seconds: what was let go is freed on another thread."""
    deadline = time.monotonic() + 5
    while used_bytes() != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return used_bytes()


@pytest.mark.asks_driver
def test_a_full_device_is_a_typed_error_or_makes_room(connection: gpuql.Connection, num_rows: int) -> None:
    import cupy

    expected = [connection.sql(statement).fetchall() for statement in (GROUPED, JOINED, SORTED)]
    free, _ = cupy.cuda.runtime.memGetInfo()
    ballast = []
    # Take what there is in ever smaller pieces, until less than two megabytes are left.
    piece = free // 2
    while piece > (2 << 20):
        try:
            ballast.append(cupy.empty(piece, np.uint8))
        except MemoryError:
            piece //= 2
    for statement, rows in zip((GROUPED, JOINED, SORTED), expected, strict=True):
        same_rows_or_too_little_memory(connection, statement, rows)
    ballast.clear()
    found = [connection.sql(statement).fetchall() for statement in (GROUPED, JOINED, SORTED)]
    assert found == expected


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("statement", [GROUPED, JOINED, SORTED])
def test_a_small_limit_changes_no_rows(
    connection: gpuql.Connection, statement: str, share: float, num_rows: int
) -> None:
    expected = connection.sql(statement).fetchall()
    # Of the sixteen bytes a row that the columns take.
    connection.set_variable("gpu_memory_limit", f"{int(16 * num_rows * share) >> 10}KiB")
    try:
        same_rows_or_too_little_memory(connection, statement, expected)
    finally:
        # Connections share the device, and a query is what brings its settings to it.
        connection.set_variable("gpu_memory_limit", None)
        connection.sql(statement).collect()


def same_rows_or_too_little_memory(connection: gpuql.Connection, statement: str, rows: list[Any]) -> None:
    """Either is right, but for another error, or other rows."""
    try:
        found = connection.sql(statement).fetchall()
    except OutOfMemoryError as error:
        # The message names the memory that ran out, and what to do about it.
        told = str(error)
    else:
        assert found == [tuple(pytest.approx(value) for value in row) for row in rows]
        return
    assert "memory" in told
    assert "gpu_memory_limit" in told
