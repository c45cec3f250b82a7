"""Random queries with less memory than their tables take: DuckDB's rows or, seldom, OutOfMemoryError; never others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import gpuql
from gpuql.memory import query_memory
from tests.property.engines import Oracle, run
from tests.property.queries import QueryGenerator
from tests.property.sweep import Report, connect, connect_to_parquet

#: Parts of sources are so small that few rows make many of them.
PART_BYTES = 16 << 10
TAME_ROWS = 1_500
#: Queries, each on one of the connections.
QUERIES = 70
#: The share of runs that may find no room, by limit. Steps of work as small as can be still need some of 400 KB.
MAY_FIND_NO_ROOM = {"400KB": 0.1, "3MB": 0.02}


@dataclass(frozen=True)
class Limited:
    """A way of running; ``weight``: how often, compared with others."""

    limit: str
    tier: str
    batch_rows: int
    is_parquet: bool
    weight: int

    def __str__(self) -> str:
        rows = "Parquet" if self.is_parquet else "resident"
        return f"{self.limit}, {self.tier}, batches of {self.batch_rows}, {rows}"


WAYS = (
    Limited("400KB", "interpreted", 131_072, True, 6),
    Limited("400KB", "interpreted", 1_000, False, 4),
    Limited("400KB", "interpreted", 3, True, 1),
    Limited("400KB", "compiled", 131_072, True, 1),
    Limited("3MB", "interpreted", 131_072, False, 3),
    Limited("3MB", "interpreted", 1_000, True, 3),
    Limited("3MB", "compiled", 131_072, False, 1),
)


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_memory, "MIN_PART_BYTES", PART_BYTES)
        yield


@pytest.fixture(scope="module")
def larger(seed: int) -> Oracle:
    return Oracle(seed, tame_rows=TAME_ROWS)


@pytest.fixture(scope="module")
def engines(
    larger: Oracle, small_parts: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Limited, gpuql.Connection]]:
    folder = tmp_path_factory.mktemp("limited")
    opened = {}
    for way in WAYS:
        limit, tier, rows = way.limit, way.tier, way.batch_rows
        if way.is_parquet:
            opened[way] = connect_to_parquet(
                larger, folder, tier=tier, memory_limit=limit, batch_rows=rows, threads=2
            )
        else:
            opened[way] = connect(larger, tier=tier, memory_limit=limit, batch_rows=rows)
    yield opened
    for connection in opened.values():
        connection.close()


def test_random_queries_under_limits(
    larger: Oracle, engines: dict[Limited, gpuql.Connection], seed: int, scale: float
) -> None:
    rng = random.Random(f"{seed} limited")
    generator = QueryGenerator(rng)
    found = Report()
    runs: Counter[str] = Counter()
    without_room: Counter[str] = Counter()
    for _ in range(round(QUERIES * scale)):
        query = generator.query()
        (way,) = rng.choices(WAYS, [way.weight for way in WAYS])
        expected = larger.run(query.sql)
        if expected.kind == "unbound":
            continue
        outcome = run(engines[way], query.sql)
        runs[way.limit] += 1
        if outcome.kind == "error" and outcome.message.startswith("OutOfMemoryError"):
            without_room[way.limit] += 1
            continue
        found.compare(str(way), query.sql, expected, outcome, larger, ordered=query.ordered)
    assert not found.differences, "\n".join(found.differences)
    for limit, share in MAY_FIND_NO_ROOM.items():
        assert without_room[limit] <= max(1, share * runs[limit]), limit
    for way, connection in engines.items():
        assert connection.memory.host.available_bytes == connection.memory.host.limit_bytes, way


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_limits_are_felt(engines: dict[Limited, gpuql.Connection], way: Limited) -> None:
    """What the sweep relies on: under the smaller limit rows are split."""
    columns = "k, w, s, h, d38, id"
    query = f"SELECT {columns}, median(id), string_agg(t, ' ') FROM tame GROUP BY {columns}"
    result = engines[way].sql(query).collect()
    assert len(result.fetchall()) == TAME_ROWS
    assert way.limit != "400KB" or result.metrics.memory.partitions
