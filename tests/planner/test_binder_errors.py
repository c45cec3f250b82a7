"""Statements that are wrong: the error's class, text, place and hint."""

from __future__ import annotations

import pytest

from gpuql_planner.catalog import View
from gpuql_planner.errors import (
    BinderError,
    CatalogError,
    ConversionError,
    GpuqlError,
    InterfaceError,
    NotSupportedError,
    OutOfRangeError,
    ParserError,
)
from tests.planner.binder_catalog import bind_one, small_catalog

# The caret stands under the character after "^" in the text.
WRONG: list[tuple[str, type[GpuqlError], str]] = [
    # names
    ("SELECT ^j FROM t", BinderError, "column not found: j"),
    ("SELECT i\nFROM t\nWHERE ^daay > 1", BinderError, "did you mean day?"),
    ("SELECT ^q.i FROM t", BinderError, "table not found in FROM: q"),
    ("SELECT ^t.zz FROM t", BinderError, "column not found in table t: zz"),
    ("SELECT ^a", BinderError, "there is no FROM clause"),
    ("SELECT 1 FROM ^nothing", CatalogError, "table does not exist: nothing"),
    ("SELECT 1 FROM ^total", CatalogError, "did you mean totals?"),
    ("SELECT ^i FROM t, u", BinderError, "use t.i or u.i"),
    ("SELECT 1 FROM t, ^t", BinderError, "table name used twice: t"),
    ("SELECT ^lenght(s) FROM t", CatalogError, "did you mean length"),
    ("SELECT ^summ(i) FROM t", CatalogError, "function does not exist: summ"),
    ("SELECT * EXCLUDE (^zz) FROM t", BinderError, "EXCLUDE, REPLACE or RENAME not found: zz"),
    ("SELECT * FROM ^no_function(1)", CatalogError, "table function does not exist: no_function"),
    ("WITH a AS (SELECT 1), a AS (SELECT 2) SELECT 1", BinderError, "WITH table defined twice: a"),
    ("SELECT 1 FROM t JOIN ^u USING (s)", BinderError, "column of USING not found on both sides: s"),
    # aggregates
    ("SELECT i FROM t WHERE ^sum(i) > 1", BinderError, "aggregate functions are not allowed in WHERE"),
    ("SELECT 1 FROM t JOIN u ON ^sum(k) > 1", BinderError, "not allowed in JOIN conditions"),
    ("SELECT 1 FROM t GROUP BY ^sum(i)", BinderError, "not allowed in GROUP BY"),
    ("SELECT sum(^max(i)) FROM t", BinderError, "cannot be nested"),
    ("SELECT ^s, sum(i) FROM t", BinderError, "must appear in GROUP BY or inside an aggregate function: s"),
    ("SELECT i, ^s FROM t GROUP BY i", BinderError, "any_value(s)"),
    ("SELECT i FROM t GROUP BY i ORDER BY ^s", BinderError, "must appear in GROUP BY"),
    ("SELECT i FROM t GROUP BY i HAVING ^x > 1", BinderError, "must appear in GROUP BY"),
    (
        "SELECT i + 1, (SELECT max(k) FROM u WHERE u.k = ^t.i) FROM t GROUP BY i + 1",
        BinderError,
        "must appear in GROUP BY",
    ),
    # positions and limits
    ("SELECT i FROM t ORDER BY ^2", BinderError, "ORDER BY position out of range: 2 (columns: 1)"),
    ("SELECT i FROM t GROUP BY ^0", BinderError, "GROUP BY position out of range"),
    ("SELECT i FROM t ORDER BY ^'a'", BinderError, "has no effect"),
    ("SELECT i FROM t LIMIT -^1", BinderError, "LIMIT must not be negative"),
    ("SELECT DISTINCT i FROM t ORDER BY ^x", BinderError, "must be in the select list"),
    # shapes
    ("SELECT i FROM t UNION SELECT ^i, k FROM u", BinderError, "different numbers of columns: 1 and 2"),
    ("VALUES (1, 2), (^3)", BinderError, "VALUES rows have different lengths"),
    ("SELECT (SELECT ^i, k FROM u)", BinderError, "subquery used as a value returns several columns: 2"),
    (
        "SELECT 1 FROM t WHERE ^i IN (SELECT i, k FROM u)",
        BinderError,
        "different numbers of columns: 2 and 1",
    ),
    ("SELECT 1 FROM (SELECT ^1) q(a, b)", BinderError, "more column names than columns"),
    # types
    ("SELECT ^upper(i) FROM t", BinderError, "no function matches the argument types: upper(INTEGER)"),
    ("SELECT ^s + 1 FROM t", BinderError, "no operator + for VARCHAR and INTEGER"),
    ("SELECT 1 FROM t WHERE ^s < day", BinderError, "values cannot be compared: VARCHAR and DATE"),
    ("SELECT ^sum(s) FROM t", BinderError, "no aggregate function matches the argument types: sum(VARCHAR)"),
    ("SELECT substring(^s) FROM t", BinderError, "candidates: substring(VARCHAR, BIGINT, BIGINT)"),
    ("SELECT 1 FROM t WHERE day < ^'1995-13-01'", ConversionError, "date out of range: '1995-13-01'"),
    ("SELECT 1 FROM t WHERE i = ^'abc'", ConversionError, "cannot convert text to INTEGER: 'abc'"),
    ("SELECT DATE ^'soon'", ConversionError, "cannot convert text to DATE"),
    ("SELECT ^'300'::tinyint", OutOfRangeError, "value out of range for TINYINT: '300'"),
    ("SELECT CAST(^day AS INTEGER) FROM t", ConversionError, "no cast from DATE to INTEGER"),
    ("SELECT CAST(i AS DECIMAL(^50, 2)) FROM t", BinderError, "decimal width must be 1 to 38"),
    ("SELECT INTERVAL ^'a' DAY", BinderError, "interval amount is not a number"),
    # definitions
    ("INSERT INTO t VALUES (^1)", BinderError, "number of values and columns differ: 1 and 6"),
    ("INSERT INTO t (i, ^z) VALUES (1, 2)", BinderError, "column not found in table t: z"),
    ("INSERT INTO t (i) VALUES (^'a')", ConversionError, "cannot convert text to INTEGER"),
    ("INSERT INTO ^totals VALUES (1, 2)", CatalogError, "not a table but a view"),
    ("INSERT INTO ^nowhere VALUES (1)", CatalogError, "table does not exist"),
    ("CREATE TABLE z (a INT, ^A INT)", CatalogError, "column defined twice: A"),
    ("SELECT ?^", BinderError, "parameter has no value"),
    # known and not run
    ("SELECT i FROM t WHERE ^max(i) OVER () = 1", BinderError, "window functions are not allowed in WHERE"),
    ("SELECT ^rank() FROM t", BinderError, "window function without OVER: rank"),
    ("SELECT 1 + sum(^rank() OVER ()) OVER () FROM t", BinderError, "nested"),
    ("SELECT max(^rank() OVER ()) FROM t", BinderError, "cannot contain window functions"),
    ("SELECT ^sum(i) OVER w FROM t WINDOW w2 AS ()", BinderError, "window not found: w"),
    ("SELECT ^sum(i) OVER (w ORDER BY i) FROM t WINDOW w AS (ORDER BY s)", BinderError, "ORDER BY"),
    ("SELECT sum(i) OVER (ORDER BY i, s RANGE ^1 PRECEDING) FROM t", BinderError, "exactly one ORDER BY"),
    ("SELECT sum(i) OVER (ORDER BY s RANGE ^1 PRECEDING) FROM t", BinderError, "no operator"),
    ("SELECT ^sum(i) OVER (ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING) FROM t", BinderError, "FOLLOWING"),
    ("SELECT ^rank(ORDER BY i) OVER () FROM t", NotSupportedError, "ORDER BY inside the window function"),
    ("SELECT ^abs(i) OVER () FROM t", BinderError, "neither an aggregate nor a window function"),
    ("SELECT ^row_numbr() OVER () FROM t", CatalogError, "row_number"),
    (
        "SELECT (WITH RECURSIVE r AS (SELECT ^t.i AS n UNION ALL SELECT n FROM r) SELECT 1 FROM r) FROM t",
        NotSupportedError,
        "recursive WITH that refers to columns of an outer query",
    ),
    ("WITH RECURSIVE r AS (SELECT ^1 AS n EXCEPT SELECT n FROM r) SELECT * FROM r", BinderError, "no UNION"),
    ("SELECT i, ^s FROM t GROUP BY ROLLUP (i)", BinderError, "any_value(s)"),
    ("SELECT i FROM t QUALIFY ^i = 1", BinderError, "QUALIFY needs a window function"),
    ("SELECT i FROM t WHERE ^unnest([1]) = 1", BinderError, "UNNEST is not allowed in WHERE"),
    ("SELECT [^1, 2] + 1", BinderError, "no operator"),
    ("SELECT {'a': ^1}.b", BinderError, "field not found in struct: b"),
    ("SELECT list_transform([1], lambda x: (SELECT ^1))", NotSupportedError, "inside of a lambda"),
    ("SELECT CAST([^1] AS INTEGER)", ConversionError, "no cast from"),
    ("SELECT * FROM t ASOF JOIN ^u ON t.i = u.i", BinderError, "ASOF join has no inequality"),
    ("SELECT * FROM t ASOF JOIN ^u ON t.i >= u.i AND t.i <= u.i", BinderError, "more than one inequality"),
    ("SELECT * FROM t ASOF JOIN ^u ON t.i >= u.i AND t.i <> u.i", NotSupportedError, "ASOF join"),
    ("SELECT * FROM t TABLESAMPLE ^101%", ParserError, "between 0% and 100%"),
    ("SELECT (SELECT ^sum(t.i)) FROM t", NotSupportedError, "outer query"),
    ("SELECT i FROM t LIMIT ^101%", OutOfRangeError, "between 0% and 100%"),
    ("SELECT i::TIMETZ FROM t", NotSupportedError, "type TIMETZ"),
    ("DELETE FROM ^t", NotSupportedError, "changes of this kind of table: t"),
    ("UPDATE ^t SET i = 1", NotSupportedError, "changes of this kind of table: t"),
    ("CREATE TABLE ^nosuch.z (a INT)", CatalogError, "schema does not exist: nosuch"),
    ("CREATE SCHEMA ^main", CatalogError, "schema of the system"),
    ("EXECUTE ^q", BinderError, "prepared statement does not exist: q"),
    ("PREPARE q AS SELECT * FROM ^nosuch", CatalogError, "table does not exist: nosuch"),
    ("CREATE MACRO f^(a, a) AS a", ParserError, "parameter appears twice: a"),
    ("DROP MACRO ^f", CatalogError, "macro does not exist: f"),
    ("USE ^nosuch", CatalogError, "schema does not exist: nosuch"),
    ("OPTIMIZE t", NotSupportedError, "statement not supported: OPTIMIZE"),
    ("COPY t TO 'x.csv' (^headr)", BinderError, "no such option for what is written to csv: headr"),
    ("PRAGMA ^x", CatalogError, "pragma does not exist: x"),
    ("CALL ^f()", CatalogError, "table function does not exist: f"),
]


