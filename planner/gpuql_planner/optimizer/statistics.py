"""What can be proved about the rows of a plan: unique keys, at most one row, columns without NULL.

Proofs rest on exact table statistics and on the meaning of operators, never on estimates.
"""

from __future__ import annotations

from collections.abc import Collection

from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Exists,
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
    Repeat,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
)
from gpuql_planner.logical.visit import output_set, references
from gpuql_planner.thresholds import MAX_KEYS_FOLLOWED

Key = frozenset[Attribute]


#: Functions that give NULL only if an argument is NULL (no division, no conversion, no lookups).
_NULL_ONLY_FROM_ARGUMENTS = frozenset(
    (
        "add",
        "subtract",
        "multiply",
        "negate",
        "abs",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "not",
        "like",
        "ilike",
        "starts_with",
        "ends_with",
        "contains",
        "substring",
        "upper",
        "lower",
        "length",
        "strlen",
        "year",
        "month",
        "day",
        "quarter",
        "concat_operator",
        "round",
        "floor",
        "ceil",
    )
)
#: Functions that give NULL if any argument is NULL. Lists, structs and maps of NULLs are not NULL, so functions that
#: make them are not here, nor is any function of which nobody looked it up.
_NULL_FROM_ANY_ARGUMENT = _NULL_ONLY_FROM_ARGUMENTS | frozenset(
    (
        *(
            "divide",
            "integer_divide",
            "modulo",
            "sign",
            "sqrt",
            "exp",
            "ln",
            "log10",
            "log2",
            "power",
            "trunc",
        ),
        *("bit_and", "bit_or", "xor", "bit_not", "shift_left", "shift_right", "isnan", "isinf", "isfinite"),
        *(
            "hour",
            "minute",
            "second",
            "millisecond",
            "microsecond",
            "week",
            "dayofweek",
            "isodow",
            "dayofyear",
        ),
        *("date_part", "date_trunc", "date_diff", "last_day", "strftime", "monthname", "dayname"),
        *(
            "like_escape",
            "ilike_escape",
            "trim",
            "ltrim",
            "rtrim",
            "reverse",
            "repeat",
            "replace",
            "left",
            "right",
        ),
        *("lpad", "rpad", "strpos", "ascii", "split_part", "regexp_matches", "regexp_full_match"),
    )
)
_NEVER_NULL = frozenset(("is_null", "is_not_null", "is_distinct_from", "is_not_distinct_from"))


def unique_keys(node: LogicalNode) -> tuple[Key, ...]:
    """Sets of outputs of which no two rows have the same values; the empty set says "at most one row".

    NULLs count as equal, so a key also holds for null-safe joins and for functional dependencies.
    """
    known: tuple[Key, ...] | None = vars(node).get("_unique_keys")
    if known is None:
        found = list(dict.fromkeys(_find_keys(node)))
        minimal = [key for key in found if not any(other < key for other in found)]
        known = vars(node)["_unique_keys"] = tuple(minimal[:MAX_KEYS_FOLLOWED])
    return known


def is_unique(node: LogicalNode, attributes: Collection[Attribute]) -> bool:
    """No two rows of ``node`` agree on all of ``attributes``."""
    return any(key.issubset(attributes) for key in unique_keys(node))


def at_most_one_row(node: LogicalNode) -> bool:
    """The plan cannot give two rows."""
    return is_unique(node, ())


def exactly_one_row(node: LogicalNode) -> bool:
    """The plan gives one row whatever the data."""
    if isinstance(node, Aggregate):
        return not node.keys
    if isinstance(node, Values):
        return len(node.rows) == 1
    if isinstance(node, Project):
        return exactly_one_row(node.input)
    if isinstance(node, Shared):
        return exactly_one_row(node.definition)
    if isinstance(node, Window):
        return exactly_one_row(node.input)
    if isinstance(node, Sort):
        return node.limit is None and node.offset == 0 and exactly_one_row(node.input)
    if isinstance(node, Join) and node.kind is JoinKind.CROSS:
        return exactly_one_row(node.left) and exactly_one_row(node.right)
    return False


