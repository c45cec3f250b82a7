"""Makes a query and its tables smaller while the two engines still differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

#: Parts that a query mostly does without, by the name they have in sqlglot's trees.
_CLAUSES = (
    "where", "group", "having", "qualify", "order", "limit", "offset", "distinct", "with_", "with", "laterals", "joins",
    "windows", "spec", "partition_by", "escape", "default", "ordinality",
)  # fmt: skip


def minimize(sql: str, still_differs: Callable[[str], bool], *, budget_s: float) -> str:
    """The smallest query found in time for which ``still_differs``; ``sql`` itself if it was not understood."""
    end = time.monotonic() + budget_s
    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
        smallest = tree.sql(dialect="duckdb")
    except SqlglotError:
        return sql
    if not still_differs(smallest):
        return sql
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for candidate in _smaller(tree):
            if time.monotonic() > end:
                break
            try:
                text = candidate.sql(dialect="duckdb")
            except (SqlglotError, ValueError):
                continue
            if len(text) < len(smallest) and still_differs(text):
                tree, smallest, progress = candidate, text, True
                break
    return smallest


def minimize_rows(
    num_rows: int, still_differs: Callable[[Sequence[int]], bool], *, budget_s: float
) -> list[int]:
    """Positions of the rows of a table that are needed for the difference, by leaving out halves, quarters, ..."""
    end = time.monotonic() + budget_s
    kept = list(range(num_rows))
    size = max(1, num_rows // 2)
    while kept:
        position = 0
        before = len(kept)
        while position < len(kept) and time.monotonic() < end:
            fewer = kept[:position] + kept[position + size :]
            if still_differs(fewer):
                kept = fewer
            else:
                position += size
        if (size == 1 and len(kept) == before) or time.monotonic() > end:
            break
        size = max(1, size // 2)
    return kept


def _smaller(tree: exp.Expression) -> Iterator[exp.Expression]:
    """Copies of ``tree``, each with one thing less; the largest parts go first."""
    nodes = list(tree.walk())
    for position, node in enumerate(nodes):
        for name in _CLAUSES:
            if node.args.get(name):
                yield _without(tree, position, name)
    for position, node in enumerate(nodes):
        for name, value in node.args.items():
            if (isinstance(value, list) and name not in ("joins",) and len(value) > 1) or (
                isinstance(value, list) and name == "joins"
            ):
                for number in range(len(value)):
                    yield _without(tree, position, name, number)
    for position, node in enumerate(nodes):
        if position == 0 and isinstance(node, exp.SetOperation):
            yield node.left.copy()
            yield node.right.copy()
        if position == 0 or isinstance(
            node, exp.Identifier | exp.DataType | exp.Literal | exp.Column | exp.Table
        ):
            continue
        for child in node.iter_expressions():
            if _may_replace(node, child):
                yield _replaced(tree, position, child.copy())
        if isinstance(node, exp.Condition) and not isinstance(node, exp.Boolean | exp.Null):
            yield _replaced(tree, position, exp.null())
            yield _replaced(tree, position, exp.true())
            yield _replaced(tree, position, exp.Literal.number(1))


def _may_replace(node: exp.Expression, child: exp.Expression) -> bool:
    if isinstance(node, exp.SetOperation | exp.Subquery):
        return isinstance(child, exp.Query)
    return isinstance(node, exp.Condition) and isinstance(child, exp.Condition)


def _without(tree: exp.Expression, position: int, name: str, number: int | None = None) -> exp.Expression:
    copy = tree.copy()
    node = list(copy.walk())[position]
    if number is None:
        node.set(name, None)
    else:
        node.args[name].pop(number)
    return copy


def _replaced(tree: exp.Expression, position: int, new: exp.Expression) -> exp.Expression:
    copy = tree.copy()
    list(copy.walk())[position].replace(new)
    return copy
