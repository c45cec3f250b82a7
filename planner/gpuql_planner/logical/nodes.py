"""Logical plan nodes: immutable, typed, each saying which attributes it puts out.

Build nodes with their constructors; a node checks its own invariants in ``gpuql_planner.logical.verify``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gpuql_planner.catalog import Table
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    Expression,
    LiteralValue,
    SortKey,
)
from gpuql_planner.logical.window_calls import WindowCall


@dataclass(frozen=True)
class LogicalNode:
    """Base of all nodes."""

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """Child nodes, left to right."""
        raise NotImplementedError

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Attributes put out, in order."""
        raise NotImplementedError


@dataclass(frozen=True)
class Scan(LogicalNode):
    """Rows of a table. ``columns`` pairs each output with the name of its source column.

    ``predicates`` is a hint: conjuncts over the outputs that a reader may use to skip row groups. They are applied
    again by the ``Filter`` above, so ignoring them is right.
    """

    table: Table
    columns: tuple[tuple[Attribute, str], ...]
    predicates: tuple[Expression, ...] = ()

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Attributes of the columns read."""
        return tuple(attribute for attribute, _ in self.columns)


@dataclass(frozen=True)
class Values(LogicalNode):
    """Constant rows. One row of no columns is the input of ``SELECT 1``; no rows is an empty relation."""

    attributes: tuple[Attribute, ...]
    rows: tuple[tuple[LiteralValue, ...], ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """The attributes."""
        return self.attributes


@dataclass(frozen=True)
class Filter(LogicalNode):
    """Rows for which every predicate is true (not false, not NULL)."""

    input: LogicalNode
    predicates: tuple[Expression, ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input."""
        return self.input.outputs


