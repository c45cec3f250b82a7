"""Many queries from many threads under a limit, cancelled and failing at random: right rows, no leak, no deadlock.

``GPUQL_SOAK_QUERIES=2000`` runs that many; without it some 150.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import random
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import gpuql
from gpuql.bench.rows import Row, difference
from gpuql.errors import GpuqlError, InputError, InterruptError, OutOfMemoryError
from gpuql.memory import faults
from gpuql.session import Connection
from tests.memory.fault_cases import NUM_TABLES, QUERIES, tables

NUM_QUERIES = int(os.environ.get("GPUQL_SOAK_QUERIES", "150"))
NUM_THREADS = 8
NUM_ROWS = 40_000
#: Seconds that a query may take before the test says where all threads stand, and ends.
PATIENCE_S = 300
#: Shares of queries beside which all that run are cancelled, or something fails.
CANCELLED_SHARE, FAILING_SHARE = 0.03, 0.05


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Soak:
    """Threads that take queries until there are none left. Faults and cancellations hit whoever runs."""

    def __init__(self, connection: Connection, answers: dict[str, list[Row]], seed: int) -> None:
        self.connection = connection
        self.answers = answers
        self.random = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.fault_lock = threading.Lock()
        self.lock = threading.Lock()
        self.left = 0

    def run(self, num_queries: int) -> None:
        self.left = num_queries
        threads = [threading.Thread(target=self.work) for _ in range(NUM_THREADS)]
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        faulthandler.cancel_dump_traceback_later()

    def work(self) -> None:
        while True:
            with self.lock:
                if self.left == 0:
                    return
                self.left -= 1
                name = self.random.choice(list(QUERIES))
                dice = self.random.random()
                nth = self.random.randint(1, 60)
                delay_s = self.random.random() * 0.1
            if dice < CANCELLED_SHARE:
                timer = threading.Timer(delay_s, self.connection.interrupt)
                timer.start()
                self.one(name)
                timer.join()
            elif dice < CANCELLED_SHARE + FAILING_SHARE and self.fault_lock.acquire(blocking=False):
                point, error = self.random.choice(
                    [
                        (faults.RESERVATION, OutOfMemoryError("injected")),
                        (faults.ALLOCATION, MemoryError("injected")),
                        (faults.FILE_WRITE, OSError(errno.EIO, "injected")),
                        (faults.FILE_READ, OSError(errno.EIO, "injected")),
                    ]
                )
                try:
                    with faults.injected(faults.Fault(point, nth, lambda error=error: error)):
                        self.one(name)
                finally:
                    self.fault_lock.release()
            else:
                self.one(name)
            faulthandler.dump_traceback_later(PATIENCE_S, exit=True)

    def one(self, name: str) -> None:
        try:
            result = self.connection.sql(QUERIES[name]).collect()
            rows = result.fetchall()
            spilled_bytes = result.metrics.memory.spilled_bytes
            result.close()
        except (InterruptError, OutOfMemoryError, InputError) as error:
            outcome = type(error).__name__
        except GpuqlError as error:
            outcome = type(error).__name__
            self.wrong.append(f"{name}: {error}")
        except BaseException as error:
            outcome = type(error).__name__
            self.wrong.append(f"{name}: {''.join(traceback.format_exception(error))}")
        else:
            outcome = "rows, spilled" if spilled_bytes else "rows"
            found = difference(rows, self.answers[name])
            if found is not None:
                self.wrong.append(f"{name}: {found}")
        with self.lock:
            self.outcomes[outcome] += 1


def test_soak(tmp_path: Path) -> None:
    data = tables(NUM_ROWS)
    with gpuql.connect(device="cpu", threads=1, tier="interpreted") as connection:
        for name, table in data.items():
            connection.register(name, table)
        answers = {name: connection.sql(sql).collect().fetchall() for name, sql in QUERIES.items()}
    settings = {"memory_limit": "12MB", "temp_directory": str(tmp_path), "batch_rows": 4096}
    with gpuql.connect(device="cpu", threads=2, **settings) as connection:
        for name, table in data.items():
            connection.register(name, table)
        soak = Soak(connection, answers, seed=5)
        soak.run(max(NUM_QUERIES // 5, 30))
        gc.collect()
        warm_bytes, warm_threads = resident_bytes(), threading.active_count()
        soak.run(NUM_QUERIES)
        gc.collect()
        assert not soak.wrong, "\n".join(soak.wrong)
        with_rows = soak.outcomes["rows"] + soak.outcomes["rows, spilled"]
        assert with_rows > 0.3 * soak.outcomes.total(), soak.outcomes
        assert soak.outcomes["rows, spilled"] > 0, soak.outcomes
        memory = connection.memory
        assert not any(account.running for account in memory.host._accounts)
        assert memory.host.used_bytes == sum(account.held_bytes for account in memory.host._accounts)
        for name, sql in QUERIES.items():
            result = connection.sql(sql).collect()
            assert difference(result.fetchall(), answers[name]) is None, name
            result.close()
        assert memory.space.num_files <= NUM_TABLES
        deadline = time.monotonic() + 120
        while threading.active_count() > warm_threads and time.monotonic() < deadline:
            time.sleep(0.05)
        assert threading.active_count() <= warm_threads
        grown = resident_bytes() - warm_bytes
        assert grown < 60_000_000, f"resident memory grew by {grown:,} bytes: {soak.outcomes}"
    assert list(tmp_path.iterdir()) == []
    print(
        f"{soak.outcomes.total()} queries, {dict(soak.outcomes)}, 0 wrong, resident memory {grown:+,} bytes"
    )
