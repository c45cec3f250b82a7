"""Sorts of more rows than memory holds give DuckDB's rows, in files as far as need be, and leave nothing behind."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql
from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.strings import string_array
from gpuql.operators.row_copies import idle_string_bytes
from gpuql.operators.sorted_runs import SortedRuns
from gpuql_planner.errors import OutOfMemoryError
from gpuql_planner.types import BIGINT, VARCHAR

NUM_ROWS = 24_000
LIMIT = "1300KB"


def _table() -> pa.Table:
    """Rows with unique ``id``; every other column has many equal values and NULLs."""
    rng = np.random.default_rng(7)
    ids = rng.permutation(NUM_ROWS)

    def nullable(values: Any, kind: pa.DataType, share: float = 0.05) -> pa.Array:
        return pa.array(values, kind, mask=rng.random(NUM_ROWS) < share)

    doubles = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1.5]), NUM_ROWS)
    prefix = "the same long beginning of many strings, "
    texts = [prefix * int(n % 3) + f"{n % 997}" + "\0" * int(n % 2) for n in rng.integers(0, 10**6, NUM_ROWS)]
    wide = [decimal.Decimal(int(n) * 10**25).scaleb(-2) for n in rng.integers(-500, 500, NUM_ROWS)]
    columns = {
        "id": pa.array(ids, pa.int64()),
        "few": nullable(rng.integers(0, 5, NUM_ROWS), pa.int32()),
        "skewed": nullable(
            np.where(rng.random(NUM_ROWS) < 0.9, 7, rng.integers(-9, 9, NUM_ROWS)), pa.int64()
        ),
        "number": nullable(doubles, pa.float64()),
        "text": nullable(texts, pa.string()),
        "word": nullable(rng.choice(np.array(["x", "xy", "", "Ä", "z"]), NUM_ROWS), pa.string()),
        "wide": nullable(wide, pa.decimal128(38, 2)),
        "day": nullable(rng.integers(0, 20_000, NUM_ROWS).astype("datetime64[D]"), pa.date32()),
        "constant": pa.array(np.ones(NUM_ROWS, np.int64)),
        "payload": pa.array([f"row {n} " + "p" * int(n % 40) for n in ids]),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sorts") / "rows.parquet"
    pq.write_table(_table(), path, row_group_size=2_000)
    return path


@pytest.fixture(params=["interpreted", "compiled"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[gpuql.Connection]:
    with gpuql.connect(
        device="cpu", threads=2, memory_limit=LIMIT, temp_directory=str(tmp_path), tier=request.param
    ) as connection:
        yield connection
        assert connection.memory.host.available_bytes == connection.memory.host.limit_bytes
        assert connection.memory.space.used_bytes == 0


def normal(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in which NaN equals itself."""
    return [tuple("NaN" if value != value else value for value in row) for row in rows]


def check(connection: gpuql.Connection, path: Path, query: str) -> None:
    query = query.replace("rows", f"'{path}'")
    result = connection.sql(query).collect()
    expected = duckdb.sql(query).fetchall()
    assert normal(result.fetchall()) == normal(expected)
    assert normal(result.fetchall()) == normal(expected)  # as often as asked
    assert result.num_rows == len(expected)
    assert result.metrics.memory.spilled_bytes > 0
    assert result.metrics.memory.partitions > 1
    assert result.metrics.memory.peak_bytes <= connection.memory.host.limit_bytes
    result.close()


@pytest.mark.parametrize(
    "keys",
    [
        "few, id",
        "skewed DESC NULLS FIRST, id DESC",
        "number, id",
        "number DESC NULLS LAST, text, id",
        "text, id",
        "text DESC NULLS FIRST, word, id",
        "word NULLS FIRST, text DESC, id",
        "wide DESC, day, id",
        "day DESC NULLS FIRST, few, id",
        "constant, id",
        "id",
        "id DESC",
    ],
)
def test_all_types_of_keys(connection: gpuql.Connection, path: Path, keys: str) -> None:
    check(connection, path, f"SELECT id, text, payload, number, wide, few FROM rows ORDER BY {keys}")


def test_keys_that_are_not_put_out(connection: gpuql.Connection, path: Path) -> None:
    check(connection, path, "SELECT payload, text FROM rows ORDER BY upper(text) DESC, id % 10, id")


def test_intervals(connection: gpuql.Connection, path: Path) -> None:
    check(
        connection,
        path,
        "SELECT id, text, payload FROM rows ORDER BY to_days(few) DESC NULLS FIRST, id",
    )


@pytest.mark.parametrize("order", ["id", "-id"])
def test_input_in_order(connection: gpuql.Connection, tmp_path: Path, order: str) -> None:
    path = tmp_path / "ordered.parquet"
    rows = duckdb.sql(f"SELECT range AS id, repeat('x', 60) || range AS text FROM range({NUM_ROWS})")
    rows.write_parquet(str(path), row_group_size=2_000)
    check(connection, path, f"SELECT id, text FROM rows ORDER BY {order}")


