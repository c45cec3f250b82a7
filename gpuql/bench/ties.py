"""Queries whose ORDER BY leaves open which rows a LIMIT keeps: how their rows can still be compared.

The text of such a query has a comment where its order would go on, ``/* ties on 2: , SearchPhrase */``. What is timed
is the query without it. What is compared is the query with the comment opened, whose rows are the same in every
engine; and the query as it is timed: its values of output column 2, the sort key, must be the same, and so must all
rows but those that share the key of the first or the last row, of which a LIMIT or OFFSET may have taken any. A
comment without ``on`` says that the sort key is no output column; then only the number of rows can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpuql.bench.rows import Row, difference, same_value

_COMMENT = re.compile(r"\s*/\* ties(?: on (\d+))?:\s*(.*?) \*/")


@dataclass(frozen=True)
class QueryText:
    """A query as it is timed; ``total`` is the same with a total order, if it has not one itself."""

    timed: str
    total: str | None = None
    key: int | None = None  # position of the sort key among the output columns, from 0


def read_query(text: str) -> QueryText:
    """Take the comment on ties out of a query, or put what it says in its place."""
    found = _COMMENT.search(text)
    if found is None:
        return QueryText(text)
    position, order = found.groups()
    separator = "" if order.startswith(",") else "\n"
    return QueryText(
        _COMMENT.sub("", text),
        _COMMENT.sub(lambda _: separator + order, text),
        int(position) - 1 if position else None,
    )


def difference_but_ties(query: QueryText, left: Sequence[Row], right: Sequence[Row]) -> str | None:
    """As :func:`gpuql.bench.rows.difference`, of rows of the timed query; ties at the ends may be other rows."""
    if query.total is None:
        return difference(left, right)
    if query.key is None or len(left) != len(right) or not left:
        return None if len(left) == len(right) else f"{len(left)} rows against {len(right)}"
    key = query.key
    found = difference([(row[key],) for row in left], [(row[key],) for row in right])
    if found is not None:
        return f"sort keys: {found}"
    ends = (left[0][key], left[-1][key])
    inner = [
        [row for row in rows if not any(same_value(row[key], end) for end in ends)] for rows in (left, right)
    ]
    return difference(*inner)
