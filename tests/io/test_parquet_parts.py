"""Parquet files read in parts: the same rows, in order, in one physical form."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_to_python
from gpuql.io.parquet import ParquetTable, open_parquet
from gpuql_planner.errors import ConversionError, InputError

WriteParquet = Callable[..., str]

ROWS = 10_000


def mixed() -> Any:
    keys = np.arange(ROWS)
    return pa.table(
        {
            "k": keys,
            "small": (keys % 100).astype(np.int64),
            "late": np.where(keys < ROWS - 1, 1, 70_000),
            "price": pa.array([Decimal(int(k)) / 100 for k in keys], pa.decimal128(15, 2)),
            "code": [f"code {k * 7 // ROWS}" for k in keys],
            "text": [f"text of row {k} é" if k % 5 else None for k in keys],
            "view": pa.array([f"view of row {k}" for k in keys], pa.string_view()),
            "maybe": pa.array([None if k % 3 else int(k) for k in keys], pa.int32()),
            "half": keys / 2,
            "flag": keys % 2 == 0,
            "nothing": pa.nulls(ROWS, pa.int64()),
        }
    )


def parts_of(table: ParquetTable, part_bytes: int, **options: Any) -> list[dict[str, Column]]:
    names = [field.name for field in table.fields]
    parts = []
    for columns, num_rows in table.read_parts(names, part_bytes=part_bytes, **options):
        assert all(len(column) == num_rows for column in columns.values())
        parts.append(columns)
    return parts


def joined(parts: list[dict[str, Column]], name: str) -> list[Any]:
    return [value for part in parts for value in column_to_python(part[name])]


@pytest.mark.parametrize("row_group_size", [100, 1500, ROWS])
@pytest.mark.parametrize("part_bytes", [5_000, 20_000, 1 << 30])
def test_parts_are_the_whole(write_parquet: WriteParquet, row_group_size: int, part_bytes: int) -> None:
    expected = mixed()
    table = open_parquet([write_parquet("a.parquet", expected, row_group_size=row_group_size)])
    parts = parts_of(table, part_bytes)
    whole, _ = table.read([field.name for field in table.fields])
    assert (len(parts) == 1) == (part_bytes == 1 << 30)
    for name in expected.column_names:
        assert joined(parts, name) == expected.column(name).to_pylist()
        assert column_to_python(whole[name]) == expected.column(name).to_pylist()


def test_parts_have_the_form_that_the_footers_tell(write_parquet: WriteParquet) -> None:
    table = open_parquet([write_parquet("a.parquet", mixed(), row_group_size=1000)])
    parts = parts_of(table, 20_000)
    assert len(parts) > 5
    for name in ("k", "small", "late", "price", "half", "flag", "maybe"):
        assert len({(part[name].form, part[name].bounds) for part in parts}) == 1
    assert parts[0]["late"].values.dtype == np.int32
    # Dictionaries grow with the first pass over the file; then all parts share one.
    again = parts_of(table, 20_000)
    assert len({id(part["code"].strings) for part in again}) == 1
    strings = again[0]["code"].strings
    assert strings is not None
    assert strings.unique
    assert strings.sorted


def test_footers_that_lie_do_not_make_wrong_rows(write_parquet: WriteParquet) -> None:
    path = write_parquet("a.parquet", pa.table({"k": [1, 2, 3]}))
    table = open_parquet([path])
    form = table._form("k")
    object.__setattr__(form, "bounds", (2, 2))
    other = open_parquet([write_parquet("b.parquet", pa.table({"k": [1000, 2, 3]}))])
    object.__setattr__(other._form("k"), "bounds", (2, 2))
    assert joined(parts_of(table, 100), "k") == [1, 2, 3]
    assert column_to_python(other.read(["k"])[0]["k"]) == [1000, 2, 3]
    assert other.read(["k"])[0]["k"].bounds == (2, 1000)


class Room:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def release(self) -> None:
        self.log.append("released")


def test_reading_ahead_asks_for_room_and_gives_it_back(write_parquet: WriteParquet) -> None:
    table = open_parquet([write_parquet("a.parquet", mixed(), row_group_size=1000)])
    log: list[str] = []

    def reserve(num_bytes: int) -> Room:
        log.append(f"asked for {num_bytes}")
        return Room(log)

    parts = parts_of(table, 20_000, try_reserve=reserve)
    assert joined(parts, "k") == list(range(ROWS))
    assert log.count("released") == len(log) // 2 == len(parts)
    denied = parts_of(table, 20_000, try_reserve=lambda _: None)
    assert joined(denied, "k") == list(range(ROWS))
    log.clear()
    stopped = table.read_parts(["k"], part_bytes=1000, try_reserve=reserve)
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert log == ["asked for 2000", "released"]


def test_damage_in_a_later_part_is_an_error(write_parquet: WriteParquet) -> None:
    path = write_parquet("a.parquet", mixed(), row_group_size=1000)
    metadata = pq.read_metadata(path)
    place = metadata.row_group(5).column(0).data_page_offset
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 64)
    table = open_parquet([path])
    with pytest.raises(InputError, match=r"a\.parquet"):
        parts_of(table, 20_000)
    with pytest.raises(InputError, match=r"a\.parquet"):
        table.read(["k", "small"])


def test_text_that_is_not_utf8_is_refused_in_every_form(write_parquet: WriteParquet) -> None:
    bad = pa.array([b"ok", b"\xff\xfe"] * 50, pa.binary()).cast(pa.string(), safe=False)
    unique = pa.array([b"%d \xff" % i for i in range(100_000)], pa.binary()).cast(pa.string(), safe=False)
    for name, array in (("coded", bad), ("plain", unique)):
        table = open_parquet(
            [write_parquet(f"{name}.parquet", pa.table({"s": array}), row_group_size=10_000)]
        )
        with pytest.raises(ConversionError, match="UTF-8: column s"):
            table.read(["s"])
