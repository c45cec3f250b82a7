"""Bound, typed expressions over attributes.

Columns are identified by :class:`Attribute` with a number unique in the process, so rules move expressions between
nodes without renumbering, and a correlated reference is simply an attribute that the subquery does not produce.
"""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuql_planner.errors import Origin
from gpuql_planner.session_zone import session_zone
from gpuql_planner.types import BOOLEAN, DataType

if TYPE_CHECKING:
    from gpuql_planner.logical.nodes import LogicalNode

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column of an intermediate relation. Equality is by ``id`` alone."""

    id: int
    name: str = field(compare=False)
    dtype: DataType = field(compare=False)
    nullable: bool = field(default=True, compare=False)

    @staticmethod
    def fresh(name: str, dtype: DataType, *, nullable: bool = True) -> Attribute:
        """Attribute with an id that no other has."""
        return Attribute(next(_ids), name, dtype, nullable)


@dataclass(frozen=True, slots=True)
class Interval:
    """Value of an INTERVAL: components are kept apart, as a month has no fixed number of days."""

    months: int = 0
    days: int = 0
    microseconds: int = 0


LiteralValue = (
    None
    | bool
    | int
    | float
    | Decimal
    | str
    | bytes
    | datetime.date
    | datetime.time
    | datetime.datetime
    | Interval
)


@dataclass(frozen=True)
class Expression:
    """Base of all expressions; ``dtype`` is the type of the value."""

    @property
    def dtype(self) -> DataType:
        """Type of the value."""
        raise NotImplementedError


@dataclass(frozen=True)
class AttributeRef(Expression):
    """Value of a column. If no input of the node produces the attribute, the reference is correlated."""

    attribute: Attribute

    @property
    def dtype(self) -> DataType:
        """Type of the column."""
        return self.attribute.dtype


@dataclass(frozen=True)
class Literal(Expression):
    """A constant. ``value`` is None for NULL, else the natural Python value of the type (Decimal for DECIMAL)."""

    value: LiteralValue
    type: DataType

    @property
    def dtype(self) -> DataType:
        """Type given to the constant."""
        return self.type

    @property
    def is_null(self) -> bool:
        """Whether this is NULL. Ask this, not ``value``, where nothing else about the value matters.

        A plan is used again with other literals unless planning read their values: see
        ``gpuql_planner.logical.traced``.
        """
        return self.value is None

    @property
    def estimate(self) -> LiteralValue:
        """The value for estimates of cost, which may be wrong for other literals."""
        return self.value

    @property
    def untraced(self) -> Literal:
        """The literal without memory of where it comes from."""
        return self


@dataclass(frozen=True)
class Call(Expression):
    """A scalar function or operator of ``gpuql_planner.functions``, its arguments already cast to what it takes."""

    function: str
    arguments: tuple[Expression, ...]
    type: DataType
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def dtype(self) -> DataType:
        """Result type."""
        return self.type


@dataclass(frozen=True)
class Lambda(Expression):
    """A function over the elements of a list; an argument of the calls that take one.

    ``body`` may refer to ``parameters`` and to whatever else is in reach where the call stands.
    """

    parameters: tuple[Attribute, ...]
    body: Expression

    @property
    def dtype(self) -> DataType:
        """Type of the body."""
        return self.body.dtype


@dataclass(frozen=True)
class Cast(Expression):
    """Conversion. A value that does not fit raises ConversionError, or gives NULL when ``try_`` is set.

    ``zone`` is the time zone that gives TIMESTAMPTZ its date and time of day, the session's where none is given; empty
    where neither type has anything to do with it.
    """

    argument: Expression
    type: DataType
    try_: bool = False
    zone: str = ""
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Take the session's time zone if one is needed."""
        if not self.zone and (self.type.is_zoned or self.argument.dtype.is_zoned):
            object.__setattr__(self, "zone", session_zone())

    @property
    def dtype(self) -> DataType:
        """Target type."""
        return self.type


@dataclass(frozen=True)
class Case(Expression):
    """First ``value`` whose condition is true, else ``otherwise``. All values and ``otherwise`` have type ``type``."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression
    type: DataType

    @property
    def dtype(self) -> DataType:
        """Common type of all branches."""
        return self.type


@dataclass(frozen=True)
class InList(Expression):
    """``argument IN (options)`` under SQL's three-valued logic; options are expressions of the argument's type."""

    argument: Expression
    options: tuple[Expression, ...]

    @property
    def dtype(self) -> DataType:
        """BOOLEAN."""
        return BOOLEAN


@dataclass(frozen=True)
class SortKey:
    """One ORDER BY item. ``nulls_first`` is explicit: the dialect's default (NULLS LAST) is applied by the binder."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class AggregateCall(Expression):
    """An aggregate function; stands only in the aggregates of an ``Aggregate`` node.

    ``function`` is one of ``gpuql_planner.functions.AGGREGATE_FUNCTIONS``; ``count_star`` has no arguments.
    ``filter`` keeps rows where it is true. Constant arguments such as the fraction of a quantile stay in
    ``arguments`` as literals.
    """

    function: str
    arguments: tuple[Expression, ...]
    type: DataType
    distinct: bool = False
    filter: Expression | None = None
    order_by: tuple[SortKey, ...] = ()

    @property
    def dtype(self) -> DataType:
        """Result type."""
        return self.type


@dataclass(frozen=True)
class ScalarSubquery(Expression):
    """Value of the only column of the only row of ``plan``; NULL if no row; an error if several."""

    plan: LogicalNode

    @property
    def dtype(self) -> DataType:
        """Type of the only output column."""
        return self.plan.outputs[0].dtype


@dataclass(frozen=True)
class Exists(Expression):
    """True if ``plan`` has a row. NOT EXISTS is ``Call('not', Exists)``."""

    plan: LogicalNode

    @property
    def dtype(self) -> DataType:
        """BOOLEAN."""
        return BOOLEAN


@dataclass(frozen=True)
class QuantifiedComparison(Expression):
    """``arguments op ANY/ALL (plan)``, three-valued. IN is ``eq ANY``; NOT IN is ``ne ALL``.

    ``comparison`` is one of eq, ne, lt, le, gt, ge; ``arguments`` has one expression for each output of ``plan``
    (several only with eq/ne), of the same types.
    """

    arguments: tuple[Expression, ...]
    comparison: str
    quantifier: str  # "any" or "all"
    plan: LogicalNode

    @property
    def dtype(self) -> DataType:
        """BOOLEAN."""
        return BOOLEAN


#: Functions whose value is another for every row and every time: their calls are not copied, moved or shared.
VOLATILE_CALLS = frozenset({"random", "uuid", "uuidv7", "setseed", "nextval", "currval"})

SUBQUERY_EXPRESSIONS = (ScalarSubquery, Exists, QuantifiedComparison)
