"""Plans of queries, clause by clause."""

from __future__ import annotations

import datetime

import pytest

from gpuql_planner.catalog import View
from gpuql_planner.logical.expressions import Call, Case, Cast, InList, Interval, Literal
from gpuql_planner.logical.nodes import Shared
from gpuql_planner.logical.visit import walk_plan
from gpuql_planner.types import BIGINT, DATE, INTEGER, INTERVAL, VARCHAR
from tests.planner.binder_catalog import bind_expression, bind_query, plan_text, small_catalog

T = "Scan t (i#1, s#2, n#3, day#4, b#5, x#6)"


def plan(*lines: str) -> str:
    return "\n".join(lines)


def test_select_without_from_reads_one_row() -> None:
    assert plan_text("SELECT 1 AS one") == plan("Project 1 AS one#1", "  Values (): ()")


def test_star_is_the_scan_itself() -> None:
    assert plan_text("SELECT * FROM t") == T
    assert plan_text("FROM t") == T
    assert bind_query("SELECT * FROM t").names == ("i", "s", "n", "day", "b", "x")


def test_clauses_stack_in_the_order_in_which_they_take_effect() -> None:
    text = (
        "SELECT s, sum(x) AS total FROM t WHERE i > 1 AND b "
        "GROUP BY s HAVING count(*) > 2 ORDER BY total DESC LIMIT 5 OFFSET 1"
    )
    assert plan_text(text) == plan(
        "Limit limit 5 offset 1",
        "  Sort sum#7 DESC",
        "    Project s#2, sum#7",
        "      Filter count_star#8 > 2",
        "        Aggregate by s#2: sum(x#6) AS sum#7, count(*) AS count_star#8",
        "          Filter i#1 > 1 AND b#5",
        f"            {T}",
    )


def test_order_by_a_column_that_is_not_selected() -> None:
    assert plan_text("SELECT i FROM t ORDER BY x, i + 1 NULLS FIRST") == plan(
        "Project i#1",
        "  Sort x#6, (i + 1)#7 NULLS FIRST",
        "    Project i#1, x#6, i#1 + 1 AS (i + 1)#7",
        f"      {T}",
    )


@pytest.mark.parametrize(
    "order",
    ["2", "total", "TOTAL", "sum(x)", "q.total"],
    ids=["position", "alias", "case", "expression", "subquery"],
)
def test_order_by_an_output_adds_no_column(order: str) -> None:
    inner = "SELECT s, sum(x) AS total FROM t GROUP BY s"
    text = f"SELECT * FROM ({inner}) q ORDER BY {order}" if "." in order else f"{inner} ORDER BY {order}"
    assert plan_text(text) == plan("Sort sum#7", "  Aggregate by s#2: sum(x#6) AS sum#7", f"    {T}")


def test_order_by_all_and_group_by_all() -> None:
    assert plan_text("SELECT s, i, sum(x) FROM t GROUP BY ALL ORDER BY ALL DESC").startswith(
        "Sort s#2 DESC, i#1 DESC, sum#7 DESC"
    )


@pytest.mark.parametrize(("group", "name"), [("i + 1", "(i + 1)"), ("1", "k"), ("k", "k")])
def test_group_key_by_expression_position_and_alias(group: str, name: str) -> None:
    assert plan_text(f"SELECT i + 1 AS k, (i + 1) * 2 FROM t GROUP BY {group}") == plan(
        f"Project {name}#7, {name}#7 * 2 AS ((i + 1) * 2)#8",
        f"  Aggregate by i#1 + 1 AS {name}#7",
        f"    {T}",
    )


def test_group_by_prefers_the_column_to_the_alias() -> None:
    assert bind_query("SELECT sum(i) AS i FROM t GROUP BY i").names == ("i",)


def test_equal_aggregates_are_computed_once() -> None:
    assert plan_text("SELECT sum(x) / count(*), sum(x) FROM t HAVING sum(x) > 0").count("sum(x#6)") == 1


def test_aliases_of_earlier_items_may_be_used() -> None:
    assert plan_text("SELECT i * 2 AS y, y + 1 AS z FROM t WHERE y > 3") == plan(
        "Project i#1 * 2 AS y#7, i#1 * 2 + 1 AS z#8", "  Filter i#1 * 2 > 3", f"    {T}"
    )


