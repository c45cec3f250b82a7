"""Random aggregate and window calls whose values do not depend on the order in which rows come."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.property.whole.expressions import ScopedExpressions
from tests.property.whole.scopes import Column

_DIRECTIONS = ("", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC NULLS LAST", " DESC NULLS FIRST")
_FRAMES_ENDS = ("UNBOUNDED PRECEDING", "{} PRECEDING", "CURRENT ROW", "{} FOLLOWING", "UNBOUNDED FOLLOWING")
_EXCLUDES = ("", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS")


def total_order(rng: random.Random, key: Sequence[str]) -> str:
    """ORDER BY items over ``key`` in any order and direction."""
    shuffled = rng.sample(list(key), len(key))
    return ", ".join(f"{text}{rng.choice(_DIRECTIONS)}" for text in shuffled)


def aggregate(make: ScopedExpressions, key: Sequence[str], *, depth: int = 1) -> Column:
    """An aggregate call; ``key`` tells rows apart where their order matters.

    Sums of floating-point numbers are exact only over few binary digits; others are marked as not exact.
    """
    rng = make.rng
    chosen = rng.choices(
        (
            "count",
            "sum",
            "average",
            "extreme",
            "logic",
            "bits",
            "spread",
            "ordered",
            "nested",
            "quantile",
            "argument",
        ),
        (20, 22, 6, 22, 5, 4, 4, 8, 6, 4, 6),
    )[0]
    made = _AGGREGATES[chosen](make, key, depth)
    if rng.random() < 0.2:
        made = Column(f"{made.text} FILTER (WHERE {make.condition(depth)})", made.family, made.is_exact)
    return made


def _count(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    rng = make.rng
    argument = "*" if rng.random() < 0.4 else make.anything(depth).text
    word = "DISTINCT " if argument != "*" and rng.random() < 0.4 else ""
    return Column(f"count({word}{argument})", "integer")


def _sum(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    family = make.rng.choice(("integer", "integer", "decimal"))
    word = make.rng.choice(("", "", "", "DISTINCT "))
    return Column(f"sum({word}{make.make(family, depth)})", family)


def _average(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    family = make.rng.choice(("integer", "decimal"))
    return Column(f"avg({make.make(family, depth)})", "float", is_exact=False)


def _extreme(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    value = make.anything(depth)
    if value.family == "map":
        return Column(f"count({value.text})", "integer")
    if value.family == "interval":  # 1 month and 30 days are equal and look different
        return Column(f"max({value.text}) IS NULL", "boolean")
    return Column(f"{make.rng.choice(('min', 'max'))}({value.text})", value.family)


def _logic(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    name = make.rng.choice(("bool_and", "bool_or", "count_if"))
    return Column(f"{name}({make.condition(depth)})", "integer" if name == "count_if" else "boolean")


def _bits(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    return Column(
        f"{make.rng.choice(('bit_and', 'bit_or', 'bit_xor'))}({make.make('integer', depth)})", "integer"
    )


def _spread(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    name = make.rng.choice(("stddev_samp", "var_pop", "stddev_pop", "var_samp"))
    # Of a few small numbers: of others the rounding of either engine is larger than what is compared.
    return Column(f"{name}(({make.column('integer')})::DOUBLE % 100)", "float", is_exact=False)


def _ordered(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    rng = make.rng
    if not key:
        return Column("count(*)", "integer")
    order = f"ORDER BY {total_order(rng, key)}"
    form = rng.random()
    if form < 0.3:
        return Column(f"string_agg({make.make('string', depth)}, '|' {order})", "string")
    value = make.anything(depth)
    if form < 0.7:
        return Column(f"{rng.choice(('first', 'last', 'any_value'))}({value.text} {order})", value.family)
    return Column(f"list({make.make('integer', depth)} {order})", "list")


def _nested(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    family, nested = make.rng.choice((("integer", "list"), ("string", "texts")))
    value = make.make(family, depth)
    word = make.rng.choice(("", "DISTINCT "))
    if make.rng.random() < 0.3:
        text = make.column("string")
        return Column(
            f"string_agg({word}{text}, ',' ORDER BY {text}{make.rng.choice(_DIRECTIONS)})", "string"
        )
    return Column(f"list_sort(list({word}{value}))", nested)


def _quantile(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    rng = make.rng
    if rng.random() < 0.5:
        family = rng.choice(("integer", "decimal", "date", "string"))
        return Column(
            f"quantile_disc({make.make(family, depth)}, {rng.choice(('0.3', '0.5', '1.0', '0'))})", family
        )
    return Column(
        f"{rng.choice(('median({})', 'quantile_cont({}, 0.25)')).format(make.column('integer'))}",
        "float",
        False,
    )


def _argument(make: ScopedExpressions, key: Sequence[str], depth: int) -> Column:
    if len(key) != 1:  # of rows with equal keys any may be taken
        return Column("count(*)", "integer")
    value = make.anything(depth)
    return Column(f"{make.rng.choice(('arg_min', 'arg_max'))}({value.text}, {key[0]})", value.family)


_AGGREGATES = {
    "count": _count, "sum": _sum, "average": _average, "extreme": _extreme, "logic": _logic, "bits": _bits,
    "spread": _spread, "ordered": _ordered, "nested": _nested, "quantile": _quantile, "argument": _argument,
}  # fmt: skip


# --- windows ------------------------------------------------------------------------------------------------------


def window(make: ScopedExpressions, key: Sequence[str]) -> Column:
    """A window call; ``key`` tells rows apart. Without one, only what does not depend on the order among peers."""
    rng = make.rng
    partition = ""
    if rng.random() < 0.6:
        partition = f"PARTITION BY {', '.join(_key_text(make) for _ in range(rng.choice((1, 1, 2))))} "
    kind = rng.choice(("rank", "number", "value", "value", "aggregate", "aggregate", "aggregate"))
    if kind in ("number", "value") and not key:
        kind = "aggregate"
    if kind == "rank":
        name = rng.choice(("rank()", "dense_rank()", "percent_rank()", "cume_dist()"))
        order = f"{_key_text(make)}{rng.choice(_DIRECTIONS)}"
        is_exact = name in ("rank()", "dense_rank()")
        return Column(
            f"{name} OVER ({partition}ORDER BY {order})", "integer" if is_exact else "float", is_exact
        )
    order = f"ORDER BY {total_order(rng, key)}" if key else ""
    if key and rng.random() < 0.4:
        order = f"ORDER BY {_key_text(make)}{rng.choice(_DIRECTIONS)}, {total_order(rng, key)}"
    if kind == "number":
        return Column(
            f"{rng.choice(('row_number()', 'ntile(3)', 'ntile(1)'))} OVER ({partition}{order})", "integer"
        )
    if kind == "value":
        value = make.anything(1)
        name = rng.choice((
            "first_value({})", "last_value({})", "nth_value({}, 2)", "first_value({} IGNORE NULLS)", "lag({})",
            "last_value({} IGNORE NULLS)", "lead({}, 2)", "lag({}, -1)", "lag({} IGNORE NULLS)", "lead({}, 1, {})",
        ))  # fmt: skip
        frame = "" if "lag" in name or "lead" in name else _frame(rng, "ROWS")
        call = name.replace("{}", value.text)
        return Column(f"{call} OVER ({partition}{order}{frame})", value.family)
    return _framed_aggregate(make, partition, order)


def _framed_aggregate(make: ScopedExpressions, partition: str, order: str) -> Column:
    rng = make.rng
    call = aggregate(make, (), depth=1)
    if "list_sort(" in call.text or " IS NULL" in call.text:  # OVER would belong to the wrong call
        call = Column("count(*)", "integer")
    form = rng.random()
    if form < 0.25:
        words = partition.rstrip()
    elif form < 0.5 and order:
        words = f"{partition}{order}{_frame(rng, 'ROWS')}"
    elif form < 0.7:
        words = f"{partition}ORDER BY {_key_text(make)}{rng.choice(_DIRECTIONS)}{_frame(rng, 'GROUPS')}"
    elif form < 0.8:
        words = f"{partition}ORDER BY {_key_text(make)}{rng.choice(_DIRECTIONS)}"
    elif make.has("date") and rng.random() < 0.4:
        frame = _frame(rng, "RANGE", ("INTERVAL 1 DAY", "INTERVAL 1 MONTH", "INTERVAL 0 DAY"))
        words = f"{partition}ORDER BY {make.column('date')}{rng.choice(_DIRECTIONS)}{frame}"
    else:
        family = rng.choice(("integer", "decimal", "integer"))
        words = f"{partition}ORDER BY ({make.column(family)}){rng.choice(_DIRECTIONS)}{_frame(rng, 'RANGE')}"
    return Column(f"{call.text} OVER ({words})", call.family, call.is_exact)


def _frame(rng: random.Random, unit: str, offsets: Sequence[str] = ("0", "1", "2", "5")) -> str:
    start, stop = rng.randrange(4), rng.randrange(1, 5)
    if start > stop or (start == stop and start in (1, 3)):
        start, stop = 1, 3
    bounds = [_FRAMES_ENDS[place].format(rng.choice(offsets)) for place in (start, stop)]
    return f" {unit} BETWEEN {bounds[0]} AND {bounds[1]}{rng.choice(_EXCLUDES)}"


def _key_text(make: ScopedExpressions) -> str:
    family = make.rng.choice(("integer", "string", "boolean", "date", "decimal", "integer"))
    text = make.column(family) if make.rng.random() < 0.8 else make.make(family, 1)
    return f"({text})" if text.lstrip("-").isdecimal() else text
