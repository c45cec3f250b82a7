"""Random typed SQL expressions over the columns of ``tests.property.tables``, as text that DuckDB can read too."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.property.tables import COLUMNS, LOW_CARDINALITY

FAMILIES = ("boolean", "integer", "decimal", "float", "date", "timestamp", "string")
_WEIGHTS = (5, 5, 4, 3, 2, 2, 4)

#: Functions of floating-point numbers whose last digit depends on the library; only at the root, where rows are
#: compared with a tolerance.
_TRANSCENDENTAL = (
    "exp({} / 100)", "ln(abs({}) + 1)", "log2(abs({}) + 1)", "log10(abs({}) + 1)", "sin({} / 8)", "cos({} / 8)",
    "atan({})", "sqrt(abs({}))", "cbrt({})", "degrees({})", "radians({})", "power(abs({}) + 1, 0.5)",
    "atan2({}, 3)", "tan({} / 1000)",
)  # fmt: skip

_DATE_PARTS = (
    "year", "month", "day", "quarter", "week", "dayofweek", "isodow", "dayofyear",
)  # fmt: skip
_TIME_PARTS = ("hour", "minute", "second", "millisecond", "microsecond")
_UNITS = ("year", "quarter", "month", "week", "day")
_TIME_UNITS = (*_UNITS, "hour", "minute", "second", "millisecond")
_PATTERNS = (
    "%",
    "a%",
    "%b",
    "%a%",
    "_",
    "%_b%",
    "",
    "a_b",
    "x\\%y",
    "é%",
    "%é",
    "A%b",
    "%12%",
    "ab",
    "%%",
    "_%_",
)
_FORMATS = ("%Y-%m-%d", "%d/%m/%y", "%H:%M:%S", "%j", "%A", "%B %-d", "%Y%m%d")


class ExpressionGenerator:
    """Makes expressions; ``prefix`` qualifies the columns (``a.`` in joins).

    The same random generator gives the same expressions.
    """

    def __init__(self, rng: random.Random, prefix: str | Sequence[str] = "") -> None:
        self.rng = rng
        self.prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
        self._makers: dict[str, tuple[Callable[[int], str], ...]] = {
            "boolean": (
                self._comparison, self._comparison, self._comparison, self._connective, self._connective,
                self._null_test, self._in_list, self._between, self._like, self._string_test, self._not,
                self._distinct_from, self._float_test, self._boolean_case,
            ),
            "integer": (
                self._integer_arithmetic, self._integer_arithmetic, self._integer_arithmetic, self._negative_integer,
                self._date_part, self._time_part, self._string_measure, self._integer_cast, self._integer_function,
                self._day_difference, self._bits, self._case_of("integer"), self._coalesce_of("integer"),
            ),
            "decimal": (
                self._decimal_arithmetic, self._decimal_arithmetic, self._decimal_cast, self._decimal_function,
                self._case_of("decimal"), self._coalesce_of("decimal"),
            ),
            "float": (
                self._float_arithmetic, self._float_arithmetic, self._division, self._float_cast, self._float_function,
                self._case_of("float"), self._coalesce_of("float"),
            ),
            "date": (self._date_arithmetic, self._date_function, self._case_of("date"), self._coalesce_of("date")),
            "timestamp": (
                self._timestamp_arithmetic, self._timestamp_function, self._case_of("timestamp"),
                self._coalesce_of("timestamp"),
            ),
            "string": (
                self._string_function, self._string_function, self._string_function, self._string_cast,
                self._case_of("string"), self._coalesce_of("string"), self._concatenation, self._formatted,
            ),
        }  # fmt: skip

    def any(self, depth: int = 3) -> str:
        """An expression of any family."""
        if self.rng.random() < 0.06:
            return self.rng.choice(_TRANSCENDENTAL).format(
                self.make(self.rng.choice(("integer", "float")), depth - 2)
            )
        return self.make(self.rng.choices(FAMILIES, _WEIGHTS)[0], depth)

    def make(self, family: str, depth: int) -> str:
        """An expression of ``family`` with at most ``depth`` levels of operators."""
        if depth <= 0 or self.rng.random() < 0.08:
            return self.leaf(family)
        return self.rng.choice(self._makers[family])(depth - 1)

    def condition(self, depth: int = 3) -> str:
        """A BOOLEAN expression, never just a column."""
        return self.rng.choice(self._makers["boolean"])(depth - 1)

    def leaf(self, family: str) -> str:
        """A column or, less often, a literal."""
        if self.rng.random() < 0.75:
            return self.column(family)
        return self.literal(family)

    def column(self, family: str) -> str:
        """A column."""
        names = [column.name for column in COLUMNS if column.family == family]
        return self.rng.choice(self.prefixes) + self.rng.choice(names)

    def literal(self, family: str) -> str:
        """A literal."""
        rng = self.rng
        match family:
            case "boolean":
                return rng.choice(("TRUE", "FALSE", "NULL::BOOLEAN"))
            case "integer":
                return rng.choice(
                    (
                        *map(str, range(-3, 13)),
                        "100",
                        "128",
                        "-1000",
                        "NULL::INTEGER",
                        "2::TINYINT",
                        "40000",
                        "3000000000",
                    )
                )
            case "decimal":
                return rng.choice(("0.5", "1.25", "-3.7", "100.00", "0.0", "99999.9999", "2.0::DECIMAL(5,3)"))
            case "float":
                return rng.choice(
                    ("0.5::DOUBLE", "2e0", "-1.5e0", "1e10", "0e0", "'nan'::DOUBLE", "3.25::REAL")
                )
            case "date":
                day = rng.choice(("2020-02-29", "2020-01-31", "2019-12-31", "1970-01-01", "1904-02-29"))
                return f"DATE '{day}'"
            case "timestamp":
                moment = rng.choice(
                    ("2020-02-29 23:59:59.999999", "2020-01-01 00:00:00", "1969-12-31 23:59:59.5")
                )
                return f"TIMESTAMP '{moment}'"
            case _:
                return _quoted(rng.choice((*LOW_CARDINALITY, "abc", "zzz")))

    # --- booleans -------------------------------------------------------------------------------------------------

    def _comparison(self, depth: int) -> str:
        operator = self.rng.choice(("=", "<>", "<", "<=", ">", ">="))
        families = self.rng.choices(FAMILIES, _WEIGHTS)[0], None
        left = families[0]
        right = left
        if left in ("integer", "decimal", "float"):
            right = self.rng.choice((left, left, "integer", "decimal", "float"))
        elif left in ("date", "timestamp"):
            right = self.rng.choice((left, left, "date", "timestamp"))
        return f"({self.make(left, depth)} {operator} {self.make(right, depth)})"

    def _connective(self, depth: int) -> str:
        operator = self.rng.choice((" AND ", " OR "))
        count = self.rng.choice((2, 2, 3))
        return "(" + operator.join(self.make("boolean", depth) for _ in range(count)) + ")"

    def _not(self, depth: int) -> str:
        return f"(NOT {self.make('boolean', depth)})"

    def _null_test(self, depth: int) -> str:
        test = self.rng.choice(("IS NULL", "IS NOT NULL"))
        return f"({self.make(self._family(), depth)} {test})"

    def _distinct_from(self, depth: int) -> str:
        family = self._family()
        test = self.rng.choice(("IS DISTINCT FROM", "IS NOT DISTINCT FROM"))
        return f"({self.make(family, depth)} {test} {self.make(family, depth)})"

    def _in_list(self, depth: int) -> str:
        family = self._family()
        if self.rng.random() < 0.7:
            options = [self.literal(family) for _ in range(self.rng.choice((1, 2, 4, 12)))]
        else:
            options = [self.make(family, depth - 1) for _ in range(2)]
        test = self.rng.choice(("IN", "NOT IN"))
        return f"({self.make(family, depth)} {test} ({', '.join(options)}))"

    def _between(self, depth: int) -> str:
        family = self.rng.choice(("integer", "decimal", "float", "date", "timestamp", "string"))
        test = self.rng.choice(("BETWEEN", "NOT BETWEEN"))
        low, high = self.make(family, depth - 1), self.make(family, depth - 1)
        return f"({self.make(family, depth)} {test} {low} AND {high})"

    def _like(self, depth: int) -> str:
        test = self.rng.choice(("LIKE", "NOT LIKE", "ILIKE"))
        pattern = self.rng.choice(_PATTERNS)
        escape = ""
        if "\\" in pattern:
            test, escape = self.rng.choice(("LIKE", "NOT LIKE")), " ESCAPE '\\'"
        if self.rng.random() < 0.1:
            return f"({self.make('string', depth)} LIKE {self.column('string')})"
        return f"({self.make('string', depth)} {test} '{pattern}'{escape})"

    def _string_test(self, depth: int) -> str:
        name = self.rng.choice(("starts_with", "ends_with", "contains"))
        if self.rng.random() < 0.2:
            pattern = self.rng.choice(("a+", "^.b", "[0-9]+", "é", "^$", "a|b", "(a)(b)?"))
            name = self.rng.choice(("regexp_matches", "regexp_full_match"))
            return f"{name}({self.make('string', depth)}, '{pattern}')"
        needle = self.rng.choice(("''", "'a'", "'é'", "'b_'", self.column("string")))
        return f"{name}({self.make('string', depth)}, {needle})"

    def _float_test(self, depth: int) -> str:
        return f"{self.rng.choice(('isnan', 'isinf', 'isfinite'))}({self.make('float', depth)})"

    def _boolean_case(self, depth: int) -> str:
        return self._case_of("boolean")(depth)

    # --- any family -----------------------------------------------------------------------------------------------

    def _family(self) -> str:
        return self.rng.choice(FAMILIES)

    def _case_of(self, family: str) -> Callable[[int], str]:
        def case(depth: int) -> str:
            form = self.rng.random()
            if form < 0.15:
                return f"nullif({self.make(family, depth)}, {self.leaf(family)})"
            if form < 0.3:
                name = self.rng.choice(("greatest", "least"))
                return f"{name}({self.make(family, depth)}, {self.leaf(family)})"
            if form < 0.4:
                subject = self.rng.choice(("integer", "string", "boolean", "date"))
                branches = " ".join(
                    f"WHEN {self.literal(subject)} THEN {self.make(family, depth - 1)}" for _ in range(2)
                )
                return f"(CASE {self.make(subject, depth)} {branches} ELSE {self.leaf(family)} END)"
            branches = " ".join(
                f"WHEN {self.make('boolean', depth)} THEN {self.make(family, depth)}"
                for _ in range(self.rng.choice((1, 1, 2)))
            )
            otherwise = f" ELSE {self.leaf(family)}" if self.rng.random() < 0.6 else ""
            return f"(CASE {branches}{otherwise} END)"

        return case

    def _coalesce_of(self, family: str) -> Callable[[int], str]:
        return lambda depth: f"coalesce({self.make(family, depth)}, {self.leaf(family)})"

    # --- numbers --------------------------------------------------------------------------------------------------

    def _integer_arithmetic(self, depth: int) -> str:
        operator = self.rng.choice(("+", "-", "*", "+", "-", "*", "//", "%"))
        return f"({self.make('integer', depth)} {operator} {self.make('integer', depth)})"

    def _negative_integer(self, depth: int) -> str:
        return f"(-{self.make('integer', depth)})"

    def _integer_function(self, depth: int) -> str:
        form = self.rng.choice(("abs({})", "sign({})", "round({})", "round({}, -1)", "trunc({})"))
        return form.format(self.make("integer", depth))

    def _bits(self, depth: int) -> str:
        operator = self.rng.choice(("&", "|"))
        return f"({self.make('integer', depth)} {operator} {self.make('integer', depth)})"

    def _integer_cast(self, depth: int) -> str:
        source = self.rng.choice(("integer", "decimal", "float", "boolean", "boolean", "string"))
        cast = "TRY_CAST" if source in ("float", "string") or self.rng.random() < 0.3 else "CAST"
        target = self.rng.choice(
            ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UINTEGER", "BIGINT")
        )
        return f"{cast}({self.make(source, depth)} AS {target})"

    def _decimal_arithmetic(self, depth: int) -> str:
        operator = self.rng.choice(("+", "-", "*", "+", "-", "%"))
        other = self.rng.choice(("decimal", "decimal", "integer"))
        sides = [self.make("decimal", depth), self.make(other, depth)]
        self.rng.shuffle(sides)
        return f"({sides[0]} {operator} {sides[1]})"

    def _decimal_cast(self, depth: int) -> str:
        source = self.rng.choice(("integer", "decimal", "decimal", "string", "float", "boolean"))
        cast = "TRY_CAST" if source in ("string", "float") or self.rng.random() < 0.4 else "CAST"
        target = self.rng.choice(("(9,2)", "(18,4)", "(5,0)", "(38,6)", "(15,3)", "(20,1)"))
        return f"{cast}({self.make(source, depth)} AS DECIMAL{target})"

    def _decimal_function(self, depth: int) -> str:
        form = self.rng.choice(
            (
                "abs({})",
                "(-{})",
                "round({}, 1)",
                "round({})",
                "floor({})",
                "ceil({})",
                "trunc({})",
                "round({}, -1)",
            )
        )
        return form.format(self.make("decimal", depth))

    def _float_arithmetic(self, depth: int) -> str:
        operator = self.rng.choice(("+", "-", "*"))
        other = self.rng.choice(("float", "integer", "decimal", "float"))
        return f"({self.make('float', depth)} {operator} {self.make(other, depth)})"

    def _division(self, depth: int) -> str:
        left, right = (self.rng.choice(("integer", "decimal", "float")) for _ in range(2))
        return f"({self.make(left, depth)} / {self.make(right, depth)})"

    def _float_cast(self, depth: int) -> str:
        source = self.rng.choice(("integer", "decimal", "boolean", "float", "string"))
        cast = "TRY_CAST" if source == "string" else "CAST"
        return f"{cast}({self.make(source, depth)} AS {self.rng.choice(('DOUBLE', 'DOUBLE', 'REAL'))})"

    def _float_function(self, depth: int) -> str:
        form = self.rng.choice(
            ("abs({})", "(-{})", "floor({})", "ceil({})", "round({})", "trunc({})", "sign({})")
        )
        return form.format(self.make("float", depth))

    # --- dates ----------------------------------------------------------------------------------------------------

    def _date_part(self, depth: int) -> str:
        family = self.rng.choice(("date", "timestamp"))
        if self.rng.random() < 0.5:
            return f"{self.rng.choice(_DATE_PARTS)}({self.make(family, depth)})"
        return f"extract({self.rng.choice(('year', 'month', 'day', 'dow', 'doy'))} FROM {self.make(family, depth)})"

    def _time_part(self, depth: int) -> str:
        return f"{self.rng.choice(_TIME_PARTS)}({self.make('timestamp', depth)})"

    def _day_difference(self, depth: int) -> str:
        if self.rng.random() < 0.5:
            return f"({self.make('date', depth)} - {self.make('date', depth)})"
        family = self.rng.choice(("date", "timestamp"))
        unit = self.rng.choice(_UNITS if family == "date" else _TIME_UNITS)
        return f"date_diff('{unit}', {self.make(family, depth)}, {self.make(family, depth)})"

    def _date_arithmetic(self, depth: int) -> str:
        operator = self.rng.choice(("+", "-"))
        days = self.rng.choice((str(self.rng.randint(-40, 400)), self.rng.choice(self.prefixes) + "k"))
        return f"({self.make('date', depth)} {operator} ({days}))"

    def _date_function(self, depth: int) -> str:
        if self.rng.random() < 0.4:
            return f"CAST({self.make('timestamp', depth)} AS DATE)"
        if self.rng.random() < 0.3:
            return f"TRY_CAST({self.make('string', depth)} AS DATE)"
        return f"last_day({self.make(self.rng.choice(('date', 'timestamp')), depth)})"

    def _timestamp_arithmetic(self, depth: int) -> str:
        family = self.rng.choice(("date", "timestamp"))
        operator = self.rng.choice(("+", "-"))
        unit = self.rng.choice(("DAY", "MONTH", "YEAR", "HOUR", "MINUTE", "SECOND", "WEEK"))
        return f"({self.make(family, depth)} {operator} INTERVAL {self.rng.randint(0, 40)} {unit})"

    def _timestamp_function(self, depth: int) -> str:
        if self.rng.random() < 0.3:
            return f"CAST({self.make('date', depth)} AS TIMESTAMP)"
        family = self.rng.choice(("date", "timestamp"))
        unit = self.rng.choice(_UNITS if family == "date" else _TIME_UNITS)
        return f"date_trunc('{unit}', {self.make(family, depth)})"

    # --- strings --------------------------------------------------------------------------------------------------

    def _string_measure(self, depth: int) -> str:
        form = self.rng.choice(
            ("length({})", "strlen({})", "strpos({}, 'a')", "ascii({})", "strpos({}, 'é')")
        )
        return form.format(self.make("string", depth))

    def _string_function(self, depth: int) -> str:
        form = self.rng.choice(
            (
                "upper({})", "lower({})", "trim({})", "ltrim({})", "rtrim({}, 'ab')", "reverse({})",
                "substring({}, 2, 3)", "substring({}, -2)", "substring({}, 0, 2)", "left({}, 2)", "right({}, 2)",
                "left({}, -1)", "right({}, -1)", "replace({}, 'a', 'xy')", "replace({}, 'b', '')", "lpad({}, 5, '*-')",
                "rpad({}, 5, 'é')", "repeat({}, 2)", "split_part({}, 'b', 1)", "split_part({}, '_', 2)",
                "regexp_replace({}, '[ab]+', '<>')", "regexp_extract({}, '[a-z]+')",
            )
        )  # fmt: skip
        return form.format(self.make("string", depth))

    def _string_cast(self, depth: int) -> str:
        family = self.rng.choice(("boolean", "integer", "decimal", "date", "timestamp"))
        return f"CAST({self.make(family, depth)} AS VARCHAR)"

    def _concatenation(self, depth: int) -> str:
        if self.rng.random() < 0.5:
            return f"({self.make('string', depth)} || {self.make('string', depth)})"
        if self.rng.random() < 0.5:
            return f"concat({self.make('string', depth)}, {self.make('integer', depth)}, 'x')"
        return f"concat_ws('-', {self.make('string', depth)}, {self.make('string', depth)})"

    def _formatted(self, depth: int) -> str:
        if self.rng.random() < 0.5:
            family = self.rng.choice(("date", "timestamp"))
            return f"strftime({self.make(family, depth)}, '{self.rng.choice(_FORMATS)}')"
        return f"{self.rng.choice(('monthname', 'dayname'))}({self.make('date', depth)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
