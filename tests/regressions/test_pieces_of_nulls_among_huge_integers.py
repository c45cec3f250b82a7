"""A HUGEINT column that arrives in pieces, some of NULLs only: the join of its pieces overflowed beyond 64 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpuql

SOURCE = """
    SELECT a AS id, CASE WHEN a // 100 % 3 = 1 THEN NULL
        WHEN a % 2 = 0 THEN (-170141183460469231731687303715884105000)::HUGEINT + a
        ELSE 170141183460469231731687303715884105000::HUGEINT - a END AS h
    FROM range(1000) t(a)
"""


@pytest.mark.parametrize("limit", ["400KB", "auto"])
def test_table_of_pieces(limit: str, tmp_path: Path) -> None:
    with gpuql.connect(
        device="cpu", tier="interpreted", batch_rows=50, memory_limit=limit, temp_directory=str(tmp_path)
    ) as connection:
        connection.execute(f"CREATE TABLE t AS {SOURCE}")
        rows = connection.sql("SELECT id, h FROM t ORDER BY id").collect().fetchall()
    assert len(rows) == 1000
    for number, value in rows:
        if number // 100 % 3 == 1:
            assert value is None
        else:
            extreme = 170141183460469231731687303715884105000 - number
            assert value == (-extreme if number % 2 == 0 else extreme)
