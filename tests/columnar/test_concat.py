from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_batches, concat_columns
from gpuql.columnar.construct import column_from_python, column_to_python, null_column, strings_from_python
from gpuql.columnar.strings import compact_strings, take_strings
from gpuql.thresholds import MERGED_DICTIONARY_ENTRIES
from gpuql_planner import types


def test_widths_bounds_and_validity_are_unified() -> None:
    narrow = column_from_python([1, 2], types.HUGEINT)
    wide = column_from_python([2**80, None], types.HUGEINT)
    joined = concat_columns([narrow, wide])
    assert joined.values.shape == (4, 2)
    assert joined.bounds == (1, 2**80)
    assert column_to_python(joined) == [1, 2, 2**80, None]


def test_unsigned_stays_exact() -> None:
    parts = [column_from_python([2**64 - 1], types.UBIGINT), column_from_python([3], types.UBIGINT)]
    assert column_to_python(concat_columns(parts)) == [2**64 - 1, 3]


def test_one_string_array_is_kept() -> None:
    column = strings_from_python(["x", "y", "x"])
    joined = concat_columns([column.slice(0, 1), column.slice(1, 3)])
    assert joined.strings is column.strings
    assert column_to_python(joined) == ["x", "y", "x"]


def test_small_dictionaries_are_merged_and_sorted() -> None:
    joined = concat_columns(
        [strings_from_python(["b", None]), strings_from_python(["a", "b"]), null_column(types.VARCHAR, 1)]
    )
    assert joined.strings is not None
    assert joined.strings.unique
    assert joined.strings.sorted
    assert column_to_python(joined) == ["b", None, "a", "b", None]


def test_large_string_arrays_are_joined() -> None:
    count = MERGED_DICTIONARY_ENTRIES
    left = strings_from_python([f"l{i}" for i in range(count)])
    right = strings_from_python([f"r{i}" for i in range(count)])
    joined = concat_columns([left, right])
    assert joined.strings is not None
    assert not joined.strings.unique
    assert column_to_python(joined) == column_to_python(left) + column_to_python(right)


def test_batches() -> None:
    a = Batch({7: column_from_python([1], types.BIGINT)}, 1)
    b = Batch({7: column_from_python([300], types.BIGINT)}, 1)
    empty = a.slice(0, 0)
    joined = concat_batches([empty, a, empty, b])
    assert joined.num_rows == 2
    assert joined.columns[7].values.tolist() == [1, 300]
    assert concat_batches([]).num_rows == 0
    assert concat_batches([empty, empty]).columns[7].dtype == types.BIGINT
    assert concat_batches([Batch({}, 2), Batch({}, 3)]).num_rows == 5


def test_gather_and_compact() -> None:
    column = strings_from_python([f"s{i:05}" for i in range(5000)])
    assert column.strings is not None
    taken = take_strings(column.strings, np.array([3, 3, 0]))
    assert taken.data.tobytes() == b"s00003s00003s00000"
    small = compact_strings(column.take(np.array([10, 5, 10])))
    assert small.strings is not None
    assert len(small.strings) == 2
    assert small.strings.sorted
    assert column_to_python(small) == ["s00010", "s00005", "s00010"]
    assert isinstance(small, Column)
