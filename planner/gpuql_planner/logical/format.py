"""Plans and expressions as text: for EXPLAIN, golden tests, and to tell whether two plans are the same.

Attributes get numbers by first appearance, so that the text does not depend on how many queries ran before.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Exists,
    Expression,
    InList,
    Interval,
    Literal,
    LiteralValue,
    QuantifiedComparison,
    ScalarSubquery,
    SortKey,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Limit,
    LogicalNode,
    Project,
    Recursive,
    Repeat,
    Running,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
    WorkingScan,
)
from gpuql_planner.logical.window_calls import (
    BoundKind,
    Exclusion,
    FrameBound,
    FrameUnit,
    WindowCall,
    WindowFrame,
)
from gpuql_planner.types import TIMESTAMPTZ, VARCHAR, DataType

AttributeNamer = Callable[[Attribute], str]

#: Functions written between their operands, with the strength of their binding (higher binds tighter).
_INFIX: dict[str, tuple[str, int]] = {
    "or": ("OR", 1),
    "and": ("AND", 2),
    "eq": ("=", 4),
    "ne": ("<>", 4),
    "lt": ("<", 4),
    "le": ("<=", 4),
    "gt": (">", 4),
    "ge": (">=", 4),
    "is_distinct_from": ("IS DISTINCT FROM", 4),
    "is_not_distinct_from": ("IS NOT DISTINCT FROM", 4),
    "like": ("LIKE", 4),
    "ilike": ("ILIKE", 4),
    "concat_operator": ("||", 5),
    "add": ("+", 6),
    "subtract": ("-", 6),
    "multiply": ("*", 7),
    "divide": ("/", 7),
    "integer_divide": ("//", 7),
    "modulo": ("%", 7),
}
_POSTFIX = {"is_null": "IS NULL", "is_not_null": "IS NOT NULL"}
_NOT_STRENGTH, _POSTFIX_STRENGTH, _ATOM = 3, 4, 9
_COMPARISON_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class AttributeNumbers:
    """Names attributes ``name#1``, ``name#2`` … in order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[Attribute, int] = {}

    def __call__(self, attribute: Attribute) -> str:
        """The attribute's text."""
        number = self._numbers.setdefault(attribute, len(self._numbers) + 1)
        return f"{attribute.name}#{number}"


class AttributeNames:
    """Names attributes by their plain names, with a number only where two attributes share one."""

    def __init__(self) -> None:
        self._texts: dict[Attribute, str] = {}
        self._uses: dict[str, int] = {}

    def __call__(self, attribute: Attribute) -> str:
        """The attribute's text."""
        if attribute not in self._texts:
            count = self._uses[attribute.name] = self._uses.get(attribute.name, 0) + 1
            self._texts[attribute] = attribute.name if count == 1 else f"{attribute.name}#{count}"
        return self._texts[attribute]


