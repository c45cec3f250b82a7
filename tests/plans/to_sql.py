"""Logical plans as DuckDB SQL, so that a plan can be run by an engine that is not ours.

Every node becomes a subquery whose columns are named ``a<attribute id>``. Meant for plans after unnesting.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Expression,
    InList,
    Interval,
    Literal,
    SortKey,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Repeat,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Values,
)
from gpuql_planner.types import DataType, TypeId

_INFIX = {
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "AND",
    "or": "OR",
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "integer_divide": "//",
    "modulo": "%",
    "like": "LIKE",
    "ilike": "ILIKE",
    "is_distinct_from": "IS DISTINCT FROM",
    "is_not_distinct_from": "IS NOT DISTINCT FROM",
    "concat_operator": "||",
}


def plan_to_sql(plan: LogicalNode) -> str:
    """A SELECT that DuckDB runs; its columns are the plan's outputs in order."""
    writer = _Writer()
    body = writer.node(plan)
    columns = ", ".join(map(_name, plan.outputs)) or "1"
    shared = ", ".join(f"{name} AS MATERIALIZED ({text})" for name, text in writer.shared.values())
    order = ""
    if isinstance(plan, Sort):
        order = f" ORDER BY {_sort_keys(plan.keys)}"
    return f"{'WITH ' + shared if shared else ''} SELECT {columns} FROM ({body}) AS result{order}"


def _name(attribute: Attribute) -> str:
    return f"a{attribute.id}"


class _Writer:
    def __init__(self) -> None:
        self.shared: dict[int, tuple[str, str]] = {}

    def node(self, node: LogicalNode) -> str:
        match node:
            case Scan(table, columns):
                items = [f'"{source}" AS {_name(a)}' for a, source in columns]
                return f'SELECT {_list(items)} FROM "{table.name}"'
            case Values(attributes, rows):
                return _values(attributes, rows)
            case Filter(below, predicates):
                return f"SELECT * FROM ({self.node(below)}) AS f WHERE {_all(predicates)}"
            case Project(below, expressions):
                return f"SELECT {_items(expressions)} FROM ({self.node(below)}) AS p"
            case Join():
                return self.join(node)
            case Aggregate(below, keys, aggregates):
                source = f"({self.node(below)}) AS g"
                if not aggregates:
                    return f"SELECT DISTINCT {_items(keys)} FROM {source}"
                text = f"SELECT {_items((*keys, *aggregates))} FROM {source}"
                return text + (f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}" if keys else "")
            case Sort(below, keys, limit, offset):
                text = f"SELECT * FROM ({self.node(below)}) AS s ORDER BY {_sort_keys(keys)}"
                return text + _limit(limit, offset)
            case Limit(below, limit, offset):
                return f"SELECT * FROM ({self.node(below)}) AS l{_limit(limit, offset)}"
            case UnionAll(sources, attributes):
                return self.union(sources, attributes)
            case Repeat(below, count):
                return (
                    f"SELECT * EXCLUDE (copy_number) FROM (SELECT *, "
                    f"unnest(range({expression_to_sql(count)})) AS copy_number FROM ({self.node(below)}) AS r)"
                )
            case Shared():
                return self.use(node)
        raise AssertionError(f"no SQL for {type(node).__name__}")

    def union(self, sources: tuple[LogicalNode, ...], attributes: tuple[Attribute, ...]) -> str:
        texts = []
        for source in sources:
            items = [f"{_name(o)} AS {_name(a)}" for o, a in zip(source.outputs, attributes, strict=True)]
            texts.append(f"SELECT {_list(items)} FROM ({self.node(source)}) AS u")
        return " UNION ALL ".join(texts)

    def use(self, node: Shared) -> str:
        if node.key not in self.shared:
            text = self.node(node.definition)
            self.shared[node.key] = (f"shared_{len(self.shared)}", text)
        name = self.shared[node.key][0]
        pairs = zip(node.definition.outputs, node.attributes, strict=True)
        return f"SELECT {_list([f'{_name(o)} AS {_name(a)}' for o, a in pairs])} FROM {name}"

    def join(self, node: Join) -> str:
        left, right = f"({self.node(node.left)}) AS l", f"({self.node(node.right)}) AS r"
        condition = _all(node.conditions)
        match node.kind:
            case JoinKind.SEMI:
                return f"SELECT * FROM {left} WHERE EXISTS (SELECT 1 FROM {right} WHERE {condition})"
            case JoinKind.ANTI:
                return f"SELECT * FROM {left} WHERE NOT EXISTS (SELECT 1 FROM {right} WHERE {condition})"
            case JoinKind.MARK:
                assert node.mark is not None
                # bool_or skips NULLs, so NULLs are counted beside it.
                mark = (
                    f"(SELECT CASE WHEN coalesce(bool_or({condition}), FALSE) THEN TRUE "
                    f"WHEN count(*) > count({condition}) THEN NULL ELSE FALSE END FROM {right})"
                )
                return f"SELECT *, {mark} AS {_name(node.mark)} FROM {left}"
            case JoinKind.CROSS:
                return f"SELECT * FROM {left} CROSS JOIN {right}"
            case JoinKind.SINGLE:
                return f"SELECT * FROM {left} LEFT JOIN {right} ON {condition}"
        return f"SELECT * FROM {left} {node.kind.value} JOIN {right} ON {condition}"


