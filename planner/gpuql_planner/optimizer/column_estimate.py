"""What is expected of the values of one column."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpuql_planner.thresholds import EQUALITY_SELECTIVITY, RANGE_SELECTIVITY
from gpuql_planner.types import DataType


@dataclass(frozen=True, slots=True)
class ColumnEstimate:
    """Distinct values, smallest and largest stored value (None if unknown), and the share of NULLs."""

    distinct: float
    minimum: float | None = None
    maximum: float | None = None
    null_share: float = 0.0

    def thinned(self, before: float, after: float) -> ColumnEstimate:
        """Distinct values left when rows are taken away at random (Yao 1977, with replacement)."""
        if after >= before or self.distinct <= 1.0:
            return self.capped(after)
        per_value = max(before / self.distinct, 1.0)
        kept = self.distinct * (1.0 - (1.0 - after / before) ** per_value)
        return replace(self, distinct=max(kept, 1.0)).capped(after)

    def capped(self, rows: float) -> ColumnEstimate:
        """No more distinct values than rows."""
        limit = max(rows, 1.0)
        return self if self.distinct <= limit else replace(self, distinct=limit)

    def share_between(self, low: float | None, high: float | None, dtype: DataType) -> float:
        """Share of the rows whose value is within both ends (None: no such end)."""
        if low is not None and high is not None and low > high:
            return 0.0
        if self.minimum is None or self.maximum is None:
            if low is not None and low == high:
                return 1.0 / self.distinct if self.distinct > 1.0 else EQUALITY_SELECTIVITY
            return RANGE_SELECTIVITY ** ((low is not None) + (high is not None))
        low = self.minimum if low is None else max(low, self.minimum)
        high = self.maximum if high is None else min(high, self.maximum)
        if low > high:
            return 0.0
        if low == high:
            return 1.0 / self.distinct
        extra = 0.0 if dtype.is_float else 1.0
        width = float(self.maximum - self.minimum) + extra
        return min(1.0, (float(high - low) + extra) / width) if width > 0 else 1.0


def united(columns: list[ColumnEstimate], rows: float) -> ColumnEstimate:
    """A column that holds the values of all ``columns``, in ``rows`` rows."""
    lows = [c.minimum for c in columns if c.minimum is not None]
    highs = [c.maximum for c in columns if c.maximum is not None]
    complete = len(lows) == len(highs) == len(columns)
    distinct = min(sum(c.distinct for c in columns), max(rows, 1.0))
    return ColumnEstimate(distinct, min(lows) if complete else None, max(highs) if complete else None)
