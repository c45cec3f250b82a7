"""Functions of the DataFrame API that do not start from an expression. Names follow Polars."""

from __future__ import annotations

from gpuql.api.expressions import (
    AggregateExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    Operand,
    When,
    as_column,
    as_expr,
    call,
)


def col(name: str) -> ColumnExpr:
    """The column called ``name`` (case-insensitive unless two columns differ in case only)."""
    return ColumnExpr(name)


def lit(value: object) -> LiteralExpr:
    """A constant; its type follows from the Python value as for a query parameter."""
    return LiteralExpr(value)


def when(condition: Operand) -> When:
    """Start of ``when(condition).then(value).otherwise(value)``."""
    return When(as_expr(condition))


def function(name: str, *arguments: Operand) -> Expr:
    """Any scalar SQL function by its name; arguments are expressions or constants."""
    return call(name, *arguments)


def coalesce(*expressions: Expr | str) -> Expr:
    """First value that is not NULL; strings name columns."""
    return call("coalesce", *map(as_column, expressions))


def concat_str(*expressions: Expr | str, separator: str = "") -> Expr:
    """Texts joined, NULL left out; strings name columns."""
    return call("concat_ws", separator, *map(as_column, expressions))


def len() -> AggregateExpr:
    """Number of rows (COUNT(*))."""
    return AggregateExpr("count_star", ())


def count(expression: Expr | str) -> AggregateExpr:
    """Number of values that are not NULL."""
    return as_column(expression).count()


def n_unique(expression: Expr | str) -> AggregateExpr:
    """Number of different values, NULL not counted."""
    return as_column(expression).n_unique()


def sum(expression: Expr | str) -> AggregateExpr:
    """Sum."""
    return as_column(expression).sum()


def mean(expression: Expr | str) -> AggregateExpr:
    """Arithmetic mean."""
    return as_column(expression).mean()


def min(expression: Expr | str) -> AggregateExpr:
    """Smallest value."""
    return as_column(expression).min()


def max(expression: Expr | str) -> AggregateExpr:
    """Largest value."""
    return as_column(expression).max()


def median(expression: Expr | str) -> AggregateExpr:
    """Median."""
    return as_column(expression).median()


def std(expression: Expr | str) -> AggregateExpr:
    """Sample standard deviation."""
    return as_column(expression).std()


def var(expression: Expr | str) -> AggregateExpr:
    """Sample variance."""
    return as_column(expression).var()


def first(expression: Expr | str) -> AggregateExpr:
    """Value of the first row met."""
    return as_column(expression).first()


def last(expression: Expr | str) -> AggregateExpr:
    """Value of the last row met."""
    return as_column(expression).last()


def aggregate(name: str, *arguments: Operand, distinct: bool = False) -> AggregateExpr:
    """Any aggregate SQL function by its name."""
    return AggregateExpr(name, tuple(as_expr(argument) for argument in arguments), distinct)
