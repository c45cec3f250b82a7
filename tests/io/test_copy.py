"""COPY: what files look like, that they read back the same, and that nothing half-written stays."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import gpuql
from gpuql.io import written_files
from gpuql_planner.errors import Position

TABLE = """
CREATE TABLE t (a INTEGER, b VARCHAR, c DECIMAL(5,2), d DATE, ts TIMESTAMP, f DOUBLE, g BOOLEAN);
INSERT INTO t VALUES
    (1, 'x', 1.5, '2020-01-01', '2020-01-01 01:02:03', 0.1, true),
    (2, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'q"uo,te', -2.25, '1999-12-31', '1999-12-31 23:59:59.123456', 1e10, false),
    (4, E'two\\nlines', 0, '0001-01-01', '1970-01-01', -0.5, true),
    (5, '', 999.99, '9999-12-31', '2038-01-19 03:14:07', 0.25, false)
"""


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[gpuql.Connection]:
    monkeypatch.chdir(tmp_path)
    with gpuql.connect(device="cpu") as opened:
        opened.execute(TABLE)
        yield opened


def rows(connection: Any, text: str) -> list[tuple[Any, ...]]:
    return list(connection.execute(text).fetchall())


TEXT_OPTIONS = [
    "'o.csv'",
    "'o.csv' (HEADER false)",
    "'o.csv' (DELIMITER '|', NULLSTR 'NULL', QUOTE '''')",
    "'o.csv' (FORCE_QUOTE *)",
    "'o.csv' (FORCE_QUOTE (a, B), SEP ';')",
    r"'o.csv' (ESCAPE '\')",
    "'o.csv' (DATEFORMAT '%d/%m/%Y', TIMESTAMPFORMAT '%Y')",
    "'o.any' (FORMAT csv)",
    "'o.json'",
    "'o.json' (ARRAY true)",
    "'o.ndjson' (TIMESTAMPFORMAT '%Y-%m-%d')",
]


@pytest.mark.parametrize("target", TEXT_OPTIONS)
def test_text_files_are_those_of_duckdb(connection: gpuql.Connection, target: str, tmp_path: Path) -> None:
    name = target.split("'")[1]
    assert rows(connection, f"COPY t TO {target}") == [(5,)]
    ours = (tmp_path / name).read_bytes()
    with duckdb.connect() as other:
        other.execute(TABLE)
        other.execute(f"COPY t TO {target}")
    assert ours.decode() == (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "target", ["'o.csv'", "'o.csv.gz'", "'o.json'", "'o.json' (ARRAY)", "'o.parquet'", "'o.csv' (QUOTE '''')"]
)
def test_files_read_back_the_same(connection: gpuql.Connection, target: str) -> None:
    connection.execute(f"COPY (SELECT * FROM t WHERE b <> '' OR b IS NULL) TO {target}")
    connection.execute("CREATE TABLE back AS FROM t LIMIT 0")
    options = "(QUOTE '''')" if "QUOTE" in target else ""
    assert rows(connection, f"COPY back FROM {target.split(' ')[0]} {options}") == [(4,)]
    assert rows(connection, "FROM back ORDER BY a") == rows(connection, "FROM t WHERE a < 5 ORDER BY a")


def test_parquet_options(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("COPY (FROM range(1000)) TO 'o.parquet' (COMPRESSION zstd, ROW_GROUP_SIZE 300)")
    metadata = pq.ParquetFile(tmp_path / "o.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [300, 300, 300, 100]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_copy_of_no_rows(connection: gpuql.Connection, tmp_path: Path) -> None:
    for name in ("e.csv", "e.json", "e.parquet"):
        assert rows(connection, f"COPY (FROM t WHERE false) TO '{name}'") == [(0,)]
    assert (tmp_path / "e.csv").read_text() == "a,b,c,d,ts,f,g\n"
    assert (tmp_path / "e.json").read_text() == ""
    assert rows(connection, "FROM 'e.parquet'") == []
    connection.execute("COPY (SELECT 1 AS x WHERE false) TO 'e.json' (ARRAY)")
    assert (tmp_path / "e.json").read_text().split() == ["[", "]"]


def test_columns_are_chosen_and_moved(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("COPY t (b, A) TO 'o.csv'")
    assert (tmp_path / "o.csv").read_text().splitlines()[:2] == ["b,a", "x,1"]
    connection.execute("CREATE TABLE u (a INTEGER, b VARCHAR, c INTEGER)")
    connection.execute("COPY u (b, a) FROM 'o.csv'")
    assert rows(connection, "SELECT a, c FROM u WHERE b = 'x'") == [(1, None)]


def test_header_is_found_by_names_or_types(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE u (name VARCHAR, other VARCHAR)")
    (tmp_path / "no.csv").write_text("ann,bob\ncid,dan\n")
    assert rows(connection, "COPY u FROM 'no.csv'") == [(2,)]
    (tmp_path / "yes.csv").write_text("NAME,OTHER\nann,bob\n")
    assert rows(connection, "COPY u FROM 'yes.csv'") == [(1,)]
    connection.execute("CREATE TABLE n (i INTEGER)")
    (tmp_path / "typed.csv").write_text("number\n7\n")
    assert rows(connection, "COPY n FROM 'typed.csv'") == [(1,)]


def test_numbers_that_look_like_others_keep_their_text(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE codes (code VARCHAR, exact DECIMAL(38,10))")
    (tmp_path / "codes.csv").write_text("code,exact\n007,1234567890123456789012345678.0123456789\n")
    connection.execute("COPY codes FROM 'codes.csv'")
    assert rows(connection, "SELECT code, exact::VARCHAR FROM codes") == [
        ("007", "1234567890123456789012345678.0123456789")
    ]


def test_partitions(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("COPY t TO 'parts' (FORMAT csv, PARTITION_BY (g, b))")
    folders = sorted(str(path.parent.relative_to(tmp_path)) for path in (tmp_path / "parts").rglob("*.csv"))
    assert "parts/g=__HIVE_DEFAULT_PARTITION__/b=__HIVE_DEFAULT_PARTITION__" in folders
    assert "parts/g=false/b=q%22uo%2Cte" in folders
    assert len(folders) == 5
    error = failure(connection, "COPY t TO 'parts' (FORMAT csv, PARTITION_BY (g, b))")
    assert isinstance(error, gpuql.InputError)
    connection.execute("COPY t TO 'parts' (FORMAT csv, PARTITION_BY (g), OVERWRITE)")
    assert len(list((tmp_path / "parts").rglob("*.csv"))) == 3
    connection.execute("COPY t TO 'parts' (FORMAT csv, PARTITION_BY (g), APPEND)")
    assert len(list((tmp_path / "parts").rglob("*.csv"))) == 6
    connection.execute("COPY t TO 'parts' (FORMAT csv, PARTITION_BY (g), OVERWRITE_OR_IGNORE)")
    assert len(list((tmp_path / "parts").rglob("*.csv"))) == 6
    assert sorted(os.listdir(tmp_path)) == ["parts"]


def test_partitions_read_back(connection: gpuql.Connection) -> None:
    connection.execute("COPY t TO 'parts' (FORMAT parquet, PARTITION_BY (a))")
    found = rows(connection, "SELECT a, b, c FROM 'parts/**/*.parquet' ORDER BY a")
    assert found == rows(connection, "SELECT a, b, c FROM t ORDER BY a")


def failure(connection: gpuql.Connection, text: str) -> gpuql.GpuqlError:
    with pytest.raises(gpuql.GpuqlError) as caught:
        connection.execute(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "kind", "sqlstate", "column"),
    [
        ("COPY nosuch TO 'x.csv'", gpuql.CatalogError, "42P01", 6),
        ("COPY t TO 'x.csv' (headr)", gpuql.BinderError, "42601", 20),
        ("COPY t TO 'x.csv' (HEADER maybe)", gpuql.BinderError, "22023", 20),
        ("COPY t TO 'x.csv' (HEADER, HEADER)", gpuql.BinderError, "42601", 28),
        ("COPY t TO 'x.csv' (DELIMITER '||')", gpuql.BinderError, "22023", 20),
        ("COPY t TO 'x' (FORMAT parket)", gpuql.CatalogError, "42704", 16),
        ("COPY t TO 'x.csv' (FORCE_QUOTE (nosuch))", gpuql.BinderError, "42703", 33),
        ("COPY t TO 'x' (FORMAT csv, PARTITION_BY (z))", gpuql.BinderError, "42703", 42),
        ("COPY t (nosuch) TO 'x.csv'", gpuql.BinderError, "42703", 9),
        ("COPY (SELECT 1) FROM 'x.csv'", gpuql.ParserError, "42601", 6),
        ("COPY t FROM 'nosuch.csv'", gpuql.InputError, "58P01", 13),
        ("COPY t TO 'x.parquet' (ROW_GROUP_SIZE 0)", gpuql.BinderError, "22023", 24),
        ("COPY t TO 'x.csv' (PER_THREAD_OUTPUT)", gpuql.NotSupportedError, "0A000", 20),
    ],
)
def test_errors_name_their_place(
    connection: gpuql.Connection, text: str, kind: type[Exception], sqlstate: str, column: int, tmp_path: Path
) -> None:
    error = failure(connection, text)
    assert isinstance(error, kind)
    assert error.sqlstate == sqlstate
    assert error.position == Position(1, column)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["o.csv", "o.json", "o.parquet"])
def test_a_failing_query_leaves_the_older_file(
    connection: gpuql.Connection, name: str, tmp_path: Path
) -> None:
    connection.execute(f"COPY (SELECT 1 AS x) TO '{name}'")
    before = (tmp_path / name).read_bytes()
    failure(connection, f"COPY (SELECT CAST(b AS INTEGER) AS x FROM t) TO '{name}'")
    assert (tmp_path / name).read_bytes() == before
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["o.csv", "o.json", "o.parquet"])
@pytest.mark.parametrize("partitioned", [False, True])
def test_a_failing_write_leaves_nothing(
    connection: gpuql.Connection,
    name: str,
    partitioned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk is full once three files were asked for, or when the file is moved to its place."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written_files.os, "replace", full)
    options = f"(FORMAT {name[2:]}, PARTITION_BY (a))" if partitioned else ""
    error = failure(connection, f"COPY t TO '{name}' {options}")
    assert isinstance(error, gpuql.InputError)
    assert "No space left" in str(error)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_missing(connection: gpuql.Connection) -> None:
    assert "directory does not exist: nosuch" in str(failure(connection, "COPY t TO 'nosuch/x.csv'"))


def test_a_failing_read_changes_nothing(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TABLE u (i INTEGER NOT NULL)")
    (tmp_path / "bad.csv").write_text("i\n1\nx\n")
    assert isinstance(failure(connection, "COPY u FROM 'bad.csv'"), gpuql.ConversionError)
    (tmp_path / "null.csv").write_text("i,j\n1,1\n,2\n")
    connection.execute("CREATE TABLE w (i INTEGER NOT NULL, j INTEGER)")
    assert isinstance(failure(connection, "COPY w FROM 'null.csv'"), gpuql.IntegrityError)
    assert rows(connection, "SELECT count(*) FROM u") == rows(connection, "SELECT count(*) FROM w") == [(0,)]


def test_more_rows_than_memory(tmp_path: Path) -> None:
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection:
        path = tmp_path / "many.csv"
        text = "SELECT range AS i, 'row ' || range AS s, range * 0.5 AS x FROM range(80000)"
        assert rows(connection, f"COPY ({text}) TO '{path}'") == [(80_000,)]
        connection.execute("CREATE TABLE many (i BIGINT, s VARCHAR, x DECIMAL(12,1))")
        assert rows(connection, f"COPY many FROM '{path}'") == [(80_000,)]
        assert rows(connection, "SELECT count(DISTINCT s), sum(i), sum(x)::VARCHAR FROM many") == [
            (80_000, 3_199_960_000, "1599980000.0")
        ]


def test_compressed_text(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("COPY (SELECT 1 AS x) TO 'a.csv.gz'")
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"x\n1\n"
    connection.execute("COPY (SELECT 1 AS x) TO 'b.csv' (COMPRESSION gzip)")
    assert gzip.decompress((tmp_path / "b.csv").read_bytes()) == b"x\n1\n"


def test_path_may_be_a_parameter(connection: gpuql.Connection, tmp_path: Path) -> None:
    connection.execute("COPY (SELECT 1 AS x) TO ?", ["p.csv"])
    assert (tmp_path / "p.csv").exists()


def test_frames_are_written_by_the_same_code(connection: gpuql.Connection, tmp_path: Path) -> None:
    frame = connection.sql("SELECT a, b, c FROM t ORDER BY a")
    for name, write in (
        ("f.csv", frame.write_csv),
        ("f.json", frame.write_json),
        ("f.parquet", frame.write_parquet),
    ):
        assert write(tmp_path / name) == 5
        connection.execute(f"COPY (SELECT a, b, c FROM t ORDER BY a) TO 's{name[1:]}'")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"s{name[1:]}").read_bytes()
    assert frame.write_csv("p.csv", delimiter=";", header=False, force_quote=["b"]) == 5
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == '1;"x";1.50'
    assert frame.write_parquet("parts", partition_by=["a"]) == 5
    with pytest.raises(gpuql.BinderError, match="no such option"):
        frame.write_csv("x.csv", headr=True)
    with pytest.raises(gpuql.BinderError, match="column not found"):
        frame.write_parquet("x", partition_by="z")
    with pytest.raises(gpuql.InputError, match="directory does not exist"):
        frame.write_csv(tmp_path / "nosuch" / "x.csv")
