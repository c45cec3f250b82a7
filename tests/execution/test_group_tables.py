"""Hash tables of several workers: merged one by one or in partitions, the groups are those of the interpreter."""

from __future__ import annotations

import pytest

import gpuql
from gpuql.execution.fused import group_tables
from gpuql.execution.fused.group_tables import GroupTables

QUERY = """
    select k, count(*), count(v), sum(v), sum(x), min(v), max(v), min(x), max(x), any_value(w), max(v) filter (v > 3),
        avg(v)
    from t group by k
"""


@pytest.mark.parametrize("partition_groups", [50, 1 << 14])
@pytest.mark.parametrize("skewed", [False, True])
def test_groups_of_all_workers(partition_groups: int, skewed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_tables, "GROUP_TABLE_KEYS", partition_groups)
    merged: list[int] = []
    merge = GroupTables.merge

    def counted(self, tables, context, take):  # type: ignore[no-untyped-def]
        merged.append(len(tables))
        merge(self, tables, context, take)

    monkeypatch.setattr(GroupTables, "merge", counted)
    connection = gpuql.connect(device="cpu", threads=4, tier="compiled")
    # Keys so far apart that groups are hashed; skewed, most rows of the first half are of few groups.
    key = "case when i < 150000 then i % 7 else i % 9001 end" if skewed else "i * 7919 % 9001"
    connection.execute(
        f"""create table t as select ({key}) * 1000003 as k, nullif(i % 11, 5) as v, i % 5 as w,
            case i % 13 when 0 then 'nan'::double else (i % 17)::double end as x
        from range(300000) r(i)"""
    )
    rows = sorted(map(str, connection.sql(QUERY.replace("any_value(w)", "any_value(k)")).fetchall()))
    connection.execute("set tier = 'interpreted'")
    wanted = sorted(map(str, connection.sql(QUERY.replace("any_value(w)", "any_value(k)")).fetchall()))
    assert merged
    assert rows == wanted
    assert len(rows) == 9001
