from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gpuql.columnar.construct import column_to_python
from gpuql.io.parquet import ParquetTable, open_parquet
from gpuql_planner import types
from gpuql_planner.errors import ConversionError, GpuqlError, InputError, NotSupportedError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Cast, Expression, InList, Literal
from gpuql_planner.types import DataType, decimal

WriteParquet = Callable[..., str]


def rows(table: ParquetTable, *names: str) -> list[tuple[Any, ...]]:
    columns, num_rows = table.read(names)
    assert all(len(column) == num_rows for column in columns.values())
    return list(zip(*[column_to_python(columns[name]) for name in names], strict=True))


def test_all_types_round_trip(write_parquet: WriteParquet, sample_table: Any) -> None:
    table = open_parquet([write_parquet("a.parquet")])
    assert table.num_rows == 10
    columns, _ = table.read([field.name for field in table.fields])
    for field in table.fields:
        assert column_to_python(columns[field.name]) == sample_table.column(field.name).to_pylist()
    assert table.read([]) == ({}, 10)


def test_footer_statistics(write_parquet: WriteParquet) -> None:
    table = open_parquet([write_parquet("a.parquet")])
    key = table.statistics("k")
    assert (key.minimum, key.maximum, key.null_count, key.distinct_count) == (0, 9, 0, 10)
    assert (table.statistics("d").minimum, table.statistics("d").maximum) == (0, 225)
    assert table.statistics("d").null_count == 1
    assert table.statistics("day").minimum == 19723
    assert table.statistics("t").maximum == 1704067200_000_000 + 9 * 3600_000_000
    # NaN is the largest value and footers do not count it.
    assert (table.statistics("f").minimum, table.statistics("f").maximum) == (0.0, None)
    assert table.statistics("s").minimum is None


K = Attribute.fresh("k", types.BIGINT)
D = Attribute.fresh("d", decimal(10, 2))
DAY = Attribute.fresh("day", types.DATE)
S = Attribute.fresh("s", types.VARCHAR)
F = Attribute.fresh("f", types.DOUBLE)
NAMES = {attribute.id: attribute.name for attribute in (K, D, DAY, S, F)}


def compare(function: str, attribute: Attribute, value: Any, dtype: DataType | None = None) -> Expression:
    left: Expression = AttributeRef(attribute)
    if dtype is not None:
        left = Cast(left, dtype)
    return Call(function, (left, Literal(value, dtype or attribute.dtype)), types.BOOLEAN)


@pytest.mark.parametrize(
    ("predicate", "num_rows"),
    [
        (compare("eq", K, 4), 3),
        (compare("lt", K, 3), 3),
        (compare("le", K, 3), 6),
        (compare("gt", K, 8), 1),
        (compare("ge", K, 8), 4),
        (compare("eq", K, 100), 0),
        (compare("eq", K, None), 0),
        (compare("eq", K, 7, types.HUGEINT), 3),
        (compare("ge", D, Decimal("2.25")), 1),
        (compare("ge", D, Decimal("2.2500"), decimal(20, 4)), 1),
        (compare("lt", DAY, datetime.date(2024, 1, 2)), 3),
        (compare("lt", DAY, datetime.datetime(2024, 1, 1, 12), types.TIMESTAMP), 3),
        (compare("eq", S, "zzz"), 0),
        (compare("gt", F, 100.0), 10),
        (compare("lt", F, 0.0), 0),
        (InList(AttributeRef(K), (Literal(0, types.BIGINT), Literal(9, types.BIGINT))), 4),
        (Call("is_null", (AttributeRef(S),), types.BOOLEAN), 3),
        (Call("or", (compare("eq", K, 0), compare("eq", K, 9)), types.BOOLEAN), 4),
        (Call("and", (compare("ge", K, 4), compare("lt", K, 5)), types.BOOLEAN), 3),
        (Call("eq", (Literal(9, types.BIGINT), AttributeRef(K)), types.BOOLEAN), 1),
        (Call("gt", (Literal(3, types.BIGINT), AttributeRef(K)), types.BOOLEAN), 3),
        (Call("ne", (AttributeRef(K), Literal(4, types.BIGINT)), types.BOOLEAN), 10),
        (compare("eq", Attribute.fresh("k", types.BIGINT), 4), 10),
    ],
)
def test_row_groups_are_skipped(write_parquet: WriteParquet, predicate: Expression, num_rows: int) -> None:
    table = open_parquet([write_parquet("a.parquet")])
    columns, got = table.read(["k"], [predicate], NAMES)
    assert (got, len(columns["k"])) == (num_rows, num_rows)
    assert table.read(["k"], [predicate])[1] == 10