def _find_keys(node: LogicalNode) -> list[Key]:
    if isinstance(node, Scan):
        return _scan_keys(node)
    if isinstance(node, (Filter, Window)):
        return list(unique_keys(node.input))
    if isinstance(node, (Limit, Sort)):
        return [frozenset()] if node.limit in (0, 1) else list(unique_keys(node.input))
    if isinstance(node, Project):
        renamed = _renaming(node)
        return [
            frozenset(renamed[a] for a in key)
            for key in unique_keys(node.input)
            if all(a in renamed for a in key)
        ]
    if isinstance(node, Values):
        return [frozenset()] if len(node.rows) <= 1 else []
    if isinstance(node, Aggregate):
        return _aggregate_keys(node)
    if isinstance(node, Shared):
        position = dict(zip(node.definition.outputs, node.attributes, strict=True))
        return [frozenset(position[a] for a in key) for key in unique_keys(node.definition)]
    if isinstance(node, Join):
        return _join_keys(node)
    if isinstance(node, (UnionAll, Repeat, Unnest)):
        return []
    return []


def _scan_keys(node: Scan) -> list[Key]:
    if node.table.num_rows is not None and node.table.num_rows <= 1:
        return [frozenset()]
    return [
        frozenset((attribute,))
        for attribute, source in node.columns
        if node.table.statistics(source).unique and not column_may_be_null(node, source, attribute)
    ]


def column_may_be_null(scan: Scan, source: str, attribute: Attribute) -> bool:
    """Whether a table's column may hold NULL, by declaration or by exact count."""
    return attribute.nullable and scan.table.statistics(source).null_count != 0


def _renaming(node: Project) -> dict[Attribute, Attribute]:
    return {e.attribute: a for a, e in node.expressions if isinstance(e, AttributeRef)}


def _aggregate_keys(node: Aggregate) -> list[Key]:
    own: Key = frozenset(attribute for attribute, _ in node.keys)
    renamed = {e.attribute: a for a, e in node.keys if isinstance(e, AttributeRef)}
    carried = [
        frozenset(renamed[a] for a in key)
        for key in unique_keys(node.input)
        if all(a in renamed for a in key)
    ]
    return [own, *carried]


def _join_keys(node: Join) -> list[Key]:
    left, right = unique_keys(node.left), unique_keys(node.right)
    if node.kind in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK, JoinKind.SINGLE):
        return list(left)
    left_keys, right_keys = equality_attributes(node)
    keeps_left = is_unique(node.right, right_keys)  # each left row finds at most one partner
    keeps_right = is_unique(node.left, left_keys)
    keys: list[Key] = []
    if keeps_left and node.kind in (JoinKind.INNER, JoinKind.CROSS, JoinKind.LEFT):
        keys.extend(left)
    if keeps_right and node.kind in (JoinKind.INNER, JoinKind.CROSS, JoinKind.RIGHT):
        keys.extend(right)
    if node.kind is not JoinKind.FULL:
        keys.extend(one | other for one in left for other in right)
    return keys


def equality_attributes(node: Join) -> tuple[list[Attribute], list[Attribute]]:
    """Plain columns of left and right that a conjunct of the join condition equates, pair by pair."""
    left_keys, right_keys = [], []
    left_set, right_set = output_set(node.left), output_set(node.right)
    for condition in node.conditions:
        pair = equated_columns(condition)
        if pair is None:
            continue
        one, other = pair
        if one in right_set and other in left_set:
            one, other = other, one
        if one in left_set and other in right_set:
            left_keys.append(one)
            right_keys.append(other)
    return left_keys, right_keys


def equated_columns(condition: Expression) -> tuple[Attribute, Attribute] | None:
    """The two columns of ``a = b`` or ``a IS NOT DISTINCT FROM b``; None for any other expression."""
    if isinstance(condition, Call) and condition.function in ("eq", "is_not_distinct_from"):
        one, other = condition.arguments
        if isinstance(one, AttributeRef) and isinstance(other, AttributeRef):
            return one.attribute, other.attribute
    return None


def non_null_attributes(node: LogicalNode) -> frozenset[Attribute]:
    """Outputs that hold no NULL in any row."""
    known: frozenset[Attribute] | None = vars(node).get("_non_null")
    if known is None:
        known = vars(node)["_non_null"] = frozenset(_find_non_null(node))
    return known


def never_null(expression: Expression, non_null: Collection[Attribute]) -> bool:
    """The value is not NULL for rows in which ``non_null`` are not."""
    match expression:
        case AttributeRef(attribute):
            return attribute in non_null
        case Literal():
            return not expression.is_null
        case Call(function, arguments):
            if function in _NEVER_NULL:
                return True
            if function == "coalesce":
                return any(never_null(argument, non_null) for argument in arguments)
            return function in _NULL_ONLY_FROM_ARGUMENTS and all(never_null(a, non_null) for a in arguments)
        case Cast(argument, _, try_):
            return not try_ and never_null(argument, non_null)
        case Case(branches, otherwise):
            return never_null(otherwise, non_null) and all(never_null(v, non_null) for _, v in branches)
        case InList(argument, options):
            return never_null(argument, non_null) and all(never_null(o, non_null) for o in options)
        case Exists():
            return True
    return False


