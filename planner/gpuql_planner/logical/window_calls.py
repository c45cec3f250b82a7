"""Calls of window functions: over which rows of the input each is computed."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gpuql_planner.logical.expressions import AggregateCall, Expression, SortKey
from gpuql_planner.types import DataType


class FrameUnit(enum.Enum):
    """What a frame's offsets count."""

    ROWS = "rows"
    RANGE = "range"  # values of the order key
    GROUPS = "groups"  # sets of rows that are equal in all order keys


class BoundKind(enum.Enum):
    """Where a frame begins or ends."""

    UNBOUNDED_PRECEDING = "unbounded preceding"
    PRECEDING = "preceding"
    CURRENT_ROW = "current row"
    FOLLOWING = "following"
    UNBOUNDED_FOLLOWING = "unbounded following"


class Exclusion(enum.Enum):
    """Rows left out of every frame."""

    NO_OTHERS = "no others"
    CURRENT_ROW = "current row"
    GROUP = "group"
    TIES = "ties"


@dataclass(frozen=True)
class FrameBound:
    """One end of a frame.

    Of PRECEDING and FOLLOWING, ``value`` is the number of rows or groups (BIGINT), or under RANGE the order key minus
    or plus the offset; ``key`` is then the order key in the type of ``value``, which the values of other rows are
    compared with.
    """

    kind: BoundKind
    value: Expression | None = None
    key: Expression | None = None


@dataclass(frozen=True)
class WindowFrame:
    """Rows of the partition that a row's value is computed from."""

    unit: FrameUnit
    start: FrameBound
    end: FrameBound
    exclusion: Exclusion = Exclusion.NO_OTHERS

    @property
    def is_partition(self) -> bool:
        """Whether every frame is the whole partition."""
        return (
            self.start.kind is BoundKind.UNBOUNDED_PRECEDING
            and self.end.kind is BoundKind.UNBOUNDED_FOLLOWING
            and self.exclusion is Exclusion.NO_OTHERS
        )


#: What is used where no frame is written, and where the order keys are all there is to say.
DEFAULT_FRAME = WindowFrame(
    FrameUnit.RANGE, FrameBound(BoundKind.UNBOUNDED_PRECEDING), FrameBound(BoundKind.CURRENT_ROW)
)


@dataclass(frozen=True)
class WindowCall(Expression):
    """A window function or a windowed aggregate; stands only in the calls of a ``Window`` node.

    ``function`` is one of ``gpuql_planner.functions.windows.WINDOW_FUNCTIONS`` or of ``AGGREGATE_FUNCTIONS``.
    Partitions are the rows that are equal in all of ``partition_by`` (NULLs equal). In a ``Window`` node all operands
    are columns or constants.
    """

    function: str
    arguments: tuple[Expression, ...]
    type: DataType
    partition_by: tuple[Expression, ...] = ()
    order_by: tuple[SortKey, ...] = ()
    frame: WindowFrame = DEFAULT_FRAME
    distinct: bool = False
    filter: Expression | None = None
    argument_order: tuple[SortKey, ...] = ()
    ignore_nulls: bool = False

    @property
    def dtype(self) -> DataType:
        """Result type."""
        return self.type

    @property
    def is_of_partition(self) -> bool:
        """Whether every frame is the whole partition; all of its rows are peers if there are no order keys."""
        if self.order_by:
            return False
        frame = self.frame
        return frame.is_partition or (
            frame.unit is FrameUnit.RANGE
            and frame.start.kind in (BoundKind.UNBOUNDED_PRECEDING, BoundKind.CURRENT_ROW)
            and frame.end.kind in (BoundKind.CURRENT_ROW, BoundKind.UNBOUNDED_FOLLOWING)
            and frame.exclusion is Exclusion.NO_OTHERS
        )

    @property
    def aggregate(self) -> AggregateCall:
        """The call as an aggregate of the rows of one frame."""
        return AggregateCall(
            self.function, self.arguments, self.type, self.distinct, self.filter, self.argument_order
        )
