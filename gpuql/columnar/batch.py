"""A batch: equally long columns, found by the attribute that they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuql.columnar.column import Array, Column
from gpuql_planner.logical.expressions import Attribute


@dataclass(frozen=True, eq=False)
class Batch:
    """Columns by attribute id, and the row count (which a batch of no columns has too)."""

    columns: Mapping[int, Column]
    num_rows: int

    def __getitem__(self, attribute: Attribute) -> Column:
        return self.columns[attribute.id]

    def select(self, attributes: Iterable[Attribute]) -> Batch:
        """Only these columns."""
        return Batch({a.id: self.columns[a.id] for a in attributes}, self.num_rows)

    def take(self, rows: Array) -> Batch:
        """Rows at int positions ``rows``."""
        return Batch({key: column.take(rows) for key, column in self.columns.items()}, len(rows))

    def slice(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop`` as views."""
        stop = min(stop, self.num_rows)
        columns = {key: column.slice(start, stop) for key, column in self.columns.items()}
        return Batch(columns, max(0, stop - start))