def _list(items: list[str]) -> str:
    return ", ".join(items) or "1 AS no_column"


def _items(items: tuple[tuple[Attribute, Expression], ...]) -> str:
    return _list([f"{expression_to_sql(e)} AS {_name(a)}" for a, e in items])


def _all(predicates: tuple[Expression, ...]) -> str:
    return " AND ".join(map(expression_to_sql, predicates)) or "TRUE"


def _values(attributes: tuple[Attribute, ...], rows: tuple[tuple[object, ...], ...]) -> str:
    texts = []
    for row in rows:
        cells = [
            f"{expression_to_sql(Literal(v, a.dtype))} AS {_name(a)}"  # type: ignore[arg-type]
            for v, a in zip(row, attributes, strict=True)
        ]
        texts.append(f"SELECT {_list(cells)}")
    if texts:
        return " UNION ALL ".join(texts)
    nulls = _list([f"CAST(NULL AS {_type(a.dtype)}) AS {_name(a)}" for a in attributes])
    return f"SELECT {nulls} WHERE FALSE"


def _limit(limit: int | None, offset: int) -> str:
    return ("" if limit is None else f" LIMIT {limit}") + (f" OFFSET {offset}" if offset else "")


def _sort_keys(keys: tuple[SortKey, ...]) -> str:
    return ", ".join(
        f"{expression_to_sql(k.expression)} {'DESC' if k.descending else 'ASC'} "
        f"NULLS {'FIRST' if k.nulls_first else 'LAST'}"
        for k in keys
    )


def _type(dtype: DataType) -> str:
    return "INTEGER" if dtype.id is TypeId.NULL else str(dtype)


def expression_to_sql(expression: Expression) -> str:
    """SQL of an expression over columns named by attribute id."""
    match expression:
        case AttributeRef(attribute):
            return _name(attribute)
        case Literal(value, dtype):
            return _literal(value, dtype)
        case Call():
            return _call(expression)
        case Cast(argument, dtype, try_):
            return f"{'TRY_CAST' if try_ else 'CAST'}({expression_to_sql(argument)} AS {_type(dtype)})"
        case Case(branches, otherwise):
            parts = [f"WHEN {expression_to_sql(c)} THEN {expression_to_sql(v)}" for c, v in branches]
            return f"(CASE {' '.join(parts)} ELSE {expression_to_sql(otherwise)} END)"
        case InList(argument, options):
            return f"({expression_to_sql(argument)} IN ({', '.join(map(expression_to_sql, options))}))"
        case AggregateCall():
            return _aggregate(expression)
    raise AssertionError(f"no SQL for {type(expression).__name__}")


def _literal(value: object, dtype: DataType) -> str:
    if value is None:
        return f"CAST(NULL AS {_type(dtype)})"
    if isinstance(value, Interval):
        parts = (f"{value.months} months", f"{value.days} days", f"{value.microseconds} microseconds")
        return f"(INTERVAL '{parts[0]}' + INTERVAL '{parts[1]}' + INTERVAL '{parts[2]}')"
    if isinstance(value, (str, datetime.date, datetime.time)):
        text = str(value).replace("'", "''")
        return f"CAST('{text}' AS {_type(dtype)})"
    if isinstance(value, Decimal) or dtype.is_numeric:
        return f"CAST({value} AS {_type(dtype)})"
    return str(value)


def _call(call: Call) -> str:
    arguments = list(map(expression_to_sql, call.arguments))
    if call.function in _INFIX:
        text = f"({f' {_INFIX[call.function]} '.join(arguments)})"
        same = call.function in ("add", "subtract", "multiply") and call.dtype.is_integer
        return f"CAST({text} AS {_type(call.dtype)})" if same else text
    match call.function:
        case "not":
            return f"(NOT {arguments[0]})"
        case "negate":
            return f"(- {arguments[0]})"
        case "is_null":
            return f"({arguments[0]} IS NULL)"
        case "is_not_null":
            return f"({arguments[0]} IS NOT NULL)"
    return f"{call.function}({', '.join(arguments)})"


def _aggregate(call: AggregateCall) -> str:
    inside = ", ".join(map(expression_to_sql, call.arguments))
    if call.function == "count_star":
        inside = "*"
    inside = f"DISTINCT {inside}" if call.distinct else inside
    inside += f" ORDER BY {_sort_keys(call.order_by)}" if call.order_by else ""
    name = "count" if call.function == "count_star" else call.function
    text = f"{name}({inside})"
    return text if call.filter is None else f"{text} FILTER (WHERE {expression_to_sql(call.filter)})"