def test_globs_lists_and_directories(write_parquet: WriteParquet, tmp_path: Path) -> None:
    first = write_parquet("x/a.parquet", pa.table({"k": [1], "s": ["a"]}))
    second = write_parquet("x/b.parquet", pa.table({"s": ["b"], "k": [2]}))
    expected = [(1, "a"), (2, "b")]
    assert rows(open_parquet([first, second]), "k", "s") == expected
    assert rows(open_parquet([str(tmp_path / "x" / "*.parquet")]), "k", "s") == expected
    assert rows(open_parquet([str(tmp_path / "x")]), "k", "s") == expected
    assert rows(open_parquet([str(tmp_path / "**" / "b.parquet")]), "k", "s") == expected[1:]
    with_name = open_parquet([first, second], filename=True)
    assert rows(with_name, "filename") == [(first,), (second,)]


def test_hive_partitions(write_parquet: WriteParquet, tmp_path: Path) -> None:
    write_parquet("h/year=2023/c=de/a.parquet", pa.table({"k": [1]}))
    write_parquet("h/year=2024/c=__HIVE_DEFAULT_PARTITION__/a.parquet", pa.table({"k": [2]}))
    table = open_parquet([str(tmp_path / "h")])
    assert [(f.name, str(f.dtype)) for f in table.fields] == [
        ("k", "BIGINT"),
        ("year", "BIGINT"),
        ("c", "VARCHAR"),
    ]
    assert rows(table, "k", "year", "c") == [(1, 2023, "de"), (2, 2024, None)]
    year = Attribute.fresh("year", types.BIGINT)
    columns, num_rows = table.read(["k", "year"], [compare("eq", year, 2024)], {year.id: "year"})
    assert (num_rows, column_to_python(columns["k"])) == (1, [2])
    plain = open_parquet([str(tmp_path / "h")], hive_partitioning=False)
    assert [f.name for f in plain.fields] == ["k"]


def test_columns_of_several_files(write_parquet: WriteParquet) -> None:
    first = write_parquet("a.parquet", pa.table({"k": [1], "x": ["a"]}))
    second = write_parquet("b.parquet", pa.table({"K": pa.array([2], type=pa.int32())}))
    with pytest.raises(InputError, match=r"missing.*x \(.*b\.parquet"):
        open_parquet([first, second])
    united = open_parquet([first, second], union_by_name=True)
    assert rows(united, "k", "x") == [(1, "a"), (2, None)]
    big = write_parquet("c.parquet", pa.table({"k": [2**40]}))
    with pytest.raises(ConversionError, match="does not fit"):
        open_parquet([second, big]).read(["K"])


def test_repeated_and_dotted_names(write_parquet: WriteParquet) -> None:
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a.b"])
    assert rows(open_parquet([write_parquet("a.parquet", table)]), "a", "a_1", "a.b") == [(1, 2, 3)]


def test_dictionary_coded_strings_read_the_same(write_parquet: WriteParquet) -> None:
    values = [None if i % 11 == 0 else f"value{i % 5}" for i in range(5000)]
    path = write_parquet("a.parquet", pa.table({"s": values}), row_group_size=2000)
    table = open_parquet([path])
    assert rows(table, "s") == [(value,) for value in values]
    distinct = table.statistics("s").distinct_count
    assert distinct is not None
    assert 1 <= distinct <= 20


def test_a_file_that_changes_is_refused(write_parquet: WriteParquet) -> None:
    path = write_parquet("a.parquet")
    table = open_parquet([path])
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="changed"):
        table.read(["k"])
    os.remove(path)
    with pytest.raises(InputError, match="not found"):
        table.read(["k"])


def test_damaged_files(write_parquet: WriteParquet, tmp_path: Path) -> None:
    path = write_parquet("good.parquet")
    data = Path(path).read_bytes()
    cases: dict[str, bytes] = {
        "empty.parquet": b"",
        "text.parquet": b"this is not parquet at all",
        "cut.parquet": data[: len(data) // 2],
        "tail.parquet": data[100:],
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            open_parquet([str(tmp_path / name)])
    for position in range(4, len(data) - 1500, 97):
        broken = bytearray(data)
        broken[position : position + 8] = b"\xff" * 8
        (tmp_path / "broken.parquet").write_bytes(bytes(broken))
        try:
            opened = open_parquet([str(tmp_path / "broken.parquet")])
            opened.read([field.name for field in opened.fields])
        except GpuqlError:
            continue


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("goood.parquet", r"not found.*goood(.|\n)*good\.parquet"),
        ("*.pq", "no files match"),
        ("sub", "no files in dir"),
    ],
)
def test_missing_files(write_parquet: WriteParquet, tmp_path: Path, pattern: str, text: str) -> None:
    write_parquet("good.parquet")
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError) as caught:
        open_parquet([str(tmp_path / pattern)])
    caught.match(text.split("(.|", maxsplit=1)[0])
    if pattern == "goood.parquet":
        assert "good.parquet" in str(caught.value.hint)


def test_refusals(write_parquet: WriteParquet) -> None:
    with pytest.raises(NotSupportedError, match="remote"):
        open_parquet(["s3://bucket/x.parquet"])
    with pytest.raises(InputError, match="no columns"):
        open_parquet([write_parquet("n.parquet", pa.table({}))])
