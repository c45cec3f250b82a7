"""Several threads at once: every answer is right or a typed error, and nothing waits for ever."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

import gpuql
from gpuql.errors import CatalogError, GpuqlError, InterruptError

THREADS = 8
RUN_SECONDS = 3.0


def query(connection: gpuql.Connection, choice: random.Random, number: int) -> None:
    """One random statement or two, whose answer is known whatever the other threads do."""
    n = choice.randrange(1, 5000)
    match choice.randrange(8):
        case 0:
            rows = connection.execute(f"SELECT count(*), sum(a) FROM range({n}) t(a)").fetchall()
            assert rows == [(n, n * (n - 1) // 2)]
        case 1:
            sql = f"SELECT a % 7 AS g, count(*) FROM range({n * 7}) t(a) GROUP BY g ORDER BY g"
            assert connection.sql(sql).fetchall() == [(g, n) for g in range(7)]
        case 2:
            connection.execute(
                f"CREATE OR REPLACE TABLE own_{number} AS SELECT {n} AS n FROM range(1000) t(a)"
            )
            rows = connection.sql(f"SELECT min(n), max(n), count(*) FROM own_{number}").fetchall()
            assert rows == [(n, n, 1000)]
        case 3:
            # Both rows of a pair become visible at once, so that sums are zero and counts even.
            connection.execute("CREATE TABLE IF NOT EXISTS shared (a BIGINT, b BIGINT)")
            connection.execute("INSERT INTO shared VALUES (?, ?), (?, ?)", [n, -n, n, -n])
        case 4:
            [(total, odd)] = connection.sql("SELECT sum(a + b), count(*) % 2 FROM shared").fetchall()
            assert total in (0, None)
            assert odd == 0
        case 5:
            connection.execute(
                "DROP TABLE IF EXISTS shared"
                if choice.random() < 0.3
                else f"CREATE OR REPLACE TABLE shared AS SELECT a, -a AS b FROM range({2 * n}) t(a)"
            )
        case 6:
            sql = f"SELECT count(*) FROM range({n}) t(a) JOIN range({n}) u(b) ON a = b"
            assert connection.sql(sql).fetchall() == [(n,)]
        case _:
            connection.register(f"frame_{number}", {"a": list(range(n))})
            assert connection.sql(f"SELECT count(*) FROM frame_{number}").fetchall() == [(n,)]


def work(connection: gpuql.Connection, number: int, failures: list[object]) -> None:
    choice = random.Random(number)
    end = time.monotonic() + RUN_SECONDS
    while time.monotonic() < end:
        try:
            query(connection, choice, number)
            if number == 0:
                connection.interrupt()
        except InterruptError:
            continue
        except CatalogError as error:
            if "shared" not in str(error):
                failures.append(error)
        except (GpuqlError, AssertionError) as error:
            failures.append(error)


@pytest.fixture(params=[1, THREADS], ids=["one connection", "a connection each"])
def connections(request: pytest.FixtureRequest) -> Iterator[list[gpuql.Connection]]:
    opened = [gpuql.connect(device="cpu") for _ in range(request.param)]
    yield [opened[i % len(opened)] for i in range(THREADS)]
    for connection in opened:
        connection.close()


def test_threads_see_right_rows(connections: list[gpuql.Connection]) -> None:
    failures: list[object] = []
    threads = [
        threading.Thread(target=work, args=(connection, number, failures), daemon=True)
        for number, connection in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    assert connections[0].sql("SELECT 42").fetchall() == [(42,)]
