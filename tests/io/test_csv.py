from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gpuql.columnar.construct import column_to_python
from gpuql.io.csv import CsvTable, open_csv
from gpuql_planner.errors import BinderError, ConversionError, InputError

SAME_AS_DUCKDB = [
    "a\nyes\nno\n",
    "a,b\nx,y\nz,w\n",
    'a,b\n1,\n2,""\n',
    'a,b\nq,\nr,""\n',
    "1,2\n3,4\n",
    "a,a,A\n1,2,3\n",
    "x,y\nz,w\n",
    "a;b\n1;2\n",
    "a|b\n1.5|x\n",
    "a\tb\n1\ttrue\n2\tfalse\n",
    "d,t\n2020-01-01,2020-01-01 10:00:00\n",
    "d,t\n2020-01-01,2020-01-01T10:00:00\n",
    "a\n1\n2\n",
    "t,b\n10:11:12,true\n",
    "a\n1.5\nx\n",
    'a,b\n"x, y","line\nbreak"\n"say ""hi""",z\n',
    "a,b\n1,x\n2.5,y\n",
    "a,b\r\n1,2\r\n3,4\r\n",
    "a,b\n1,2",
    "h\n-5\n\n7\n",
    "é,ü\nä,1\n",
    "a,b\n9999999999999999999,1e3\n-1,2.5\n",
    "a\n1\n\n",
]


@pytest.mark.parametrize("text", SAME_AS_DUCKDB)
def test_reads_what_duckdb_reads(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode("utf-8"))
    expected = duckdb.sql(f"SELECT * FROM read_csv('{path}')")
    assert expected is not None
    table = open_csv([str(path)])
    names = [field.name for field in table.fields]
    assert names == expected.columns
    assert [str(field.dtype) for field in table.fields] == [str(dtype) for dtype in expected.types]
    columns, num_rows = table.read(names)
    got = list(zip(*[column_to_python(columns[name]) for name in names], strict=True))
    assert got == expected.fetchall()
    assert num_rows == len(got)


def read(path: Path, **options: Any) -> dict[str, list[Any]]:
    table = open_csv([str(path)], **options)
    columns, _ = table.read([field.name for field in table.fields])
    return {name: column_to_python(column) for name, column in columns.items()}


def test_options(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("# note\na!b\n1!NA\n2!x\n")
    assert read(path, delim="!", skip=1, nullstr="NA", header=True) == {"a": [1, 2], "b": [None, "x"]}
    assert read(path, delim="!", skip=1, names=["p"], all_varchar=True)["p"] == ["1", "2"]
    path.write_text("d\n31/12/2024\n")
    assert str(read(path, dateformat="%d/%m/%Y", header=True)["d"][0]).startswith("2024-12-31")
    path.write_text("a,b\n1,2\n3\n4,5\n")
    assert read(path, ignore_errors=True, delim=",", header=True) == {"a": [1, 4], "b": [2, 5]}


def test_gzip_globs_and_only_the_needed_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"k,s\n1,x\n"))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"k,s\n2,y\n"))
    table = open_csv([str(tmp_path / "*.csv.gz")])
    columns, num_rows = table.read(["s"])
    assert (num_rows, list(columns)) == (2, ["s"])
    assert column_to_python(columns["s"]) == ["x", "y"]
    assert table.read([])[1] == 2


@pytest.mark.parametrize(
    ("content", "options", "error", "text"),
    [
        (b"", {}, InputError, "empty"),
        (b"a,b\n1,2\n3\n", {"delim": ","}, InputError, "x.csv"),
        (b"a\n\xff\xfe\n", {}, InputError, "x.csv"),
        (b"a,b\n1,2\n", {"delim": "||"}, BinderError, "single"),
        (b"a\n1\n", {"names": ["x", "y"]}, BinderError, "names"),
    ],
)
def test_refusals(
    tmp_path: Path, content: bytes, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=text):
        read(path, **options)


def test_a_value_beyond_the_beginning_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuql.io.csv.CSV_INFER_BYTES", 64)
    path = tmp_path / "x.csv"
    path.write_text("a\n" + "1\n" * 100 + "x\n")
    with pytest.raises(ConversionError, match=r"x\.csv") as caught:
        read(path)
    assert "all_varchar" in str(caught.value.hint)
    assert read(path, all_varchar=True)["a"][-1] == "x"


def values_of(table: CsvTable) -> dict[str, list[Any]]:
    columns, _ = table.read([field.name for field in table.fields])
    return {name: column_to_python(column) for name, column in columns.items()}


def test_columns_of_later_files_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a,c\n3,4,5\n")
    (tmp_path / "3.csv").write_text("a,b")
    (tmp_path / "4.csv").write_text("")
    table = open_csv([str(tmp_path / "*.csv")])
    assert values_of(table) == {"a": [1, 4], "b": [2, 3]}


def test_a_later_file_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n3,4\n")
    with pytest.raises(InputError, match="missing in another: b"):
        open_csv([str(tmp_path / "*.csv")])


def test_a_header_without_rows_or_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b")
    assert values_of(open_csv([str(tmp_path / "x.csv")])) == {"a": [], "b": []}


def test_whole_numbers_keep_all_digits(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,b\n1,1\n{10**20},{10**50}\n")
    table = open_csv([str(tmp_path / "x.csv")])
    assert [str(field.dtype) for field in table.fields] == ["HUGEINT", "VARCHAR"]
    assert values_of(table) == {"a": [1, 10**20], "b": ["1", str(10**50)]}


@pytest.mark.parametrize(
    "options",
    [{"delim": "é"}, {"delim": "ab"}, {"quote": ","}, {"skip": -1}, {"escape": "xy"}],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BinderError):
        open_csv([str(tmp_path / "x.csv")], **options)


def test_text_that_is_not_utf8_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,caf\xe9\n")
    with pytest.raises(InputError, match="byte 0xe9 at offset 9"):
        open_csv([str(tmp_path / "x.csv")])


def test_a_broken_link_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to("gone.csv")
    with pytest.raises(InputError, match=r"link leads to no file: .*gone\.csv"):
        open_csv([str(tmp_path / "x.csv")])
