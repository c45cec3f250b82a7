"""How many rows one source row can become on its way through the probes of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping

from gpuql.operators.contract import JoinTable, SinkResult
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.physical.nodes import HashJoinProbe, Pipeline

_ONE_AT_MOST = (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK, JoinKind.SINGLE)


def pipeline_fanout(pipeline: Pipeline, results: Mapping[int, SinkResult]) -> int:
    """Upper bound over all probes; the join tables are there when a pipeline starts."""
    fanout = 1
    for transform in pipeline.transforms:
        if isinstance(transform, HashJoinProbe):
            table = results[transform.build]
            assert isinstance(table, JoinTable), "a probe reads a join table"
            fanout *= probe_fanout(table, transform)
    return fanout


def probe_fanout(table: JoinTable, probe: HashJoinProbe) -> int:
    """Most matches of one row in ``table``, at least 1."""
    if probe.kind in _ONE_AT_MOST:
        return 1
    if not probe.probe_keys:
        return max(1, table.num_rows)
    starts = table.index.starts
    if starts is None or len(starts) < 2:
        return 1
    return max(1, int((starts[1:] - starts[:-1]).max()))