@pytest.mark.parametrize(("marked", "kind", "message"), WRONG, ids=[marked for marked, _, _ in WRONG])
def test_error_names_cause_and_place(marked: str, kind: type[GpuqlError], message: str) -> None:
    text = marked.replace("^", "") if "^" in marked else marked
    with pytest.raises(GpuqlError) as raised:
        bind_one(text)
    error = raised.value
    assert isinstance(error, kind)
    assert message in str(error)
    assert error.statement == text
    if "^" in marked and not marked.endswith("?^"):
        lines = marked.split("\n")
        line = next(number for number, part in enumerate(lines, 1) if "^" in part)
        assert error.position is not None
        assert (error.position.line, error.position.column) == (line, lines[line - 1].index("^") + 1)


def test_views_that_refer_to_themselves() -> None:
    catalog = small_catalog()
    catalog.relations["a"] = View("a", "SELECT * FROM b")
    catalog.relations["b"] = View("b", "SELECT * FROM a")
    with pytest.raises(BinderError, match="view refers to itself"):
        bind_one("SELECT * FROM a", catalog)


def test_error_inside_a_view_shows_the_text_of_the_view() -> None:
    catalog = small_catalog()
    catalog.relations["broken"] = View("broken", "SELECT gone FROM t")
    with pytest.raises(BinderError) as raised:
        bind_one("SELECT * FROM broken", catalog)
    assert raised.value.statement == "SELECT gone FROM t"


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("SELECT ?, ?", [1], "parameter has no value: $2"),
        ("SELECT ?", [1, 2], "more parameter values than placeholders: 2 and 1"),
        ("SELECT 1", [1], "more parameter values than placeholders: 1 and 0"),
        ("SELECT $2", [1], "parameter has no value: $2"),
        ("SELECT $key", {"kay": 1}, "did you mean kay?"),
        ("SELECT $a", {"a": 1, "b": 2}, "no placeholder for parameter: $b"),
        ("SELECT ?", [object()], "value has no SQL type: object"),
    ],
)
def test_wrong_parameters(text: str, parameters: object, message: str) -> None:
    with pytest.raises(InterfaceError) as raised:
        bind_one(text, parameters=parameters)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_very_long_expressions_do_not_crash() -> None:
    with pytest.raises(GpuqlError, match="nested too deeply"):
        bind_one("SELECT " + "+".join(["i"] * 20_000) + " FROM t")
