"""Lowering: pipelines of every kind of node, and what the verifier refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gpuql_planner.errors import InternalError
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.format import format_plan
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.nodes import (
    AggregateSink,
    CollectSink,
    HashJoinBuild,
    HashJoinProbe,
    PhysicalPlan,
    Pipeline,
    ResultScan,
    SortSink,
    TableScan,
)
from gpuql_planner.physical.verify import sink_outputs, verify
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.statements import Query
from tests.plans.catalogs import FixedCatalog, tpch_catalog
from tests.plans.small_data import small_catalog

TPCH = sorted((Path(__file__).parents[2] / "bench" / "queries" / "tpch").glob("q*.sql"))


def _lower(sql: str, catalog: FixedCatalog | None = None, *, enabled: bool = True) -> PhysicalPlan:
    statement = bind_statements(sql, catalog or small_catalog())[0]
    assert isinstance(statement, Query)
    plan = lower(optimize(statement.plan, verify=True, enabled=enabled), statement.names, device="cpu")
    verify(plan)
    return plan


def _probes(plan: PhysicalPlan) -> list[HashJoinProbe]:
    return [t for p in plan.pipelines for t in p.transforms if isinstance(t, HashJoinProbe)]


@pytest.mark.parametrize("path", TPCH, ids=lambda path: path.stem)
@pytest.mark.parametrize("enabled", [True, False], ids=["optimized", "unnested"])
def test_tpch_lowers(path: Path, enabled: bool) -> None:
    plan = _lower(path.read_text(), tpch_catalog(), enabled=enabled)
    assert format_plan(plan).count("Pipeline ") == len(plan.pipelines)
    assert not isinstance(plan.pipelines[-1].sink, (AggregateSink, HashJoinBuild))


def test_columns_nobody_reads_are_not_scanned() -> None:
    plan = _lower("SELECT sum(l_quantity) FROM lineitem WHERE l_tax > 0", tpch_catalog())
    scan = plan.pipelines[0].source
    assert isinstance(scan, TableScan)
    assert [name for _, name in scan.columns] == ["l_quantity", "l_tax"]
    assert len(scan.predicates) == 1


def test_a_count_reads_no_column() -> None:
    plan = _lower("SELECT count(*) FROM t")
    assert plan.pipelines[0].source.outputs == ()


def test_sorted_result_is_not_copied() -> None:
    plan = _lower("SELECT a, b FROM t ORDER BY a LIMIT 3")
    assert isinstance(plan.pipelines[-1].sink, SortSink)
    assert plan.pipelines[-1].sink.limit == 3
    assert len(plan.pipelines) == 1


def test_a_shared_plan_runs_once() -> None:
    plan = _lower(
        "WITH w AS (SELECT a, sum(c) AS s FROM u GROUP BY a) SELECT * FROM w x, w y WHERE x.a = y.s"
    )
    aggregates = [p for p in plan.pipelines if isinstance(p.sink, AggregateSink)]
    assert len(aggregates) == 1
    readers = [p for p in plan.pipelines if isinstance(p.source, ResultScan) and p.source.pipelines == (0,)]
    assert len(readers) == 2


def test_builds_know_what_is_unique() -> None:
    plan = _lower("SELECT t.id, u.c FROM t, u WHERE t.id = u.k")
    builds = [p.sink for p in plan.pipelines if isinstance(p.sink, HashJoinBuild)]
    assert [build.unique for build in builds] == [True]
    plan = _lower("SELECT t.id, u.c FROM t, u WHERE t.a = u.a")
    builds = [p.sink for p in plan.pipelines if isinstance(p.sink, HashJoinBuild)]
    assert [build.unique for build in builds] == [False]


def test_null_safe_keys_and_residuals() -> None:
    plan = _lower("SELECT t.id FROM t JOIN u ON t.a IS NOT DISTINCT FROM u.a AND t.b < u.c")
    (probe,) = _probes(plan)
    assert probe.null_safe == frozenset((0,))
    assert len(probe.residual) == 1


def test_a_mark_that_nobody_reads_costs_nothing() -> None:
    plan = _lower("SELECT id FROM (SELECT id, a IN (SELECT a FROM u) AS m FROM t) x", enabled=False)
    assert not [probe for probe in _probes(plan) if probe.kind is JoinKind.MARK]


def test_refused_pipelines_take_their_joins_along() -> None:
    statement = bind_statements("SELECT t.id, u.c FROM t, u WHERE t.a = u.a", small_catalog())[0]
    assert isinstance(statement, Query)

    def refusal(pipeline: Pipeline) -> str | None:
        return "no" if isinstance(pipeline.sink, CollectSink) else None

    plan = lower(optimize(statement.plan), statement.names, device="gpu", reason="asked for", refusal=refusal)
    assert {p.device for p in plan.pipelines} == {"cpu"}
    assert "shares a join table" in plan.pipelines[0].reason
    free = lower(optimize(statement.plan), statement.names, device="gpu", reason="asked for")
    assert {(p.device, p.reason) for p in free.pipelines} == {("gpu", "asked for")}


def test_broken_plans_are_refused() -> None:
    plan = _lower("SELECT t.id, u.c FROM t, u WHERE t.a = u.a")
    build = next(i for i, p in enumerate(plan.pipelines) if isinstance(p.sink, HashJoinBuild))
    emptied = replace(plan.pipelines[build], source=ResultScan((), ()))
    broken = tuple(emptied if i == build else p for i, p in enumerate(plan.pipelines))
    with pytest.raises(InternalError, match="not available"):
        verify(replace(plan, pipelines=broken))
    with pytest.raises(InternalError, match="broken pipeline"):
        verify(replace(plan, pipelines=tuple(reversed(plan.pipelines))))
    with pytest.raises(InternalError, match="names and outputs"):
        verify(replace(plan, names=()))


def test_union_reads_kept_results_where_they_are() -> None:
    plan = _lower("SELECT a FROM t UNION ALL SELECT a FROM u GROUP BY a UNION ALL SELECT a FROM v, t")
    source = plan.pipelines[-1].source
    assert isinstance(source, ResultScan)
    assert len(source.pipelines) == 3
    for attribute, origins in source.columns:
        assert attribute in plan.outputs
        for index, origin in zip(source.pipelines, origins, strict=True):
            assert origin in sink_outputs(plan.pipelines[index].sink)
