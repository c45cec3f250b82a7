"""Columns computed for a fused pipeline are read, not computed again, when the interpreter runs it."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python
from gpuql.execution.computed import with_computed
from gpuql.expressions.vectors import Scalars
from gpuql.operators.filter import FilterOperator
from gpuql_kernels.families import cpu_families
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Literal
from gpuql_planner.physical.nodes import FilterExec, ProjectExec
from gpuql_planner.types import BIGINT, BOOLEAN, VARCHAR

TEXT, NUMBER = Attribute.fresh("t", VARCHAR), Attribute.fresh("n", BIGINT)
LIKE = Call("like", (AttributeRef(TEXT), Literal("%a%", VARCHAR)), BOOLEAN)
POSITIVE = Call("gt", (AttributeRef(NUMBER), Literal(0, BIGINT)), BOOLEAN)
SOURCE = Batch(
    {
        TEXT.id: column_from_python(["a", "b", None, "ab"], VARCHAR),
        NUMBER.id: column_from_python([1, 2, 3, -4], BIGINT),
    },
    4,
)


def kept(filters: FilterExec, source: Batch) -> list[int]:
    batch = FilterOperator(filters).process(source, Scalars(np, cpu_families()))  # type: ignore[arg-type]
    return batch.columns[NUMBER.id].values.tolist()  # type: ignore[no-any-return]


def test_nothing_computed_changes_nothing() -> None:
    filters = FilterExec((LIKE,))
    transforms, source = with_computed([filters], SOURCE, {})
    assert transforms == (filters,)
    assert source is SOURCE


def test_leading_filters_read_what_was_computed() -> None:
    """The computed column says otherwise than LIKE would, so its use shows; NULL still rejects a row."""
    computed = Column(BOOLEAN, np.array([False, True, True, True]), np.array([True, True, False, True]))
    project = ProjectExec(((NUMBER, AttributeRef(NUMBER)),))
    negated = Call("not", (LIKE,), BOOLEAN)
    transforms, source = with_computed(
        [FilterExec((POSITIVE, LIKE)), FilterExec((negated,)), project], SOURCE, {id(LIKE): computed}
    )
    first, second, last = transforms
    assert isinstance(first, FilterExec)
    assert isinstance(second, FilterExec)
    assert kept(first, source) == [2]
    assert kept(second, source) == [1]
    assert last is project
    assert kept(FilterExec((LIKE,)), SOURCE) == [1, -4]
