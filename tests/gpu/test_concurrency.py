"""Four threads on one connection; queries that are stopped; what follows is as if nothing had happened."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gpuql
from gpuql.errors import InterruptError
from tests.gpu.tested_device import Connect

STATEMENTS = (
    "SELECT g, count(*), sum(v) FROM t GROUP BY g ORDER BY g",
    "SELECT count(*) FROM t a JOIN t b USING (k)",
    "SELECT k FROM t ORDER BY v DESC, k LIMIT 20",
    "SELECT w, count(DISTINCT g) FROM t GROUP BY w ORDER BY w",
)


@pytest.fixture(params=["interpreted", "compiled"])
def connection(request: pytest.FixtureRequest, connect_device: Connect, num_rows: int) -> gpuql.Connection:
    connection = connect_device(tier=request.param)
    random = np.random.default_rng(2)
    words = np.array([f"word {number}" for number in range(50)])
    columns = {
        "k": random.permutation(num_rows),
        "g": random.integers(0, 300, num_rows),
        "v": random.integers(0, 10**9, num_rows),
        "w": words[random.integers(0, 50, num_rows)],
    }
    connection.register("t", columns)
    return connection


def test_four_threads(connection: gpuql.Connection, simulated: bool) -> None:
    expected = [connection.sql(statement).fetchall() for statement in STATEMENTS]
    rounds = 1 if simulated else 10

    def work(number: int) -> list[bool]:
        return [
            connection.sql(STATEMENTS[(number + turn) % 4]).fetchall() == expected[(number + turn) % 4]
            for turn in range(4 * rounds)
        ]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(work, range(4)))
    assert answers == [[True] * 4 * rounds] * 4


def test_a_stopped_query_ends_and_leaves_the_device_usable(
    connect_device: Connect, *, simulated: bool
) -> None:
    # Interpreted: a kernel that was launched runs to its end, so queries stop between launches.
    connection = connect_device(tier="interpreted", batch_rows=100)
    connection.register("n", {"a": np.arange(4_000 if simulated else 200_000)})
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(
                connection.sql("SELECT sum(x.a * y.a % 7) FROM n x, n y WHERE x.a + y.a > 1").fetchall()
            )
        except Exception as error:  # the assertion below shows which
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < deadline:
        connection.interrupt()
        thread.join(0.05)
    assert not thread.is_alive()
    assert isinstance(ended[0], InterruptError), ended
    assert connection.sql("SELECT count(*) FROM n WHERE a < 10").fetchall() == [(10,)]
