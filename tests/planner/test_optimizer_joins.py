"""Join ordering: exact and greedy trees, estimates of join graphs, and the proofs that joins rest on."""

from __future__ import annotations

import pytest

from gpuql_planner.logical.nodes import Join, JoinKind, LogicalNode, Scan
from gpuql_planner.logical.visit import walk_plan
from gpuql_planner.optimizer import join_enumeration, optimize
from gpuql_planner.optimizer.cardinality import estimate_rows
from gpuql_planner.optimizer.statistics import at_most_one_row, is_unique, non_null_attributes
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.statements import Query
from tests.plans.catalogs import FixedCatalog, parse_tables, tpch_catalog


def _optimized(sql: str, catalog: FixedCatalog) -> LogicalNode:
    statement = bind_statements(sql, catalog)[0]
    assert isinstance(statement, Query)
    return optimize(statement.plan, verify=True)


def _tables(plan: LogicalNode) -> list[str]:
    return [node.table.name for node in walk_plan(plan) if isinstance(node, Scan)]


def _kinds(plan: LogicalNode) -> list[JoinKind]:
    return [node.kind for node in walk_plan(plan) if isinstance(node, Join)]


def _chain(length: int, *, rows: str = "1000") -> tuple[str, FixedCatalog]:
    text = "".join(f"r{i} {rows}\n  k INTEGER ? - -\n  n INTEGER ? - -\n" for i in range(length))
    tables = ", ".join(f"r{i}" for i in range(length))
    links = " AND ".join(f"r{i}.n = r{i + 1}.k" for i in range(length - 1))
    return f"SELECT r0.k FROM {tables} WHERE {links}", parse_tables(text)


@pytest.mark.parametrize("length", [2, 5, 12, 13, 30])
def test_long_chains_have_no_cross_product(length: int) -> None:
    sql, catalog = _chain(length)
    plan = _optimized(sql, catalog)
    assert sorted(_tables(plan)) == sorted(catalog.tables)
    assert _kinds(plan) == [JoinKind.INNER] * (length - 1)


def test_tables_of_unknown_size_can_be_joined() -> None:
    sql, catalog = _chain(4, rows="?")
    assert _kinds(_optimized(sql, catalog)) == [JoinKind.INNER] * 3


def test_too_many_pairs_fall_back_to_the_greedy_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sql, catalog = _chain(8)
    monkeypatch.setattr(join_enumeration, "MAX_EXACT_PAIRS", 3)
    assert _kinds(_optimized(sql, catalog)) == [JoinKind.INNER] * 7


def test_a_star_probes_the_fact_table() -> None:
    sql = (
        "SELECT count(*) FROM nation, supplier, lineitem, part WHERE l_suppkey = s_suppkey "
        "AND s_nationkey = n_nationkey AND p_partkey = l_partkey AND p_size = 3 AND n_name = 'PERU'"
    )
    plan = _optimized(sql, tpch_catalog())
    node: LogicalNode = plan
    while node.inputs:
        node = node.inputs[0]
    assert isinstance(node, Scan)
    assert node.table.name == "lineitem"


def test_rows_of_a_two_column_foreign_key() -> None:
    sql = "SELECT l_quantity FROM lineitem, partsupp WHERE ps_partkey = l_partkey AND ps_suppkey = l_suppkey"
    assert estimate_rows(_optimized(sql, tpch_catalog())) == pytest.approx(6_001_215, rel=0.05)


def test_rows_of_ranges_and_equalities() -> None:
    catalog = tpch_catalog()
    half = _optimized("SELECT l_orderkey FROM lineitem WHERE l_quantity <= 25", catalog)
    assert estimate_rows(half) == pytest.approx(3_000_000, rel=0.05)
    one = _optimized("SELECT o_orderkey FROM orders WHERE o_orderkey = 7", catalog)
    assert estimate_rows(one) == pytest.approx(1)
    none = _optimized("SELECT l_orderkey FROM lineitem WHERE l_quantity > 1000", catalog)
    assert estimate_rows(none) < 1


def test_keys_are_carried_through_joins_and_groups() -> None:
    catalog = tpch_catalog()
    plan = _optimized(
        "SELECT o_orderkey, c_name FROM orders, customer WHERE o_custkey = c_custkey AND c_acctbal > 0",
        catalog,
    )
    assert is_unique(plan, plan.outputs[:1])
    assert not is_unique(plan, plan.outputs[1:])
    grouped = _optimized("SELECT l_returnflag AS f, l_linestatus AS s FROM lineitem GROUP BY f, s", catalog)
    assert is_unique(grouped, grouped.outputs)
    assert not is_unique(grouped, grouped.outputs[:1])
    assert at_most_one_row(_optimized("SELECT max(l_orderkey) FROM lineitem", catalog))


def test_outer_joins_make_columns_nullable() -> None:
    catalog = tpch_catalog()
    sql = "SELECT c_custkey, o_orderkey FROM customer LEFT JOIN orders ON c_custkey = o_custkey"
    plan = _optimized(sql, catalog)
    known = non_null_attributes(plan)
    assert plan.outputs[0] in known
    assert plan.outputs[1] not in known
