"""Probes that look at the bitmap of build keys before the hash table, against DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

import gpuql
from gpuql.operators import hash_join_probe
from gpuql.operators.contract import JoinTable

TABLES = (
    # Few keys in a wide domain: too sparse for direct addressing, so they are hashed and get a bitmap.
    "CREATE TABLE build AS SELECT (i * 7919 % 4000037 - 2000000)::INTEGER AS k, (i % 5)::INTEGER AS g, i AS b"
    " FROM range(400) t(i)",
    "CREATE TABLE probe AS SELECT i AS p, CASE WHEN i % 13 = 0 THEN NULL WHEN i % 9 = 0"
    " THEN (i * 7919 % 4000037 - 2000000)::INTEGER ELSE (i * 31 - 5000000)::INTEGER END AS k,"
    " (i % 7)::INTEGER AS g FROM range(20000) t(i)",
)
CONDITIONS = (
    "probe.k = build.k",
    "probe.g = build.g AND probe.k = build.k",
    "probe.k = build.k AND probe.g = build.g",
)
SHAPES = (
    "SELECT p, b FROM probe JOIN build ON {on}",
    "SELECT p, b FROM probe JOIN build ON {on} AND p % 2 = b % 2",
    "SELECT p, b FROM probe LEFT JOIN build ON {on}",
    "SELECT p, b FROM probe FULL JOIN build ON {on}",
    "SELECT p FROM probe WHERE EXISTS (SELECT 1 FROM build WHERE {on})",
    "SELECT p FROM probe WHERE NOT EXISTS (SELECT 1 FROM build WHERE {on})",
    "SELECT p, k IN (SELECT k FROM build) FROM probe",
)


@pytest.fixture(scope="module")
def connections() -> Iterator[tuple[gpuql.Connection, duckdb.DuckDBPyConnection]]:
    with gpuql.connect(device="cpu", threads=2, tier="interpreted") as ours, duckdb.connect() as theirs:
        for statement in TABLES:
            theirs.execute(statement)
        for name in ("build", "probe"):
            table = theirs.sql(f"FROM {name}").to_arrow_table()
            ours.register("arrow", table)
            ours.execute(f"CREATE TABLE {name} AS FROM arrow")
            ours.unregister("arrow")
        yield ours, theirs


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_same_rows(
    connections: tuple[gpuql.Connection, duckdb.DuckDBPyConnection],
    shape: str,
    condition: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = connections
    query = shape.format(on=condition)
    filtered: list[bool] = []
    possible_rows = hash_join_probe._possible_rows

    def noted(table: JoinTable, packed: Any, xp: Any) -> Any:
        rows = possible_rows(table, packed, xp)
        filtered.append(rows is not None)
        return rows

    monkeypatch.setattr(hash_join_probe, "_possible_rows", noted)
    expected = sorted(theirs.execute(query).fetchall(), key=repr)
    assert sorted(ours.execute(query).fetchall(), key=repr) == expected
    assert any(filtered), "the bitmap was to be used"
