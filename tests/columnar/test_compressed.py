"""Offsets from a reference and runs: chosen where they are smaller, and equal to plain columns whatever is asked."""

import numpy as np
import pytest

import gpuql
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn, compress_column
from gpuql.columnar.encodings import encode_column
from gpuql_planner.types import BIGINT, BOOLEAN, DOUBLE, TIMESTAMP


def integers(values, validity=None, dtype=BIGINT):
    return encode_column(Column(dtype, np.asarray(values, np.int64), validity))


@pytest.fixture(params=["offsets", "offsets with NULLs", "runs", "constant", "booleans"])
def case(request):
    """An encoded column and its plain values."""
    rng = np.random.default_rng(1)
    if request.param.startswith("offsets"):
        values = 1_700_000_000_000_000 + rng.integers(0, 30_000, 5000)
        validity = rng.random(5000) < 0.5 if "NULLs" in request.param else None
        column = integers(values, validity, TIMESTAMP)
        assert isinstance(column, FrameOfReferenceColumn)
        assert column.offsets.dtype == np.int16
        return column, values if validity is None else np.where(validity, values, values[validity].min())
    if request.param == "runs":
        values = np.repeat(rng.integers(0, 100, 40), 125)
        column = integers(values)
    elif request.param == "constant":
        values = np.full(5000, 7)
        column = integers(values)
    else:
        values = np.repeat([True, False], 2500)
        column = encode_column(Column(BOOLEAN, values))
    assert isinstance(column, RunLengthColumn)
    assert column.nbytes < values.nbytes / 8
    return column, values


def test_values_slices_and_rows(case):
    column, values = case
    assert len(column) == len(values)
    np.testing.assert_array_equal(column.values, values)
    for start, stop in ((0, 5000), (0, 0), (17, 18), (124, 126), (4990, 5000), (1, 4999)):
        part = column.slice(start, stop)
        assert type(part) is Column
        np.testing.assert_array_equal(part.values, values[start:stop])
        assert part.values.dtype.name == np.asarray(column.values).dtype.name
    rows = np.array([4999, 0, 125, 124, 125])
    np.testing.assert_array_equal(column.take(rows).values, values[rows])


def test_what_does_not_gain_stays_plain():
    rng = np.random.default_rng(2)
    assert type(integers(rng.integers(0, 10_000, 5000))) is Column
    assert type(encode_column(Column(DOUBLE, rng.random(5000)))) is Column
    assert type(compress_column(Column(BIGINT, np.zeros(0, np.int8), None, None, (0, 0)))) is Column
    extremes = integers([-(2**63), 2**63 - 1, 0])
    assert type(extremes) is Column


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_queries_over_encoded_tables(tier):
    con = gpuql.connect(device="cpu", tier=tier)
    con.execute(
        """create table t as select 1000000000000 + r * 3 as big, r // 1000 as run, 5 as same, r as plain,
        case when r % 3 = 0 then null else 2000000000 + r % 50 end as gaps,
        case when r < 10000 then 'a' else 'b' end as text from (select range as r from range(20000))"""
    )
    stored = {
        name: type(con.catalog.resolve("t").column(name)) for name in ("big", "run", "same", "gaps", "text")
    }
    assert stored == {
        "big": FrameOfReferenceColumn,
        "run": RunLengthColumn,
        "same": RunLengthColumn,
        "gaps": FrameOfReferenceColumn,
        "text": RunLengthColumn,
    }
    answers = {
        "select min(big), max(big), count(*) from t where big > 1000000030000": (
            1000000030003,
            1000000059997,
            9999,
        ),
        "select sum(run), sum(same), sum(plain) from t": (190000, 100000, 199990000),
        "select count(gaps), min(gaps), max(gaps) from t": (13333, 2000000000, 2000000049),
        "select sum(gaps - 2000000000) from t": (326667,),
        "select count(*) from t where gaps = 2000000007 and run between 3 and 5": (40,),
        "select count(*), sum(a.plain) from t a join t b on a.big = b.big and a.run = b.run": (
            20000,
            199990000,
        ),
        "select count(*) from (select distinct run, text, same from t)": (20,),
        "select sum(c) from (select gaps, count(*) c from t group by gaps)": (20000,),
        "select min(text), max(text), count(*) from t where text = 'b'": ("b", "b", 10000),
    }
    for query, expected in answers.items():
        assert con.execute(query).fetchone() == expected, query
    assert con.execute("select * from t where plain = 12345").fetchone() == (
        1000000037035,
        12,
        5,
        12345,
        None,
        "b",
    )
    con.execute("insert into t values (7, 7, 7, 7, 7, 'z')")
    assert con.execute("select min(big), max(run), min(gaps), max(text) from t").fetchone() == (7, 19, 7, "z")
