"""Long series of numbers: computed as they are read, whole or in parts."""

from __future__ import annotations

import gpuql
from gpuql.catalog.series_table import series_table


def test_a_long_series_needs_little_memory() -> None:
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection:
        query = "SELECT count(*), sum(range), min(range), max(range) FROM range(3000000)"
        assert connection.sql(query).fetchall() == [(3_000_000, 4_499_998_500_000, 0, 2_999_999)]
        assert connection.memory.host.peak_bytes <= 4_000_000


def test_parts_are_the_whole_in_pieces() -> None:
    table = series_table("range", range(10, -100_000, -7))
    whole, num_rows = table.read(["range"])
    assert num_rows == table.num_rows == len(range(10, -100_000, -7))
    parts = list(table.read_parts(["range"], part_bytes=10_000))
    assert len(parts) > 3
    assert sum(rows for _, rows in parts) == num_rows
    values = [value for columns, _ in parts for value in columns["range"].values.tolist()]
    assert values == whole["range"].values.tolist() == list(range(10, -100_000, -7))
    assert {columns["range"].values.dtype for columns, _ in parts} == {whole["range"].values.dtype}


def test_statistics_are_exact() -> None:
    falling, rising = (
        series_table("range", range(5, 0, -2)),
        series_table("range", range(2**62, 2**63 - 1, 2**60)),
    )
    assert falling.statistics("range").minimum == 1
    assert falling.statistics("range").maximum == 5
    assert not falling.statistics("range").sorted
    assert rising.statistics("range").sorted
    assert rising.statistics("range").unique
    assert rising.read(["range"])[0]["range"].values.tolist() == list(range(2**62, 2**63 - 1, 2**60))
