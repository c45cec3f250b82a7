"""Results of more rows than memory holds: every way out gives all rows, few at a time, and leaves nothing behind."""

from __future__ import annotations

import csv
import gc
import io
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql
from gpuql.api.result import Result
from gpuql.cli.formats import write_result
from gpuql.errors import InterfaceError

NUM_ROWS = 30_000
QUERY = "SELECT id, id % 7 AS small, 'a text of some length ' || text AS text, day FROM rows"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row groups differ in dictionaries, widths of integers, and whether there are NULLs."""
    path = tmp_path_factory.mktemp("results") / "rows.parquet"
    duckdb.sql(
        f"SELECT range * range AS id, CASE WHEN range % 5000 > 3 THEN range::VARCHAR END AS text, "
        f"DATE '2020-01-01' + (range % 900)::INTEGER AS day FROM range({NUM_ROWS})"
    ).write_parquet(str(path), row_group_size=3_000)
    return path


@pytest.fixture(params=["interpreted", "compiled"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[gpuql.Connection]:
    with gpuql.connect(
        device="cpu", threads=2, memory_limit="1300KB", temp_directory=str(tmp_path), tier=request.param
    ) as connection:
        yield connection


def spilled(connection: gpuql.Connection, path: Path, order: str = "ORDER BY id") -> Result:
    result = connection.sql(f"{QUERY.replace('rows', repr(str(path)))} {order}").collect()
    assert result.metrics.memory.spilled_bytes > 0
    assert connection.memory.space.used_bytes > 0
    return result


def expected(path: Path) -> list[tuple[object, ...]]:
    return duckdb.sql(f"{QUERY.replace('rows', repr(str(path)))} ORDER BY id").fetchall()


def assert_nothing_left(connection: gpuql.Connection) -> None:
    assert connection.memory.host.available_bytes == connection.memory.host.limit_bytes
    assert connection.memory.space.used_bytes == 0
    assert connection.memory.space.num_files == 0


@pytest.mark.parametrize("order", ["ORDER BY id", ""])
def test_python_rows(connection: gpuql.Connection, path: Path, order: str) -> None:
    with spilled(connection, path, order) as result:
        rows = expected(path)
        if order:
            assert result.fetchall() == rows
            assert result.fetchone() == rows[0]
        assert sorted(result.iter_rows()) == rows
        assert (len(result), result.shape) == (NUM_ROWS, (NUM_ROWS, 4))
    assert_nothing_left(connection)


def test_arrow_batches_have_one_schema(connection: gpuql.Connection, path: Path) -> None:
    with spilled(connection, path) as result:
        reader = result.to_arrow_reader()
        batches = list(reader)
        assert len(batches) > 1
        assert {batch.schema for batch in batches} == {reader.schema}
        assert reader.schema == result.to_arrow().schema
        assert pa.Table.from_batches(batches).equals(result.to_arrow().combine_chunks())
        assert duckdb.sql("SELECT count(*), count(text) FROM result").fetchall() == [
            (NUM_ROWS, sum(row[2] is not None for row in expected(path)))
        ]
        assert pa.table(result).num_rows == NUM_ROWS
    assert_nothing_left(connection)


def test_other_frames(connection: gpuql.Connection, path: Path) -> None:
    with spilled(connection, path) as result:
        assert result.to_polars().rows() == expected(path)
        assert len(result.to_pandas()) == NUM_ROWS
        assert [row["id"] for row in result.iter_dicts()] == [row[0] for row in expected(path)]
        assert result.to_numpy()["id"].tolist() == [row[0] for row in expected(path)]


def test_a_cursor_walks_through(connection: gpuql.Connection, path: Path) -> None:
    cursor = connection.cursor().execute(f"{QUERY.replace('rows', repr(str(path)))} ORDER BY id")
    rows = expected(path)
    assert cursor.fetchone() == rows[0]
    assert cursor.fetchmany(20_000) == rows[1:20_001]
    assert cursor.fetchall() == rows[20_001:]
    assert cursor.fetchone() is None
    assert sum(batch.num_rows for batch in cursor.to_arrow_reader()) == NUM_ROWS
    cursor.close()
    del cursor
    gc.collect()
    assert_nothing_left(connection)


def test_the_last_reference_lets_go(connection: gpuql.Connection, path: Path) -> None:
    result = spilled(connection, path)
    reader = result.to_arrow_reader()
    del result
    assert sum(batch.num_rows for batch in reader) == NUM_ROWS  # the reader keeps it
    del reader
    gc.collect()
    assert_nothing_left(connection)


def test_an_iteration_that_is_given_up(connection: gpuql.Connection, path: Path) -> None:
    result = spilled(connection, path)
    rows = result.iter_rows()
    next(rows)
    assert connection.memory.host.used_bytes > 0
    rows.close()  # type: ignore[attr-defined]
    result.close()
    assert_nothing_left(connection)


def test_closed_results_and_connections(connection: gpuql.Connection, path: Path) -> None:
    result, other = spilled(connection, path), spilled(connection, path)
    result.close()
    result.close()
    with pytest.raises(InterfaceError, match="result is closed"):
        result.fetchall()
    with pytest.raises(InterfaceError, match="result is closed"):
        result.to_arrow()
    assert other.fetchone() is not None
    connection.close()
    with pytest.raises(InterfaceError, match="result is closed"):
        other.fetchall()
    assert_nothing_left(connection)


def test_results_in_memory_outlive_the_connection(connection: gpuql.Connection) -> None:
    result = connection.sql("SELECT 1 AS a").collect()
    result.close()
    connection.close()
    assert result.fetchall() == [(1,)]


def test_printing(connection: gpuql.Connection, path: Path) -> None:
    rows = expected(path)
    with spilled(connection, path) as result:
        texts = {}
        for form in ("csv", "json", "jsonl", "markdown", "table"):
            output = io.StringIO()
            write_result(result, output, form)
            texts[form] = output.getvalue()
    read = list(csv.reader(io.StringIO(texts["csv"])))
    assert read[1:] == [["" if value is None else str(value) for value in row] for row in rows]
    assert [row["id"] for row in json.loads(texts["json"])] == [row[0] for row in rows]
    assert len(texts["jsonl"].splitlines()) == NUM_ROWS
    assert len(texts["markdown"].splitlines()) == NUM_ROWS + 2
    table = texts["table"].splitlines()
    assert len(table) == NUM_ROWS + 5
    assert len({len(line) for line in table[:-1]}) == 1
    assert table[-1] == f"{NUM_ROWS:,} rows"
    assert_nothing_left(connection)


def test_a_limit_reads_only_the_first_parts(
    connection: gpuql.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = connection.sql(f"SELECT id, text, day FROM '{path}' LIMIT 10 OFFSET 5").collect()
    assert [row[0] for row in result.iter_rows()] == [n * n for n in range(5, 15)]
    assert result.metrics.pipelines[0].num_source_rows < NUM_ROWS
    (batch,) = result.batches
    values = batch[result.outputs[0]].values
    assert values.base is None or values.base.nbytes <= 2 * values.nbytes  # not a view of a whole part


@pytest.mark.parametrize(
    "query",
    [
        "WITH t AS MATERIALIZED (SELECT * FROM rows) SELECT a.id, b.text FROM t a JOIN t b USING (id)",
        "SELECT id, text, day FROM rows UNION ALL SELECT -id, text, day FROM rows",
        "SELECT id, text, day FROM rows UNION SELECT id, upper(text), day FROM rows",
        "SELECT id % 5000, text FROM rows EXCEPT SELECT id % 5000, text FROM rows WHERE id % 3 = 0",
        "SELECT id % 5000, text FROM rows INTERSECT SELECT id % 5000, text FROM rows WHERE id % 3 = 0",
        "SELECT id % 5 FROM rows EXCEPT ALL SELECT id % 5 FROM rows WHERE id % 3 = 0",
        "SELECT id % 5 FROM rows INTERSECT ALL SELECT id % 5 FROM rows WHERE id % 3 = 0",
        "SELECT DISTINCT ON (id % 9000) id % 9000, text FROM rows ORDER BY id % 9000, id DESC",
        "SELECT * FROM (SELECT id, text, day FROM rows ORDER BY day, id LIMIT 20000) WHERE id % 2 = 0",
    ],
)
def test_queries_of_several_steps(connection: gpuql.Connection, path: Path, query: str) -> None:
    query = query.replace("rows", f"'{path}'")
    with connection.sql(query).collect() as result:
        rows = result.fetchall()
        assert result.metrics.memory.peak_bytes <= connection.memory.host.limit_bytes
    order = lambda row: [(value is None, value if value is not None else 0) for value in row]  # noqa: E731
    assert sorted(rows, key=order) == sorted(duckdb.sql(query).fetchall(), key=order)
    assert_nothing_left(connection)


def test_parquet_written_from_a_result_in_batches(
    connection: gpuql.Connection, path: Path, tmp_path: Path
) -> None:
    with spilled(connection, path) as result:
        reader = result.to_arrow_reader()
        with pq.ParquetWriter(tmp_path / "copy.parquet", reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    assert duckdb.sql(f"SELECT * FROM '{tmp_path}/copy.parquet'").fetchall() == expected(path)
