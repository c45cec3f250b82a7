"""Connections: statements, cursors, settings, caching, variables as tables, interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

import gpuql
from gpuql import BinderError, CatalogError, Connection, InterfaceError, ParserError
from gpuql.errors import DeviceError, InterruptError

MODULE_FRAME = pandas.DataFrame({"a": [1, 2, 3]})


@pytest.fixture
def connection() -> Iterator[Connection]:
    with gpuql.connect(device="cpu", threads=2) as connection:
        yield connection


def test_execute_runs_all_statements_and_keeps_the_last_rows(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2); SELECT a FROM t ORDER BY a"
    )
    assert connection.fetchone() == (1,)
    assert connection.fetchmany(5) == [(2,)]
    assert connection.fetchone() is None
    assert connection.fetchall() == []


def test_counts_of_inserted_rows(connection: Connection) -> None:
    assert connection.execute("CREATE TABLE t AS SELECT 1 AS a").fetchall() == [(1,)]
    assert connection.execute("INSERT INTO t VALUES (2), (3)").fetchall() == [(2,)]


def test_cursor_follows_pep_249(connection: Connection) -> None:
    cursor = connection.cursor()
    assert cursor.description is None
    assert cursor.rowcount == -1
    cursor.execute("SELECT 1.50 AS d, 'x' AS s")
    assert cursor.description == [
        ("d", "DECIMAL(3,2)", None, None, 3, 2, None),
        ("s", "VARCHAR", None, None, None, None, None),
    ]
    assert cursor.rowcount == 1
    assert [row[1] for row in cursor] == ["x"]
    cursor.close()
    with pytest.raises(InterfaceError, match="cursor is closed"):
        cursor.execute("SELECT 1")
    with pytest.raises(InterfaceError, match="no statement"):
        connection.cursor().fetchone()


def test_executemany(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, None)])
    assert connection.execute("SELECT * FROM t ORDER BY a").fetchall() == [(1, "x"), (2, None)]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [("SELECT ? + ?", (1, 2)), ("SELECT $1 + $2", [1, 2]), ("SELECT $a + $b", {"a": 1, "b": 2})],
)
def test_parameters(sql: str, parameters: Any, connection: Connection) -> None:
    assert connection.execute(sql, parameters).fetchall() == [(3,)]


def test_parameters_of_other_types_are_other_plans(connection: Connection) -> None:
    values = [1, True, 1.0, -0.0, 0.0, "1", None]
    got = [connection.execute("SELECT ?, typeof(?)", (value, value)).fetchall()[0] for value in values]
    assert [type_name for _, type_name in got] == [
        "INTEGER",
        "BOOLEAN",
        "DOUBLE",
        "DOUBLE",
        "DOUBLE",
        "VARCHAR",
        '"NULL"',
    ]
    assert [str(value) for value, _ in got] == ["1", "True", "1.0", "-0.0", "0.0", "1", "None"]


def test_empty_text(connection: Connection) -> None:
    assert connection.execute(" ; -- nothing\n").fetchall() == []


def test_closed_connection() -> None:
    connection = gpuql.connect(device="cpu")
    connection.close()
    connection.close()
    with pytest.raises(InterfaceError, match="closed"):
        connection.sql("SELECT 1")


def test_errors_show_the_place(connection: Connection) -> None:
    with pytest.raises(ParserError) as parse_error:
        connection.sql("SELECT 1 +\nFROM x WHERE")
    assert "^" in str(parse_error.value)
    with pytest.raises(BinderError) as bind_error:
        connection.sql("SELECT naem FROM (SELECT 'x' AS name) t")
    assert "LINE 1" in str(bind_error.value)
    assert "did you mean name?" in str(bind_error.value)
    with pytest.raises(CatalogError, match="missing"):
        connection.sql("SELECT * FROM missing")


# --- plans kept ---


def test_a_changed_table_is_seen_by_a_repeated_statement(connection: Connection) -> None:
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    assert connection.execute("SELECT * FROM t").fetchall() == [(1,)]
    connection.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    assert len(connection.execute("SELECT * FROM t").fetchall()) == 2
    connection.execute("CREATE OR REPLACE TABLE t AS SELECT 'x' AS b")
    assert connection.execute("SELECT * FROM t").fetchall() == [("x",)]


def test_a_replaced_view_is_seen(connection: Connection) -> None:
    connection.execute("CREATE VIEW v AS SELECT 1 AS a")
    assert connection.execute("SELECT * FROM v").fetchall() == [(1,)]
    connection.execute("CREATE OR REPLACE VIEW v AS SELECT 2 AS a")
    assert connection.execute("SELECT * FROM v").fetchall() == [(2,)]


def test_a_rewritten_file_is_seen(tmp_path: Path, connection: Connection) -> None:
    path = tmp_path / "data.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    assert connection.execute(f"SELECT * FROM '{path}'").fetchall() == [(1,)]
    pyarrow.parquet.write_table(pyarrow.table({"b": ["x", "y"]}), path)
    assert connection.execute(f"SELECT * FROM '{path}'").fetchall() == [("x",), ("y",)]
    assert connection.read_parquet(path).columns == ["b"]


def test_the_clock_is_not_kept(connection: Connection) -> None:
    first = connection.execute("SELECT now()").fetchall()
    time.sleep(0.002)
    assert connection.execute("SELECT now()").fetchall() != first


def test_settings_of_the_moment_are_used(connection: Connection) -> None:
    assert connection.execute("SELECT 7 / 2").fetchall() == [(3.5,)]
    connection.execute("SET integer_division = true")
    assert connection.execute("SELECT 7 / 2").fetchall() == [(3,)]
    connection.execute("RESET integer_division")
    assert connection.execute("SELECT 7 / 2").fetchall() == [(3.5,)]


# --- settings and devices ---


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"thread": 2}, CatalogError, "did you mean threads"),
        ({"threads": 0}, BinderError, "setting threads must be a whole number"),
        ({"tier": "fast"}, BinderError, "must be one of auto, interpreted, compiled"),
        ({"optimizer": "maybe"}, BinderError, "must be true or false"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gpuql.connect(device="cpu", **{"threads": 1, **settings})


def test_set_in_sql(connection: Connection) -> None:
    connection.execute("SET threads = 1; SET tier = 'interpreted'")
    assert (connection.settings.threads, connection.settings.tier) == (1, "interpreted")
    with pytest.raises(CatalogError, match="did you mean tier"):
        connection.execute("SET teir = 'auto'")


def test_devices_say_why() -> None:
    with gpuql.connect(device="auto") as connection:
        assert connection.device.name in ("cpu", "gpu")
        assert connection.device.reason.startswith("auto: ")
        usable = connection.device.name == "gpu"
    if not usable:
        with pytest.raises(DeviceError, match="no usable GPU: "):
            gpuql.connect(device="gpu")


# --- tables from Python ---


def test_python_variables_are_tables(connection: Connection) -> None:
    pandas_frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    polars_frame = polars.DataFrame({"a": [2, 3]})
    arrow_table = pyarrow.table({"a": [3, 4]})
    arrays = {"a": np.array([4, 5])}
    own = connection.sql("SELECT 6 AS a")
    for name, expected in (
        ("pandas_frame", [1, 2]),
        ("polars_frame", [2, 3]),
        ("arrow_table", [3, 4]),
        ("arrays", [4, 5]),
        ("own", [6]),
        ("MODULE_FRAME", [1, 2, 3]),
    ):
        assert [row[0] for row in connection.sql(f"SELECT a FROM {name} ORDER BY a").fetchall()] == expected
    del pandas_frame, polars_frame, arrow_table, arrays, own
    with pytest.raises(CatalogError):
        connection.sql("SELECT * FROM pandas_frame")


def test_a_rebound_variable_is_seen(connection: Connection) -> None:
    frame = pandas.DataFrame({"a": [1]})
    assert connection.sql("SELECT a FROM frame").fetchall() == [(1,)]
    frame = pandas.DataFrame({"a": [2]})
    assert connection.sql("SELECT a FROM frame").fetchall() == [(2,)]
    frame.loc[0, "a"] = 3
    assert connection.sql("SELECT a FROM frame").fetchall() == [(3,)]


def test_register(connection: Connection) -> None:
    connection.register("r", {"a": [1, 2]})
    assert connection.table("r").fetchall() == [(1,), (2,)]
    connection.register("r", polars.DataFrame({"b": [7]}))
    assert connection.table("R").fetchall() == [(7,)]
    connection.unregister("r")
    with pytest.raises(CatalogError):
        connection.table("r")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("from_pandas", pandas.DataFrame({"a": [1, 2]})),
        ("from_polars", polars.DataFrame({"a": [1, 2]})),
        ("from_arrow", pyarrow.table({"a": [1, 2]})),
        ("from_dict", {"a": [1, 2]}),
    ],
)
def test_from_frames(method: str, value: object, connection: Connection) -> None:
    assert getattr(connection, method)(value).fetchall() == [(1,), (2,)]


def test_read_csv_and_json(tmp_path: Path, connection: Connection) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1;x\n2;\n")
    (tmp_path / "a.json").write_text('{"a": 1}\n{"a": 2}\n')
    assert connection.read_csv(tmp_path / "a.csv", delim=";").fetchall() == [(1, "x"), (2, None)]
    assert connection.read_json(tmp_path / "a.json").fetchall() == [(1,), (2,)]


def test_default_connection() -> None:
    assert gpuql.sql("SELECT 41 + 1").fetchall() == [(42,)]
    assert gpuql.default_connection() is gpuql.default_connection()


# --- explain ---


def test_explain(connection: Connection) -> None:
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    plan = connection.explain("SELECT sum(a) FROM t")
    assert "t" in plan
    assert "cpu" in plan
    rows = connection.execute("EXPLAIN SELECT sum(a) FROM t").fetchall()
    assert connection.description[0][0] == "explain"  # type: ignore[index]
    assert "\n".join(row[0] for row in rows) == plan
    analyzed = connection.explain("SELECT sum(a) FROM t", analyze=True)
    assert "tier: " in analyzed
    assert "total" in analyzed


def test_explain_codegen(connection: Connection) -> None:
    connection.register("n", {"a": np.arange(10_000)})
    text = connection.explain("SELECT sum(a) FROM n WHERE a < 500", codegen=True)
    assert "def pipeline(" in text
    assert "500" not in text, "literals are arguments of generated code, not part of it"


# --- threads and interrupts ---


def test_many_threads_one_connection(connection: Connection) -> None:
    connection.register("n", {"a": np.arange(50_000)})
    failures: list[str] = []

    def work(limit: int) -> None:
        for _ in range(5):
            rows = connection.sql(f"SELECT sum(a) FROM n WHERE a < {limit}").fetchall()
            if rows != [(limit * (limit - 1) // 2,)]:
                failures.append(f"{limit}: {rows}")

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_interrupt_leaves_the_connection_usable(connection: Connection) -> None:
    connection.execute("SET tier = 'interpreted'; SET batch_rows = 100")
    connection.register("n", {"a": np.arange(20_000)})
    slow = "SELECT sum(x.a * y.a % 7) FROM n x, n y WHERE x.a + y.a > 1"
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            connection.sql(slow).fetchall()
        except InterruptError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 300
    while not outcome and time.monotonic() < deadline:
        time.sleep(0.05)
        connection.interrupt()
    thread.join(300)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert connection.interrupt() == 0
    assert connection.sql("SELECT 1").fetchall() == [(1,)]