def format_literal(value: LiteralValue, dtype: DataType) -> str:
    """SQL text of a constant."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        quoted = "'" + value.replace("'", "''") + "'"
        return quoted if dtype == VARCHAR else f"{dtype} {quoted}"
    if isinstance(value, Interval):
        parts = ((value.months, "months"), (value.days, "days"), (value.microseconds, "microseconds"))
        words = [f"{number} {unit}" for number, unit in parts if number]
        return f"INTERVAL '{' '.join(words) or '0 days'}'"
    if isinstance(value, datetime.datetime) and dtype == TIMESTAMPTZ:
        return f"{dtype} '{value}+00'"
    if isinstance(value, (datetime.date, datetime.time)):
        return f"{dtype} '{value}'"
    return str(value)


def format_expression(expression: Expression, name: AttributeNamer) -> str:
    """SQL-like text of an expression; ``name`` says what to call each attribute."""
    return _format(expression, name)[0]


def _format(expression: Expression, name: AttributeNamer) -> tuple[str, int]:
    """Text, and how tightly its outermost operator binds."""
    match expression:
        case AttributeRef(attribute):
            return name(attribute), _ATOM
        case Literal(value, dtype):
            return format_literal(value, dtype), _ATOM
        case Call():
            return _format_call(expression, name)
        case Cast(argument, dtype, try_):
            keyword = "TRY_CAST" if try_ else "CAST"
            return f"{keyword}({_format(argument, name)[0]} AS {dtype})", _ATOM
        case Case(branches, otherwise):
            parts = [f"WHEN {_format(c, name)[0]} THEN {_format(v, name)[0]}" for c, v in branches]
            return f"CASE {' '.join(parts)} ELSE {_format(otherwise, name)[0]} END", _ATOM
        case InList(argument, options):
            texts = ", ".join(_format(option, name)[0] for option in options)
            return f"{_operand(argument, name, _POSTFIX_STRENGTH + 1)} IN ({texts})", _POSTFIX_STRENGTH
        case AggregateCall():
            return _format_aggregate(expression, name), _ATOM
        case WindowCall():
            return _format_window_call(expression, name), _ATOM
        case ScalarSubquery(plan):
            return f"({_inline(plan, name)})", _ATOM
        case Exists(plan):
            return f"EXISTS ({_inline(plan, name)})", _ATOM
        case QuantifiedComparison(arguments, comparison, quantifier, plan):
            left = ", ".join(_format(argument, name)[0] for argument in arguments)
            sign = _COMPARISON_SIGNS[comparison]
            return f"({left}) {sign} {quantifier.upper()} ({_inline(plan, name)})", _POSTFIX_STRENGTH
    return str(expression), _ATOM


def _inline(plan: LogicalNode, name: AttributeNamer) -> str:
    return " <- ".join(line.strip() for line in _Formatter(name).lines(plan, 0))


def _operand(expression: Expression, name: AttributeNamer, at_least: int) -> str:
    text, strength = _format(expression, name)
    return text if strength >= at_least else f"({text})"


def _format_call(call: Call, name: AttributeNamer) -> tuple[str, int]:
    arguments = call.arguments
    if call.function in _INFIX and len(arguments) >= 2:
        sign, strength = _INFIX[call.function]
        associative = call.function in ("and", "or")
        first = _operand(arguments[0], name, strength + (1 if associative or strength == 4 else 0))
        rest = [_operand(argument, name, strength + 1) for argument in arguments[1:]]
        return f" {sign} ".join([first, *rest]), strength
    if call.function == "not":
        return f"NOT {_operand(arguments[0], name, _NOT_STRENGTH + 1)}", _NOT_STRENGTH
    if call.function in _POSTFIX:
        return f"{_operand(arguments[0], name, _POSTFIX_STRENGTH + 1)} {_POSTFIX[call.function]}", 4
    if call.function == "negate":
        return f"-{_operand(arguments[0], name, _ATOM)}", 8
    return f"{call.function}({', '.join(_format(argument, name)[0] for argument in arguments)})", _ATOM


def _format_aggregate(call: AggregateCall, name: AttributeNamer) -> str:
    if call.function == "count_star":
        text = "count(*)"
    else:
        inside = ", ".join(_format(argument, name)[0] for argument in call.arguments)
        inside = f"DISTINCT {inside}" if call.distinct else inside
        if call.order_by:
            inside += f" ORDER BY {format_sort_keys(call.order_by, name)}"
        text = f"{call.function}({inside})"
    if call.filter is not None:
        text += f" FILTER (WHERE {_format(call.filter, name)[0]})"
    return text


def _format_window_call(call: WindowCall, name: AttributeNamer) -> str:
    text = _format_aggregate(call.aggregate, name)
    if call.ignore_nulls:
        text += " IGNORE NULLS"
    parts = []
    if call.partition_by:
        parts.append(f"PARTITION BY {', '.join(_format(e, name)[0] for e in call.partition_by)}")
    if call.order_by:
        parts.append(f"ORDER BY {format_sort_keys(call.order_by, name)}")
    frame = _format_frame(call.frame, name)
    return f"{text} OVER ({' '.join([*parts, frame] if frame else parts)})"


def _format_frame(frame: WindowFrame, name: AttributeNamer) -> str:
    """The frame; nothing for the usual one."""
    start, end = _format_bound(frame.start, name), _format_bound(frame.end, name)
    usual = (FrameUnit.RANGE, BoundKind.UNBOUNDED_PRECEDING, BoundKind.CURRENT_ROW, Exclusion.NO_OTHERS)
    if (frame.unit, frame.start.kind, frame.end.kind, frame.exclusion) == usual:
        return ""
    text = f"{frame.unit.value.upper()} BETWEEN {start} AND {end}"
    return (
        text if frame.exclusion is Exclusion.NO_OTHERS else f"{text} EXCLUDE {frame.exclusion.value.upper()}"
    )


def _format_bound(bound: FrameBound, name: AttributeNamer) -> str:
    written = bound.kind.value.upper()
    return written if bound.value is None else f"{_format(bound.value, name)[0]} {written}"


def format_sort_keys(keys: tuple[SortKey, ...], name: AttributeNamer) -> str:
    """ORDER BY items; NULLS LAST is not written as it is the default."""
    texts = []
    for key in keys:
        text = _format(key.expression, name)[0]
        text += " DESC" if key.descending else ""
        texts.append(text + (" NULLS FIRST" if key.nulls_first else ""))
    return ", ".join(texts)


def format_items(items: tuple[tuple[Attribute, Expression], ...], name: AttributeNamer) -> str:
    """Output columns: ``expression AS name``, or the name alone where a column passes through."""
    texts = []
    for attribute, expression in items:
        text = _format(expression, name)[0]
        same = isinstance(expression, AttributeRef) and expression.attribute == attribute
        texts.append(text if same else f"{text} AS {name(attribute)}")
    return ", ".join(texts)


class _Formatter:
    def __init__(self, name: AttributeNamer) -> None:
        self.name = name
        self.shared: dict[int, int] = {}

    def lines(self, node: LogicalNode, depth: int) -> list[str]:
        """Inputs are formatted first, so that attributes are numbered where they are produced."""
        if isinstance(node, Shared):
            return self._shared(node, depth)
        below = [line for child in node.inputs for line in self.lines(child, depth + 1)]
        return ["  " * depth + self._header(node), *below]

    def _shared(self, node: Shared, depth: int) -> list[str]:
        seen = node.key in self.shared
        number = self._number(node.key)
        below = [] if seen else self.lines(node.definition, depth + 1)
        columns = ", ".join(map(self.name, node.attributes))
        return [f"{'  ' * depth}Shared {number} ({columns})", *below]

    def _number(self, key: int) -> int:
        """Keys are unique in the process: what is printed is their order in the plan."""
        return self.shared.setdefault(key, len(self.shared) + 1)

    def _header(self, node: LogicalNode) -> str:
        name = self.name
        match node:
            case Scan(table, columns):
                return f"Scan {table.name} ({', '.join(_column(a, source, name) for a, source in columns)})"
            case Values(attributes, rows):
                columns_text = ", ".join(map(name, attributes))
                row_texts = [_row(row, attributes) for row in rows[:5]]
                more = [f"… {len(rows)} rows"] if len(rows) > 5 else []
                return f"Values ({columns_text}): {', '.join(row_texts + more) or 'no rows'}"
            case Filter(_, predicates):
                return f"Filter {' AND '.join(_operand(p, name, 3) for p in predicates)}"
            case Project(_, expressions):
                return f"Project {format_items(expressions, name)}"
            case Join(_, _, kind, conditions, mark) | DependentJoin(_, _, kind, conditions, mark):
                dependent = "Dependent" if isinstance(node, DependentJoin) else ""
                text = f"{dependent}Join {kind.value}"
                if conditions:
                    text += " on " + " AND ".join(_operand(c, name, 3) for c in conditions)
                return text if mark is None else f"{text} mark {name(mark)}"
            case Aggregate(_, keys, aggregates):
                parts = [f"by {format_items(keys, name)}"] if keys else []
                if aggregates:
                    parts.append(format_items(aggregates, name))
                return f"Aggregate {': '.join(parts)}"
            case Window(_, window_calls, window_limit):
                text = f"Window {format_items(window_calls, name)}"
                return text if window_limit is None else f"{text} limit {window_limit[1]}"
            case Sort(_, keys, limit, offset):
                return f"Sort {format_sort_keys(keys, name)}{_limit_text(limit, offset)}"
            case Limit(_, limit, offset):
                return f"Limit{_limit_text(limit, offset)}"
            case UnionAll(_, attributes):
                return f"UnionAll ({', '.join(map(name, attributes))})"
            case Recursive(key, _, _, attributes):
                return f"Recursive {self._number(key)} ({', '.join(map(name, attributes))})"
            case WorkingScan(key, attributes, total):
                which = "all rows" if total else "last rows"
                return f"WorkingScan {which} of {self._number(key)} ({', '.join(map(name, attributes))})"
            case Running(_, number, marker, carried):
                return f"Running {running_text(number, marker, carried, name)}"
            case Repeat(_, count):
                return f"Repeat {_format(count, name)[0]}"
            case Unnest(_, lists, keep_empty):
                kept = ", rows without elements kept" if keep_empty else ""
                return f"Unnest {format_items(lists, name)}{kept}"
        return type(node).__name__


def running_text(
    number: Attribute | None,
    marker: Attribute | None,
    carried: tuple[tuple[Attribute, Attribute], ...],
    name: AttributeNamer,
) -> str:
    """What a pass over rows in order adds to them."""
    parts = [] if number is None else [f"number {name(number)}"]
    if marker is not None:
        columns = ", ".join(f"{name(origin)} AS {name(out)}" for out, origin in carried)
        parts.append(f"last where {name(marker)}: {columns}")
    return "; ".join(parts)


def _column(attribute: Attribute, source: str, name: AttributeNamer) -> str:
    return name(attribute) if attribute.name == source else f"{source} AS {name(attribute)}"


def _row(row: tuple[LiteralValue, ...], attributes: tuple[Attribute, ...]) -> str:
    return "(" + ", ".join(format_literal(v, a.dtype) for v, a in zip(row, attributes, strict=True)) + ")"


def _limit_text(limit: int | None, offset: int) -> str:
    text = "" if limit is None else f" limit {limit}"
    return text + (f" offset {offset}" if offset else "")


def format_logical(plan: LogicalNode) -> str:
    """Indented text of a plan, one node a line, inputs below their consumer."""
    return "\n".join(_Formatter(AttributeNumbers()).lines(plan, 0))