def test_distinct_is_an_aggregate_without_aggregates() -> None:
    assert plan_text("SELECT DISTINCT s FROM t") == plan("Aggregate by s#2", "  Project s#2", f"    {T}")


def test_distinct_on_takes_the_first_row_by_the_order() -> None:
    text = plan_text("SELECT DISTINCT ON (i) i, s FROM t ORDER BY i, x DESC")
    assert "Aggregate by i#1: first(s#2 ORDER BY i#1, x#6 DESC)" in text


def test_star_modifiers() -> None:
    assert bind_query("SELECT * EXCLUDE (i, x) FROM t").names == ("s", "n", "day", "b")
    assert bind_query("SELECT t.* REPLACE (i + 1 AS i) FROM t").names[0] == "i"
    assert bind_query("SELECT COLUMNS('^[sn]$') FROM t").names == ("s", "n")
    assert bind_query("SELECT u.*, t.i FROM t, u").names == ("i", "k", "i")


def test_subquery_columns_get_distinct_names() -> None:
    assert bind_query("SELECT * FROM (SELECT 1 AS a, 2 AS a)").names == ("a", "a_1")
    assert bind_query("SELECT p, k FROM (SELECT i, k FROM u) AS q(p)").names == ("p", "k")


# --- joins ---


def test_join_kinds() -> None:
    for kind, word in [
        ("JOIN", "inner"),
        ("LEFT JOIN", "left"),
        ("RIGHT OUTER JOIN", "right"),
        ("FULL JOIN", "full"),
    ]:
        assert f"Join {word} on i#1 = k#8" in plan_text(f"SELECT 1 FROM t {kind} u ON t.i = u.k")
    assert "Join semi on i#1 = k#8" in plan_text("SELECT * FROM t SEMI JOIN u ON t.i = k")
    assert "Join anti on i#1 = k#8" in plan_text("SELECT * FROM t ANTI JOIN u ON t.i = k")
    assert "Join cross" in plan_text("SELECT 1 FROM t, u")
    assert "Join cross" in plan_text("SELECT 1 FROM t CROSS JOIN u")


def test_using_merges_the_column() -> None:
    assert bind_query("SELECT * FROM u JOIN u AS v USING (k)").names == ("i", "k", "i")
    assert bind_query("SELECT * FROM u NATURAL JOIN u AS v").names == ("i", "k")
    assert plan_text("SELECT k FROM u JOIN u v USING (k)").startswith("Project k#2")
    assert plan_text("SELECT k FROM u RIGHT JOIN u v USING (k)").startswith("Project k#4")
    assert "coalesce(k#2, k#4)" in plan_text("SELECT k FROM u FULL JOIN u v USING (k)")
    assert "coalesce(k#2, k#4)" in plan_text("SELECT * FROM u FULL JOIN u v USING (k)")


def test_outer_joins_make_columns_nullable() -> None:
    query = bind_query("SELECT t.x FROM u LEFT JOIN t ON t.i = u.k")
    assert query.plan.outputs[0].nullable
    assert not bind_query("SELECT t.x FROM t LEFT JOIN u ON t.i = u.k").plan.outputs[0].nullable


def test_lateral_items_become_dependent_joins() -> None:
    for text in (
        "SELECT * FROM t, LATERAL (SELECT k FROM u WHERE u.k = t.i) q",
        "SELECT * FROM t, (SELECT k FROM u WHERE u.k = t.i) q",
        "SELECT * FROM t CROSS JOIN LATERAL (SELECT k FROM u WHERE u.k = t.i) q",
    ):
        assert "DependentJoin cross" in plan_text(text)
    assert "DependentJoin left on TRUE" in plan_text(
        "SELECT * FROM t LEFT JOIN LATERAL (SELECT k FROM u WHERE u.k = t.i) q ON true"
    )
    assert "DependentJoin" not in plan_text("SELECT * FROM t, LATERAL (SELECT k FROM u) q")


