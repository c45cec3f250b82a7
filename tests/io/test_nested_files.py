"""Nested columns of Parquet and JSON files, and of Arrow tables, in and out."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql

COLUMNS: dict[str, Any] = {
    "ints": [[1, 2, None], None, [], [-5]],
    "texts": [["a", None, ""], [], None, ["é", "long " * 20]],
    "structs": [{"a": 1, "b": "x"}, None, {"a": None, "b": None}, {"a": 3, "b": "y"}],
    "deep": [[[1], [2, 3], None], None, [[]], [[None]]],
    "mixed": [[{"a": [1], "b": "q"}, None], None, [], [{"a": None, "b": ""}]],
    "floats": [[1.5, float("inf")], [-1e300], [None], None],
    "decimals": [[Decimal("1.50")], None, [Decimal("-99999999999999999999.25")], [None]],
    "bytes": [[b"\x00\xff", b""], None, [None], [b"a"]],
    "dates": [[datetime.date(2020, 1, 1)], [datetime.date(1900, 1, 1), None], None, []],
    "times": [[datetime.datetime(2020, 1, 1, 10, 30)], None, [], [None]],
    "flags": [[True, False, None], None, [], [False]],
    "plain": [1, 2, 3, 4],
}


@pytest.fixture
def table() -> Any:
    maps = pa.array([[("k", 1)], None, [], [("a", 2), ("b", None)]], pa.map_(pa.string(), pa.int64()))
    return pa.table({**COLUMNS, "maps": maps})


def same(found: Any, expected: Any) -> None:
    for name in expected.column_names:
        assert found.column(name).to_pylist() == expected.column(name).to_pylist(), name


@pytest.mark.parametrize("limit", [None, "4MB"])
def test_arrow_comes_back_as_it_was(table: Any, limit: str | None) -> None:
    settings = {} if limit is None else {"memory_limit": limit}
    with gpuql.connect(device="cpu", **settings) as connection:
        connection.register("t", table)
        same(connection.sql("SELECT * FROM t").to_arrow(), table)
        same(connection.sql("SELECT * FROM t ORDER BY plain DESC").to_arrow(), table.take([3, 2, 1, 0]))
        connection.execute("CREATE TABLE kept AS SELECT * FROM t")
        same(connection.sql("SELECT * FROM kept").to_arrow(), table)


def test_slices_and_chunks_of_arrow(table: Any) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.register("part", table.slice(1, 2))
        same(connection.sql("SELECT * FROM part").to_arrow(), table.slice(1, 2))
        both = pa.concat_tables([table.slice(2), table])
        connection.register("chunks", both)
        same(connection.sql("SELECT * FROM chunks").to_arrow(), both)


def test_layouts_of_arrow_lists() -> None:
    values = [[1, 2], None, [3, 4]]
    for layout in (pa.large_list(pa.int64()), pa.list_view(pa.int64())):
        with gpuql.connect(device="cpu") as connection:
            connection.register("t", pa.table({"l": pa.array(values, layout)}))
            assert connection.execute("SELECT l FROM t").fetchall() == [(value,) for value in values]


def test_python_rows(table: Any) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.register("t", table.select(["structs", "maps", "mixed"]))
        rows = connection.execute("SELECT structs, maps, mixed FROM t").fetchall()
    assert rows[0] == ({"a": 1, "b": "x"}, {"k": 1}, [{"a": [1], "b": "q"}, None])
    assert rows[1] == (None, None, None)


def test_parquet(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    pq.write_table(table, path, row_group_size=3)
    with gpuql.connect(device="cpu") as connection:
        same(connection.sql(f"SELECT * FROM '{path}'").to_arrow(), table)
        found = connection.execute(f"SELECT ints FROM '{path}' WHERE plain = 4 OR structs IS NULL").fetchall()
        assert found == [(None,), ([-5],)]


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "nested.json"
    path.write_text(
        '{"a": [1, 2], "s": {"x": 1}}\n{"a": null, "s": {"x": 2, "y": ["2020-01-01"]}}\n{"a": []}\n'
    )
    with gpuql.connect(device="cpu") as connection:
        rows = connection.execute(f"SELECT a, s FROM '{path}'").fetchall()
    assert rows == [
        ([1, 2], {"x": 1, "y": None}),
        (None, {"x": 2, "y": ["2020-01-01"]}),
        ([], None),
    ]


def test_spilled_rows_hold_lists() -> None:
    num_rows = 60_000
    lists = [[row, None, row % 7] if row % 3 else None for row in range(num_rows)]
    table = pa.table({"k": list(range(num_rows)), "l": lists})
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection:
        connection.register("t", table)
        found = connection.sql("SELECT l, k FROM t ORDER BY k DESC").to_arrow()
        groups = connection.execute("SELECT count(*) FROM (SELECT l FROM t GROUP BY l)").fetchall()
        joined = connection.execute("SELECT count(*) FROM t a JOIN t b ON a.l = b.l").fetchall()
    assert found.column("l").to_pylist() == lists[::-1]
    assert groups == [(num_rows * 2 // 3 + 1,)]
    assert joined == [(num_rows * 2 // 3,)]


def test_arrays_are_fixed_size_lists_of_arrow_and_tuples_of_python(tmp_path: Path) -> None:
    table = pa.table(
        {
            "l": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
            "f": pa.array([[[1.5, 2.5]], [[3.5, 4.5]], None], pa.list_(pa.list_(pa.float32(), 2), 1)),
        }
    )
    rows = [((1, 2), ((1.5, 2.5),)), (None, ((3.5, 4.5),)), ((3, None), None)]
    with gpuql.connect(device="cpu") as connection:
        connection.register("t", table)
        assert connection.sql("SELECT * FROM t").fetchall() == rows
        assert connection.sql("SELECT * FROM t").to_arrow() == table
        connection.register("chunks", pa.concat_tables([table.slice(1), table]))
        assert connection.sql("SELECT l FROM chunks").fetchall() == [(None,), (rows[2][0],)] + [
            (r[0],) for r in rows
        ]
        path = tmp_path / "arrays.parquet"
        connection.execute(f"COPY t TO '{path}'")
        assert connection.sql(f"SELECT * FROM '{path}'").fetchall() == rows
