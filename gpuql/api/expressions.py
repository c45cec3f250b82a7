"""Expressions of the DataFrame API: what to compute, by column name, before it is known from which table.

An :class:`Expr` is immutable. :mod:`gpuql.api.binding` turns it into the same typed nodes as SQL text becomes, so both
fronts share every rule on types and NULL.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuql.api.namespaces import DateTimeNamespace, StringNamespace
    from gpuql_planner.types import DataType

#: What may stand where an expression is expected: an expression, or a constant.
Operand = Any


class Expr:
    """A computation over the columns of one row, or (aggregates) of a group of rows.

    Operators follow SQL: a comparison with NULL is NULL, ``/`` is float division, ``&``, ``|`` and ``~`` are
    three-valued AND, OR and NOT. Constants stand for themselves; a string is a constant, ``col("name")`` is a column.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    # --- arithmetic ---

    def __add__(self, other: Operand) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return call("subtract", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return call("subtract", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return call("multiply", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return call("multiply", other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return call("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return call("divide", other, self)

    def __floordiv__(self, other: Operand) -> Expr:
        return call("integer_divide", self, other)

    def __rfloordiv__(self, other: Operand) -> Expr:
        return call("integer_divide", other, self)

    def __mod__(self, other: Operand) -> Expr:
        return call("modulo", self, other)

    def __rmod__(self, other: Operand) -> Expr:
        return call("modulo", other, self)

    def __pow__(self, other: Operand) -> Expr:
        return call("power", self, other)

    def __neg__(self) -> Expr:
        return call("negate", self)

    def __abs__(self) -> Expr:
        return call("abs", self)

    # --- comparison and logic ---

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return call("eq", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return call("ne", self, other)

    def __lt__(self, other: Operand) -> Expr:
        return call("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return call("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return call("gt", self, other)

    def __ge__(self, other: Operand) -> Expr:
        return call("ge", self, other)

    def __and__(self, other: Operand) -> Expr:
        return call("and", self, other)

    def __rand__(self, other: Operand) -> Expr:
        return call("and", other, self)

    def __or__(self, other: Operand) -> Expr:
        return call("or", self, other)

    def __ror__(self, other: Operand) -> Expr:
        return call("or", other, self)

    def __invert__(self) -> Expr:
        return call("not", self)

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth value: use & | ~ instead of and, or, not, and is_in() instead of in"
        )

    def eq_missing(self, other: Operand) -> Expr:
        """Equality in which NULL equals NULL (IS NOT DISTINCT FROM)."""
        return call("is_not_distinct_from", self, other)

    def ne_missing(self, other: Operand) -> Expr:
        """Inequality in which NULL equals NULL (IS DISTINCT FROM)."""
        return call("is_distinct_from", self, other)

    def between(self, low: Operand, high: Operand) -> Expr:
        """``low <= self <= high``."""
        return call("and", call("ge", self, low), call("le", self, high))

    def is_in(self, options: Iterable[Operand]) -> Expr:
        """Equal to one of ``options`` (SQL IN: NULL if none is equal and one is NULL)."""
        return InListExpr(self, tuple(as_expr(option) for option in options))

    def is_null(self) -> Expr:
        """True where NULL."""
        return call("is_null", self)

    def is_not_null(self) -> Expr:
        """True where not NULL."""
        return call("is_not_null", self)

    def fill_null(self, value: Operand) -> Expr:
        """``value`` where NULL."""
        return call("coalesce", self, value)

    def is_nan(self) -> Expr:
        """True for the floating-point value NaN."""
        return call("isnan", self)

    # --- shape and name ---

    def alias(self, name: builtins.str) -> Expr:
        """The same under another column name."""
        return AliasExpr(self, name)

    def cast(self, dtype: DataType | builtins.str, *, strict: bool = True) -> Expr:
        """Convert to a type, given as ``"DECIMAL(10,2)"`` or a DataType.

        A value that does not fit raises ConversionError, or becomes NULL with ``strict=False``.
        """
        return CastExpr(self, dtype, not strict)

    def desc(self, *, nulls_last: bool = True) -> SortExpr:
        """As a sort key: descending."""
        return SortExpr(self, descending=True, nulls_last=nulls_last)

    def asc(self, *, nulls_last: bool = True) -> SortExpr:
        """As a sort key: ascending."""
        return SortExpr(self, descending=False, nulls_last=nulls_last)

    # --- numbers ---

    def abs(self) -> Expr:
        """Absolute value."""
        return call("abs", self)

    def round(self, decimals: int = 0) -> Expr:
        """Rounded half away from zero to ``decimals`` digits after the point."""
        return call("round", self, decimals)

    def floor(self) -> Expr:
        """Largest whole number that is not larger."""
        return call("floor", self)

    def ceil(self) -> Expr:
        """Smallest whole number that is not smaller."""
        return call("ceil", self)

    def sqrt(self) -> Expr:
        """Square root."""
        return call("sqrt", self)

    def exp(self) -> Expr:
        """E to this power."""
        return call("exp", self)

    def log(self) -> Expr:
        """Natural logarithm."""
        return call("ln", self)

    def log10(self) -> Expr:
        """Logarithm to base 10."""
        return call("log10", self)

    def sign(self) -> Expr:
        """-1, 0 or 1."""
        return call("sign", self)

    @property
    def str(self) -> StringNamespace:
        """Functions of strings."""
        from gpuql.api.namespaces import StringNamespace

        return StringNamespace(self)

    @property
    def dt(self) -> DateTimeNamespace:
        """Functions of dates and timestamps."""
        from gpuql.api.namespaces import DateTimeNamespace

        return DateTimeNamespace(self)

    # --- aggregates ---

    def sum(self) -> AggregateExpr:
        """Sum; NULLs do not count, and the sum of none is NULL. Exact for integers and decimals."""
        return AggregateExpr("sum", (self,))

    def mean(self) -> AggregateExpr:
        """Arithmetic mean as DOUBLE."""
        return AggregateExpr("avg", (self,))

    def min(self) -> AggregateExpr:
        """Smallest value."""
        return AggregateExpr("min", (self,))

    def max(self) -> AggregateExpr:
        """Largest value."""
        return AggregateExpr("max", (self,))

    def count(self) -> AggregateExpr:
        """Number of values that are not NULL."""
        return AggregateExpr("count", (self,))

    def n_unique(self) -> AggregateExpr:
        """Number of different values, NULL not counted (COUNT DISTINCT)."""
        return AggregateExpr("count", (self,), distinct=True)

    def first(self) -> AggregateExpr:
        """Value of the first row met."""
        return AggregateExpr("first", (self,))

    def last(self) -> AggregateExpr:
        """Value of the last row met."""
        return AggregateExpr("last", (self,))

    def median(self) -> AggregateExpr:
        """Median, interpolated between the two middle values."""
        return AggregateExpr("median", (self,))

    def quantile(self, fraction: float) -> AggregateExpr:
        """Quantile, interpolated linearly."""
        return AggregateExpr("quantile_cont", (self, LiteralExpr(fraction)))

    def std(self) -> AggregateExpr:
        """Sample standard deviation."""
        return AggregateExpr("stddev_samp", (self,))

    def var(self) -> AggregateExpr:
        """Sample variance."""
        return AggregateExpr("var_samp", (self,))

    def any(self) -> AggregateExpr:
        """True if some value is true."""
        return AggregateExpr("bool_or", (self,))

    def all(self) -> AggregateExpr:
        """True if no value is false."""
        return AggregateExpr("bool_and", (self,))


@dataclass(frozen=True, eq=False, slots=True)
class ColumnExpr(Expr):
    """The column called ``name``."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class LiteralExpr(Expr):
    """A constant."""

    value: object


@dataclass(frozen=True, eq=False, slots=True)
class CallExpr(Expr):
    """A scalar function or operator."""

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class InListExpr(Expr):
    """``argument IN (options)``."""

    argument: Expr
    options: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class CastExpr(Expr):
    """Conversion to a type; ``try_`` gives NULL for what does not fit."""

    argument: Expr
    target: DataType | str
    try_: bool


@dataclass(frozen=True, eq=False, slots=True)
class AliasExpr(Expr):
    """``argument`` under the name ``name``."""

    argument: Expr
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class CaseExpr(Expr):
    """First value whose condition is true, else ``default``; built by ``when(...).then(...).otherwise(...)``."""

    branches: tuple[tuple[Expr, Expr], ...]
    default: Expr = LiteralExpr(None)

    def when(self, condition: Operand) -> When:
        """Another branch, tried if no earlier one was true."""
        return When(as_expr(condition), self.branches)

    def otherwise(self, value: Operand) -> CaseExpr:
        """Value where no branch is true (NULL if not given)."""
        return CaseExpr(self.branches, as_expr(value))


@dataclass(frozen=True, slots=True)
class When:
    """A branch that lacks its value."""

    condition: Expr
    earlier: tuple[tuple[Expr, Expr], ...] = ()

    def then(self, value: Operand) -> CaseExpr:
        """Value of this branch."""
        return CaseExpr((*self.earlier, (self.condition, as_expr(value))))


@dataclass(frozen=True, eq=False, slots=True)
class AggregateExpr(Expr):
    """An aggregate function over a group."""

    function: str
    arguments: tuple[Expr, ...]
    distinct: bool = False
    predicate: Expr | None = None
    order_by: tuple[SortExpr, ...] = ()

    def filter(self, predicate: Operand) -> AggregateExpr:
        """Only over rows where ``predicate`` is true (FILTER)."""
        both = predicate if self.predicate is None else self.predicate & predicate
        return replace(self, predicate=as_expr(both))

    def sort_by(self, *keys: Expr | SortExpr | builtins.str) -> AggregateExpr:
        """Over rows in this order, for aggregates that depend on it such as ``first``."""
        return replace(self, order_by=tuple(as_sort_key(key) for key in keys))


@dataclass(frozen=True, slots=True)
class SortExpr:
    """A sort key."""

    expression: Expr
    descending: bool = False
    nulls_last: bool = True


def as_expr(value: Operand) -> Expr:
    """``value`` itself if it is an expression, else a constant."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, When):
        raise TypeError("when(...) needs .then(...)")
    return LiteralExpr(value)


def as_column(value: Expr | str) -> Expr:
    """As :func:`as_expr`, but a string names a column: for places where a column is meant."""
    return ColumnExpr(value) if isinstance(value, str) else as_expr(value)


def as_sort_key(value: Expr | SortExpr | str) -> SortExpr:
    """A sort key from a name, an expression or a finished key."""
    return value if isinstance(value, SortExpr) else SortExpr(as_column(value))


def call(function: str, *arguments: Operand) -> Expr:
    """The scalar function ``function`` of the arguments (constants or expressions)."""
    return CallExpr(function, tuple(as_expr(argument) for argument in arguments))


def flatten(values: Sequence[Any]) -> list[Any]:
    """Arguments given one by one or as one list."""
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        return list(values[0])
    return list(values)
