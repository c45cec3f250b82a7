"""``expression.str`` and ``expression.dt``: functions of one kind of value, under the names Polars gives them."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql.api.expressions import Expr, Operand, call


@dataclass(frozen=True, slots=True)
class StringNamespace:
    """Functions of strings. Lengths and positions count characters."""

    expression: Expr

    def contains(self, pattern: str, *, literal: bool = False) -> Expr:
        """True where the regular expression (or, with ``literal``, the text) occurs."""
        return call("contains" if literal else "regexp_matches", self.expression, pattern)

    def like(self, pattern: str) -> Expr:
        """SQL LIKE: ``%`` any text, ``_`` any one character."""
        return call("like", self.expression, pattern)

    def starts_with(self, prefix: Operand) -> Expr:
        """True where the text begins with ``prefix``."""
        return call("starts_with", self.expression, prefix)

    def ends_with(self, suffix: Operand) -> Expr:
        """True where the text ends with ``suffix``."""
        return call("ends_with", self.expression, suffix)

    def to_lowercase(self) -> Expr:
        """In lower case."""
        return call("lower", self.expression)

    def to_uppercase(self) -> Expr:
        """In upper case."""
        return call("upper", self.expression)

    def len_chars(self) -> Expr:
        """Number of characters."""
        return call("length", self.expression)

    def len_bytes(self) -> Expr:
        """Number of bytes in UTF-8."""
        return call("strlen", self.expression)

    def slice(self, offset: int, length: int | None = None) -> Expr:
        """``length`` characters from ``offset`` on, which counts from 0; a negative one counts from the end."""
        start = offset + 1 if offset >= 0 else offset
        if length is None:
            return call("substring", self.expression, start)
        return call("substring", self.expression, start, length)

    def head(self, length: int) -> Expr:
        """The first ``length`` characters."""
        return call("left", self.expression, length)

    def tail(self, length: int) -> Expr:
        """The last ``length`` characters."""
        return call("right", self.expression, length)

    def strip_chars(self) -> Expr:
        """Without blanks at both ends."""
        return call("trim", self.expression)

    def replace_all(self, text: Operand, value: Operand) -> Expr:
        """Every occurrence of ``text`` (no pattern) replaced by ``value``."""
        return call("replace", self.expression, text, value)

    def reverse(self) -> Expr:
        """Last character first."""
        return call("reverse", self.expression)


@dataclass(frozen=True, slots=True)
class DateTimeNamespace:
    """Functions of dates and timestamps."""

    expression: Expr

    def year(self) -> Expr:
        """Year."""
        return call("year", self.expression)

    def quarter(self) -> Expr:
        """Quarter, 1 to 4."""
        return call("quarter", self.expression)

    def month(self) -> Expr:
        """Month, 1 to 12."""
        return call("month", self.expression)

    def week(self) -> Expr:
        """ISO week, 1 to 53."""
        return call("week", self.expression)

    def day(self) -> Expr:
        """Day of the month, 1 to 31."""
        return call("day", self.expression)

    def weekday(self) -> Expr:
        """ISO day of the week, Monday 1 to Sunday 7."""
        return call("isodow", self.expression)

    def ordinal_day(self) -> Expr:
        """Day of the year, 1 to 366."""
        return call("dayofyear", self.expression)

    def hour(self) -> Expr:
        """Hour, 0 to 23."""
        return call("hour", self.expression)

    def minute(self) -> Expr:
        """Minute, 0 to 59."""
        return call("minute", self.expression)

    def second(self) -> Expr:
        """Second, 0 to 59."""
        return call("second", self.expression)

    def truncate(self, part: str) -> Expr:
        """Start of the ``part`` ("year", "month", "week", "day", "hour" and so on) that the value lies in."""
        return call("date_trunc", part, self.expression)

    def strftime(self, pattern: str) -> Expr:
        """Text after a strftime pattern such as ``"%Y-%m"``."""
        return call("strftime", self.expression, pattern)