def test_parenthesised_joins() -> None:
    text = plan_text("SELECT t.i, v.k FROM t LEFT JOIN (u JOIN u v ON u.k = v.k) ON t.i = u.k")
    assert text.index("Join left") < text.index("Join inner")


# --- WITH, views, set operations ---


def test_with_table_used_once_stands_in_place() -> None:
    assert plan_text("WITH a AS (SELECT * FROM t) SELECT * FROM a") == T


def test_with_table_used_twice_is_shared() -> None:
    query = bind_query("WITH a AS (SELECT i FROM t) SELECT * FROM a, a AS b")
    uses = [node for node in walk_plan(query.plan) if isinstance(node, Shared)]
    assert len({use.key for use in uses}) == 1
    assert uses[0].definition is uses[1].definition
    assert set(uses[0].outputs).isdisjoint(uses[1].outputs)


def test_with_tables_see_earlier_ones_and_hide_tables() -> None:
    text = "WITH t AS (SELECT k AS i FROM u), w(z) AS (SELECT i FROM t) SELECT z FROM w"
    assert plan_text(text).endswith("Scan u (i#1, k#2)")


def test_correlated_with_table_is_not_shared() -> None:
    text = "SELECT (WITH a AS (SELECT k FROM u WHERE k = t.i) SELECT max(p.k) FROM a p, a q) FROM t"
    assert "Shared" not in plan_text(text)


def test_views_are_bound_from_their_text() -> None:
    assert bind_query("SELECT * FROM totals").names == ("key", "total")
    catalog = small_catalog()
    catalog.relations["nested"] = View("nested", "SELECT key FROM totals WHERE total > 1")
    assert bind_query("SELECT n.key FROM nested n", catalog).names == ("key",)


def test_union_types_and_names() -> None:
    query = bind_query("SELECT i AS a FROM t UNION ALL SELECT i FROM u ORDER BY a LIMIT 3")
    assert query.names == ("a",)
    assert query.plan.outputs[0].dtype == BIGINT
    assert plan_text("SELECT 1 UNION SELECT 2").startswith("Aggregate by 1#3")


def test_union_all_of_many_is_one_node() -> None:
    assert plan_text("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3").count("UnionAll") == 1


def test_union_by_name() -> None:
    query = bind_query("SELECT i, s FROM t UNION ALL BY NAME SELECT k, i FROM u")
    assert query.names == ("i", "s", "k")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("INTERSECT", "Filter left_count#16 > 0 AND right_count#17 > 0"),
        ("EXCEPT", "Filter left_count#16 > 0 AND right_count#17 = 0"),
        ("INTERSECT ALL", "Repeat least(left_count#16, right_count#17)"),
        ("EXCEPT ALL", "Repeat left_count#16 - right_count#17"),
    ],
)
def test_intersect_and_except_count_both_sides(operation: str, expected: str) -> None:
    assert expected in plan_text(f"SELECT i FROM t {operation} SELECT k FROM u")


def test_values() -> None:
    query = bind_query("VALUES (1, 'a'), (2.5, NULL)")
    assert query.names == ("col0", "col1")
    assert plan_text("SELECT v.b FROM (VALUES (1, 'x'), (2, 'y')) v(a, b)").endswith(
        "Values (col0#1, col1#2): (1, 'x'), (2, 'y')"
    )
    assert "UnionAll" in plan_text("VALUES (1 + 1), (2)")


def test_table_functions_get_constants() -> None:
    catalog = small_catalog()
    query = bind_query("SELECT letter FROM read_letters('a*', ['b', $1], strict = true) l", catalog, ["c"])
    assert query.names == ("letter",)
    assert catalog.calls == [("read_letters", ["a*", ["b", "c"]], {"strict": True})]
    assert plan_text("SELECT * FROM range(2, 8, 3)") == "Values (range#1): (2), (5)"
    assert plan_text("SELECT g FROM generate_series(3) s(g)").endswith("(0), (1), (2), (3)")


# --- subqueries ---


