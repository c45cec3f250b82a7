"""Constants: numbers, texts, intervals and parameters."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import ParserError
from gpuql_planner.functions import integer_literal, make_call
from gpuql_planner.functions.coercion import decimal_literal
from gpuql_planner.functions.temporal import to_interval
from gpuql_planner.functions.text_literals import interval_of, interval_unit, parse_interval
from gpuql_planner.logical.expressions import Expression, Literal
from gpuql_planner.logical.traced import derive
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import BOOLEAN, DOUBLE, INTERVAL, MAX_DECIMAL_WIDTH, NULL, VARCHAR, decimal

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder


def bind_literal(binder: ExpressionBinder, node: exp.Literal) -> Expression:
    """Number or text."""
    return _constant(binder, node)


def _constant(binder: ExpressionBinder, node: exp.Literal) -> Literal:
    traced = binder.context.slot_literal(node)
    if traced is not None:
        return traced
    text = str(node.this)
    return Literal(text, VARCHAR) if node.is_string else number_literal(text)


def number_literal(text: str) -> Literal:
    """Constant as DuckDB types it: digits with a point are DECIMAL, an exponent makes DOUBLE."""
    if "e" in text.lower():
        try:
            return Literal(float(text), DOUBLE)
        except ValueError:
            raise ParserError(f"syntax error: number has no exponent: {text}") from None
    if "." not in text:
        return integer_literal(int(text))
    width = sum(character.isdigit() for character in text)
    if width > MAX_DECIMAL_WIDTH:
        return decimal_literal(Decimal(text))
    scale = len(text) - text.index(".") - 1
    return Literal(Decimal(text), decimal(max(width, 1), scale))


def bind_negate(binder: ExpressionBinder, node: exp.Neg) -> Expression:
    """Minus; a negated number is a constant."""
    operand = node.this
    while isinstance(operand, exp.Paren):
        operand = operand.this
    if isinstance(operand, exp.Literal) and not operand.is_string:
        negated = derive(_negated, _constant(binder, operand))
        assert negated is not None, "every number has a negative"
        return negated
    return make_call("negate", (binder.bind(node.this),))


def _negated(literal: Literal) -> Literal:
    value = literal.value
    if isinstance(value, int):
        return integer_literal(-value)
    assert isinstance(value, (float, Decimal)), "numbers are int, float or Decimal"
    return Literal(-value, literal.type)


def bind_null(binder: ExpressionBinder, node: exp.Null) -> Expression:
    """NULL of no type yet."""
    return Literal(None, NULL)


def bind_boolean(binder: ExpressionBinder, node: exp.Boolean) -> Expression:
    """TRUE or FALSE."""
    return Literal(bool(node.this), BOOLEAN)


def bind_text(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    """Dollar-quoted or escaped text."""
    return Literal(str(node.this), VARCHAR)


def bind_adjacent_texts(binder: ExpressionBinder, node: exp.Concat) -> Expression:
    """``'a' 'b'`` is one text."""
    parts = [binder.bind(part) for part in node.expressions]
    return make_call("concat", parts)


def bind_placeholder(binder: ExpressionBinder, node: exp.Placeholder) -> Expression:
    """A parameter's value."""
    return binder.context.parameter(node)


def bind_interval(binder: ExpressionBinder, node: exp.Interval) -> Expression:
    """``INTERVAL '3' MONTH``, ``INTERVAL '1 day 02:00:00'``, ``INTERVAL (expression) DAY``."""
    amount, unit_node = node.this, node.args.get("unit")
    if unit_node is None:
        if isinstance(amount, exp.Literal) and amount.is_string:
            return _interval(_parsed_interval, binder, amount)
        raise binder.context.error(
            InvalidParameterValue, "interval without a unit", node, hint="write INTERVAL 3 DAY"
        )
    unit = interval_unit(unit_node.name)
    if unit is None:
        raise binder.context.error(InvalidParameterValue, f"unknown interval unit: {unit_node.name}", node)
    if isinstance(amount, exp.Literal):
        try:
            return _interval(lambda literal: _whole_units(literal, unit), binder, amount)
        except ArithmeticError:
            raise binder.context.error(
                InvalidParameterValue, f"interval amount is not a number: {str(amount.this)!r}", node
            ) from None
    return to_interval(unit, binder.bind(amount))


def _interval(
    compute: Callable[[Literal], Literal], binder: ExpressionBinder, amount: exp.Literal
) -> Literal:
    interval = derive(compute, _constant(binder, amount))
    assert interval is not None, "an amount that is no interval is an error"
    return interval


def _parsed_interval(text: Literal) -> Literal:
    return Literal(parse_interval(str(text.value)), INTERVAL)


def _whole_units(amount: Literal, unit: str) -> Literal:
    return Literal(interval_of(int(Decimal(str(amount.value))), unit), INTERVAL)
