"""Expressions over the columns in reach, with lists, structs, maps, times and intervals, and with subqueries."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tests.property.expressions import ExpressionGenerator
from tests.property.whole.scopes import SCALARS, Column

#: Makes a subquery that may use the columns it is given: (kind or family, outer columns) to SQL.
Subqueries = Callable[[str, Sequence[Column]], str]

_FEW_VALUES = (".k", ".id", ".s", ".t", ".i8", ".u8", ".c0", ".b", ".p")
_INTERVALS = (
    "INTERVAL 1 DAY",
    "INTERVAL '2 months'",
    "INTERVAL '-3 hours'",
    "INTERVAL 90 MINUTE",
    "INTERVAL 1 YEAR",
)
_LITERALS = {
    "list": ("[1, 2]", "([]::INTEGER[])", "[2, NULL]", "(NULL::INTEGER[])", "[0]"),
    "texts": ("['a', 'b']", "([]::VARCHAR[])", "[NULL, 'é']", "(NULL::VARCHAR[])"),
    "struct": ("{'x': 1, 'y': 'a'}", "(NULL::STRUCT(x INTEGER, y VARCHAR))", "{'x': NULL::INTEGER, 'y': ''}"),
    "map": ("MAP {'a': 1, 'c': 2}", "MAP {'b': NULL::INTEGER}", "MAP {'': 0}"),
    "time": ("TIME '10:00:00'", "TIME '23:59:59.999999'", "NULL::TIME"),
    "interval": (*_INTERVALS, "NULL::INTERVAL"),
    "uuid": ("'00000000-0000-4000-8000-000000000001'::UUID", "NULL::UUID"),
    "blob": ("'a'::BLOB", "''::BLOB", "'\\xFF'::BLOB"),
}


class ScopedExpressions(ExpressionGenerator):
    """Makes expressions of ``columns``; ``outer`` are columns of enclosing queries, which appear less often.

    ``shared`` columns are those that subqueries may use: with groups these are the keys only.
    """

    def __init__(
        self,
        rng: random.Random,
        columns: Sequence[Column],
        *,
        outer: Sequence[Column] = (),
        subqueries: Subqueries | None = None,
        shared: Sequence[Column] | None = None,
    ) -> None:
        super().__init__(rng)
        self.columns = tuple(columns)
        self.outer = tuple(outer)
        self.subqueries = subqueries
        self.shared = self.columns if shared is None else tuple(shared)
        nested: dict[str, tuple[Callable[[int], str], ...]] = {
            family: (self._nested(family), self._case_of(family), self._coalesce_of(family))
            for family in _LITERALS
        }
        # DuckDB 2.0's greatest() and least() of intervals compare months first, unlike its own < and max().
        nested["interval"] = (self._nested("interval"), self._coalesce_of("interval"))
        self._makers = self._makers | nested
        self._makers["boolean"] += (self._nested_comparison, self._membership, self._subquery_test)
        self._makers["integer"] += (self._part_of_nested, self._scalar("integer"))
        self._makers["string"] += (self._text_of_nested, self._scalar("string"))
        self._makers["timestamp"] += (self._shifted, self._scalar("timestamp"))
        for family in ("decimal", "date", "boolean"):
            self._makers[family] += (self._scalar(family),)

    def has(self, family: str) -> bool:
        """Whether a column of ``family`` is in reach."""
        return any(c.family == family for c in self.columns)

    def own(self, family: str) -> str:
        """A column of the query itself."""
        return self.rng.choice([c.text for c in self.columns if c.family == family])

    def column(self, family: str) -> str:
        """A column in reach, one of an enclosing query, or a literal where there is none."""
        own = [c.text for c in self.columns if c.family == family]
        enclosing = [c.text for c in self.outer if c.family == family]
        if enclosing and (not own or self.rng.random() < 0.2):
            return self.rng.choice(enclosing)
        return self.rng.choice(own) if own else self.literal(family)

    def few(self, family: str) -> str:
        """A column, mostly one of those with few values: rows should meet."""
        chosen = [c.text for c in self.columns if c.family == family and c.text.endswith(_FEW_VALUES)]
        return self.rng.choice(chosen) if chosen and self.rng.random() < 0.7 else self.column(family)

    def mostly(self, depth: int) -> str:
        """A condition; often one that most rows meet, lest nothing be left of the rows of a deep query."""
        form = self.rng.random()
        named = [c.text for c in self.columns]
        if form < 0.35 and named:
            text = self.rng.choice(named)
            if form < 0.2:
                return f"({text} IS NOT NULL)"
            return f"({self.column('integer')} {self.rng.choice(('<>', '<', '>=', '>'))} {self.rng.randint(-1, 9)})"
        return self.condition(depth)

    def condition(self, depth: int = 3) -> str:
        """A condition; of columns, if there are any: constants would decide for all rows at once."""
        for _ in range(4):
            text = super().condition(depth)
            if not self.columns or any(c.text in text for c in self.columns):
                break
        return text

    def literal(self, family: str) -> str:
        """A constant."""
        if family in _LITERALS:
            return self.rng.choice(_LITERALS[family])
        return super().literal(family)

    def anything(self, depth: int) -> Column:
        """An expression of any family, nested ones included."""
        if self.rng.random() < 0.2:
            family = self.rng.choice(tuple(_LITERALS))
            return Column(self.make(family, depth), family)
        family = self.rng.choice(SCALARS)
        return Column(self.make(family, depth), family)

    # --- nested values --------------------------------------------------------------------------------------------

    def _nested(self, family: str) -> Callable[[int], str]:
        forms = {
            "list": (
                "list_sort($list)", "list_concat($list, $list)", "$list[1:2]", "$list[-1:]", "list_reverse($list)",
                "[$integer, $integer]", "list_filter($list, lambda v: v > 0)", "list_append($list, $integer)",
                "list_transform($list, lambda v: v + 1)", "list_sort(list_distinct($list))", "map_values($map)",
                "[$integer FOR v IN $list IF v IS NOT NULL]", "range(len($list)::INTEGER)", "list_resize($list, 3)",
                "list_sort($list, 'DESC', 'NULLS FIRST')", "list_where($list, [true])", "list_prepend(7, $list)",
            ),
            "texts": (
                "string_split($string, 'b')", "[$string, $string]", "list_transform($texts, lambda v: upper(v))",
                "$texts[2:]", "list_concat($texts, $texts)", "map_keys($map)", "list_sort($texts)",
                "string_to_array($string, '')", "regexp_split_to_array($string, '[ab]')",
            ),
            "struct": ("{'x': $integer, 'y': $string}", "struct_pack(x := $integer, y := $string)"),
            "map": (
                "MAP {'a': $integer}", "map_from_entries([{'k': 'q', 'v': $integer}])", "map_concat($map, $map)",
                "MAP(['b', 'c'], [$integer, $integer])",
            ),
            "time": ("CAST($timestamp AS TIME)", "($time + INTERVAL 1 HOUR)", "($time - INTERVAL 90 MINUTE)"),
            "interval": (
                "($interval + $interval)", "($timestamp - $timestamp)", "($interval * 2)", "(-$interval)",
                "to_days($small)", "to_months($small)", "age($timestamp, $timestamp)",
            ),
            "uuid": ("$uuid",),
            "blob": ("($blob || $blob)", "encode($string)"),
        }  # fmt: skip
        return lambda depth: self._filled(self.rng.choice(forms[family]), depth)

    def _filled(self, form: str, depth: int) -> str:
        """``form`` with each ``$family`` replaced by an expression of its own; ``$small`` is a small number."""

        def part(found: re.Match[str]) -> str:
            name = found.group(1)
            return str(self.rng.randint(-2, 3)) if name == "small" else self.make(name, depth - 1)

        return re.sub(r"\$(\w+)", part, form)

    def _part_of_nested(self, depth: int) -> str:
        form = self.rng.choice((
            "len($list)", "$list[1]", "$list[-1]", "list_sum($list)", "list_max($list)", "list_position($list, 2)",
            "$struct['x']", "$map['a']", "cardinality($map)", "len($texts)", "hour($time)", "list_count($list)",
            "list_reduce(list_prepend(0, $list), lambda v, w: coalesce(v, 0) + coalesce(w, 0))", "octet_length($blob)",
            "extract(month FROM $interval)", "extract(day FROM $interval)", "list_unique($texts)", "$list[$integer]",
        ))  # fmt: skip
        return self._filled(form, depth)

    def _text_of_nested(self, depth: int) -> str:
        form = self.rng.choice((
            "$texts[1]", "array_to_string($texts, '-')", "$struct['y']", "CAST($list AS VARCHAR)", "$texts[-1]",
            "CAST($struct AS VARCHAR)", "CAST($interval AS VARCHAR)", "CAST($time AS VARCHAR)", "list_min($texts)",
            "CAST($uuid AS VARCHAR)", "CAST($texts AS VARCHAR)", "CAST($map AS VARCHAR)", "hex($blob)",
        ))  # fmt: skip
        return self._filled(form, depth)

    def _shifted(self, depth: int) -> str:
        return self._filled(f"($timestamp {self.rng.choice('+-')} $interval)", depth)

    def _date_arithmetic(self, depth: int) -> str:
        small = [c.text for c in self.columns if c.text.endswith((".k", ".i8"))]
        days = (
            self.rng.choice(small) if small and self.rng.random() < 0.5 else str(self.rng.randint(-40, 400))
        )
        return f"({self.make('date', depth)} {self.rng.choice('+-')} ({days}))"

    def _nested_comparison(self, depth: int) -> str:
        family = self.rng.choice(("list", "texts", "struct", "time", "interval", "uuid", "blob", "map"))
        operators = (
            ("=", "<>", "IS DISTINCT FROM")
            if family == "map"
            else ("=", "<>", "<", ">=", "IS NOT DISTINCT FROM")
        )
        return self._filled(f"(${family} {self.rng.choice(operators)} ${family})", depth)

    def _membership(self, depth: int) -> str:
        form = self.rng.choice((
            "list_contains($list, $integer)", "list_has_any($list, $list)", "list_contains($texts, $string)",
            "list_has_all($texts, $texts)", "map_contains($map, $string)", "= ANY",
        ))  # fmt: skip
        if form == "= ANY":  # constant aggregates in the list would be aggregates of a query of their own
            lists = [c.text for c in self.columns if c.family == "list" and "(" not in c.text]
            chosen = self.rng.choice(lists) if lists else self.literal("list")
            return f"({self.make('integer', depth - 1)} = ANY({chosen}))"
        return self._filled(form, depth)

    # --- subqueries -----------------------------------------------------------------------------------------------

    def _subquery_test(self, depth: int) -> str:
        if self.subqueries is None or depth < 0:
            return self._comparison(depth)
        reach = (*self.shared, *self.outer)
        form = self.rng.random()
        if form < 0.4:
            word = self.rng.choice(("EXISTS", "EXISTS", "NOT EXISTS"))
            return f"({word} ({self.subqueries('any', reach)}))"
        family = self.rng.choice(("integer", "string", "date", "decimal", "integer"))
        found = self.subqueries(f"column {family}", reach)
        if form < 0.8:
            return f"({self.make(family, depth - 1)} {self.rng.choice(('IN', 'NOT IN'))} ({found}))"
        operator = self.rng.choice(("=", "<>", "<", ">="))
        return f"({self.make(family, depth - 1)} {operator} {self.rng.choice(('ANY', 'ALL'))} ({found}))"

    def _scalar(self, family: str) -> Callable[[int], str]:
        def scalar(depth: int) -> str:
            if self.subqueries is None or depth < 0:
                return self.leaf(family)
            return f"({self.subqueries(f'scalar {family}', (*self.shared, *self.outer))})"

        return scalar
