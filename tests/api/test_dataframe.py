"""The DataFrame API: same rows and same plans as the SQL that says the same."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import polars
import pytest

import gpuql
from gpuql import BinderError, Connection, DataFrame, col, lit, when
from gpuql_planner.logical.format import format_logical
from gpuql_planner.optimizer import optimize


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with gpuql.connect(device="cpu", threads=1) as connection:
        connection.execute("CREATE TABLE t (k INTEGER, s VARCHAR, d DECIMAL(10,2), x DOUBLE, day DATE)")
        connection.execute(
            "INSERT INTO t VALUES (1, 'one', 1.50, 0.5, '2020-01-31'), (2, 'two', 2.25, NULL, '2020-02-29'), "
            "(2, NULL, NULL, 2.5, NULL), (NULL, 'four', 4.00, -1.0, '1999-12-31')"
        )
        connection.execute("CREATE TABLE u (k INTEGER, s VARCHAR, w INTEGER)")
        connection.execute("INSERT INTO u VALUES (2, 'zwei', 20), (3, 'drei', 30), (NULL, 'nichts', 0)")
        yield connection


Build = Callable[[Connection], DataFrame]

CASES: dict[str, tuple[Build, str]] = {
    "select": (lambda c: c.table("t").select("k", col("d") * 2), "SELECT k, d * 2 AS d FROM t"),
    "named": (lambda c: c.table("t").select(twice=col("k") + col("k")), "SELECT k + k AS twice FROM t"),
    "literal first": (lambda c: c.table("t").select((1 - col("d")).alias("r")), "SELECT 1 - d AS r FROM t"),
    "filter": (
        lambda c: c.table("t").filter(col("k") >= 2, col("s").is_not_null()),
        "SELECT * FROM t WHERE k >= 2 AND s IS NOT NULL",
    ),
    "or": (
        lambda c: c.table("t").filter((col("k") == 1) | ~(col("x") > 0)),
        "SELECT * FROM t WHERE k = 1 OR NOT (x > 0)",
    ),
    "date text": (
        lambda c: c.table("t").filter(col("day") < "2020-01-01"),
        "SELECT * FROM t WHERE day < '2020-01-01'",
    ),
    "date": (
        lambda c: c.table("t").filter(col("day") < datetime.date(2020, 1, 1)),
        "SELECT * FROM t WHERE day < DATE '2020-01-01'",
    ),
    "between": (
        lambda c: c.table("t").filter(col("d").between(1, Decimal("2.25"))),
        "SELECT * FROM t WHERE d BETWEEN 1 AND 2.25",
    ),
    "is_in": (
        lambda c: c.table("t").filter(col("s").is_in(["one", "four"])),
        "SELECT * FROM t WHERE s IN ('one', 'four')",
    ),
    "case": (
        lambda c: c.table("t").select(
            when(col("k") == 1)
            .then(lit("a"))
            .when(col("k") == 2)
            .then(lit("b"))
            .otherwise(lit("c"))
            .alias("v")
        ),
        "SELECT CASE WHEN k = 1 THEN 'a' WHEN k = 2 THEN 'b' ELSE 'c' END AS v FROM t",
    ),
    "cast": (
        lambda c: c.table("t").select(col("k").cast("DOUBLE"), col("s").cast("INTEGER", strict=False)),
        "SELECT k::DOUBLE AS k, TRY_CAST(s AS INTEGER) AS s FROM t",
    ),
    "strings": (
        lambda c: c.table("t").select(
            col("s").str.to_uppercase().alias("a"),
            col("s").str.len_chars().alias("b"),
            col("s").str.slice(1, 2).alias("c"),
            col("s").str.like("%o%").alias("d"),
        ),
        "SELECT upper(s) AS a, length(s) AS b, substring(s, 2, 2) AS c, s LIKE '%o%' AS d FROM t",
    ),
    "dates": (
        lambda c: c.table("t").select(
            col("day").dt.year().alias("y"), col("day").dt.truncate("month").alias("m")
        ),
        "SELECT year(day) AS y, date_trunc('month', day) AS m FROM t",
    ),
    "fill_null": (
        lambda c: c.table("t").select(col("x").fill_null(0.0)),
        "SELECT coalesce(x, 0.0::DOUBLE) AS x FROM t",
    ),
    "group_by": (
        lambda c: c.table("t").group_by("k").agg(col("d").sum().alias("total"), gpuql.len().alias("n")),
        "SELECT k, sum(d) AS total, count(*) AS n FROM t GROUP BY k",
    ),
    "aggregate arithmetic": (
        lambda c: c.table("t").group_by("k").agg((col("d").sum() / col("d").count()).alias("r")),
        "SELECT k, sum(d) / count(d) AS r FROM t GROUP BY k",
    ),
    "group by expression": (
        lambda c: c.table("t").group_by(p=col("k") % 2).agg(col("x").max()),
        "SELECT k % 2 AS p, max(x) AS x FROM t GROUP BY k % 2",
    ),
    "aggregate filter": (
        lambda c: c.table("t").select(col("x").sum().filter(col("k") == 2).alias("v")),
        "SELECT sum(x) FILTER (WHERE k = 2) AS v FROM t",
    ),
    "global aggregate": (
        lambda c: c.table("t").select(gpuql.sum("d"), n=gpuql.n_unique("k")),
        "SELECT sum(d) AS d, count(DISTINCT k) AS n FROM t",
    ),
    "sort limit": (
        lambda c: c.table("t").sort(col("k").desc(), "d").limit(2),
        "SELECT * FROM t ORDER BY k DESC, d LIMIT 2",
    ),
    "unique": (lambda c: c.table("t").select("k").unique(), "SELECT DISTINCT k FROM t"),
    "union": (
        lambda c: c.table("t").select("k").union(c.table("u").select("k")),
        "SELECT k FROM t UNION ALL SELECT k FROM u",
    ),
    "inner join": (
        lambda c: c.table("t").join(c.table("u").select("k", "w"), on="k").select("k", "w"),
        "SELECT t.k, w FROM t JOIN u ON t.k = u.k",
    ),
    "left join": (
        lambda c: c.table("t").join(c.table("u"), on="k", how="left").select("d", "w"),
        "SELECT d, w FROM t LEFT JOIN u ON t.k = u.k",
    ),
    "semi join": (
        lambda c: c.table("t").join(c.table("u"), on="k", how="semi"),
        "SELECT t.* FROM t SEMI JOIN u ON t.k = u.k",
    ),
    "anti join": (
        lambda c: c.table("t").join(c.table("u"), on="k", how="anti"),
        "SELECT t.* FROM t ANTI JOIN u ON t.k = u.k",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_same_rows_and_names_as_sql(name: str, connection: Connection) -> None:
    build, sql = CASES[name]
    frame, expected = build(connection), connection.sql(sql)
    assert frame.columns == expected.columns
    assert frame.dtypes == expected.dtypes
    assert sorted(map(repr, frame.fetchall())) == sorted(map(repr, expected.fetchall()))


@pytest.mark.parametrize("name", CASES)
def test_same_plan_as_sql(name: str, connection: Connection) -> None:
    build, sql = CASES[name]
    assert plan_text(build(connection)) == plan_text(connection.sql(sql))


def plan_text(frame: DataFrame) -> str:
    """The optimised plan; names of computed columns, which only the result's names follow, are left out."""
    return re.sub(r" AS \S[^#,]*#", " AS #", format_logical(optimize(frame.plan)))


