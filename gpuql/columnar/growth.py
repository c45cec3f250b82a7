"""Statistics of a column that some rows were put behind: from those of before, and those of the new rows alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gpuql.columnar.column import Column
from gpuql.columnar.statistics import column_statistics
from gpuql.thresholds import GROWTH_SHARE
from gpuql_planner.catalog import ColumnStatistics


@dataclass(frozen=True, eq=False, slots=True)
class Growth:
    """A column whose first rows are ``known``, and batches of rows behind them, the latest first.

    ``counted_rows`` is how many rows it had when all of them were last looked at, ``new_rows`` how many came since.
    """

    known: ColumnStatistics
    counted_rows: int
    new_rows: int = 0
    latest: Callable[[], Column] | None = None
    earlier: Growth | None = None

    def with_rows(self, latest: Callable[[], Column], num_rows: int) -> Growth | None:
        """With a batch more; None if so many rows came by now that what was counted says little of all."""
        new_rows = self.new_rows + num_rows
        if new_rows > GROWTH_SHARE * self.counted_rows:
            return None
        return Growth(self.known, self.counted_rows, new_rows, latest, self)

    def statistics(self) -> ColumnStatistics | None:
        """Those of all rows; None if these have to be looked at."""
        batches = []
        growth: Growth | None = self
        while growth is not None:
            if growth.latest is not None:
                batches.append(growth.latest)
            growth = growth.earlier
        known: ColumnStatistics | None = self.known
        for batch in reversed(batches):
            known = known and _united(known, self.counted_rows, column_statistics(batch()))
        return known


def _united(known: ColumnStatistics, counted_rows: int, added: ColumnStatistics) -> ColumnStatistics | None:
    """Statistics of known rows and ``added`` ones behind them; None if it is left open whether values are unique.

    Range and NULL count are exact, ``unique`` and ``sorted`` are proved. Of values within the range as large a share is
    taken to be new as of those before.
    """
    if (
        not known.distinct_count
        or not added.distinct_count
        or known.null_count is None
        or added.null_count is None
    ):
        return None
    behind = known.maximum is not None and added.minimum is not None and added.minimum > known.maximum
    ahead = known.minimum is not None and added.maximum is not None and added.maximum < known.minimum
    if known.unique and added.unique and not behind and not ahead:
        return None
    fresh = 1.0 if behind or ahead else min(1.0, known.distinct_count / max(1, counted_rows))
    follows = known.maximum is not None and added.minimum is not None and added.minimum >= known.maximum
    return ColumnStatistics(
        None if known.minimum is None or added.minimum is None else min(known.minimum, added.minimum),
        None if known.maximum is None or added.maximum is None else max(known.maximum, added.maximum),
        known.null_count + added.null_count,
        known.distinct_count + round(fresh * added.distinct_count),
        unique=known.unique and added.unique,
        sorted=known.sorted and added.sorted and follows,
        average_bytes=known.average_bytes,
    )


def disjoint(one: ColumnStatistics, other: ColumnStatistics) -> bool:
    """Whether all values of one column are known to be larger than all of the other."""
    return _below(one, other) or _below(other, one)


def _below(lower: ColumnStatistics, upper: ColumnStatistics) -> bool:
    return lower.maximum is not None and upper.minimum is not None and lower.maximum < upper.minimum
