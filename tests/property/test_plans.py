"""Deep random plans over tiny tables: optimized or not, gpuql gives DuckDB's rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import duckdb
import pytest

import gpuql
from tests.property.engines import difference, run, run_duckdb
from tests.property.plans import TABLES, PlanGenerator, create_tiny_tables
from tests.property.sweep import Report


@pytest.fixture(scope="module")
def oracle(seed: int) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        create_tiny_tables(connection, seed)
        yield connection


@pytest.mark.parametrize("optimizer", [True, False], ids=["optimized", "unoptimized"])
def test_random_plans(
    oracle: duckdb.DuckDBPyConnection, report: Report, seed: int, scale: float, optimizer: bool
) -> None:
    engine = gpuql.connect(
        device="cpu", tier="interpreted", optimizer=optimizer, threads=1, verify_plans=True
    )
    for name in TABLES:
        engine.register(name, oracle.sql(f"SELECT * FROM {name}").to_arrow_table())
    plain = oracle.cursor()
    plain.execute("PRAGMA disable_optimizer")
    generator = PlanGenerator(random.Random(f"{seed} plans"))
    found = Report()
    for _ in range(round(500 * scale)):
        sql = generator.query()
        expected = run_duckdb(oracle, sql)
        assert expected.kind == "rows", (sql, expected.message)
        rows = run(engine, sql)
        problem = difference(expected, rows)
        if problem is not None:  # DuckDB's optimizer may be at fault: see ``tests.property.dialect``
            problem = difference(run_duckdb(plain, sql), rows)
        found.counts["queries"] += optimizer
        found.counts["runs"] += 1
        if problem is not None:
            found.differences.append(f"optimizer {optimizer}: {problem}\n    {sql}")
    engine.close()
    report.counts.update(found.counts)
    report.differences.extend(found.differences)
    assert not found.differences, "\n".join(found.differences)