def test_subqueries_in_expressions() -> None:
    text = plan_text(
        "SELECT i FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.i) AND i IN (SELECT k FROM u)"
    )
    assert "EXISTS" in text
    assert "= ANY" in text
    assert "<> ALL" in plan_text("SELECT i FROM t WHERE i NOT IN (SELECT k FROM u)")
    assert ">= ALL" in plan_text("SELECT i FROM t WHERE i >= ALL (SELECT k FROM u)")
    assert "= ANY" in plan_text("SELECT i FROM t WHERE (i, i) IN (SELECT i, k FROM u)")
    assert "max(k#8)" in plan_text("SELECT (SELECT max(k) FROM u WHERE u.k = t.i) FROM t")


def test_correlation_to_a_group_key() -> None:
    assert "Aggregate by i#1" in plan_text("SELECT i, (SELECT k FROM u WHERE u.k = t.i) FROM t GROUP BY i")


def test_inner_names_hide_outer_ones() -> None:
    text = plan_text("SELECT i FROM t WHERE EXISTS (SELECT 1 FROM u WHERE k = i)")
    assert "CAST(k#8 AS BIGINT) = i#7" in text


# --- expressions ---


def test_text_takes_the_type_of_the_other_side() -> None:
    expression = bind_expression("day < '1995-03-15'")
    assert isinstance(expression, Call)
    assert expression.arguments[1] == Literal(datetime.date(1995, 3, 15), DATE)
    expression = bind_expression("i IN ('1', 2)")
    assert isinstance(expression, InList)
    assert expression.options == (Literal(1, INTEGER), Literal(2, INTEGER))


def test_casts_are_explicit() -> None:
    assert isinstance(bind_expression("i::varchar"), Cast)
    assert bind_expression("'12'::int") == Cast(
        Literal(12, INTEGER), INTEGER
    )  # no longer adapts to a neighbour
    assert bind_expression("TRY_CAST('x' AS int)") == Literal(None, INTEGER)
    expression = bind_expression("TRY_CAST(s AS int)")
    assert isinstance(expression, Cast)
    assert expression.try_


def test_shorthands_become_case() -> None:
    for text in ("NULLIF(i, 1)", "IF(b, 1, 2)", "CASE i WHEN 1 THEN 2 END"):
        assert isinstance(bind_expression(text), Case)


def test_interval_constants_keep_all_their_parts() -> None:
    assert bind_expression("INTERVAL '1 day 02:00:00'") == Literal(
        Interval(days=1, microseconds=7_200_000_000), INTERVAL
    )
    assert bind_expression("INTERVAL '90' DAY") == Literal(Interval(days=90), INTERVAL)
    assert bind_expression("INTERVAL 2 QUARTERS") == Literal(Interval(months=6), INTERVAL)
    assert bind_expression("-INTERVAL '1' YEAR") == Literal(Interval(months=-12), INTERVAL)
    assert isinstance(bind_expression("INTERVAL (i) MONTH"), Call)


def test_between_in_and_like() -> None:
    expression = bind_expression("i BETWEEN 1 AND 2 AND s NOT LIKE 'a%'")
    assert isinstance(expression, Call)
    assert [part.function for part in expression.arguments if isinstance(part, Call)] == ["ge", "le", "not"]


def test_every_now_is_the_same() -> None:
    expression = bind_expression("now() = current_timestamp")
    assert isinstance(expression, Call)
    assert expression.arguments[0] == expression.arguments[1]


def test_adjacent_and_dollar_quoted_texts() -> None:
    assert bind_expression("$$it's$$") == Literal("it's", VARCHAR)


# --- parameters ---


def test_positional_parameters_count_in_text_order() -> None:
    query = bind_query("SELECT ? AS a FROM t WHERE i = ? LIMIT ?", parameters=["x", 2, 3])
    text = plan_text("SELECT ? AS a FROM t WHERE i = ? LIMIT ?", parameters=["x", 2, 3])
    assert query.plan.outputs[0].dtype == VARCHAR
    assert "Limit limit 3" in text
    assert "i#1 = 2" in text


def test_numbered_and_named_parameters() -> None:
    assert "i#1 = 7 OR i#1 = 7" in plan_text("SELECT 1 FROM t WHERE i = $1 OR i = $1", parameters=[7])
    assert "i#1 = 7" in plan_text("SELECT 1 FROM t WHERE i = $key", parameters={"key": 7})
