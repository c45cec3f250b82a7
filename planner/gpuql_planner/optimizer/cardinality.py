"""How many rows a plan will give, and how its values are spread: estimates, to choose with and never to prove.

Follows the classical assumptions of Selinger et al., "Access Path Selection" (SIGMOD 1979): values are spread
evenly, columns are independent, keys of the smaller side are contained in the larger. Unknown statistics get
defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Cast,
    Expression,
    InList,
    Literal,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
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
from gpuql_planner.logical.traced import SlotValues
from gpuql_planner.logical.visit import (
    conjuncts,
    disjuncts,
    output_set,
    references,
    trace_of,
    with_values,
)
from gpuql_planner.optimizer.column_estimate import ColumnEstimate, united
from gpuql_planner.optimizer.number_bounds import bound_of, bounds, stored_number
from gpuql_planner.optimizer.statistics import is_unique
from gpuql_planner.thresholds import (
    DEFAULT_DISTINCT_SHARE,
    DEFAULT_ROWS,
    EQUALITY_SELECTIVITY,
    LIKE_PREFIX_SELECTIVITY,
    LIKE_SELECTIVITY,
    LIST_ELEMENTS,
    NULL_SHARE,
    OTHER_SELECTIVITY,
    PART_OF_TEXT_DISTINCT,
    RANGE_SELECTIVITY,
    RECURSION_ROUNDS,
    ROWS_WORTH_PLANNING,
)
from gpuql_planner.types import TypeId


def estimate_rows(node: LogicalNode) -> float:
    """Expected number of rows; at least a fraction of one, so that products stay comparable."""
    known: float | None = vars(node).get("_rows")
    if known is None:
        known = vars(node)["_rows"] = max(_rows(node), 0.001)
    return known


def column_estimate(node: LogicalNode, attribute: Attribute) -> ColumnEstimate:
    """What is expected of output ``attribute`` of ``node``."""
    cache: dict[Attribute, ColumnEstimate] = vars(node).setdefault("_columns", {})
    known = cache.get(attribute)
    if known is None:
        known = cache[attribute] = _column(node, attribute)
    return known


# --- rows ---------------------------------------------------------------------------------------------------


def _rows(node: LogicalNode) -> float:
    if isinstance(node, Scan):
        return DEFAULT_ROWS if node.table.num_rows is None else float(node.table.num_rows)
    if isinstance(node, Values):
        return float(len(node.rows))
    if isinstance(node, Filter):
        return _filtered_rows(node)
    if isinstance(node, (Project, Repeat, Window)):
        return estimate_rows(node.input)
    if isinstance(node, Unnest):
        return estimate_rows(node.input) * LIST_ELEMENTS
    if isinstance(node, (Sort, Limit)):
        below = estimate_rows(node.input) - node.offset
        return max(0.0, below if node.limit is None else min(below, node.limit))
    if isinstance(node, Aggregate):
        if not node.keys:
            return 1.0
        return distinct_combinations([e for _, e in node.keys], node.input)
    if isinstance(node, UnionAll):
        return sum(map(estimate_rows, node.sources))
    if isinstance(node, Shared):
        return estimate_rows(node.definition)
    if isinstance(node, Join):
        return _join_rows(node)
    if isinstance(node, Recursive):
        return estimate_rows(node.anchor) * RECURSION_ROUNDS
    return estimate_rows(node.inputs[0]) if node.inputs else DEFAULT_ROWS


def _filtered_rows(node: Filter) -> float:
    below = estimate_rows(node.input)
    share = selectivity(node.predicates, (node.input,))
    trace = trace_of(node.predicates) if below >= ROWS_WORTH_PLANNING else None
    if trace is not None:
        floor = 1.0 / below

        def share_for(values: SlotValues) -> float:
            predicates = [with_values(predicate, values) for predicate in node.predicates]
            return max(selectivity(predicates, (node.input,)), floor)

        trace.note_estimate(node.predicates, share_for, max(share, floor))
    return below * share


def distinct_combinations(expressions: Sequence[Expression], node: LogicalNode) -> float:
    """Expected number of different tuples of ``expressions`` over the rows of ``node``."""
    rows = estimate_rows(node)
    product = 1.0
    for expression in expressions:
        product *= expression_estimate(expression, (node,)).distinct
        if product >= rows:
            return rows
    return max(product, 1.0)


def _join_rows(node: Join) -> float:
    left, right = estimate_rows(node.left), estimate_rows(node.right)
    if node.kind is JoinKind.CROSS:
        return left * right
    if node.kind in (JoinKind.MARK, JoinKind.SINGLE):
        return left
    if node.kind in (JoinKind.SEMI, JoinKind.ANTI):
        share = match_share(node.conditions, (node.left,), node.right)
        return left * (share if node.kind is JoinKind.SEMI else max(1.0 - share, 0.05))
    inner = left * right * join_selectivity(node)
    if node.kind is JoinKind.LEFT:
        return max(inner, left)
    if node.kind is JoinKind.RIGHT:
        return max(inner, right)
    return max(inner, left, right) if node.kind is JoinKind.FULL else inner


def join_selectivity(node: Join) -> float:
    """Share of the pairs of rows that meet all conditions."""
    result = 1.0
    keys = []
    rest = []
    for condition in node.conditions:
        pair = equality_sides(condition, node)
        if pair is None:
            rest.append(condition)
            continue
        keys.append(pair)
        left = expression_estimate(pair[0], (node.left,))
        right = expression_estimate(pair[1], (node.right,))
        result /= max(
            left.distinct,
            right.distinct,
            key_values(node.right, pair[1], left),
            key_values(node.left, pair[0], right),
            1.0,
        )
    if len(keys) > 1:
        left_keys, right_keys = [left for left, _ in keys], [right for _, right in keys]
        result *= max(_combination_factor(node.left, left_keys), _combination_factor(node.right, right_keys))
    if rest:
        result *= selectivity(rest, (node.left, node.right))
    return min(result, 1.0)


def key_values(node: LogicalNode, expression: Expression, partner: ColumnEstimate) -> float:
    """Values of a key column in its table, filtered or not, that lie in the range of what refers to it; else 0.

    Rows refer to keys that exist, filtered out or not: of the keys between the smallest and largest one referred to,
    a filter of the table keeps its share. (Filters are taken to keep keys that are referred to: of dates those of which
    there are sales.)
    """
    found = _base_column(node, expression.attribute) if isinstance(expression, AttributeRef) else None
    if found is None or not isinstance(found[0], Scan) or not is_unique(found[0], (found[1],)):
        return 0.0
    column = column_estimate(*found)
    if column.minimum is None or column.maximum is None or partner.minimum is None or partner.maximum is None:
        return 0.0
    overlap = min(column.maximum, partner.maximum) - max(column.minimum, partner.minimum) + 1
    share = overlap / max(column.maximum - column.minimum + 1, 1.0)
    return column.distinct * min(max(share, 0.0), 1.0)


def _combination_factor(node: LogicalNode, keys: Sequence[Expression]) -> float:
    """By how much fewer combinations of the keys there are than the product of their distinct values.

    The combinations in the table, or group, that the keys come from are at most its rows.
    """
    product = 1.0
    base: LogicalNode | None = None
    for key in keys:
        found = _base_column(node, key.attribute) if isinstance(key, AttributeRef) else None
        if found is None or (base is not None and base is not found[0]):
            return 1.0
        base = found[0]
        product *= column_estimate(*found).distinct
    return 1.0 if base is None else max(1.0, product / max(estimate_rows(base), 1.0))


def _base_column(node: LogicalNode, attribute: Attribute) -> tuple[LogicalNode, Attribute] | None:
    """The scan or aggregate that a column comes from unchanged, and its name there."""
    while True:
        if isinstance(node, (Scan, Aggregate)):
            return node, attribute
        if isinstance(node, Project):
            expression = dict(node.expressions)[attribute]
            if not isinstance(expression, AttributeRef):
                return None
            attribute = expression.attribute
        elif not isinstance(node, (Filter, Join, Sort, Limit, Repeat, Unnest)):
            return None
        inside = [child for child in node.inputs if attribute in output_set(child)]
        if not inside:
            return None
        node = inside[0]


def match_share(
    conditions: Iterable[Expression], left_inputs: Sequence[LogicalNode], right: LogicalNode
) -> float:
    """Share of left rows that find a partner in ``right`` (for SEMI and ANTI)."""
    share = 1.0
    right_set = output_set(right)
    for condition in conditions:
        pair = sides_of_equality(condition, right_set)
        if pair is None:
            share *= 0.8
            continue
        left_distinct = expression_estimate(pair[0], left_inputs).distinct
        right_distinct = expression_estimate(pair[1], (right,)).distinct
        share *= min(1.0, right_distinct / max(left_distinct, 1.0))
    return share


def sides_of_equality(
    condition: Expression, right_set: frozenset[Attribute]
) -> tuple[Expression, Expression] | None:
    """An equality as (expression over other inputs, expression over ``right_set``); None for other conditions."""
    if not isinstance(condition, Call) or condition.function not in ("eq", "is_not_distinct_from"):
        return None
    one, other = condition.arguments
    first, second = references(one), references(other)
    if not first or not second:
        return None
    if second <= right_set and first.isdisjoint(right_set):
        return one, other
    if first <= right_set and second.isdisjoint(right_set):
        return other, one
    return None


def equality_sides(condition: Expression, node: Join) -> tuple[Expression, Expression] | None:
    """Left and right expression of an equality between the inputs of a join; None for other conditions."""
    if not isinstance(condition, Call) or condition.function not in ("eq", "is_not_distinct_from"):
        return None
    one, other = condition.arguments
    left, right = output_set(node.left), output_set(node.right)
    first, second = references(one), references(other)
    if not first or not second:
        return None
    if first <= left and second <= right:
        return one, other
    if second <= left and first <= right:
        return other, one
    return None


# --- columns ------------------------------------------------------------------------------------------------


def _column(node: LogicalNode, attribute: Attribute) -> ColumnEstimate:
    rows = estimate_rows(node)
    if isinstance(node, Scan):
        return _scan_column(node, attribute, rows)
    if isinstance(node, Values):
        values = [row[node.attributes.index(attribute)] for row in node.rows]
        return ColumnEstimate(max(1.0, float(len(set(values)))))
    if isinstance(node, Filter):
        return _filtered_column(node, attribute, rows)
    if isinstance(node, Project):
        return expression_estimate(dict(node.expressions)[attribute], (node.input,))
    if isinstance(node, Aggregate):
        keys = dict(node.keys)
        if attribute in keys:
            return expression_estimate(keys[attribute], (node.input,)).capped(rows)
        return ColumnEstimate(max(1.0, rows))
    if isinstance(node, Window) and attribute not in output_set(node.input):
        return ColumnEstimate(max(1.0, rows))
    if isinstance(node, Shared):
        source = node.definition.outputs[node.attributes.index(attribute)]
        return column_estimate(node.definition, source)
    if isinstance(node, UnionAll):
        index = node.attributes.index(attribute)
        return united([column_estimate(s, s.outputs[index]) for s in node.sources], rows)
    if isinstance(node, (Recursive, WorkingScan)):
        return ColumnEstimate(rows)
    if isinstance(node, Running):
        carried = dict(node.carried)
        if attribute not in carried and attribute not in output_set(node.input):
            return ColumnEstimate(rows, 1.0, rows)
        attribute = carried.get(attribute, attribute)
    for child in node.inputs:
        if attribute in output_set(child):
            return column_estimate(child, attribute).thinned(estimate_rows(child), rows)
    return ColumnEstimate(2.0)  # the mark of a MARK join


def _scan_column(node: Scan, attribute: Attribute, rows: float) -> ColumnEstimate:
    source = next(name for a, name in node.columns if a == attribute)
    facts = node.table.statistics(source)
    distinct = float(facts.distinct_count) if facts.distinct_count is not None else None
    if distinct is None:
        distinct = rows if facts.unique else _distinct_guess(facts.minimum, facts.maximum, attribute, rows)
    nulls = 0.0 if facts.null_count is None else facts.null_count / max(rows, 1.0)
    return ColumnEstimate(max(1.0, min(distinct, max(rows, 1.0))), facts.minimum, facts.maximum, nulls)


def _distinct_guess(low: float | None, high: float | None, attribute: Attribute, rows: float) -> float:
    guess = rows * DEFAULT_DISTINCT_SHARE
    if low is not None and high is not None and not attribute.dtype.is_float:
        guess = min(rows, float(high - low + 1))
    return guess


def _filtered_column(node: Filter, attribute: Attribute, rows: float) -> ColumnEstimate:
    below = estimate_rows(node.input)
    result = column_estimate(node.input, attribute).thinned(below, rows)
    low, high = bounds(node.predicates).get(attribute, (None, None))
    if low is not None and low == high:
        return ColumnEstimate(1.0, low, low)
    if low is not None and (result.minimum is None or low > result.minimum):
        result = replace(result, minimum=low)
    if high is not None and (result.maximum is None or high < result.maximum):
        result = replace(result, maximum=high)
    for predicate in node.predicates:
        if isinstance(predicate, InList) and predicate.argument == AttributeRef(attribute):
            result = replace(result, distinct=max(1.0, min(result.distinct, len(predicate.options))))
        elif _is_equality_with_literal(predicate, attribute):
            result = replace(result, distinct=1.0)
    if result.minimum is not None and result.maximum is not None and not attribute.dtype.is_float:
        result = replace(result, distinct=max(1.0, min(result.distinct, result.maximum - result.minimum + 1)))
    return result


def _is_equality_with_literal(predicate: Expression, attribute: Attribute) -> bool:
    if not isinstance(predicate, Call) or predicate.function != "eq":
        return False
    one, other = predicate.arguments
    reference = AttributeRef(attribute)
    return (one == reference and isinstance(other, Literal)) or (
        other == reference and isinstance(one, Literal)
    )


def expression_estimate(expression: Expression, inputs: Sequence[LogicalNode]) -> ColumnEstimate:
    """What is expected of an expression over the rows of ``inputs``."""
    if isinstance(expression, AttributeRef):
        for node in inputs:
            if expression.attribute in output_set(node):
                return column_estimate(node, expression.attribute)
        return ColumnEstimate(1.0)  # correlated: one value at a time
    if isinstance(expression, Literal):
        value = stored_number(expression.estimate, expression.dtype)
        return ColumnEstimate(1.0, value, value)
    if isinstance(expression, Cast):
        inner = expression_estimate(expression.argument, inputs)
        same = expression.argument.dtype.is_integer and expression.dtype.is_integer
        return inner if same else ColumnEstimate(inner.distinct, null_share=inner.null_share)
    distinct = 1.0
    for attribute in references(expression):
        distinct *= expression_estimate(AttributeRef(attribute), inputs).distinct
    if isinstance(expression, Call):
        few = PART_OF_TEXT_DISTINCT if expression.dtype.id is TypeId.VARCHAR else distinct
        distinct = min(distinct, _FUNCTION_DISTINCT.get(expression.function, few))
    rows = 1.0
    for node in inputs:
        rows *= max(estimate_rows(node), 1.0)
    return ColumnEstimate(max(1.0, min(distinct, rows)))


#: Functions whose results are few, however many arguments there are.
_FUNCTION_DISTINCT: dict[str, float] = {
    "year": 10.0,
    "quarter": 4.0,
    "month": 12.0,
    "day": 31.0,
    "dayofweek": 7.0,
    "isodow": 7.0,
    "week": 53.0,
    "dayofyear": 366.0,
    "hour": 24.0,
    "minute": 60.0,
    "second": 60.0,
    "sign": 3.0,
}

# --- predicates ---------------------------------------------------------------------------------------------


def selectivity(predicates: Iterable[Expression], inputs: Sequence[LogicalNode]) -> float:
    """Share of rows (of pairs of rows, if there are two inputs) for which every predicate is true."""
    parts = [part for predicate in predicates for part in conjuncts(predicate)]
    result = 1.0
    ranges = bounds(parts)
    for attribute, (low, high) in ranges.items():
        column = expression_estimate(AttributeRef(attribute), inputs)
        result *= column.share_between(low, high, attribute.dtype)
    for part in parts:
        if bound_of(part) is None:
            result *= _share(part, inputs)
    return min(max(result, 1e-9), 1.0)


def _share(predicate: Expression, inputs: Sequence[LogicalNode]) -> float:
    match predicate:
        case Literal():
            return 1.0 if predicate.estimate is True else 0.0
        case Call("or"):
            missed = 1.0
            for part in disjuncts(predicate):
                missed *= 1.0 - selectivity((part,), inputs)
            return 1.0 - missed
        case Call("not", (argument,)):
            return max(1.0 - selectivity((argument,), inputs), 0.0)
        case Call("eq" | "is_not_distinct_from", (one, other)):
            return _equality_share(one, other, inputs)
        case Call("ne" | "is_distinct_from", (one, other)):
            return 1.0 - _equality_share(one, other, inputs)
        case Call("lt" | "le" | "gt" | "ge"):
            return RANGE_SELECTIVITY
        case Call("is_null", (AttributeRef(attribute),)):
            known = expression_estimate(AttributeRef(attribute), inputs).null_share
            return known if known else NULL_SHARE
        case Call("is_null"):
            return NULL_SHARE
        case Call("is_not_null"):
            return 1.0 - NULL_SHARE
        case Call("like" | "ilike" | "like_escape" | "starts_with" | "contains" | "ends_with", arguments):
            return _like_share(arguments[1])
        case InList(argument, options):
            return min(1.0, len(options) / expression_estimate(argument, inputs).distinct)
        case AttributeRef():
            return 0.5
    return OTHER_SELECTIVITY


def _equality_share(one: Expression, other: Expression, inputs: Sequence[LogicalNode]) -> float:
    first, second = expression_estimate(one, inputs), expression_estimate(other, inputs)
    distinct = max(first.distinct, second.distinct)
    if distinct > 1.0:
        return 1.0 / distinct
    return EQUALITY_SELECTIVITY if references(one) or references(other) else 1.0


def _like_share(pattern: Expression) -> float:
    text = pattern.estimate if isinstance(pattern, Literal) else None
    if isinstance(text, str):
        return LIKE_SELECTIVITY if text[:1] in ("%", "_") else LIKE_PREFIX_SELECTIVITY
    return LIKE_SELECTIVITY