@pytest.mark.parametrize("how", ["inner", "left", "right", "full", "semi", "anti", "cross"])
def test_join_columns_and_rows_as_polars(how: str, connection: Connection) -> None:
    left, right = connection.table("t").select("k", "s", "d"), connection.table("u")
    keys = {} if how == "cross" else {"on": "k"}
    ours = left.join(right, how=how, **keys)
    theirs = left.to_polars().join(right.to_polars(), how=how, **keys)  # type: ignore[arg-type]
    assert ours.columns == theirs.columns
    assert sorted(map(repr, ours.fetchall())) == sorted(map(repr, theirs.rows()))


def test_self_join_and_self_union(connection: Connection) -> None:
    frame = connection.table("u").select("k", "w")
    assert frame.join(frame, on="k").fetchall() != []
    assert len(frame.union(frame, frame).fetchall()) == 9


def test_with_columns_drop_rename(connection: Connection) -> None:
    frame = connection.table("u").with_columns(w=col("w") + 1, z=lit(7)).drop("s").rename({"k": "key"})
    assert frame.columns == ["key", "w", "z"]
    assert sorted(map(repr, frame.fetchall())) == ["(2, 21, 7)", "(3, 31, 7)", "(None, 1, 7)"]


def test_same_column_twice(connection: Connection) -> None:
    assert connection.table("u").select(a="k", b="k").filter(col("b") == 2).fetchall() == [(2, 2)]