def rejects_null(predicate: Expression, attributes: Collection[Attribute]) -> bool:
    """``predicate`` is not true in a row in which all of ``attributes`` are NULL (so padded rows fall out)."""
    match predicate:
        case Literal():
            return predicate.value is not True
        case Call("and", arguments):
            return any(rejects_null(argument, attributes) for argument in arguments)
        case Call("or", arguments):
            return all(rejects_null(argument, attributes) for argument in arguments)
        case Call("not", (Call("is_null", (inner,)),)) | Call("is_not_null", (inner,)):
            return null_from(inner, attributes)
    return null_from(predicate, attributes)


def null_from(expression: Expression, attributes: Collection[Attribute]) -> bool:
    """``expression`` is NULL whenever all of ``attributes`` are."""
    match expression:
        case AttributeRef(attribute):
            return attribute in attributes
        case Literal():
            return expression.is_null
        case Call("and" | "or", arguments):
            return all(null_from(argument, attributes) for argument in arguments)
        case Call("coalesce" | "greatest" | "least", arguments):
            return all(null_from(argument, attributes) for argument in arguments)
        case Call(function, arguments):
            strict = function in _NULL_FROM_ANY_ARGUMENT
            return strict and any(null_from(argument, attributes) for argument in arguments)
        case Cast(argument):
            return null_from(argument, attributes)
        case InList(argument):
            return null_from(argument, attributes)
    return False


def _find_non_null(node: LogicalNode) -> Collection[Attribute]:
    if isinstance(node, Scan):
        return [a for a, source in node.columns if not column_may_be_null(node, source, a)]
    if isinstance(node, Filter):
        return non_null_attributes(node.input) | _not_null_if_true(node.predicates)
    if isinstance(node, (Sort, Limit, Repeat, Window, Unnest)):
        return non_null_attributes(node.input)
    if isinstance(node, Values):
        return [a for i, a in enumerate(node.attributes) if all(row[i] is not None for row in node.rows)]
    if isinstance(node, Project):
        below = non_null_attributes(node.input)
        return [a for a, e in node.expressions if never_null(e, below)]
    if isinstance(node, Aggregate):
        below = non_null_attributes(node.input)
        keys = [a for a, e in node.keys if never_null(e, below)]
        counts = [a for a, c in node.aggregates if c.function in ("count", "count_star")]
        full = [
            a
            for a, c in node.aggregates
            if node.keys
            and c.filter is None
            and c.function in ("sum", "min", "max", "avg", "any_value", "first", "last")
            and never_null(c.arguments[0], below)
        ]
        return [*keys, *counts, *full]
    if isinstance(node, Shared):
        below = non_null_attributes(node.definition)
        pairs = zip(node.definition.outputs, node.attributes, strict=True)
        return [use for old, use in pairs if old in below]
    if isinstance(node, UnionAll):
        columns = [
            [s.outputs[i] in non_null_attributes(s) for s in node.sources] for i in range(len(node.outputs))
        ]
        return [a for a, flags in zip(node.attributes, columns, strict=True) if all(flags)]
    if isinstance(node, Join):
        return _join_non_null(node)
    return ()


def _not_null_if_true(predicates: tuple[Expression, ...]) -> frozenset[Attribute]:
    """Columns that must not be NULL for all predicates to be true."""
    used = frozenset().union(*(references(p) for p in predicates))
    return frozenset(a for a in used if any(rejects_null(p, (a,)) for p in predicates))


def _join_non_null(node: Join) -> frozenset[Attribute]:
    left, right = non_null_attributes(node.left), non_null_attributes(node.right)
    if node.kind in (JoinKind.INNER, JoinKind.CROSS):
        used = frozenset().union(*(references(c) for c in node.conditions))
        return (
            left | right | frozenset(a for a in used if any(rejects_null(c, (a,)) for c in node.conditions))
        )
    if node.kind in (JoinKind.LEFT, JoinKind.SINGLE, JoinKind.SEMI, JoinKind.ANTI):
        return left
    if node.kind is JoinKind.RIGHT:
        return right
    if node.kind is JoinKind.MARK and node.mark is not None:
        both = left | right
        return left | {node.mark} if all(never_null(c, both) for c in node.conditions) else left
    return frozenset()
