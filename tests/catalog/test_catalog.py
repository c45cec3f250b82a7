from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuql.catalog.catalog import SessionCatalog
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.table import ReadableTable
from gpuql_planner import types
from gpuql_planner.catalog import Catalog, Field, View
from gpuql_planner.errors import BinderError, CatalogError, InputError, IntegrityError

FIELDS = (Field("k", types.BIGINT, nullable=False), Field("s", types.VARCHAR))


def with_table() -> SessionCatalog:
    catalog = SessionCatalog()
    columns = [column_from_python([1], types.BIGINT), column_from_python(["x"], types.VARCHAR)]
    catalog.create_table("Items", FIELDS, columns, 1)
    return catalog


def table_of(catalog: SessionCatalog, name: str) -> ReadableTable:
    found = catalog.resolve(name)
    assert found is not None
    assert not isinstance(found, View)
    return found


def test_is_the_planners_catalog() -> None:
    catalog: Catalog = SessionCatalog()
    assert catalog.resolve("nothing") is None


def test_names_ignore_case_and_keep_their_spelling() -> None:
    catalog = with_table()
    assert catalog.resolve("ITEMS") is catalog.resolve("items")
    assert catalog.relation_names() == ["Items"]


def test_create_twice() -> None:
    catalog = with_table()
    before = catalog.resolve("items")
    with pytest.raises(CatalogError, match="exists"):
        catalog.create_table("items", FIELDS)
    assert not catalog.create_table("items", FIELDS, if_not_exists=True)
    assert catalog.resolve("items") is before
    assert catalog.create_table("items", FIELDS, or_replace=True)
    assert table_of(catalog, "items").num_rows == 0
    with pytest.raises(CatalogError, match="table exists"):
        catalog.create_view(View("items", "SELECT 1"), or_replace=True)


def test_views_and_drop() -> None:
    catalog = with_table()
    view = View("v", "SELECT 1")
    assert catalog.create_view(view)
    assert catalog.resolve("V") is view
    assert not catalog.create_view(view, if_not_exists=True)
    with pytest.raises(CatalogError, match="not a table but a view"):
        catalog.drop("table", "v")
    assert catalog.drop("view", "v")
    assert not catalog.drop("view", "v", if_exists=True)
    with pytest.raises(CatalogError) as caught:
        catalog.drop("table", "item")
    assert "Items" in str(caught.value.hint)
    with pytest.raises(CatalogError, match="twice"):
        catalog.create_table("d", (*FIELDS, Field("K", types.DATE)))
    with pytest.raises(CatalogError, match="no columns"):
        catalog.create_table("d", ())


def test_insert_leaves_the_old_version() -> None:
    catalog = with_table()
    before = table_of(catalog, "items")
    more = [column_from_python([2], types.BIGINT), column_from_python([None], types.VARCHAR)]
    catalog.insert("items", more, 1)
    after = table_of(catalog, "items")
    assert before.num_rows == 1
    assert column_to_python(after.read(["s"])[0]["s"]) == ["x", None]
    with pytest.raises(IntegrityError):
        catalog.insert("items", more[::-1], 1)
    with pytest.raises(CatalogError, match="does not exist"):
        catalog.insert("nope", more, 1)
    catalog.create_view(View("v", "SELECT 1"))
    with pytest.raises(CatalogError, match="view"):
        catalog.insert("v", more, 1)


def test_concurrent_inserts_lose_nothing() -> None:
    catalog = with_table()
    row = [column_from_python([2], types.BIGINT), column_from_python(["y"], types.VARCHAR)]

    def insert_often() -> None:
        for _ in range(20):
            catalog.insert("items", row, 1)

    threads = [threading.Thread(target=insert_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = table_of(catalog, "items")
    assert table.num_rows == 81
    assert len(table.read(["k"])[0]["k"]) == 81


def test_registered_frames_and_replacements() -> None:
    frames = {"found": {"a": [1]}}
    catalog = SessionCatalog(replacement=frames.get)
    catalog.register("f", {"a": [1, 2]})
    assert table_of(catalog, "F").num_rows == 2
    catalog.register("f", {"a": [1, 2, 3]})
    assert table_of(catalog, "f").num_rows == 3
    assert table_of(catalog, "found").num_rows == 1
    assert catalog.resolve("absent") is None
    catalog.unregister("F")
    with pytest.raises(CatalogError, match="registered"):
        catalog.unregister("f")
    catalog.create_table("t", FIELDS)
    with pytest.raises(CatalogError, match="exists"):
        catalog.register("t", {"a": [1]})


def test_an_arrow_table_is_encoded_once_and_other_frames_are_taken_anew() -> None:
    frames: dict[str, object] = {"arrow": pa.table({"a": [1]}), "columns": {"a": [1]}}
    catalog = SessionCatalog(replacement=frames.get)
    first = table_of(catalog, "arrow")
    assert catalog.resolve("arrow") is first
    frames["arrow"] = pa.table({"a": [1, 2]})
    assert table_of(catalog, "arrow").num_rows == 2
    frames["columns"] = {"a": [1, 2]}
    assert table_of(catalog, "columns").num_rows == 2


def test_files_are_the_same_object_until_they_change(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": [1]}), path)
    catalog = SessionCatalog()
    first = table_of(catalog, path)
    assert catalog.resolve(path) is first
    glob = str(tmp_path / "*.parquet")
    over_glob = table_of(catalog, glob)
    assert catalog.table_function("read_parquet", [glob], {}) is over_glob
    pq.write_table(pa.table({"a": [1, 2]}), path)
    assert table_of(catalog, path).num_rows == 2
    pq.write_table(pa.table({"a": [3]}), tmp_path / "b.parquet")
    assert table_of(catalog, glob).num_rows == 3
    assert table_of(catalog, str(tmp_path)).num_rows == 3
    os.remove(path)
    with pytest.raises(InputError, match="not found"):
        catalog.resolve(path)


def test_table_functions(tmp_path: Path) -> None:
    catalog = SessionCatalog()
    (tmp_path / "x.txt").write_text("a;b\n1;2\n")
    table = catalog.table_function("READ_CSV", [str(tmp_path / "x.txt")], {"delim": ";", "header": True})
    assert table is not None
    assert [field.name for field in table.fields] == ["a", "b"]
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    assert table_of(catalog, str(tmp_path / "x.jsonl")).num_rows == 1
    assert catalog.table_function("nothing", [1], {}) is None
    series = catalog.table_function("range", [0, 10**12, 7], {})
    assert series is not None
    assert series is catalog.table_function("range", [0, 10**12, 7], {})
    assert series.num_rows == len(range(0, 10**12, 7))
    with pytest.raises(BinderError, match="unknown named argument") as caught:
        catalog.table_function("read_csv", ["x"], {"headers": True})
    assert "header" in str(caught.value.hint)
    with pytest.raises(BinderError, match="wrong type"):
        catalog.table_function("read_csv", ["x"], {"header": 1})
    with pytest.raises(BinderError, match="one path"):
        catalog.table_function("read_csv", [], {})
    with pytest.raises(BinderError, match="string"):
        catalog.table_function("read_parquet", [5], {})


def test_the_catalog_loads_no_arrow() -> None:
    code = (
        "import sys, gpuql.catalog.catalog; "
        "assert not {'pyarrow', 'numba', 'cupy'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