def test_unique_subset_and_drop_nulls(connection: Connection) -> None:
    assert len(connection.table("t").unique("k").fetchall()) == 3
    assert connection.table("t").unique("k").columns == ["k", "s", "d", "x", "day"]
    assert len(connection.table("t").drop_nulls().fetchall()) == 1
    assert len(connection.table("t").drop_nulls("k").fetchall()) == 3


def test_frames_are_immutable(connection: Connection) -> None:
    frame = connection.table("u")
    frame.filter(col("k") == 2).select("k")
    assert frame.columns == ["k", "s", "w"]
    assert len(frame.fetchall()) == 3


def test_a_frame_keeps_the_table_it_saw(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TABLE moving AS SELECT 1 AS a")
    frame = connection.table("moving")
    connection.execute("INSERT INTO moving VALUES (2)")
    assert frame.fetchall() == [(1,)]
    assert len(connection.table("moving").fetchall()) == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda t: t.select("kk"), "column not found: kk"),
        (lambda t: t.select("k", "k"), "column name appears twice: k"),
        (lambda t: t.filter(col("d").sum() > 1), "aggregate is not allowed here: sum"),
        (lambda t: t.group_by("k").agg(col("d")), "must be a group key or inside an aggregate: d"),
        (lambda t: t.join(t, on="k", how="sideways"), "unknown kind of join: sideways"),
        (lambda t: t.join(t, how="inner"), "join needs keys"),
        (lambda t: t.select(col("k").cast("INTT")), "type not found: INTT"),
        (lambda t: t.limit(-1), "must not be negative"),
        (lambda t: t.drop("k", "s", "d", "x", "day"), "no column"),
        (lambda t: t.union(t.select("k")), "equally many columns"),
        (lambda t: t.sort("k", "s", descending=[True]), "one value, or one per sort key"),
    ],
)
def test_errors_come_from_the_verb(
    build: Callable[[DataFrame], DataFrame], message: str, connection: Connection
) -> None:
    with pytest.raises(BinderError, match=message):
        build(connection.table("t"))


def test_did_you_mean(connection: Connection) -> None:
    with pytest.raises(BinderError, match="did you mean day"):
        connection.table("t").select("dya")


def test_nothing_is_in_an_empty_list(connection: Connection) -> None:
    assert set(connection.table("t").select(col("k").is_in([])).fetchall()) == {(False,)}


def test_expressions_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(col("a") == 1 and col("b") == 2)


def test_unfinished_when() -> None:
    with pytest.raises(TypeError, match="then"):
        col("a") + when(col("b"))


def test_conversions(connection: Connection) -> None:
    frame = connection.sql(
        "SELECT 1 AS a, 'x' AS b, 1.5::DECIMAL(5,2) AS c UNION ALL SELECT NULL, NULL, NULL ORDER BY a"
    )
    assert frame.to_dicts()[0] == {"a": 1, "b": "x", "c": Decimal("1.50")}
    assert str(frame.to_arrow().schema.field("c").type) == "decimal128(5, 2)"
    assert frame.to_pandas().shape == (2, 3)
    assert frame.to_polars().rows()[1] == (None, None, None)
    assert polars.DataFrame(frame.collect()).shape == (2, 3)
    assert frame.select("a").to_numpy()["a"][0] == 1


def test_repeated_names(connection: Connection) -> None:
    result = connection.sql("SELECT 1 AS a, 2 AS a").collect()
    assert result.columns == ["a", "a"]
    assert result.to_dicts() == [{"a": 1, "a_1": 2}]
    assert result.to_polars().columns == ["a", "a_1"]


def test_repr(connection: Connection) -> None:
    assert "k INTEGER" in repr(connection.table("t"))
    assert "1 row" in repr(connection.sql("SELECT 1 AS a").collect())
