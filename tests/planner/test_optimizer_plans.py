"""Golden plans: what each rule does to a query, and what it leaves alone.

A ``.test`` file holds cases: ``==== title``, the SQL, then sections ``---- name`` with the bound plan, the plan after
each rule that changed it, and the pipelines. Set ``GPUQL_UPDATE_PLANS=1`` to write what the optimizer does now; read
the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuql_planner.logical.format import format_logical
from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.format import format_plan
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.verify import verify
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.statements import Query
from tests.plans.catalogs import FixedCatalog, tpch_catalog
from tests.plans.small_data import small_catalog

FOLDER = Path(__file__).parents[1] / "plans"
UPDATE = os.environ.get("GPUQL_UPDATE_PLANS") == "1"


def _catalog() -> FixedCatalog:
    return FixedCatalog({**tpch_catalog().tables, **small_catalog().tables})


def _describe(sql: str) -> str:
    """All sections of a case."""
    statement = bind_statements(sql, _catalog())[0]
    assert isinstance(statement, Query)
    sections = [f"---- bound\n{format_logical(statement.plan)}"]

    def trace(rule: str, before: LogicalNode, after: LogicalNode) -> None:
        text = format_logical(after)
        if text != format_logical(before):
            sections.append(f"---- {rule}\n{text}")

    plan = optimize(statement.plan, trace=trace, verify=True)
    pipelines = lower(plan, statement.names, device="cpu", reason="test")
    verify(pipelines)
    sections.append(f"---- pipelines\n{format_plan(pipelines)}")
    return "\n".join(sections)


def _cases(path: Path) -> list[tuple[str, str, str]]:
    """Title, SQL and expected sections of each case of a file."""
    cases = []
    for block in path.read_text().split("==== ")[1:]:
        title, _, rest = block.partition("\n")
        sql, _, expected = rest.partition("---- ")
        cases.append((title.strip(), sql.strip(), f"---- {expected.strip()}"))
    return cases


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.test")), ids=lambda path: path.stem)
def test_plans(path: Path) -> None:
    cases = _cases(path)
    assert cases, "a golden file without cases"
    if UPDATE:
        path.write_text(
            "\n\n".join(f"==== {title}\n{sql}\n{_describe(sql)}" for title, sql, _ in cases) + "\n"
        )
    for title, sql, expected in cases if not UPDATE else _cases(path):
        assert _describe(sql) == expected, title
