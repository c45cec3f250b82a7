from __future__ import annotations

import threading

import numpy as np
import pytest

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.encodings import encode_column
from gpuql.columnar.strings import string_array
from gpuql.columnar.table import STATISTICS_THREAD, ResidentTable, resident_table
from gpuql_planner import types
from gpuql_planner.catalog import Field
from gpuql_planner.errors import InputError, IntegrityError

FIELDS = (Field("k", types.BIGINT, nullable=False), Field("s", types.VARCHAR))


def table() -> ResidentTable:
    columns = [column_from_python([1, 2], types.BIGINT), column_from_python(["b", None], types.VARCHAR)]
    return resident_table("t", FIELDS, columns, 2)


def test_columns_are_the_same_object_at_each_read() -> None:
    resident = table()
    columns, num_rows = resident.read(["s"])
    assert num_rows == 2
    assert columns["s"] is resident.column("s")
    assert resident.read([])[1] == 2
    assert resident.statistics("k").unique


def test_append_makes_a_new_version() -> None:
    old = table()
    new = old
    for i in range(3):
        more = [column_from_python([1000 + i], types.BIGINT), column_from_python([f"a{i}"], types.VARCHAR)]
        new = new.append(more, 1)
    assert old.num_rows == 2
    assert column_to_python(new.column("k")) == [1, 2, 1000, 1001, 1002]
    assert column_to_python(new.column("s")) == ["b", None, "a0", "a1", "a2"]
    strings = new.column("s").strings
    assert strings is not None
    assert strings.sorted
    assert new.statistics("k").maximum == 1002


def test_not_null_is_kept() -> None:
    nulls = [column_from_python([None], types.BIGINT), column_from_python(["x"], types.VARCHAR)]
    with pytest.raises(IntegrityError, match=r"t\.k"):
        table().append(nulls, 1)
    with pytest.raises(IntegrityError, match=r"t\.k"):
        resident_table("t", FIELDS, nulls, 1)


def test_a_loader_runs_once() -> None:
    calls = []

    def load() -> Column:
        calls.append(1)
        return column_from_python([1], types.BIGINT)

    lazy = ResidentTable("t", FIELDS[:1], 1, {"k": load})
    threads = [threading.Thread(target=lazy.column, args=("k",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_encoding_of_results() -> None:
    wide = Column(types.HUGEINT, np.array([[5, 0], [-1, -1]], dtype=np.int64))
    encoded = encode_column(wide)
    assert encoded.values.tolist() == [5, -1]
    assert encoded.values.dtype == np.int8
    some = Column(types.BIGINT, np.array([7, 2**40]), np.array([True, False]))
    assert encode_column(some).values.tolist() == [7, 7]
    full = Column(types.BIGINT, np.array([7, 8]), np.array([True, True]))
    assert encode_column(full).validity is None
    plain = Column(types.VARCHAR, np.array([1, 0, 2]), None, string_array([b"b", b"a", b"b"]))
    result = encode_column(plain)
    assert column_to_python(result) == ["a", "b", "b"]
    assert result.strings is not None
    assert result.strings.unique
    assert column_to_python(
        encode_column(Column(types.DOUBLE, np.array([1.5, 0.0]), np.array([False, False])))
    ) == [
        None,
        None,
    ]


@pytest.mark.parametrize(("num_rows", "gathered"), [(100, False), (20_000, True)])
def test_statistics_are_gathered_in_the_background(num_rows: int, gathered: bool) -> None:
    column = Column(types.BIGINT, np.arange(num_rows))
    made = ResidentTable("t", [Field("a", types.BIGINT)], num_rows, {"a": column})
    made.gather_in_background()
    for thread in threading.enumerate():
        if thread.name == STATISTICS_THREAD:
            thread.join()
    assert ("a" in made._statistics) == gathered
    assert made.statistics("a").unique


def test_a_column_that_cannot_be_read_has_no_statistics_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    num_rows = 20_000
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def broken() -> Column:
        raise InputError("file cannot be read: gone")

    fields = [Field("a", types.BIGINT), Field("b", types.BIGINT)]
    made = ResidentTable("t", fields, num_rows, {"a": broken, "b": Column(types.BIGINT, np.arange(num_rows))})
    made.gather_in_background()
    for thread in threading.enumerate():
        if thread.name == STATISTICS_THREAD:
            thread.join()
    assert list(made._statistics) == ["b"]
    assert not failures
    with pytest.raises(InputError, match="gone"):
        made.statistics("a")