@dataclass(frozen=True)
class Project(LogicalNode):
    """Exactly these outputs. A column passed through keeps its attribute: ``(a, AttributeRef(a))``."""

    input: LogicalNode
    expressions: tuple[tuple[Attribute, Expression], ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """The attributes of the expressions."""
        return tuple(attribute for attribute, _ in self.expressions)


class JoinKind(enum.Enum):
    """What a join puts out."""

    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"
    SEMI = "semi"  # left rows with a match
    ANTI = "anti"  # left rows without a match (condition never true)
    MARK = "mark"  # left rows plus a BOOLEAN: does the condition hold for some right row (three-valued)
    SINGLE = "single"  # like LEFT, but a second match for one left row raises an error
    CROSS = "cross"


@dataclass(frozen=True)
class Join(LogicalNode):
    """A join of any kind; ``conditions`` are conjuncts over the attributes of both sides (none for CROSS).

    ``mark`` is the output of a MARK join. Three-valued: true if some pair makes the conjunction true, else NULL if
    some pair makes it NULL, else false.
    """

    left: LogicalNode
    right: LogicalNode
    kind: JoinKind
    conditions: tuple[Expression, ...] = ()
    mark: Attribute | None = None

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """Left, right."""
        return (self.left, self.right)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Left attributes, then right ones (not for SEMI, ANTI, MARK), then the mark."""
        if self.kind in (JoinKind.SEMI, JoinKind.ANTI):
            return self.left.outputs
        if self.kind is JoinKind.MARK:
            assert self.mark is not None, "a MARK join has a mark attribute"
            return (*self.left.outputs, self.mark)
        return (*self.left.outputs, *self.right.outputs)


@dataclass(frozen=True)
class DependentJoin(LogicalNode):
    """A join whose right side may refer to attributes of the left (LATERAL, correlated subquery).

    Exists between binding and the unnesting rule, which removes every one of them.
    """

    left: LogicalNode
    right: LogicalNode
    kind: JoinKind
    conditions: tuple[Expression, ...] = ()
    mark: Attribute | None = None

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """Left, right."""
        return (self.left, self.right)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """As the plain join."""
        return Join(self.left, self.right, self.kind, self.conditions, self.mark).outputs


@dataclass(frozen=True)
class Aggregate(LogicalNode):
    """One row per distinct combination of the keys (NULLs equal); one row in all if there are no keys.

    No aggregates means DISTINCT over the keys.
    """

    input: LogicalNode
    keys: tuple[tuple[Attribute, Expression], ...]
    aggregates: tuple[tuple[Attribute, AggregateCall], ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Keys, then aggregates."""
        return tuple(attribute for attribute, _ in (*self.keys, *self.aggregates))


@dataclass(frozen=True)
class Window(LogicalNode):
    """All rows of the input, each with the values of window functions; in no promised order.

    Operands of ``calls`` are columns of the input or constants. Rows for which the call of ``limit`` is above its
    number may be left out: then all calls are ranks in the same order of the same partitions.
    """

    input: LogicalNode
    calls: tuple[tuple[Attribute, WindowCall], ...]
    limit: tuple[Attribute, int] | None = None

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input, then the calls."""
        return (*self.input.outputs, *(attribute for attribute, _ in self.calls))


@dataclass(frozen=True)
class Sort(LogicalNode):
    """All rows in order; after a limit is pushed in, only rows ``offset .. offset + limit`` (top-N)."""

    input: LogicalNode
    keys: tuple[SortKey, ...]
    limit: int | None = None
    offset: int = 0

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input."""
        return self.input.outputs


@dataclass(frozen=True)
class Limit(LogicalNode):
    """Rows ``offset .. offset + limit`` of the input in its order; ``limit`` None means no upper bound."""

    input: LogicalNode
    limit: int | None
    offset: int = 0

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input."""
        return self.input.outputs


@dataclass(frozen=True)
class UnionAll(LogicalNode):
    """All rows of all inputs; output ``i`` takes column ``i`` of each input (equal types, by position)."""

    sources: tuple[LogicalNode, ...]
    attributes: tuple[Attribute, ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The sources."""
        return self.sources

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Fresh attributes."""
        return self.attributes


@dataclass(frozen=True)
class Repeat(LogicalNode):
    """Each row ``count`` times (BIGINT, not NULL; zero or less drops the row). Used for INTERSECT/EXCEPT ALL."""

    input: LogicalNode
    count: Expression

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input."""
        return self.input.outputs


@dataclass(frozen=True)
class Recursive(LogicalNode):
    """Rows of ``anchor``, then those of ``step`` again and again until it gives none.

    Within ``step`` stand ``WorkingScan`` nodes of the same ``key``: the rows of the round before, or of all rounds so
    far. Columns by position, as in UnionAll.
    """

    key: int
    anchor: LogicalNode
    step: LogicalNode
    attributes: tuple[Attribute, ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """Anchor, step."""
        return (self.anchor, self.step)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Fresh attributes."""
        return self.attributes


@dataclass(frozen=True)
class WorkingScan(LogicalNode):
    """Within the step of the ``Recursive`` with that key: the rows of the round before; of all rounds if ``total``."""

    key: int
    attributes: tuple[Attribute, ...]
    total: bool = False

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Fresh attributes of this use."""
        return self.attributes


@dataclass(frozen=True)
class Running(LogicalNode):
    """Rows in the order of the input, with what stands before them.

    ``number`` counts the rows from 1. Rows for which ``marker`` is true are not put out: of each pair of ``carried``,
    output and input, every other row gets the value in the last marked row before it, NULL if there is none.
    """

    input: LogicalNode
    number: Attribute | None = None
    marker: Attribute | None = None
    carried: tuple[tuple[Attribute, Attribute], ...] = ()

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input, then number and carried columns."""
        number = () if self.number is None else (self.number,)
        return (*self.input.outputs, *number, *(out for out, _ in self.carried))


@dataclass(frozen=True)
class Unnest(LogicalNode):
    """Each row once for each element of its lists: element ``i`` of every list in the ``i``-th copy, else NULL.

    A row whose lists are all empty or NULL is dropped, or kept once with NULLs if ``keep_empty`` is set.
    ``ordinality`` is the place of the element, from 1 (BIGINT).
    """

    input: LogicalNode
    lists: tuple[tuple[Attribute, Expression], ...]
    keep_empty: bool = False
    ordinality: Attribute | None = None

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The one input."""
        return (self.input,)

    @property
    def made(self) -> tuple[Attribute, ...]:
        """Attributes of the elements, then the ordinality."""
        elements = tuple(attribute for attribute, _ in self.lists)
        return elements if self.ordinality is None else (*elements, self.ordinality)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Those of the input, the elements, the ordinality."""
        return (*self.input.outputs, *self.made)


@dataclass(frozen=True)
class Shared(LogicalNode):
    """One use of a sub-plan that stands in several places (CTE or common sub-plan) and runs once.

    Nodes with the same ``key`` have the same ``definition``; output ``i`` is column ``i`` of the definition under an
    attribute of its own.
    """

    key: int
    definition: LogicalNode
    attributes: tuple[Attribute, ...]

    @property
    def inputs(self) -> tuple[LogicalNode, ...]:
        """The definition."""
        return (self.definition,)

    @property
    def outputs(self) -> tuple[Attribute, ...]:
        """Fresh attributes of this use."""
        return self.attributes