def test_equal_rows_stay_in_order(connection: gpuql.Connection, path: Path) -> None:
    """Interpreted rows come in the order of the source, and a sort is stable; runs are merged in that order."""
    if connection.settings.tier == "compiled":
        pytest.skip("generated code puts out rows of several morsels together")
    result = connection.sql(f"SELECT few, id, payload, text FROM '{path}' ORDER BY few").collect()
    assert result.metrics.memory.spilled_bytes > 0
    table = pq.read_table(path, columns=["few", "id"]).to_pydict()
    order = sorted(range(NUM_ROWS), key=lambda i: (table["few"][i] is None, table["few"][i] or 0))
    assert [row[1] for row in result.iter_rows()] == [table["id"][i] for i in order]
    result.close()


def test_many_runs_are_merged_in_passes(
    connection: gpuql.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    merge = SortedRuns._merged_to_fewer

    def counted(runs: SortedRuns, fan_in: int) -> SortedRuns:
        passes.append(fan_in)
        return merge(runs, fan_in)

    monkeypatch.setattr(SortedRuns, "_fan_in", lambda runs: 2)
    monkeypatch.setattr(SortedRuns, "_merged_to_fewer", counted)
    check(connection, path, "SELECT id, text, payload FROM rows ORDER BY number, text, id")
    assert len(passes) >= 2
    passes.clear()
    check(connection, path, "SELECT id, text, payload FROM rows ORDER BY text, id LIMIT 18000 OFFSET 9")
    assert len(passes) >= 2


@pytest.mark.parametrize(
    "clause",
    [
        "LIMIT 20000",
        "LIMIT 20000 OFFSET 3000",
        "OFFSET 9000",
        "LIMIT 100000 OFFSET 23990",
        "LIMIT 10 OFFSET 21000",
    ],
)
def test_top_n_of_more_rows_than_memory_holds(connection: gpuql.Connection, path: Path, clause: str) -> None:
    check(connection, path, f"SELECT id, text, payload FROM rows ORDER BY text, id DESC {clause}")


def test_small_top_n_keeps_few_rows(connection: gpuql.Connection, path: Path) -> None:
    """Beside parts of the source there may be no room to cut rows back at once: a few may move, most must not."""
    query = f"SELECT id, text, payload FROM '{path}' ORDER BY number DESC, id LIMIT 100"
    result = connection.sql(query).collect()
    assert normal(result.fetchall()) == normal(duckdb.sql(query).fetchall())
    assert result.metrics.memory.spilled_bytes < 200_000
    result.close()


def test_top_n_beyond_the_last_row(connection: gpuql.Connection, path: Path) -> None:
    query = f"SELECT id, text, payload FROM '{path}' ORDER BY text, id LIMIT 10 OFFSET 70000"
    result = connection.sql(query).collect()
    assert result.fetchall() == []
    result.close()


def test_a_sort_inside_a_query_is_read_in_parts(connection: gpuql.Connection, path: Path) -> None:
    check(
        connection,
        path,
        "SELECT id, text, payload FROM (SELECT * FROM rows ORDER BY number, id LIMIT 22000) WHERE few = 3 ORDER BY id",
    )


def test_tiny_batches(path: Path, tmp_path: Path) -> None:
    with gpuql.connect(
        device="cpu", memory_limit=LIMIT, temp_directory=str(tmp_path), tier="interpreted", batch_rows=700
    ) as connection:
        check(connection, path, "SELECT id, payload, text || 'x' FROM rows ORDER BY text, id")


def test_explain_analyze_tells_the_runs(connection: gpuql.Connection, path: Path) -> None:
    text = connection.explain(f"SELECT id, text, payload FROM '{path}' ORDER BY text", analyze=True)
    assert "spilled" in text


def test_full_disk_is_an_error_that_names_it(path: Path, tmp_path: Path) -> None:
    with gpuql.connect(
        device="cpu", memory_limit=LIMIT, temp_directory=str(tmp_path), max_temp_directory_size="1MB"
    ) as connection:
        with pytest.raises(OutOfMemoryError, match="temporary files would exceed their limit"):
            connection.sql(f"SELECT * FROM '{path}' ORDER BY text").collect()
        assert connection.memory.host.available_bytes == connection.memory.host.limit_bytes
        assert connection.memory.space.used_bytes == 0


def test_strings_that_no_row_needs_are_counted() -> None:
    strings = string_array([b"%092d" % i for i in range(1000)])
    size = strings.offsets.nbytes + strings.data.nbytes

    def rows(start: int, stop: int) -> Batch:
        return Batch(
            {
                1: Column(VARCHAR, np.arange(start, stop), None, strings),
                2: Column(BIGINT, np.arange(start, stop)),
            },
            stop - start,
        )

    assert idle_string_bytes([rows(0, 250)]) == pytest.approx(0.75 * size, abs=1)
    assert idle_string_bytes([rows(0, 250), rows(100, 600)]) == pytest.approx(0.25 * size, abs=1)
    assert idle_string_bytes([rows(0, 500), rows(0, 1000)]) == 0
    assert idle_string_bytes([Batch({2: Column(BIGINT, np.arange(3))}, 3)]) == 0
