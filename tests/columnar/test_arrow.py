from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gpuql.columnar.arrow import (
    column_from_arrow,
    column_to_arrow,
    record_batch_reader,
    table_to_arrow,
    unique_names,
)
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql_planner import types
from gpuql_planner.errors import ConversionError, NotSupportedError, OutOfRangeError
from gpuql_planner.logical.expressions import Interval

UTC = datetime.UTC
SAME_TYPE: list[tuple[Any, list[Any]]] = [
    (pa.bool_(), [True, False, True] * 7),
    (pa.int8(), [-128, 127]),
    (pa.int64(), [1, -300]),
    (pa.int64(), [2**63 - 1, -(2**63)]),
    (pa.uint8(), [0, 255]),
    (pa.uint64(), [2**64 - 1, 0]),
    (pa.float32(), [0.5, float("inf")]),
    (pa.float64(), [0.1, -0.0]),
    (pa.decimal128(15, 2), [Decimal("-1.25"), Decimal("9999999999999.99")]),
    (pa.decimal128(38, 4), [Decimal("1234567890123456789012345678901234.5678"), Decimal("-0.0001")]),
    (pa.string(), ["b", "", "aé", "b"]),
    (pa.binary(), [b"\xff\x00", b""]),
    (pa.date32(), [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    (pa.time64("us"), [datetime.time(1, 2, 3, 4)]),
    (pa.timestamp("us"), [datetime.datetime(1960, 1, 1, 0, 0, 0, 1)]),
    (pa.null(), []),
]


@pytest.mark.parametrize(("arrow_type", "values"), SAME_TYPE, ids=lambda x: str(x)[:16])
@pytest.mark.parametrize("layout", ["whole", "nulls", "sliced", "chunked", "all_null", "empty"])
def test_round_trip(arrow_type: Any, values: list[Any], layout: str) -> None:
    expected = {
        "nulls": [None, *values, None],
        "sliced": values,
        "chunked": [*values, None, *values],
        "all_null": [None] * 11,
        "empty": [],
    }.get(layout, values)
    array = pa.array(expected, type=arrow_type)
    if layout == "sliced":
        array = pa.array([None, *values, *values], type=arrow_type).slice(1, len(values))
    if layout == "chunked":
        array = pa.chunked_array([array[:1], array[1:1], array[1:]])
    column = column_from_arrow(array)
    back = column_to_arrow(column)
    back.validate(full=True)
    assert back.type == arrow_type
    assert back.to_pylist() == expected
    assert column_to_python(column) == expected


OTHER_TYPE: list[tuple[Any, Any, Any]] = [
    (pa.float16(), np.array([0.5, 2.0], dtype=np.float16), [0.5, 2.0]),
    (pa.large_string(), ["x", None], ["x", None]),
    (pa.string_view(), ["x", None, "a string that is longer than twelve bytes"], None),
    (pa.binary_view(), [b"x", None], None),
    (pa.large_binary(), [b"x", None], None),
    (pa.binary(2), [b"xy", None], None),
    (pa.decimal256(50, 2), [Decimal("1.25"), None, Decimal("-7.00")], None),
    (pa.decimal32(7, 2), [Decimal("1.25"), None], None),
    (pa.decimal64(17, 2), [Decimal("-1.25"), None], None),
    (pa.date64(), [datetime.date(1969, 12, 31), None], None),
    (pa.time32("s"), [datetime.time(1, 2, 3), None], None),
    (pa.time64("ns"), [datetime.time(1, 2, 3, 9), None], None),
    (pa.timestamp("s"), [datetime.datetime(1969, 12, 31), None], None),
    (pa.timestamp("ms"), [datetime.datetime(1969, 12, 31, 0, 0, 0, 1000), None], None),
    (
        pa.timestamp("us", tz="Europe/Berlin"),
        [datetime.datetime(2024, 7, 1, 10, tzinfo=UTC)],
        None,
    ),
    (pa.duration("ms"), [datetime.timedelta(days=1), None], [Interval(0, 0, 86_400_000_000), None]),
    (
        pa.month_day_nano_interval(),
        [pa.MonthDayNano([1, -2, 3000]), None],
        [Interval(1, -2, 3), None],
    ),
    (pa.dictionary(pa.int8(), pa.string()), ["b", "a", None, "b"], None),
    (pa.dictionary(pa.int32(), pa.int64()), [5, None, 5], None),
]


@pytest.mark.parametrize(("arrow_type", "values", "expected"), OTHER_TYPE, ids=lambda x: str(x)[:24])
def test_types_read_as_another(arrow_type: Any, values: Any, expected: Any) -> None:
    column = column_from_arrow(pa.array(values, type=arrow_type))
    assert column_to_python(column) == (values if expected is None else expected)
    column_to_arrow(column).validate(full=True)


def test_same_width_shares_memory_and_narrower_does_not() -> None:
    wide = pa.array([2**40, 1], type=pa.int64())
    assert column_from_arrow(wide).values.ctypes.data == wide.buffers()[1].address
    assert column_from_arrow(wide).values.flags.writeable
    small = column_from_arrow(pa.array([1, None, 7], type=pa.int64()))
    assert small.values.tolist() == [1, 1, 7]
    assert small.values.dtype == np.int8
    assert small.bounds == (1, 7)


def test_few_distinct_strings_get_a_sorted_dictionary_and_many_do_not() -> None:
    few = column_from_arrow(pa.array([f"v{i % 7}" for i in range(100_000)], type=pa.string_view()))
    assert few.strings is not None
    assert (len(few.strings), few.strings.sorted, few.values.dtype) == (7, True, np.int8)
    many = column_from_arrow(pa.array([f"v{i}" for i in range(100_000)]))
    assert many.strings is not None
    assert not many.strings.unique
    assert many.values.dtype == np.int32
    assert column_to_python(many)[99_999] == "v99999"


def test_sample_may_mislead_and_the_dictionary_is_given_up() -> None:
    values = [f"v{i % 10}" if i < 300_000 else f"v{i}" for i in range(600_000)]
    column = column_from_arrow(pa.chunked_array([values[:300_000], values[300_000:]]))
    assert column.strings is not None
    assert column_to_arrow(column).to_pylist() == values


def test_dictionaries_made_elsewhere() -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["b", "a", "b"]))
    column = column_from_arrow(repeated)
    assert column.strings is not None
    assert len(column.strings) == 2
    assert column_to_python(column) == ["b", "a", "b", None]
    with_null = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["b", None]))
    assert column_to_python(column_from_arrow(with_null)) == ["b", None, "b"]
    numbers = pa.DictionaryArray.from_arrays(pa.array([1, 1]), pa.array([5, None]))
    assert column_to_python(column_from_arrow(numbers)) == [None, None]
    chunks = pa.chunked_array(
        [pa.array(["x", "y"]).dictionary_encode(), pa.array(["z", "x"]).dictionary_encode()]
    )
    assert column_to_python(column_from_arrow(chunks)) == ["x", "y", "z", "x"]


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (pa.nulls(1, pa.run_end_encoded(pa.int32(), pa.int64())), NotSupportedError, r"run_end.*column c"),
        (pa.array([1], type=pa.timestamp("ns")), ConversionError, "nanoseconds"),
        (pa.array([2**62], type=pa.timestamp("s")), ConversionError, "range"),
        (pa.array([Decimal(10) ** 40], type=pa.decimal256(50, 0)), ConversionError, "column c"),
        (pa.array([Decimal(10) ** 38], type=pa.decimal256(50, 0)), ConversionError, "column c"),
    ],
)
def test_refusals_name_the_column(array: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        column_from_arrow(array, "c")


def test_intervals_and_labels_inside_of_lists() -> None:
    moods = types.list_of(types.enum_of(["sad", "ok"]))
    for dtype, rows in [
        (types.list_of(types.INTERVAL), [[Interval(1, 2, 3), None], None, [Interval(0, -1, 0)]]),
        (moods, [["ok", None], ["sad"], None, []]),
    ]:
        column = column_from_python(rows, dtype)
        assert column_to_python(column) == rows
        assert len(column_to_arrow(column)) == len(rows)
    assert column_to_arrow(column_from_python([["ok"]], moods)).to_pylist() == [["ok"]]
    found = column_from_arrow(pa.array([[datetime.timedelta(1)]]), "c")
    assert column_to_python(found) == [[Interval(0, 0, 86_400_000_000)]]


def test_export_keeps_sql_types() -> None:
    columns = [
        column_from_python([1, None], types.HUGEINT),
        column_from_python([Interval(1, 2, 3), None], types.INTERVAL),
        column_from_python(["x", None], types.VARCHAR),
    ]
    table = table_to_arrow(columns, ["h", "i", "i"], 2)
    table.validate(full=True)
    assert [str(f.type) for f in table.schema] == ["decimal128(38, 0)", "month_day_nano_interval", "string"]
    assert table.column(1).to_pylist() == [pa.MonthDayNano([1, 2, 3000]), None]
    assert table_to_arrow([], [], 5).num_rows == 5
    reader = record_batch_reader(["h"], [types.HUGEINT], [([columns[0]], 2), ([columns[0]], 2)])
    assert reader.read_all().num_rows == 4
    with pytest.raises(OutOfRangeError, match="38 digits"):
        column_to_arrow(column_from_python([10**38], types.HUGEINT))


def test_names_are_made_distinct() -> None:
    assert unique_names(["a", "a", "A"]) == ["a", "a_1", "A_2"]
    assert len({n.lower() for n in unique_names(["a", "a", "a_1"])}) == 3
